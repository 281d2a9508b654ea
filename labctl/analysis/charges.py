"""The charge that passed through a cell, as far as its inventory needs it."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.analysis.budget import Triple


@dataclass(frozen=True, slots=True)
class Charges:
    """The charge that passed, and how the stripping hold ended.

    Attributes
    ----------
    first, discharge : float or None
        First charge of the cell and discharge of this cycle, mAh; None where they are not known.
    hold : float or None
        Charge that the stripping hold took out, mAh.
    not_re_extracted : float or None
        What of the first charge this cycle's charge left in the positive electrode, mAh.
    accuracy : float
        The cycler's relative standard deviation; charge and discharge are calibrated apart.
    hold_timed_out : bool
        Whether its time limit ended the hold.
    residual_uA, hold_h : float or None
        Current at the end of the hold in µA, and its length in h.
    """

    first: float | None
    discharge: float | None
    hold: float | None = None
    not_re_extracted: float | None = None
    accuracy: float = 0.0
    hold_timed_out: bool = False
    residual_uA: float | None = None
    hold_h: float | None = None


def counted(charges: Charges) -> Triple:
    """Count the positive electrode's state of charge after the charge, the discharge and the stripping hold."""
    first = charges.first or 1.0
    full = 1.0 - (charges.not_re_extracted or 0.0) / first
    left = full - (charges.discharge or 0.0) / first
    return full, left, left - (charges.hold or 0.0) / first
