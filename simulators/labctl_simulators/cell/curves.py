"""Open-circuit voltages against lithium: of positive electrodes by their state of charge, of the alloy by its lithium.

Pure, vectorised. Sources stand with each electrode in :mod:`labctl_simulators.cell.chemistries`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from labctl_simulators.cell.chemistries import ALLOY_PLATEAUS

FULL: Final = 1e-9
"""Fraction of the capacity left in the electrode at which a charge has ended for good."""

END_V, END_WIDTH = 0.02, 3e-4
"""Rise of the voltage per e-fold, and width in state of charge, of the end of a charge: assumed."""


def _nmc622(soc: Any) -> Any:
    left = np.maximum(1.0 - soc, FULL)
    slope = 3.60 + 0.55 * soc + 0.08 * np.tanh((soc - 0.5) / 0.15)
    return slope - 0.55 * np.exp(-soc / 0.02) + END_V * np.log1p(END_WIDTH / left)


def _lfp(soc: Any) -> Any:
    left = np.maximum(1.0 - soc, FULL)
    plateau = 3.4077 - 0.020269 * left
    return plateau + 0.5 * np.exp(-150.0 * left) - 0.9 * np.exp(-30.0 * soc) + END_V * np.log1p(END_WIDTH / left)


def _lnmo(soc: Any) -> Any:
    left = np.maximum(1.0 - soc, FULL)
    nickel = 4.69 + 0.05 / (1.0 + np.exp((0.5 - soc) / 0.04)) + 0.2 * np.exp(-left / 0.01)
    manganese = 0.65 / (1.0 + np.exp((soc - 0.05) / 0.006))
    return nickel - manganese - 1.2 * np.exp(-soc / 0.004) + END_V * np.log1p(END_WIDTH / left)


_CURVES: Final[dict[str, Callable[[Any], Any]]] = {"nmc622": _nmc622, "lfp": _lfp, "lnmo": _lnmo}


def equilibrium(curve: str, soc: Any) -> Any:
    """Open-circuit voltage in V of the electrode ``curve`` at state of charge ``soc``."""
    return _CURVES[curve](soc)


def soc_at(curve: str, voltage: float) -> float:
    """State of charge whose open-circuit voltage is ``voltage``, between 0 and full."""
    value = _one_nmc622 if curve == "nmc622" else _CURVES[curve]
    low, high = 0.0, 1.0 - FULL
    for _ in range(60):
        middle = 0.5 * (low + high)
        if value(middle) < voltage:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _one_nmc622(soc: float) -> float:
    """The same for one number: holds of it are asked for often."""
    left = max(1.0 - soc, FULL)
    value = 3.60 + 0.55 * soc + 0.08 * math.tanh((soc - 0.5) / 0.15) - 0.55 * math.exp(-soc / 0.02)
    return value + END_V * math.log1p(END_WIDTH / left)


_SLOPE_V: Final = 0.01
"""Fall of the potential along one plateau of the alloy: assumed."""


def _alloy_points() -> tuple[list[float], list[float]]:
    whole, begins = ALLOY_PLATEAUS[-1][0], 0.0
    share, volts = [], []
    for ends, plateau in ALLOY_PLATEAUS:
        share += [(begins + 0.02) / whole, (ends - 0.02) / whole]
        volts += [plateau + _SLOPE_V / 2, plateau - _SLOPE_V / 2]
        begins = ends
    return share, volts


_ALLOY: Final = _alloy_points()


def alloy(share: Any) -> Any:
    """Potential in V of tin that has taken up ``share`` of the lithium that makes it Li22Sn5."""
    return np.interp(share, *_ALLOY)
