"""Circuit parameters over cycles or along a charge: many spectra of one state, each fitted from the one before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from labctl.analysis.impedance.fitting import TWO_ARCS, CircuitFit, Weights, fit
from labctl.analysis.impedance.linear_kk import kramers_kronig
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, Floats, ImpedanceSpectrum
from labctl.errors import AnalysisError, LabctlError, UsageError

#: States of a cell whose impedance means different things: after charge, after discharge, and after the hold that has
#: stripped the lithium down to the substrate. ``dynamic`` is a series during one charge or discharge.
STATES: Final = ("charged", "discharged", "stripped", "dynamic")

Policy = Literal["fixed", "kramers-kronig", "none"]

#: A fit from the one before that is this much worse than that one is tried from starts of its own, too.
_WORSE: Final = 1.5


@dataclass(frozen=True, slots=True)
class Placed:
    """A spectrum and where it stands.

    Attributes
    ----------
    position : float
        Number of the cycle, or charge in mAh.
    spectrum : ImpedanceSpectrum
        It.
    state : str
        One of :data:`STATES`.
    """

    position: float
    spectrum: ImpedanceSpectrum
    state: str


@dataclass(frozen=True, slots=True)
class Evolution:
    """Fits over cycles or charge, of one state.

    Attributes
    ----------
    state : str
        Of all spectra.
    positions : ndarray
        Rising.
    fits : tuple
        One for each position; None where it could not be fitted, and ``flags`` say why.
    circuit, weights, cut_off : str
        What was asked.
    fixed_Hz : float
        Of the fixed cut-off.
    flags : tuple of str
        Flags of the fits, with their position, in words.
    """

    state: str
    positions: Floats
    fits: tuple[CircuitFit | None, ...]
    circuit: str
    weights: str
    cut_off: str
    fixed_Hz: float
    flags: tuple[str, ...] = ()

    def values(self, name: str) -> Floats:
        """Values of a parameter, not a number where a spectrum could not be fitted."""
        return np.array([np.nan if one is None else _named(one.parameters, name) for one in self.fits])

    def deviations(self, name: str) -> Floats:
        """Standard deviations of a parameter."""
        return np.array([np.nan if one is None else _named(one.sd, name) for one in self.fits])


def follow(
    spectra: Iterable[Placed],
    circuit: str = TWO_ARCS,
    *,
    weights: Weights = "modulus",
    cut_off: Policy = "fixed",
    fixed_Hz: float = STATIONARY_ABOVE_HZ,
) -> Evolution:
    """Fit spectra of one state in the order of their positions, each from the parameters of the one before.

    Where that fit is clearly worse than the one before, starts of its own are tried as well, and the better one holds.

    Parameters
    ----------
    spectra : iterable of Placed
        In any order.
    circuit, weights
        As of :func:`fit`.
    cut_off : str
        ``fixed``: points at and below ``fixed_Hz`` are left out, the paper's rule. ``kramers-kronig``: those that the
        automatic cut-off of the test leaves out, spectrum by spectrum. ``none``: all points are fitted.
    fixed_Hz : float
        Of the fixed cut-off.

    Raises
    ------
    UsageError
        The circuit, a state or a setting is unknown.
    AnalysisError
        There is no spectrum, or they are of several states: resistances of stripped copper in a series of discharged
        cells would look like ageing.
    """
    ordered = sorted(spectra, key=lambda one: one.position)
    if cut_off not in ("fixed", "kramers-kronig", "none"):
        raise UsageError(f"cut_off {cut_off!r} is unknown; fixed, kramers-kronig or none is right")
    found = by_state(ordered)
    if len(found) != 1:
        counts = ", ".join(f"{len(group)} {state}" for state, group in found.items()) or "none"
        raise AnalysisError(f"spectra of one state are needed, found {counts}", hint="by_state separates them")
    fits: list[CircuitFit | None] = []
    flags: list[str] = []
    before: CircuitFit | None = None
    for one in ordered:
        made: CircuitFit | None = None
        try:
            made = fit_after(one.spectrum, circuit, weights, _limit(one.spectrum, cut_off, fixed_Hz), before)
        except UsageError:
            raise
        except LabctlError as error:
            flags.append(f"at {one.position:g}: {error}")
        else:
            before = made
            flags += [f"at {one.position:g}: {flag}" for flag in before.flags]
        fits.append(made)
    return Evolution(
        state=ordered[0].state,
        positions=np.array([one.position for one in ordered], dtype=np.float64),
        fits=tuple(fits),
        circuit=circuit,
        weights=weights,
        cut_off=cut_off,
        fixed_Hz=fixed_Hz,
        flags=tuple(flags),
    )


def by_state(spectra: Iterable[Placed]) -> dict[str, Sequence[Placed]]:
    """Separate spectra by state, in the order of :data:`STATES`.

    Raises
    ------
    UsageError
        A state is unknown.
    """
    found: dict[str, list[Placed]] = {}
    for one in spectra:
        if one.state not in STATES:
            raise UsageError(f"state {one.state!r} of a spectrum is unknown; {', '.join(STATES)} are right")
        found.setdefault(one.state, []).append(one)
    return {state: found[state] for state in STATES if state in found}


def _limit(spectrum: ImpedanceSpectrum, cut_off: str, fixed_Hz: float) -> float | None:
    if cut_off == "none":
        return None
    if cut_off == "fixed":
        return fixed_Hz
    lowest = kramers_kronig(spectrum.frequency_Hz, spectrum.impedance_ohm).lowest_valid_frequency
    if lowest is None:
        raise AnalysisError("no part of the spectrum passes the Kramers-Kronig test")
    # The point at the lowest valid frequency itself is fitted.
    return None if lowest <= spectrum.frequency_Hz.min() else lowest * (1 - 1e-9)


def fit_after(
    spectrum: ImpedanceSpectrum, circuit: str, weights: Weights, above_Hz: float | None, before: CircuitFit | None
) -> CircuitFit:
    """Fit a spectrum from the parameters of the one before; from starts of its own if there is none, or it got worse.

    Parameters
    ----------
    spectrum : ImpedanceSpectrum
        It.
    circuit, weights, above_Hz
        As of :func:`fit`.
    before : CircuitFit or None
        Of the same circuit.
    """
    f, z = spectrum.frequency_Hz, spectrum.impedance_ohm
    if before is None or not all(0.0 < value < math.inf for value in before.parameters.values()):
        return fit(f, z, circuit, weights=weights, above_Hz=above_Hz)
    made = fit(f, z, circuit, weights=weights, above_Hz=above_Hz, start=before.parameters)
    if made.chi_square <= _WORSE * before.chi_square and not any("bound" in flag for flag in made.flags):
        return made
    anew = fit(f, z, circuit, weights=weights, above_Hz=above_Hz)
    return min(made, anew, key=lambda one: one.chi_square)


def _named(values: dict[str, float], name: str) -> float:
    if name not in values:
        raise UsageError(f"{name!r} is no parameter; {', '.join(values)} are right")
    return values[name]
