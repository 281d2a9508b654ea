"""The NMR part of a measured cycle: three spectra, a reference, a nutation and two capacities become four shares.

Nothing here gives up on a cell for one missing piece: what is missing is flagged, and what can be said is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from labctl.analysis import bruker, nmr, nutation, phase, reference
from labctl.analysis.bruker import Dataset
from labctl.analysis.bundles import Campaign, Operation
from labctl.analysis.cycling import CycleCapacities
from labctl.analysis.inventory import allocate
from labctl.analysis.model import STATES, Measured, SocFactor, State
from labctl.analysis.nutation import Nutation
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError

_NEEDED: Final = ("charged", "discharged", "dead")
#: What must be alike in the spectra of one cell: attribute, name for people, how it is shown, relative tolerance.
_ALIKE: Final[tuple[tuple[str, str, Callable[[float], str], float], ...]] = (
    ("recycle_delay_s", "recycle delay", "{:g} s".format, 1e-6),
    ("power_W", "pulse power", "{:g} W".format, 1e-3),
    ("sweep_width_Hz", "spectral width", "{:g} Hz".format, 1e-6),
    ("basic_Hz", "basic frequency", "{:.0f} Hz".format, 1e-6),
)


@dataclass
class Session:
    """One campaign's reference and nutation results, each evaluated once."""

    campaign: Campaign
    settings: Settings
    _references: dict[str, float | str] = field(default_factory=dict)

    def zero_ppm(self, token: str | None) -> float | str:
        """Give the frequency of 0 ppm that reference bundle ``token`` found, or say why there is none."""
        if not token:
            return "bound to no reference spectrum"
        if token not in self._references:
            self._references[token] = self._evaluate(token)
        return self._references[token]

    def _evaluate(self, token: str) -> float | str:
        bundle = self.campaign.by_token(token, "reference")
        if bundle is None:
            return f"reference spectrum {token} is missing"
        try:
            return reference.evaluate(bundle.datasets()[0]).sf_Hz
        except (DataError, AnalysisError) as error:
            return f"reference spectrum {token}: {error}"


@dataclass(frozen=True)
class _Raw:
    operation: Operation
    data: Dataset
    zero_ppm: float


def measure(
    session: Session,
    operations: Mapping[str, Operation],
    nutations: list[Operation],
    capacities: CycleCapacities,
    first_charge: float | None,
    factor: SocFactor,
    flag: Callable[[str], None],
) -> Measured:
    """Evaluate the spectra of one measured cycle.

    Parameters
    ----------
    session : Session
        The campaign's references.
    operations : mapping
        The NMR bundles by label.
    nutations : list of Operation
        Nutation bundles of this cell and cycle, latest last; used where the spectra name none.
    capacities : CycleCapacities
        Of this cycle.
    first_charge : float or None
        Capacity of the cell's first charge, mAh.
    factor : SocFactor
        Of this cell's set-up.
    flag : callable
        Takes a sentence that every reader of the result must see.
    """
    raw = {label: one for label in STATES if label in operations and (one := _read(session, operations[label], flag))}
    missing = [label for label in _NEEDED if label not in raw]
    if missing:
        flag(f"shares not evaluated: no usable NMR of the state {', '.join(missing)}")
    if "charged" not in raw:
        return Measured({})
    recipe = session.settings.recipe
    try:
        # The charged state first: it has the most metal, and its phase stands where nothing else is told.
        order = ["charged", *(label for label in raw if label != "charged")]
        phases = phase.of_cell({label: (raw[label].data, raw[label].zero_ppm) for label in order}, recipe)
    except AnalysisError as error:
        flag(f"shares not evaluated: {error}")
        return Measured({})
    bundle, curve = _nutation(session, raw["charged"], nutations, flag)
    states = {label: _state(one, phases[label].angle_rad, curve, session.settings) for label, one in raw.items()}
    found = Measured(
        states,
        reference_token=raw["charged"].operation.document.get("reference"),
        nutation_token=None if bundle is None or curve is None else bundle.token,
        nutation=curve,
    )
    unlike = _unlike({label: one for label, one in raw.items() if label in _NEEDED}, states, curve, session.settings)
    for difference in unlike:
        flag(f"shares not evaluated: {difference}")
    if missing or unlike:
        return found
    if first_charge is None or capacities.discharge is None:
        flag("shares not evaluated: the first charge's or this cycle's discharge capacity is missing")
        return found
    return _allocated(found, session, capacities, first_charge, factor, flag)


