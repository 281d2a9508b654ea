"""What makes one set of spectra doubtful though it can be evaluated: waiting, leaks, an electrode that is not empty."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labctl.analysis.charges import Charges, counted
from labctl.analysis.comparable import STATES3, Shot
from labctl.analysis.flags import Flag
from labctl.analysis.model import SocFactor
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError


def waits(shots: Mapping[str, Shot], settings: Settings) -> list[Flag]:
    """Say which spectra were taken long after cycling had ended."""
    return [
        Flag(
            f"the NMR {label} began {one.waited_s / 3600:.1f} h after cycling ended: metal that corrodes meanwhile "
            "counts as interphase",
            "waited",
        )
        for label, one in shots.items()
        if label in STATES3 and one.waited_s is not None and one.waited_s > 3600 * settings.longest_wait_h
    ]


def leaks(charges: Charges, settings: Settings) -> list[Flag]:
    """Say whether the stripping hold came to its end."""
    residual = charges.residual_uA
    if not charges.hold_timed_out and (residual is None or abs(residual) <= settings.leak_uA):
        return []
    text = "the stripping hold ended by its time limit" if charges.hold_timed_out else "the stripping hold ended"
    if residual is not None:
        text += f" at {abs(residual):.2g} µA"
        if charges.hold_h is not None:
            text += f", which over {charges.hold_h:.1f} h is {abs(residual) * charges.hold_h * 1e-3:.4f} mAh"
    return [Flag(f"{text}: a leak, or lithium still going; the hold's charge is no measure of the excess", "leak")]


def electrode_not_empty(charges: Charges, factor: SocFactor, settings: Settings) -> list[Flag]:
    """Say whether the factor of an empty positive electrode was used beside one that is not."""
    _, discharged, dead = counted(charges)
    if settings.soc != "paper" or dead <= settings.soc_tolerance:
        return []
    curve = factor.curve
    try:
        over = 100.0 * (curve.at(0.0) / curve.at(dead) - 1.0)
    except AnalysisError:
        over = math.nan
    return [
        Flag(
            f"the positive electrode was at a state of charge of {discharged:.2f} after the discharge and {dead:.2f} "
            f"after the hold, not 0: the factor over-corrects dead lithium by about {over:.1f} % of itself",
            "soc_not_zero",
        )
    ]
