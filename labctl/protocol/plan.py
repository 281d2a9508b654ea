"""A protocol expanded for one cell: the list of operations, in order, everything resolved to SI. Pure.

The same protocol and cell give the same plan after a restart as before it: paths are how operations are found again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, Protocol

from labctl.documents import Sizes
from labctl.errors import UsageError
from labctl.protocol import models
from labctl.protocol.acquisition import Acquisition, acquisition_of, nutation_of, recovery_of
from labctl.protocol.bodies import Body, Guarded, Late, OnFailure
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.handwork import BY_HAND, Mark, Pause, TemperatureTo
from labctl.protocol.nesting import Condition, key_of, of_cycle, unrolled
from labctl.protocol.resolving import Ends, Moment, limits_of
from labctl.protocol.tasks import Task, task_of
from labctl.protocol.together import Dynamic, Together, dynamic, together
from labctl.protocol.walk import Placed, blocks, measured

#: So many cycles are named one by one in a message.
_MOST_NAMED: Final = 12
#: On every operation in a later cycle than one in which the cell was stripped by a hold.
CONTINUED: Final = "continued after hold"


class Kind(StrEnum):
    """What an operation is."""

    REST = "rest"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"
    NUTATION = "nutation"
    RECOVERY = "recovery"
    NMR = "nmr"
    EIS = "eis"
    OPERANDO = "operando"
    DEIS = "deis"
    PAUSE = "pause"
    MARK = "mark"
    DISASSEMBLE = "disassemble"
    ASSEMBLE = "assemble"
    MEASURE = "measure"


class PlannedCell(Sizes, Protocol):
    """What a plan must know of a cell: its id, its sizes, and in which cycles it is measured."""

    @property
    def measure_at(self) -> Sequence[int]:
        """Cycles in which this cell is measured."""


@dataclass(frozen=True, slots=True)
class Cycling:
    """What a cycler is asked.

    Attributes
    ----------
    current : float
        Magnitude in A: the set current, or the limit of a hold; 0 for a rest.
    voltage : float or None
        The voltage to hold, in V.
    end_voltage, end_current : float or None
        What ends the step, V and A (magnitude).
    end_current_for : float
        Seconds that the current must stay below ``end_current``.
    duration : float or None
        Length of a rest in s, or the time that ends another step.
    discharging : bool
        For a hold: which way the current is expected to flow.
    voltage_min, voltage_max, current_max : float
        The step's limits, V and A.
    end_capacity : float or None
        C (magnitude) passed since the step began that end it.
    end_together : bool
        Whether all ends must be true; otherwise the first one ends the step.
    """

    current: float
    voltage: float | None
    end_voltage: float | None
    end_current: float | None
    end_current_for: float
    duration: float | None
    discharging: bool
    voltage_min: float
    voltage_max: float
    current_max: float
    end_capacity: float | None = None
    end_together: bool = False


@dataclass(frozen=True, slots=True)
class Impedance:
    """What a potentiostat is asked: amplitude in A or V, frequencies in Hz from high to low.

    ``_low`` is below 66 Hz, None for the same; ``linearity`` and ``repeat`` ask for further sweeps.
    """

    spectrum: str
    control: Literal["galvanostatic", "potentiostatic", "pseudo-galvanostatic"]
    frequency_start: float
    frequency_end: float
    points_per_decade: int
    periods: int
    amplitude: float
    rest_before: float
    voltage_min: float
    voltage_max: float
    points_per_decade_low: int | None = None
    periods_low: int | None = None
    linearity: float | None = None
    repeat: bool = False

    @property
    def duration(self) -> float:
        """Seconds of rest and of signal, all sweeps together."""
        decades = math.log10(self.frequency_start / self.frequency_end)
        # The slow points are what takes time; of those that are fast enough nobody need know their number.
        density = self.points_per_decade_low or self.points_per_decade
        steps = max(1, round(decades * density))
        ratio = decades / steps
        periods = self.periods_low or self.periods
        signal = sum(periods / (self.frequency_end * 10 ** (ratio * step)) for step in range(steps + 1))
        return self.rest_before + signal * (1 + (self.linearity is not None) + self.repeat)


Parameters = Cycling | Acquisition | Impedance | Together | Dynamic | Task


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One operation of one cell's plan.

    Attributes
    ----------
    path : str
        Such as ``c015/02-nmr-charged``: cycle (000 before the first), number of the step in its cycle, kind, label. The
        number counts steps of measured cycles always, so that it does not depend on what is measured. A nutation series
        has the number of the spectrum that it is for. Turns of a ``repeat`` follow the number: ``c001/05-r2-charge``.
    kind : Kind
        What it is.
    cycle : int
        0 before the first cycle.
    label : str or None
        The state that is measured.
    parameters : Cycling, Acquisition, Impedance, Together, Dynamic, Question, Note, Handling or Reading
        Resolved for this cell.
    start_within : float or None
        Seconds after the end of the step before.
    late : str
        What becomes of a cell that starts later: ``hold``, ``continue`` or ``skip``.
    at_most : float or None
        Guard time in s.
    on_timeout : str
        What becomes of a cell whose step the guard time ended: ``hold`` or ``continue``.
    on_failure : str
        What a failure leaves the cell in: ``open_circuit``, ``hold_voltage`` or ``isolate``.
    on_controller_loss : str
        Whether the instrument goes on without labctl: ``continue`` or ``stop``.
    temperature : float or None
        K; None needs no chamber.
    soak : float
        Seconds at the place before the step begins.
    expected_duration : float or None
        s, where the protocol alone can tell.
    flags : tuple of str
        What every result of this operation must carry.
    temperature_limits : tuple of float or None
        The protocol's lowest and highest temperature in K.
    conditions : tuple of Condition
        What must hold when it is due, or else it is left out.
    after : str or None
        Key of the ``cycle`` with ``until`` that it follows: it belongs to whichever cycle was that one's last.
    """

    path: str
    kind: Kind
    cycle: int
    label: str | None
    parameters: Parameters
    start_within: float | None
    at_most: float | None
    temperature: float | None
    soak: float
    expected_duration: float | None
    flags: tuple[str, ...] = ()
    late: Late = "continue"
    on_timeout: Literal["hold", "continue"] = "hold"
    on_failure: OnFailure = "open_circuit"
    on_controller_loss: Literal["continue", "stop"] = "continue"
    temperature_limits: tuple[float, float] | None = None
    conditions: tuple[Condition, ...] = ()
    after: str | None = None


