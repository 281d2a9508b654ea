"""From the spectra of one cell and the charge that passed to the four shares with their budget and flags.

Nothing here knows files or campaigns: spectra, capacities and settings come in, a result and sentences go out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from labctl.analysis import blank, electrolyte, nmr, phase
from labctl.analysis.alarms import electrode_not_empty, leaks, waits
from labctl.analysis.blank import Blank
from labctl.analysis.budget import Errors, Triple
from labctl.analysis.charges import Charges, counted
from labctl.analysis.comparable import STATES3, Comparison, Shot, compare
from labctl.analysis.electrolyte import Line
from labctl.analysis.flags import Flag
from labctl.analysis.inventory import allocate_with
from labctl.analysis.model import Measured, SocFactor, State
from labctl.analysis.nutation import Nutation
from labctl.analysis.recipe import Phase
from labctl.analysis.settings import Settings
from labctl.analysis.spectrum import Integral
from labctl.errors import AnalysisError

#: A phase that is known no better than this is not known, and its square no measure, rad.
_PHASE_LIMIT: Final = 0.5


def evaluate(
    shots: Mapping[str, Shot],
    charges: Charges,
    factor: SocFactor,
    settings: Settings,
    flag: Callable[[str], None],
    *,
    nutation: Nutation | None = None,
) -> Measured:
    """Evaluate the spectra of one measured cycle.

    Parameters
    ----------
    shots : mapping
        By state: ``charged``, ``discharged``, ``dead``, and ``pristine`` where there is one.
    charges : Charges
        Of this cell and cycle.
    factor : SocFactor
        Of this cell's set-up.
    settings : Settings
        Choices.
    flag : callable
        Takes a sentence that every reader of the result must see (:class:`labctl.analysis.flags.Flag`).
    nutation : Nutation, optional
        The calibrated pulse.

    Returns
    -------
    Measured
        Its ``allocation`` is None where the data does not carry one; a flag says why.
    """
    missing = [label for label in STATES3 if label not in shots]
    if missing:
        flag(_refusal(f"no usable NMR of the state {', '.join(missing)}"))
    if "charged" not in shots:
        return Measured({})
    compared = compare(shots, nutation, settings)
    seen = electrolyte.lines(shots, settings)
    background = None
    if not missing and charges.first:
        soc = dict(zip(STATES3, _states_of_charge(charges, settings), strict=True))
        background = blank.find(shots, seen, soc, settings)
    try:
        phases = _phases(shots, seen, background, compared, settings)
    except AnalysisError as error:
        flag(_refusal(str(error)))
        return Measured({})
    states = {label: _state(one, phases[label], compared.factors[label], seen.get(label), settings)
              for label, one in shots.items()}  # fmt: skip
    for said in (*compared.flags, *waits(shots, settings), *leaks(charges, settings)):
        flag(said)
    if not missing:
        for said in electrolyte.check(seen, compared, settings):
            flag(said)
    for why in compared.refused:
        flag(Flag(f"shares not evaluated: {why}", why.name))
    found = Measured(states, nutation=nutation, soc_mode=settings.soc)
    if missing or compared.refused:
        return found
    if charges.first is None or charges.discharge is None:
        flag(_refusal("the first charge's or this cycle's discharge capacity is missing"))
        return found
    try:
        return _allocated(_Set(found, phases, compared, seen, background), charges, factor, settings, flag)
    except AnalysisError as error:
        flag(_refusal(str(error)))
        return found


@dataclass(frozen=True, slots=True)
class _Set:
    """The evaluated spectra of one cell and how they compare."""

    found: Measured
    phases: Mapping[str, Phase]
    compared: Comparison
    lines: Mapping[str, Line]
    background: Blank | None


def _phases(
    shots: Mapping[str, Shot],
    lines: Mapping[str, Line],
    background: Blank | None,
    compared: Comparison,
    settings: Settings,
) -> dict[str, Phase]:
    """Settle the phases of all states, from spectra without the background where there is one."""
    if background is not None:
        shots = {label: background.taken_from(label, shots[label], compared) for label in STATES3}
    # The charged state first: it has the most metal, and its phase stands where nothing else is told.
    order = ["charged", *(label for label in shots if label != "charged")]
    spectra = {label: (shots[label].data, shots[label].zero_Hz) for label in order}
    found = phase.of_cell(spectra, settings.recipe, liquids={label: line.told for label, line in lines.items()})
    if background is not None:
        found["pristine"] = blank.aligned(found, background)
    return found


def _allocated(
    one: _Set,
    charges: Charges,
    factor: SocFactor,
    settings: Settings,
    flag: Callable[[str], None],
) -> Measured:
    first, discharge = charges.first or 0.0, charges.discharge or 0.0
    soc = _states_of_charge(charges, settings)
    found, compared = one.found, one.compared
    relative = Errors({term: list(some) for term, some in compared.relative.terms.items()})
    divided = electrolyte.relative_to(one.lines, compared, settings, relative)
    states = {
        label: replace(
            state,
            integral=state.integral.scaled(divided.get(label, 1.0)),
            corrections=dict(state.corrections) | ({"reinsertion": divided[label]} if label in divided else {}),
        )
        for label, state in found.states.items()
    }
    errors = Errors()
    whole = _of({label: states[label].integral.value for label in STATES3})
    if one.background is not None:
        states = _without(one, one.background, states, divided, soc, errors, settings)
    elif settings.blank == "always":
        flag(Flag("the blank was to be taken off, and there is no pristine spectrum", "no_blank"))
    integrals = {label: states[label].integral for label in STATES3}
    values = _of({label: integral.value for label, integral in integrals.items()})
    _book(errors, relative, integrals, one.phases, whole)
    wrong = _out_of_order(integrals, settings)
    if wrong:
        flag(Flag(f"shares not evaluated: {wrong}; were the spectra or the cells swapped?", "swapped"))
        return found
    factors = _factors(factor, soc, errors, settings)
    # Charge and discharge are calibrated apart, and every share is a ratio of the two.
    accuracy = math.sqrt(2.0) * charges.accuracy
    errors.together("cycler", capacity=accuracy * discharge)
    allocation = allocate_with(first, discharge, values, factors, errors, hold_capacity=charges.hold)
    limit = None
    if "pristine" in states:
        per_unit = 100.0 * allocation.conversion * factors[2] / first
        limit = settings.detection_sigma * per_unit * states["pristine"].integral.sd
        _say_background(states["pristine"].integral.scaled(per_unit), limit, one.background is not None, flag)
        if allocation.dead_percent < limit:
            flag(Flag(f"dead lithium {allocation.dead_percent:.2f} % is below the detection limit of {limit:.2f} %",
                      "below_detection"))  # fmt: skip
    else:
        flag(Flag("no pristine spectrum: no detection limit of dead lithium", "no_blank"))
    for said in electrode_not_empty(charges, factor, settings):
        flag(said)
    coulometric = allocation.excess_coulometric_percent
    return replace(
        found,
        states=states,
        allocation=allocation,
        detection_limit_percent=limit,
        excess_coulometric_percent=coulometric,
        excess_coulometric_percent_sd=None if coulometric is None else abs(coulometric) * accuracy,
        state_of_charge=soc,
        soc_factors=factors,
    )


def _state(one: Shot, turned: Phase, factors: Mapping[str, float], line: Line | None, settings: Settings) -> State:
    integral = nmr.metal_integral(one.data, one.zero_Hz, turned.angle_rad, settings.recipe)
    return State(
        token=one.token,
        integral=integral.scaled(math.prod(factors.values())),
        spectrum=nmr.spectrum(one.data, one.zero_Hz, turned.angle_rad, settings.recipe),
        scans=one.data.scans,
        temperature_K=one.temperature_K,
        corrections=dict(factors),
        electrolyte=None if line is None else line.integral,
        electrolyte_sd=None if line is None else line.sd,
        electrolyte_ppm=None if line is None else line.ppm,
        phase_deg=math.degrees(turned.angle_rad),
        phase_source=turned.source,
        phase_sd_deg=math.degrees(turned.sd_rad),
    )


def _book(
    errors: Errors, relative: Errors, integrals: Mapping[str, Integral], phases: Mapping[str, Phase], whole: Triple
) -> None:
    """Book the errors of the integrals: what the spectra tell of themselves, and what is relative to their size.

    ``whole`` are the integrals with the background: coil, phase and temperature act on that too.
    """
    ordered = [integrals[label] for label in STATES3]
    errors.each("noise", [math.sqrt(max(one.sd**2 - one.baseline_sd**2, 0.0)) for one in ordered])
    errors.each("baseline", [min(one.baseline_sd, one.sd) for one in ordered])
    # A line turned by a small angle loses its square by half; twice its mean square is its scatter at most.
    turned = [min(phases[label].sd_rad, _PHASE_LIMIT) ** 2 for label in STATES3]
    errors.each("phase", [abs(value) * angle for value, angle in zip(whole, turned, strict=True)])
    for term, directions in relative.terms.items():
        for one in directions:
            a, b, c = (value * part for value, part in zip(whole, one.integrals, strict=True))
            errors.together(term, (a, b, c))


def _without(
    one: _Set,
    background: Blank,
    states: Mapping[str, State],
    divided: Mapping[str, float],
    soc: Triple,
    errors: Errors,
    settings: Settings,
) -> dict[str, State]:
    """Take the background from every state, and book its noise, which is one, and its share in the charged state."""
    taken = {
        label: background.integral(label, one.phases[label].angle_rad, one.compared, settings.recipe).scaled(
            divided.get("pristine", 1.0)
        )
        for label in STATES3
    }
    errors.together("blank", _of({label: amount.sd for label, amount in taken.items()}))
    unsure = soc[0] * settings.blank_left_sd / (background.shares["charged"] or 1.0)
    errors.together("blank", (unsure * taken["charged"].value, 0.0, 0.0))
    return {
        label: state if label not in taken else replace(
            state,
            integral=replace(state.integral, value=state.integral.value - taken[label].value),
            corrections=dict(state.corrections) | {"blank": -taken[label].value},
        )
        for label, state in states.items()
    }  # fmt: skip


def _say_background(seen: Integral, limit: float, taken: bool, flag: Callable[[str], None]) -> None:
    if taken or abs(seen.value) > limit:
        done = "taken from every state" if taken else "not taken off"
        text = f"the pristine cell shows {seen.value:.2f} ± {seen.sd:.2f} % in the metal window: a background, {done}"
        flag(Flag(text, "background"))


def _states_of_charge(charges: Charges, settings: Settings) -> Triple:
    """Give the positive electrode's state of charge in the three states."""
    if settings.soc == "paper":
        return 1.0, 0.0, 0.0
    return counted(charges)


