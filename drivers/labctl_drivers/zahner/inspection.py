"""What ``labctl instruments check`` says of a Zahner workstation beyond its identity. Pure; nothing is moved."""

from __future__ import annotations

from typing import Final

from labctl.instruments import Inspection
from labctl_drivers.zahner.replies import Setup

UNVERIFIED: Final = (
    "what EIS answers after a forced return, and whether a file remains; end one sweep by 'labctl abort' and look",
    "that script commands wait while a sweep is measured; if they are dropped, its end is seen only when it is due",
    "that a sweep and its source go on when the connection dies; pull the cable once while a dummy cell is measured",
    "that the direct current of a series flows on between two spectra; watch the first series on a dummy cell",
    "what amplitude and bias mean in pseudo-galvanostatic control; compare one spectrum with a galvanostatic one",
    "the range of frequencies and the largest current are not told by Thales; look at the data sheet",
)


def inspect(shown: Setup | None) -> Inspection:
    """Say what ``SENDSETUP`` shows; None while the script is silent."""
    if shown is None:
        why = "the script was silent: it measures, or is not started; source and limits are not known; start Remote"
        return Inspection({"script": "silent"}, {}, None, (), (why, *UNVERIFIED))
    facts = {
        "set-points": f"{shown['Pset']:g} V, {shown['Cset']:g} A, amplitude {shown['Ampl']:g} mV or mA",
        "control": "galvanostatic" if shown["Gal"] else "potentiostatic",
    }
    safety = {
        "source": "off" if shown.off else "ON",
        "current limits": f"{shown['Cmin']:g} A to {shown['Cmax']:g} A",
        "voltage limits": f"{shown['Pmin']:g} V to {shown['Pmax']:g} V",
    }
    on = () if shown.off else ("the source is on although nothing is measured; switch it off in Thales",)
    return Inspection(facts, safety, None, on, UNVERIFIED)
