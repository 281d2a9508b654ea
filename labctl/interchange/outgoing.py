"""From a protocol and a cell to what other programs can be told: its electrochemistry, and a line for all the rest.

Nothing is dropped in silence. What no format can say is remarked here; what a single format cannot say, by its writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Mode
from labctl.interchange.exchanged import Exchange, Item, Step, Sweep
from labctl.interchange.folding import fold, fold_cycles
from labctl.interchange.wording import among, duration
from labctl.protocol import (
    Cycling,
    Dynamic,
    Impedance,
    Kind,
    PlannedCell,
    PlannedOperation,
    Protocol,
    Together,
    expand,
)

#: Translates a planned step into what a cycler is told; the engine's own, so that an export is what would be run.
Translate = Callable[[str, PlannedOperation], CyclerProgram]

_FLOWING: Final = (Kind.REST, Kind.CHARGE, Kind.DISCHARGE, Kind.HOLD)
_LEFT_OUT: Final = {
    Kind.NMR: "an NMR spectrum is no electrochemistry: left out",
    Kind.NUTATION: "the calibration of an NMR pulse is no electrochemistry: left out",
    Kind.RECOVERY: "an NMR series is no electrochemistry: left out",
}
_REST_RECORDS: Final = 300.0


class _Remarks:
    """What was remarked, and in which cycles."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[int]] = {}

    def add(self, operation: PlannedOperation, text: str) -> None:
        step = operation.path.partition("/")[2]
        cycles = self._found.setdefault((step, text), [])
        if operation.cycle not in cycles:
            cycles.append(operation.cycle)

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{step} ({_when(cycles)}): {text}" for (step, text), cycles in self._found.items())


def _when(cycles: Sequence[int]) -> str:
    return "before the first cycle" if list(cycles) == [0] else f"cycle {among(cycles)}"


@dataclass(frozen=True, slots=True)
class _Translator:
    translate: Translate
    remarks: _Remarks

    def items(self, operation: PlannedOperation) -> tuple[Item, ...]:
        """Give the items of one operation, and remark what they do not say."""
        parameters, kind = operation.parameters, operation.kind
        for condition in operation.conditions:
            asked = f"'{condition.expression.text}'"
            if not condition.number:
                self.remarks.add(operation, f"it depends on {asked}, which is known at run time only: left out")
                return ()
            self.remarks.add(operation, f"its loop may end before, by {asked}: said as all its turns")
        if isinstance(parameters, Together):
            operation = self._alone(operation, parameters)
        elif isinstance(parameters, Dynamic):
            operation = self._direct(operation, parameters)
        elif isinstance(parameters, Impedance):
            return self._sweep(operation, parameters)
        elif kind not in _FLOWING or not isinstance(parameters, Cycling):
            self.remarks.add(operation, _LEFT_OUT.get(kind, f"'{kind}' is no electrochemistry: left out"))
            return ()
        self._outcomes(operation)
        origin = operation.path
        soak: tuple[Item, ...] = ()
        if operation.soak:
            self.remarks.add(operation, f"soaking is said as a rest of {duration(operation.soak)} before it")
            resting = CyclerStep(Mode.REST, 0.0, None, (End("time", True, operation.soak),), _REST_RECORDS)
            soak = (Step(resting, operation.temperature, origin),)
        program = self.translate(origin, operation)
        return soak + tuple(
            Step(replace(step, ends=self._ends(step, operation)), operation.temperature, origin)
            for step in program.steps
        )

    def _ends(self, step: CyclerStep, operation: PlannedOperation) -> tuple[End, ...]:
        """Give the ends of a step with one time: a guard time after which the cell goes on is an end like any other."""
        going_on = operation.on_timeout == "continue"
        ends = [replace(end, guard=end.guard and not going_on) for end in step.ends]
        times = sorted((end for end in ends if end.what == "time"), key=lambda end: (end.value, end.guard))
        return tuple(end for end in ends if end.what != "time" or end is times[0])

    def _alone(self, operation: PlannedOperation, parameters: Together) -> PlannedOperation:
        spectra = "the NMR spectra" if parameters.pausing is None else "the NMR spectra and the pauses"
        self.remarks.add(operation, f"only its current is electrochemistry: {spectra} are left out")
        kind = Kind.DISCHARGE if parameters.discharging else Kind.CHARGE
        return replace(operation, kind=kind, parameters=parameters.cycling)

    def _direct(self, operation: PlannedOperation, parameters: Dynamic) -> PlannedOperation:
        self.remarks.add(operation, "only its direct current is said: the alternating current is left out")
        lasting = None if parameters.keep_on else parameters.duration
        over = lasting is not None and lasting <= parameters.at_most
        flowing = Cycling(
            current=parameters.current,
            voltage=None,
            end_voltage=parameters.cutoff,
            end_current=None,
            end_current_for=0.0,
            duration=lasting if over else None,
            discharging=False,
            voltage_min=parameters.sweep.voltage_min,
            voltage_max=parameters.sweep.voltage_max,
            current_max=parameters.current_max,
        )
        kind = Kind.DISCHARGE if parameters.discharging else Kind.CHARGE
        return replace(operation, kind=kind, parameters=flowing, at_most=None if over else operation.at_most)

    def _sweep(self, operation: PlannedOperation, asked: Impedance) -> tuple[Item, ...]:
        more: dict[str, float | None] = {
            "points_per_decade_low": asked.points_per_decade_low,
            "periods_low": asked.periods_low,
            "linearity": asked.linearity,
            "repeat": asked.repeat or None,
        }
        unsaid = [name for name, value in more.items() if value is not None]
        if unsaid:
            self.remarks.add(operation, f"{' and '.join(unsaid)} of the spectrum can't be said: left out")
        sweep = Sweep(
            asked.control == "galvanostatic",
            asked.amplitude,
            asked.frequency_start,
            asked.frequency_end,
            asked.points_per_decade,
            asked.periods,
            operation.path,
        )
        if not asked.rest_before:
            return (sweep,)
        resting = CyclerStep(Mode.REST, 0.0, None, (End("time", True, asked.rest_before),), _REST_RECORDS)
        return (Step(resting, operation.temperature, operation.path), sweep)

    def _outcomes(self, operation: PlannedOperation) -> None:
        """Remark what only the engine can do: it watches the clock and what becomes of a cell."""
        if operation.start_within is not None:
            within = duration(operation.start_within)
            self.remarks.add(operation, f"'start_within: {within}' is labctl's to watch: left out")
        if operation.on_failure != "open_circuit":
            self.remarks.add(operation, f"'on_failure: {operation.on_failure}' is labctl's to do: left out")
        if operation.on_controller_loss == "stop":
            self.remarks.add(operation, "'on_controller_loss: stop' needs a watchdog: left out")


def exchange_of(protocol: Protocol, cell: PlannedCell, translate: Translate) -> Exchange:
    """Give the electrochemistry of one cell's plan.

    Raises
    ------
    UsageError
        Cell and protocol contradict each other.
    """
    remarks = _Remarks()
    translator = _Translator(translate, remarks)
    cycles: dict[int, list[Item]] = {}
    for operation in expand(protocol, cell):
        cycles.setdefault(operation.cycle, []).extend(translator.items(operation))
    before = tuple(cycles.pop(0, ()))
    items = fold(before) + fold_cycles([tuple(found) for found in cycles.values()])
    limits = protocol.limits
    return Exchange(protocol.protocol, items, limits.voltage, limits.current, None, remarks.lines(), cell.id)