def _factors(factor: SocFactor, soc: Triple, errors: Errors, settings: Settings) -> Triple:
    curve = factor.curve
    if settings.soc == "paper" and curve.soc[0] > 0.0:
        raise AnalysisError(f"the calibration {curve.id!r} has no factor of an empty positive electrode, "
                            f"only from {curve.soc[0]:g}", hint="evaluate with soc='coulomb'")  # fmt: skip
    charged, discharged, dead = (curve.at(one) for one in soc)
    for direction in curve.errors(soc):
        errors.together("soc_factor", factors=direction)
    if settings.soc == "coulomb" and len(curve.soc) == 2:
        bent = [4.0 * s * (1.0 - s) * settings.soc_shape_sd if 0.0 < s < 1.0 else 0.0 for s in soc]
        errors.together("soc_factor", factors=(bent[0], bent[1], bent[2]))
    return charged, discharged, dead


def _out_of_order(integrals: Mapping[str, Integral], settings: Settings) -> str:
    """Say what no cell can do: metal that appears where it can only go."""
    for before, after, step in (("charged", "discharged", "discharge"), ("discharged", "dead", "stripping hold")):
        left, right = integrals[before], integrals[after]
        sigma = math.hypot(left.sd, right.sd, settings.reinsertion_sd * right.value) or 1e-300
        if right.value - left.value > settings.order_sigma * sigma:
            more = (right.value - left.value) / sigma
            return (
                f"the metal integral after the {step} ({right.value:.4g}) is larger than that before it "
                f"({left.value:.4g}) by {more:.0f} SD, and no step adds metal there"
            )
    return ""


def _refusal(why: str) -> Flag:
    return Flag(f"shares not evaluated: {why}", "not_evaluated")


def _of(values: Mapping[str, float]) -> Triple:
    return values["charged"], values["discharged"], values["dead"]