def measured_cycles(protocol: models.Protocol, cell: PlannedCell) -> tuple[int, ...]:
    """Give the cycles in which a cell is measured, in order.

    Raises
    ------
    UsageError
        The cell does not say which of several, or names a cycle that the protocol does not measure.
    """
    problem = measure_problem(protocol, cell.measure_at)
    if problem is not None:
        raise UsageError(f"cell {cell.id}: {problem[0]}", hint=problem[1])
    if protocol.measure is None:
        return ()
    return tuple(sorted(cell.measure_at or measured(protocol)))


def measure_problem(protocol: models.Protocol, measure_at: Sequence[int]) -> tuple[str, str] | None:
    """Say why a cell cannot be measured in these cycles and what would be right, or None."""
    measure = protocol.measure
    if measure is None:
        return ("the protocol measures no cycle", "leave 'measure_at' out") if measure_at else None
    known = measured(protocol)
    choices = ", ".join(map(str, known)) if len(known) <= _MOST_NAMED else f"'{measure.cycles.written}'"
    wrong = [cycle for cycle in measure_at if cycle not in known]
    if wrong:
        return f"the protocol does not measure cycle {wrong[0]}", f"choose from {choices}"
    if not measure_at and measure.then == "end" and len(known) > 1:
        return "'measure_at' is missing: a measured cell ends", f"say at which cycle, 'measure_at: [...]', of {choices}"
    return None


def expand(protocol: models.Protocol, cell: PlannedCell) -> tuple[PlannedOperation, ...]:
    """Expand a protocol to the operations of one cell.

    With ``then: end`` the plan ends after the last step of the cell's last measured cycle; with ``continue``, what
    comes in later cycles than a hold is flagged.

    Raises
    ------
    UsageError
        Cell and protocol contradict each other on what is measured.
    """
    chosen = measured_cycles(protocol, cell)
    last = chosen[-1] if chosen and protocol.measure and protocol.measure.then == "end" else None
    looked_at = frozenset(chosen)
    plan = _Plan(protocol, cell)
    after: str | None = None
    for block in blocks(protocol):
        if block.repeated:
            after = key_of(block.path) if block.until is not None else None
        for cycle in range(block.first, block.last + 1):
            due = [
                step
                for step in block.steps
                if (not step.measured or cycle in looked_at) and step.done_in(cycle, block.last)
            ]
            turn = of_cycle(block.path, cycle, block.first, block.until)
            for step, turns, conditions in unrolled(due, cycle, turn):
                plan.at(cycle, block.last, turns)
                plan.add(step, cycle, conditions, None if block.repeated else after)
            if last is not None and cycle == last:
                return tuple(plan.operations)
    return tuple(plan.operations)


