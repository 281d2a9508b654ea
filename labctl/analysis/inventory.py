"""Where the first charge went: reversible, excess, dead and interphase lithium, with standard deviations.

Plain arithmetic on three integrals and two capacities of one cell; nothing here reads files or knows spectra.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.analysis.budget import TERMS, Direction, Errors, Triple, sd
from labctl.errors import AnalysisError

#: The four shares, in the order in which they are reported.
SHARES: Final = ("reversible", "excess", "dead", "interphase")

#: Below this difference of the charged and the discharged integral, relative to the charged one, nothing can be said.
_SMALLEST_DIFFERENCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where the initial charge capacity went in one cycle.

    Attributes
    ----------
    reversible, excess, dead, interphase : float
        In mAh. ``reversible`` is the discharge capacity; ``excess`` is connected lithium that the discharge left;
        ``dead`` is metal that no step takes up; ``interphase`` closes the balance, and holds all the rest.
    reversible_percent, excess_percent, dead_percent, interphase_percent : float
        The same in percent of the first charge capacity. They add up to 100.
    reversible_percent_sd, excess_percent_sd, dead_percent_sd, interphase_percent_sd : float
        One standard deviation of each.
    conversion, conversion_sd : float
        mAh of metal per unit of integral with the NMC fully charged (k), and its standard deviation.
    budget : mapping
        For each share the named parts of its variance, as standard deviations in percent, by the names of
        :data:`labctl.analysis.budget.TERMS`. ``soc_factor`` is common to all cells of a set-up: replicates do not
        average it down.
    excess_coulometric, excess_coulometric_percent : float or None
        The charge that the stripping hold passed, where it is known. It changes nothing else.
    """

    reversible: float
    excess: float
    dead: float
    interphase: float
    reversible_percent: float
    excess_percent: float
    dead_percent: float
    interphase_percent: float
    reversible_percent_sd: float
    excess_percent_sd: float
    dead_percent_sd: float
    interphase_percent_sd: float
    conversion: float
    conversion_sd: float
    budget: Mapping[str, Mapping[str, float]]
    excess_coulometric: float | None = None
    excess_coulometric_percent: float | None = None

    def percent(self, share: str) -> float:
        """Give one of :data:`SHARES` in percent of the first charge."""
        return self._by_share()[share][0]

    def percent_sd(self, share: str) -> float:
        """Give the standard deviation of one of :data:`SHARES` in percent of the first charge."""
        return self._by_share()[share][1]

    def mAh(self, share: str) -> float:
        """Give one of :data:`SHARES` in mAh."""
        return self._by_share()[share][2]

    def mAh_sd(self, share: str) -> float:
        """Give the standard deviation of one of :data:`SHARES` in mAh, for a first charge capacity that is exact."""
        total = self.reversible + self.excess + self.dead + self.interphase
        return self.percent_sd(share) * total / 100.0

    def _by_share(self) -> dict[str, tuple[float, float, float]]:
        return {
            "reversible": (self.reversible_percent, self.reversible_percent_sd, self.reversible),
            "excess": (self.excess_percent, self.excess_percent_sd, self.excess),
            "dead": (self.dead_percent, self.dead_percent_sd, self.dead),
            "interphase": (self.interphase_percent, self.interphase_percent_sd, self.interphase),
        }


def allocate(
    first_charge_capacity: float,
    discharge_capacity: float,
    integral_charged: float,
    integral_discharged: float,
    integral_dead: float,
    *,
    soc_factor: float = 1.08,
    hold_capacity: float | None = None,
    sigma_integral: float | tuple[float, float, float] = 0.0,
    sigma_soc_factor: float = 0.0,
    sigma_capacity: float = 0.0,
) -> Allocation:
    """Allocate the first charge capacity of a cell to the four shares.

    With Q the discharge capacity, f the factor of the state of charge, ``dJ = I_c - f I_d`` and ``k = Q/dJ``:
    ``dead = k f I_v``, ``excess = k f (I_d - I_v)``, ``reversible = Q``, and ``interphase`` is what is missing to
    the first charge capacity. Errors are propagated to first order; the three integrals are independent.

    Parameters
    ----------
    first_charge_capacity, discharge_capacity : float
        Of the same cell, in mAh: of its first cycle and of the measured one.
    integral_charged, integral_discharged, integral_dead : float
        Of the lithium metal's signal after the charge, after the discharge and after the stripping hold, in any
        unit that the three share. Negative values are noise and stay as they are.
    soc_factor : float
        By how much more signal the same metal gives with the NMC charged than with it discharged.
    hold_capacity : float, optional
        Charge passed in the stripping hold, mAh.
    sigma_integral : float or tuple of three floats
        Standard deviation of the integrals: one for all, or of charged, discharged and dead.
    sigma_soc_factor, sigma_capacity : float
        Standard deviations of ``soc_factor`` and of ``discharge_capacity`` (mAh).

    Raises
    ------
    AnalysisError
        If the charged integral does not exceed the discharged one, a capacity is not positive, or a number is not
        finite.

    Notes
    -----
    Wichmann et al., Nat. Commun. 2025, Methods; the derivatives are those of these formulas.
    """
    sigmas = sigma_integral if isinstance(sigma_integral, tuple) else (sigma_integral,) * 3
    for sigma in (*sigmas, sigma_soc_factor, sigma_capacity):
        if not math.isfinite(sigma) or sigma < 0:
            raise AnalysisError(f"a standard deviation must be finite and not negative, found {sigma}")
    errors = Errors()
    errors.each("noise", sigmas)
    errors.together("soc_factor", factors=(0.0, sigma_soc_factor, sigma_soc_factor))
    errors.together("cycler", capacity=sigma_capacity)
    return allocate_with(
        first_charge_capacity,
        discharge_capacity,
        (integral_charged, integral_discharged, integral_dead),
        (1.0, soc_factor, soc_factor),
        errors,
        hold_capacity=hold_capacity,
    )


