"""What a reader must know before believing a number, each with a name that a program can look for.

A flag is a sentence: everything that shows or stores sentences takes it as it is.
"""

from __future__ import annotations

from typing import Final

#: Every name, and when it is raised.
NAMES: Final = {
    "not_evaluated": "the shares were refused; the sentence says why",
    "recycle_delay": "the recycle delay is short against T1, or differs between the states and was scaled",
    "leak": "the stripping hold ended by its time limit, or with more current than it was to end at",
    "soc_not_zero": "the positive electrode was far from empty where its factor for an empty one was used",
    "alloy": "lithium alloyed with a coating counts as interphase",
    "uncalibrated": "the factor of the state of charge was not measured on this set-up",
    "beyond_linearity": "more metal than the integral is shown to be linear up to",
    "continued": "the cell went on after a stripping hold and is a changed cell",
    "background": "the pristine cell shows signal in the metal window",
    "no_blank": "there is no pristine spectrum, so no detection limit",
    "swapped": "order or electrolyte of the spectra is not that of one cell",
    "insertion": "the electrolyte's line differs between the states: the cell sat otherwise in the probe",
    "k_outside": "mAh per unit of integral differs from that of the other cells",
    "scaled": "scans, gain, pulse, delay or temperature differ between the states and were scaled to each other",
    "pulse": "no calibrated pulse, or far from π/2",
    "temperature": "the sample's temperature differs between the states",
    "waited": "long between cycling and spectrum: metal corrodes while it waits",
    "not_re_extracted": "lithium of the first charge has stayed in the positive electrode",
    "excess_disagrees": "excess by NMR and by the hold's charge differ",
    "reference": "shifts are not referenced",
    "below_detection": "dead lithium is below the detection limit",
    "impedance": "an impedance spectrum is not fitted, fails the Kramers-Kronig test, or its electrodes do not add up",
    "deposits": "how the metal was plated is not told, or not to be quoted",
    "life": "the state of health recovered, or cycles are missing where it fell below the end of life",
}


class Flag(str):
    """A sentence with a name out of :data:`NAMES`; empty for what has none."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, text: str, name: str = "") -> Flag:
        """Make the sentence and give it its name."""
        made = super().__new__(cls, text)
        made.name = name
        return made


def name_of(text: str) -> str:
    """Give the name of a flag; empty for a sentence that has none."""
    return text.name if isinstance(text, Flag) else ""


def within(where: str, text: str) -> Flag:
    """Say where a flag belongs; its name stays."""
    return Flag(f"{where}: {text}", name_of(text))