class _Plan:
    """The operations so far, and what later ones depend on."""

    def __init__(self, protocol: models.Protocol, cell: PlannedCell) -> None:
        self.operations: list[PlannedOperation] = []
        self._protocol = protocol
        self._cell = cell
        self._now = Moment(protocol, cell, 0, 0)
        self._discharging = False
        self._stripped_in: int | None = None
        self._seen: set[tuple[str, int]] = set()
        self._turns = ""

    def at(self, cycle: int, last: int, turns: str) -> None:
        """Go on in this cycle of a block that ends with ``last``, and in these turns of its repeats."""
        self._now = Moment(self._protocol, self._cell, cycle, last)
        self._turns = turns

    def add(self, step: Placed, cycle: int, conditions: tuple[Condition, ...], after: str | None) -> None:
        for operation in self._of(step, cycle):
            flagged = self._stripped_in is not None and cycle > self._stripped_in
            flags = (CONTINUED,) if flagged else ()
            self.operations.append(replace(operation, flags=flags, conditions=conditions, after=after))
        if isinstance(step.body, models.Hold) and step.measured:
            self._stripped_in = cycle if self._stripped_in is None else self._stripped_in

    def _of(self, step: Placed, cycle: int) -> Iterator[PlannedOperation]:
        body, now = step.body, self._now
        if isinstance(body, models.Nmr):
            yield from self._nmr(body, step, cycle)
        elif isinstance(body, models.Eis):
            parameters = self._impedance(body.spectrum, body)
            yield self._operation(Kind.EIS, step, cycle, body.as_, parameters, expected=parameters.duration)
        elif isinstance(body, Operando):
            flowing = self._together(body, step, cycle)
            guard = self._guard(body, flowing.cycling.duration)
            yield self._operation(Kind.OPERANDO, step, cycle, body.as_, flowing, at_most=guard)
        elif isinstance(body, Deis):
            series = self._dynamic(body)
            expected = None if body.keep_on else series.duration
            yield self._operation(Kind.DEIS, step, cycle, body.as_, series, at_most=body.at_most, expected=expected)
        elif isinstance(body, models.Rest):
            resting = self._cycling(body, Ends(duration=now.now(body.duration)))
            yield self._operation(Kind.REST, step, cycle, body.as_, resting, expected=resting.duration)
        elif isinstance(body, TemperatureTo):
            resting = self._cycling(body, Ends(duration=body.soak))
            warm = self._operation(Kind.REST, step, cycle, None, resting, expected=body.soak)
            yield replace(warm, soak=0.0)
        elif isinstance(body, BY_HAND):
            most = body.at_most if isinstance(body, Pause) else None
            takes = 0.0 if isinstance(body, Mark) else None
            yield self._operation(Kind(step.kind), step, cycle, body.as_, task_of(body), at_most=most, expected=takes)
        elif isinstance(body, models.Hold):
            ends, volts = now.ends(body.until), now.volts(body.voltage)
            holding = self._cycling(body, ends, current=now.amount(body.limit.current), voltage=volts)
            guard = self._guard(body, ends.duration)
            yield self._operation(Kind.HOLD, step, cycle, body.as_, holding, at_most=guard)
        else:
            kind = Kind.CHARGE if isinstance(body, models.Charge) else Kind.DISCHARGE
            self._discharging = kind is Kind.DISCHARGE
            ends = now.ends(body.until)
            steady = self._cycling(body, ends, current=now.amount(body.current))
            guard = self._guard(body, ends.duration)
            yield self._operation(kind, step, cycle, body.as_, steady, at_most=guard)

    def _guard(self, body: Guarded, duration: float | None) -> float | None:
        """Give the guard time: what is said, or else the time that ends the step anyway."""
        return self._now.now(body.at_most) if body.at_most is not None else duration

    def _operation(
        self,
        kind: Kind,
        step: Placed,
        cycle: int,
        label: str | None,
        parameters: Parameters,
        *,
        at_most: float | None = None,
        expected: float | None = None,
    ) -> PlannedOperation:
        name = f"{kind}-{label}" if label else str(kind)
        return PlannedOperation(
            path=f"c{cycle:03d}/{step.number:02d}-{self._turns}{name}",
            kind=kind,
            cycle=cycle,
            label=label,
            parameters=parameters,
            start_within=step.body.latest_start,
            at_most=at_most,
            temperature=step.body.temperature,
            soak=step.body.soak,
            expected_duration=expected,
            late=step.body.late,
            on_timeout=step.body.on_timeout if isinstance(step.body, Guarded) else "hold",
            on_failure=step.body.on_failure,
            on_controller_loss=step.body.on_controller_loss,
            temperature_limits=self._protocol.limits.temperature,
        )

    def _cycling(
        self, body: Body | TemperatureTo, ends: Ends, *, current: float = 0.0, voltage: float | None = None
    ) -> Cycling:
        lowest, highest, largest = limits_of(self._protocol.limits, body)
        return Cycling(
            current=current,
            voltage=voltage,
            end_voltage=ends.voltage,
            end_current=ends.current,
            end_current_for=ends.current_for,
            duration=ends.duration,
            discharging=self._discharging and voltage is not None,
            voltage_min=lowest,
            voltage_max=highest,
            current_max=largest,
            end_capacity=ends.capacity,
            end_together=ends.together,
        )

    def _nmr(self, body: models.Nmr, step: Placed, cycle: int) -> Iterator[PlannedOperation]:
        """Give a spectrum, and before it the series that its state is to be measured with."""
        experiment = self._protocol.experiments[body.experiment]
        known = frozenset(label for label, when in self._seen if when == cycle)
        asked = acquisition_of(body.experiment, experiment, body.as_, known)
        soaked = False
        for kind, series in ((Kind.NUTATION, nutation_of(experiment, asked)),
                             (Kind.RECOVERY, recovery_of(experiment, asked, body.as_))):  # fmt: skip
            if series is not None:
                before = self._operation(kind, step, cycle, body.as_, series, expected=series.expected)
                yield replace(before, soak=0.0) if soaked else before
                soaked = True
        spectrum = self._operation(Kind.NMR, step, cycle, body.as_, asked, expected=asked.expected)
        self._seen.add((body.as_, cycle))
        # A series has soaked the sample already.
        yield replace(spectrum, soak=0.0) if soaked else spectrum

    def _together(self, body: Operando, step: Placed, cycle: int) -> Together:
        self._discharging = body.direction == "discharge"

        def acquisition(experiment: str) -> Acquisition:
            """Resolve an experiment for this label as an ``nmr`` step would have it."""
            alone = models.Nmr.model_construct(as_=body.as_, experiment=experiment)
            found = [*self._nmr(alone, step, cycle)][-1].parameters
            if not isinstance(found, Acquisition):
                raise UsageError(f"'{experiment}' is no NMR experiment")
            # A cell under current does not wait for a nutation series.
            return replace(found, pulse="nominal") if found.pulse == "calibrate" else found

        flowing = self._cycling(body, self._now.ends(body.until), current=self._now.amount(body.current))
        return together(body, flowing, acquisition)

    def _dynamic(self, body: Deis) -> Dynamic:
        self._discharging = body.direction == "discharge"
        volts = self._protocol.volts(body.until.voltage)
        sweep = self._impedance(body.spectrum, body)
        return dynamic(body, sweep, self._cell, volts, limits_of(self._protocol.limits, body)[2])

    def _impedance(self, name: str, body: Body) -> Impedance:
        spectrum = self._protocol.spectra[name]
        lowest, highest, _ = limits_of(self._protocol.limits, body)
        return Impedance(
            spectrum=name,
            control=spectrum.control,
            frequency_start=spectrum.frequency[0],
            frequency_end=spectrum.frequency[1],
            points_per_decade=spectrum.points_per_decade,
            periods=spectrum.periods,
            amplitude=spectrum.amplitude.on(self._cell),
            rest_before=spectrum.rest_before,
            voltage_min=lowest,
            voltage_max=highest,
            points_per_decade_low=spectrum.points_per_decade_low,
            periods_low=spectrum.periods_low,
            linearity=spectrum.linearity,
            repeat=spectrum.repeat,
        )
