"""What a simulated laboratory knows of its cells, in the terms of the analysis. Only for comparison, afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labctl.errors import AnalysisError

_KEYS: Final = {
    "reversible": "discharge_mAh",
    "excess": "connected_mAh",
    "dead": "dead_mAh",
    "interphase": "interphase_mAh",
}


def truth_shares(truth: Mapping[str, Any], cell: str, cycle: int) -> dict[str, float]:
    """Give the true shares of a cell in a cycle, in percent of its true first charge.

    Parameters
    ----------
    truth : mapping
        ``{"cells": {id: {"first_charge_mAh", "cycles": [{"cycle", "discharge_mAh", "connected_mAh", "dead_mAh",
        "interphase_mAh"}]}}}``.

    Raises
    ------
    AnalysisError
        If the truth does not know the cell or the cycle.
    """
    known = truth["cells"].get(cell)
    line = None if known is None else next((one for one in known["cycles"] if one["cycle"] == cycle), None)
    if known is None or line is None:
        raise AnalysisError(f"the simulation's truth knows no cycle {cycle} of cell {cell}")
    return {share: 100.0 * line[key] / known["first_charge_mAh"] for share, key in _KEYS.items()}


def truth_of(truth: Mapping[str, Any] | None, cell: str, cycle: int) -> dict[str, float]:
    """Give :func:`truth_shares`, or nothing where there is no truth to compare with."""
    known = {} if truth is None else truth["cells"]
    if cell not in known or all(one["cycle"] != cycle for one in known[cell]["cycles"]):
        return {}
    return truth_shares(truth or {}, cell, cycle)