def allocate_with(
    first_charge_capacity: float,
    discharge_capacity: float,
    integrals: Triple,
    soc_factors: Triple,
    errors: Errors,
    *,
    hold_capacity: float | None = None,
) -> Allocation:
    """Allocate as :func:`allocate` does, with a factor for each state and errors by name.

    Parameters
    ----------
    first_charge_capacity, discharge_capacity : float
        In mAh.
    integrals, soc_factors : tuple of float
        Of the charged, the discharged and the dead state; the factor is 1 for a full positive electrode.
    errors : Errors
        Of the inputs, by term. The first charge capacity has none of its own: what it adds is in ``cycler``.
    hold_capacity : float, optional
        Charge passed in the stripping hold, mAh.

    Raises
    ------
    AnalysisError
        As :func:`allocate`.

    Notes
    -----
    With J = f I: k = Q/(J_c - J_d), dead = k J_v, excess = k (J_d - J_v), interphase = Q_ch,1 - k J_c. Their slopes
    follow from dk = k (dQ/Q - (dJ_c - dJ_d)/dJ) and dJ = f dI + I df.
    """
    _refuse_nonsense(first_charge_capacity, discharge_capacity, integrals, soc_factors, hold_capacity)
    Q, total = discharge_capacity, first_charge_capacity
    Jc, Jd, Jv = (f * one for f, one in zip(soc_factors, integrals, strict=True))
    dJ = Jc - Jd
    if integrals[0] <= integrals[1] or dJ <= _SMALLEST_DIFFERENCE * Jc:
        raise AnalysisError(
            f"the metal integral of the charged state ({integrals[0]:.6g}) does not exceed that of the discharged "
            f"state ({integrals[1]:.6g}, times {soc_factors[1]:.4g} for the state of charge): the discharge capacity "
            "cannot calibrate it",
            hint="check that the spectra are of this cell and in this order, and that the cell was charged",
        )
    k = Q / dJ
    dead, excess = k * Jv, k * (Jd - Jv)
    percent = 100.0 / total
    shares = [percent * value for value in (Q, excess, dead)]
    by_k = (-k / dJ, k / dJ, 0.0)
    slopes = {
        "reversible": _slopes((0.0, 0.0, 0.0), 1.0, integrals, soc_factors),
        "excess": _slopes(_sum(by_k, Jd - Jv, (0.0, k, -k)), excess / Q, integrals, soc_factors),
        "dead": _slopes(_sum(by_k, Jv, (0.0, 0.0, k)), dead / Q, integrals, soc_factors),
        "interphase": _slopes(_sum(by_k, -Jc, (-k, 0.0, 0.0)), -Jc / dJ, integrals, soc_factors),
    }
    budget = {
        share: {term: percent * sd(by, errors.terms.get(term, ())) for term in TERMS} for share, by in slopes.items()
    }
    whole = {share: math.hypot(*parts.values()) for share, parts in budget.items()}
    of_k = _slopes(by_k, k / Q, integrals, soc_factors)
    return Allocation(
        reversible=Q,
        excess=excess,
        dead=dead,
        interphase=total - Q - excess - dead,
        reversible_percent=shares[0],
        excess_percent=shares[1],
        dead_percent=shares[2],
        interphase_percent=100.0 - shares[0] - shares[1] - shares[2],
        reversible_percent_sd=whole["reversible"],
        excess_percent_sd=whole["excess"],
        dead_percent_sd=whole["dead"],
        interphase_percent_sd=whole["interphase"],
        conversion=k,
        conversion_sd=math.hypot(*(sd(of_k, directions) for directions in errors.terms.values())),
        budget=budget,
        excess_coulometric=hold_capacity,
        excess_coulometric_percent=None if hold_capacity is None else percent * hold_capacity,
    )


def _sum(by_k: Triple, times: float, own: Triple) -> Triple:
    return (by_k[0] * times + own[0], by_k[1] * times + own[1], by_k[2] * times + own[2])


def _slopes(by_j: Triple, by_capacity: float, integrals: Triple, factors: Triple) -> Direction:
    """Give the derivatives by integrals and factors from those by their products."""
    a, b, c = by_j
    return Direction(
        (a * factors[0], b * factors[1], c * factors[2]),
        (a * integrals[0], b * integrals[1], c * integrals[2]),
        by_capacity,
    )


def _refuse_nonsense(
    first_charge: float, discharge: float, integrals: Triple, soc_factors: Triple, hold: float | None
) -> None:
    named = {
        "first charge capacity": first_charge,
        "discharge capacity": discharge,
        "charged integral": integrals[0],
        "discharged integral": integrals[1],
        "dead integral": integrals[2],
        "SOC factor of the charged state": soc_factors[0],
        "SOC factor": soc_factors[1],
        "SOC factor of the dead state": soc_factors[2],
        "hold capacity": 0.0 if hold is None else hold,
    }
    for name, value in named.items():
        if not math.isfinite(value):
            raise AnalysisError(f"the {name} is not a finite number ({value})")
        if value <= 0 and (name.startswith("SOC") or name in ("first charge capacity", "discharge capacity")):
            raise AnalysisError(f"the {name} must be positive, found {value:.6g}")
    if integrals[0] <= 0:
        raise AnalysisError(f"the charged integral must be positive, found {integrals[0]:.6g}", hint="check the phase")