def _allocated(
    found: Measured,
    session: Session,
    capacities: CycleCapacities,
    first_charge: float,
    factor: SocFactor,
    flag: Callable[[str], None],
) -> Measured:
    integrals = [found.states[label].integral for label in _NEEDED]
    discharge = capacities.discharge or 0.0
    # Charge and discharge are calibrated apart, and every share is a ratio of the two.
    accuracy = math.sqrt(2.0) * float(session.campaign.document.get("capacity_accuracy") or 0.0)
    deviations = [math.hypot(one.sd, session.settings.reinsertion_sd * one.value) for one in integrals]
    try:
        allocation = allocate(
            first_charge,
            discharge,
            *(one.value for one in integrals),
            soc_factor=factor.value,
            hold_capacity=capacities.hold,
            sigma_integral=(deviations[0], deviations[1], deviations[2]),
            sigma_soc_factor=factor.sd,
            sigma_capacity=accuracy * discharge,
        )
    except AnalysisError as error:
        flag(f"shares not evaluated: {error}")
        return found
    in_percent = 100.0 * allocation.conversion * factor.value / first_charge
    limit = None
    if "pristine" in found.states:
        blank = found.states["pristine"].integral.scaled(in_percent)
        limit = session.settings.detection_sigma * blank.sd
        if abs(blank.value) > limit:
            flag(f"the pristine cell shows {blank.value:.2f} ± {blank.sd:.2f} % in the metal window: a background")
    else:
        flag("no pristine spectrum: no detection limit of dead lithium")
    coulometric = allocation.excess_coulometric_percent or 0.0
    return replace(
        found,
        allocation=allocation,
        detection_limit_percent=limit,
        excess_coulometric_percent=coulometric,
        excess_coulometric_percent_sd=abs(coulometric) * accuracy,
    )


def _read(session: Session, operation: Operation, flag: Callable[[str], None]) -> _Raw | None:
    try:
        data = bruker.read(operation.datasets()[0])
    except DataError as error:
        flag(str(error))
        return None
    zero = session.zero_ppm(operation.document.get("reference"))
    if isinstance(zero, str):
        flag(f"NMR {operation.label}: {zero}; shifts rest on the spectrometer's own frequency")
        zero = data.reference_Hz or data.basic_Hz
    return _Raw(operation, data, zero)


def _nutation(
    session: Session, charged: _Raw, nutations: list[Operation], flag: Callable[[str], None]
) -> tuple[Operation | None, Nutation | None]:
    token = charged.operation.document.get("nutation")
    bundle = session.campaign.by_token(token, "nutation") or (nutations[-1] if nutations else None)
    if bundle is None:
        flag("no nutation of this cell: the π/2 pulse is not calibrated")
        return None, None
    try:
        return bundle, nutation.evaluate(bundle.datasets(), charged.zero_ppm, recipe=session.settings.recipe)
    except (DataError, AnalysisError) as error:
        flag(f"nutation {bundle.token}: {error}")
        return bundle, None


def _state(raw: _Raw, angle: float, curve: Nutation | None, settings: Settings) -> State:
    integral = nmr.metal_integral(raw.data, raw.zero_ppm, angle, settings.recipe)
    if curve is not None and raw.data.pulse_s > 0:
        flip = math.sin(0.5 * math.pi * raw.data.pulse_s / curve.t90_s)
        integral = integral.scaled(1.0 / flip) if flip > 0.1 else integral
    temperature = raw.operation.document.get("sample_temperature_K") or raw.data.temperature_K or None
    return State(
        token=raw.operation.token,
        integral=integral,
        spectrum=nmr.spectrum(raw.data, raw.zero_ppm, angle, settings.recipe),
        scans=raw.data.scans,
        temperature_K=None if temperature is None else float(temperature),
    )


def _unlike(
    raw: Mapping[str, _Raw], states: Mapping[str, State], curve: Nutation | None, settings: Settings
) -> list[str]:
    """Say what forbids to compare these spectra; their number of scans and receiver gain may differ."""
    found = []
    for attribute, name, show, tolerance in _ALIKE:
        values = {label: float(getattr(one.data, attribute)) for label, one in raw.items()}
        if max(values.values()) - min(values.values()) > tolerance * max(map(abs, values.values())):
            found.append(f"the {name} differs ({', '.join(f'{key} {show(value)}' for key, value in values.items())})")
    programs = {label: one.data.pulse_program for label, one in raw.items()}
    if len(set(programs.values())) > 1:
        found.append(f"the pulse program differs ({', '.join(f'{key} {value}' for key, value in programs.items())})")
    pulses = {label: one.data.pulse_s for label, one in raw.items()}
    if curve is None and max(pulses.values()) - min(pulses.values()) > 1e-3 * max(pulses.values()):
        found.append("the pulse length differs and no nutation tells the flip angles")
    if curve is not None and not all(0.2 < pulse / curve.t90_s < 1.8 for pulse in pulses.values()):
        found.append("a pulse is far from the calibrated π/2")
    warm = {label: states[label].temperature_K for label in raw}
    known = [value for value in warm.values() if value is not None]
    if known and max(known) - min(known) > settings.temperature_tolerance_K:
        shown = ", ".join(f"{key} {value - 273.15:.1f} degC" for key, value in warm.items() if value is not None)
        found.append(f"the sample's temperature differs ({shown}); a metal's signal changes with it")
    return found
