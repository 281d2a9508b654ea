"""From records to the tables of a bundle: ``records.csv``, ``electrodes.csv``, ``impedance.csv``. Pure.

The instrument's techniques tell no charge; it is the integral of the recorded current, by trapezoids, from the first
record of a step. A row is given once what follows it is known, as it says whether it ended its step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    ConstantVoltage,
    OpenCircuit,
    Point,
    Record,
    Sample,
    Technique,
)
from labctl_drivers.biologic.plan import how_ended

HEADING: Final = "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n"
#: Of a row that ended its step, by how it did; 0 for every other.
ENDS: Final = {"time": 1, "current": 2, "voltage": 3, "safety": 4, "stopped": 5, "capacity": 6}
#: Intervals without a record that make a gap.
_GAP: Final = 2.0
_CHARGED: Final = frozenset(("C", "D", "H"))


class Row(NamedTuple):
    """A record as the cycler contract has it, and what the electrodes were at."""

    number: int
    time: float
    step: int
    voltage: float
    current: float
    capacity: float
    state: str
    end: int

    def text(self) -> str:
        """Its line."""
        reals = f"{self.voltage:.10g},{self.current:.10g},{self.capacity:.10g}"
        return f"{self.number},{self.time:.10g},{self.step},{reals},{self.state},{self.end}\n"


class Account:
    """Goes through the records of one run, in order, and adds charge and ends.

    Parameters
    ----------
    techniques : sequence of Technique
        Of the run.
    facts : mapping
        As :meth:`labctl_drivers.biologic.plan.Compiled.facts` has it.
    """

    def __init__(self, techniques: Sequence[Technique], facts: Mapping[str, Any]) -> None:
        self._techniques = techniques
        self._facts = facts
        self._last: Sample | None = None
        self._began = 0.0
        self._charge = 0.0
        # When the present technique began, of which a step may have several.
        self._alone = 0.0
        self._calm_since: float | None = None
        #: Whether the condition that must last has lasted.
        self.has_lasted = False
        #: The first record at which a safety limit has ended a technique.
        self.tripped: Sample | None = None
        self.rows: list[Row] = []
        #: Stretches, s since the start, in which records are missing.
        self.gaps: list[tuple[float, float]] = []

    @property
    def capacity(self) -> float:
        """Charge of the present step in C, a magnitude."""
        return abs(self._charge)

    @property
    def last(self) -> Sample | None:
        """The newest record."""
        return self._last

    @property
    def began(self) -> float:
        """When the present step began, s since the start of the run."""
        return self._began

    def feed(self, records: Sequence[Record]) -> list[Sample]:
        """Take further records; gives those of direct current."""
        samples = [record for record in records if isinstance(record, Sample)]
        for sample in samples:
            before = self._last
            # A step begins where the one before has ended, whatever became of its first records.
            since, same = (0.0, False) if before is None else (before.at, self._together(sample, before))
            other = before is None or not same or sample.technique != before.technique
            if before is not None:
                self._settle(before, ended=not same, left=other)
            if not same:
                self._charge, self._began = 0.0, since
            if other:
                self._alone = since
            if before is not None and sample.part != before.part:
                self._calm_since = None
            if sample.at - since > _GAP * _interval(self._techniques[sample.technique]) + 1.0:
                self.gaps.append((since, sample.at))
            if before is not None and same:
                self._charge += 0.5 * (sample.current + before.current) * (sample.at - since)
            self._last = sample
            self._watch(sample, other)
        return samples

    def _watch(self, sample: Sample, begins: bool) -> None:
        """See whether the condition that must last does; a gap or an interruption breaks it off."""
        asked = self._facts.get("lasting")
        if asked is None or sample.technique != len(self._techniques) - 1:
            return
        if begins or abs(sample.current) > asked["below"] or (self.gaps and self.gaps[-1][1] == sample.at):
            self._calm_since = None
        if abs(sample.current) <= asked["below"]:
            self._calm_since = sample.at if self._calm_since is None else self._calm_since
            self.has_lasted = self.has_lasted or sample.at - self._calm_since >= asked["for"]

    def finish(self) -> str:
        """Take the newest record as the run's last; gives how its technique ended, as :func:`how_ended` says."""
        if self._last is None:
            return "stopped"
        if not self.rows or self.rows[-1].number != self._last.number:
            self._settle(self._last, ended=True, left=True)
        return self.ended(self._last)

    def ended(self, last: Sample) -> str:
        """What ended the technique of ``last``, its last record."""
        if self.has_lasted and last.technique == len(self._techniques) - 1:
            return "current"
        return how_ended(self._techniques[last.technique], last, self.lasted, self._facts["safety"])

    @property
    def lasted(self) -> float:
        """Seconds from the present technique's first record to its last."""
        return 0.0 if self._last is None else self._last.at - self._alone

    def _settle(self, sample: Sample, *, ended: bool, left: bool) -> None:
        how = self.ended(sample) if left else ""
        if how == "safety" and self.tripped is None:
            self.tripped = sample
        code = ENDS[how] if ended else 0
        state = self._facts["letters"][sample.technique]
        capacity = abs(self._charge) if state in _CHARGED else 0.0
        step = self._facts["steps"][sample.technique]
        # Records are counted over all that the instrument made.
        self.rows.append(Row(sample.number, sample.at, step, sample.voltage, sample.current, capacity, state, code))

    def _together(self, sample: Sample, before: Sample) -> bool:
        """Whether two records belong to the same pass of the same step."""
        steps = self._facts["steps"]
        return (steps[sample.technique], sample.passed) == (steps[before.technique], before.passed)


