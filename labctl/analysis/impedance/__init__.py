"""Impedance: read spectra, test them, fit circuits, follow them over cycles.

``read`` and ``read_series`` take files; ``kramers_kronig`` says what of a spectrum is to be trusted; ``fit`` fits an
equivalent circuit to it, and ``follow`` does so for a series; ``distribution`` needs no circuit; ``check_electrodes``
tests whether both electrodes add up to the cell. Names are loaded when they are first used: scipy costs time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labctl.analysis.impedance.files import read, read_series
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, ImpedanceSpectrum, Sweep

if TYPE_CHECKING:
    from labctl.analysis.impedance.arcs import Arc
    from labctl.analysis.impedance.circuit import Circuit, parse
    from labctl.analysis.impedance.fitting import TWO_ARCS, CircuitFit, fit
    from labctl.analysis.impedance.linear_kk import KramersKronig, kramers_kronig
    from labctl.analysis.impedance.relaxation import Distribution, distribution
    from labctl.analysis.impedance.series import STATES, Evolution, Placed, by_state, follow
    from labctl.analysis.impedance.three_electrodes import ElectrodeCheck, check_electrodes, check_sweep

__all__ = [
    "STATES",
    "STATIONARY_ABOVE_HZ",
    "TWO_ARCS",
    "Arc",
    "Circuit",
    "CircuitFit",
    "Distribution",
    "ElectrodeCheck",
    "Evolution",
    "ImpedanceSpectrum",
    "KramersKronig",
    "Placed",
    "Sweep",
    "by_state",
    "check_electrodes",
    "check_sweep",
    "distribution",
    "fit",
    "follow",
    "kramers_kronig",
    "parse",
    "read",
    "read_series",
]

_HOMES = {
    "Arc": "arcs",
    **dict.fromkeys(("Circuit", "parse"), "circuit"),
    **dict.fromkeys(("TWO_ARCS", "CircuitFit", "fit"), "fitting"),
    **dict.fromkeys(("KramersKronig", "kramers_kronig"), "linear_kk"),
    **dict.fromkeys(("Distribution", "distribution"), "relaxation"),
    **dict.fromkeys(("STATES", "Evolution", "Placed", "by_state", "follow"), "series"),
    **dict.fromkeys(("ElectrodeCheck", "check_electrodes", "check_sweep"), "three_electrodes"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