def _interval(technique: Technique) -> float:
    if isinstance(technique, (OpenCircuit, ConstantCurrent, ConstantVoltage)):
        return technique.record_every
    return math.inf


def records_table(rows: Sequence[Row]) -> str:
    """Give the table in the cycler contract's columns."""
    return HEADING + "".join([row.text() for row in rows])


def electrodes_table(records: Sequence[Record]) -> str:
    """Give what both electrodes were at against the reference, and the cell, wherever both were recorded; V."""
    lines = ["record,time_s,working_V,counter_V,cell_V\n"]
    for record in records:
        if isinstance(record, Sample) and record.counter is not None:
            cell = record.voltage - record.counter
            lines.append(f"{record.number},{record.at:.10g},{record.voltage:.10g},{record.counter:.10g},{cell:.10g}\n")
    return "".join(lines)


def cell_impedance(point: Point) -> complex:
    """Impedance of the cell in ohm: both electrodes together."""
    return point.working if point.counter is None else point.working + point.counter


def impedance_table(points: Sequence[Point], began: float) -> str:
    """Give a spectrum as the potentiostat contract has it: the cell's impedance, times from ``began`` in s."""
    lines = ["frequency_Hz,real_ohm,imaginary_ohm,time_s,voltage_V,current_A\n"]
    for point in points:
        value = cell_impedance(point)
        lines.append(
            f"{point.frequency:.10g},{value.real:.10g},{value.imag:.10g},{point.at - began:.10g},"
            f"{point.voltage:.10g},{point.current:.10g}\n"
        )
    return "".join(lines)


def electrode_impedance_table(points: Sequence[Point]) -> str:
    """Give the impedances of both electrodes against the reference and of the cell, ohm."""
    kinds = ("working", "counter", "cell")
    lines = ["frequency_Hz," + ",".join(f"{kind}_real_ohm,{kind}_imaginary_ohm" for kind in kinds) + "\n"]
    for point in points:
        values = (point.working, point.counter or 0j, cell_impedance(point))
        parts = [f"{part:.10g}" for value in values for part in (value.real, value.imag)]
        lines.append(",".join([f"{point.frequency:.10g}", *parts]) + "\n")
    return "".join(lines)
