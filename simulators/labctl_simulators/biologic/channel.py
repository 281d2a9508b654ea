"""One potentiostat channel on a virtual cell: linked techniques, records in a buffer, brought up to date by need.

The buffer is lossy, as the vendor says: what nobody takes away in time is lost, counted, and the run goes on. Guessed:
that every level is recorded at its beginning and at its end, that records beyond the buffer are those that are lost,
how points of a spectrum are spread over time, that a value of the moment shows their alternating part, and that a
level's tests are looked at from 1 ms after its beginning.
With three electrodes the counter electrode's potential and its share of the impedance are the virtual cell's. A voltage
that is held is held at the cell, the counter electrode included: guessed.
"""

from __future__ import annotations

import asyncio
import cmath
from dataclasses import asdict
from math import sin
from typing import Any, Final, NamedTuple

import numpy as np

from labctl_simulators.biologic.channel_course import AT_END, BY_TEST, Segment, driven, sweep_times, undriven
from labctl_simulators.biologic.channel_steps import NEXT_STEP, STOP, Level, Step, step_from_json
from labctl_simulators.cell import Current, Voltage

STOPPED, RUNNING = "stopped", "running"

#: Standard deviation of an impedance, relative: invented.
NOISE: Final = 0.002
#: What a held voltage may draw at most, A.
CURRENT_LIMIT: Final = 0.5
#: Records that the buffer holds, unless said otherwise.
BUFFER: Final = 40000
_CIRCLES: Final = 20000


class Row(NamedTuple):
    """A record: of step ``step`` (from 0) in pass ``loop``, ``at`` s after the step began ``start`` s into the run.

    ``values``: Ewe, Ece (V), I (A), cycle for process 0; frequency (Hz), abs Ewe (V), abs I (A), phase (rad), Ewe, I,
    abs Ece, abs Ice, phase of Zce, Ece for process 1, which is a point of a spectrum.
    """

    step: int
    process: int
    loop: int
    start: float
    at: float
    values: tuple[float, ...]


class Channel:
    """A channel, numbered from 1, of the instrument ``name``.

    Parameters
    ----------
    electrodes : int
        2, or 3 with a reference electrode.
    alone : bool
        Whether it has the leads of the instrument that have no number, as those that go through a multiplexer.
    """

    def __init__(self, laboratory: Any, name: str, number: int, electrodes: int = 2, *, alone: bool = False) -> None:
        self._laboratory = laboratory
        self._name = name
        self.number = number
        self._alone = alone
        self.source = f"{name}/{number}"
        self._three = electrodes == 3
        self.steps: list[Step] = []
        self.state = STOPPED
        self.rows: list[Row] = []
        self.lost = 0
        #: Records that the buffer holds.
        self.buffer = BUFFER
        self._index = self._level = self._cycle = self._loop = 0
        self._passes: dict[int, int] = {}
        self._began = self._step_began = self._level_began = self._at = self._ended = 0.0
        self._before = 0.0
        self._segment: Segment | None = None
        self._driven: Any = None
        self._timer: asyncio.TimerHandle | None = None
        laboratory.register_source(self.source, self.advance)

    # What a client can ask for

    def load(self, steps: list[Step]) -> None:
        """Put linked steps on the idle channel; whatever was recorded before is gone."""
        self.steps, self.rows, self.lost = list(steps), [], 0
        self._began = self._ended = self._at = self._laboratory.time()

    def start(self) -> None:
        """Run what is loaded, from its beginning."""
        now = self._laboratory.time()
        self.rows, self.lost, self._passes, self._index, self._loop = [], 0, {}, 0, 0
        self._began = self._at = now
        self.state = RUNNING
        cell = self._cell()
        self._note("started", steps=[step.kind for step in self.steps], cell=None if cell is None else cell.id)
        self._enter(0)
        self.advance(now)

    def stop(self) -> None:
        """Leads open, now."""
        now = self._laboratory.time()
        self.advance(now)
        if self.state == RUNNING:
            if self._segment is not None and self.steps[self._index].spectrum is None:
                self._row(self._segment, now)
            self._end("stopped")

    def reading(self) -> tuple[float, float, float]:
        """Ewe and Ece in V and current in A, now: while a spectrum is measured, with its alternating part."""
        now = self._laboratory.time()
        self.advance(now)
        if self.state == RUNNING and self._segment is not None:
            ewe, ece, current = self._segment.electrodes(now)
            swing, flowing = self._swing(self._segment, now)
            share = self._share(self._segment.cell)
            return ewe + swing * (1 - share), ece - swing * share, current + flowing
        cell = self._cell()
        if cell is None:
            return 0.0, 0.0, 0.0
        self._laboratory.bring_up_to_date(cell)
        return self._at_rest(cell, now)

    def _swing(self, segment: Segment, now: float) -> tuple[float, float]:
        """Alternating part of the cell's voltage in V and of the current in A, while a point is measured."""
        step = self.steps[self._index]
        if step.spectrum is None or segment.measured >= segment.points.size:
            return 0.0, 0.0
        frequency = float(segment.frequency[segment.measured])
        since = now - float(segment.points[segment.measured]) + step.spectrum.lasts(frequency)
        if since < 0:
            return 0.0, 0.0
        size, lag = cmath.polar(complex(segment.impedance[segment.measured]))
        turn = cmath.tau * frequency * since
        if step.kind == "geis":
            return size * step.spectrum.amplitude * sin(turn + lag), step.spectrum.amplitude * sin(turn)
        return step.spectrum.amplitude * sin(turn), step.spectrum.amplitude / size * sin(turn - lag)

    def elapsed(self) -> float:
        """Seconds since the start, standing still after the end."""
        return (self._laboratory.time() if self.state == RUNNING else self._ended) - self._began

    def frequency(self) -> float:
        """Frequency in Hz that is measured now, 0 for none."""
        segment = self._segment
        if segment is None or not segment.frequency.size:
            return 0.0
        return float(segment.frequency[min(segment.measured, segment.frequency.size - 1)])

    @property
    def step(self) -> int:
        """Which step runs, from 0."""
        return self._index

    # Time

    def advance(self, t: float) -> None:
        """Do everything that is due until laboratory time ``t``."""
        idle = 0
        while self.state == RUNNING and self._at <= t and idle < _CIRCLES:
            before = self._at
            if not self._one(t):
                break
            idle = idle + 1 if self._at == before else 0
        if idle >= _CIRCLES:
            self._end("goes in circles")
        self._await()

    def _await(self) -> None:
        """Be there when the level ends: what comes next may drive a cell that others look at meanwhile."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.state == RUNNING and self._segment is not None:
            delay = max(0.0, self._segment.end - self._laboratory.time())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        self.advance(self._laboratory.time())

    def close(self) -> None:
        """Wait for nothing any more; what runs stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _one(self, t: float) -> bool:
        step = self.steps[self._index]
        if step.kind == "loop":
            self._go_back(step)
            return True
        segment = self._segment
        if segment is None or segment.cell is not self._cell():
            segment = self._segment = self._begin(step)
        until = min(t, segment.end)
        self._record(segment, until)
        if segment.course is not None and self._driven is not None:
            self._driven.follow(segment.course, max(until, self._driven.state.t))
        self._at = until
        if segment.end > t:
            return False
        self._leave(step, segment)
        return True

    def _go_back(self, step: Step) -> None:
        done = self._passes.get(self._index, 1)
        if step.passes == 0 or done < step.passes:
            self._passes[self._index] = done + 1
            self._loop += 1
            self._enter(step.loop_to)
        else:
            self._passes.pop(self._index, None)
            self._enter(self._index + 1)

    def _leave(self, step: Step, segment: Segment) -> None:
        level = step.levels[self._level]
        if segment.why == BY_TEST and level.leads_to == STOP:
            self._end("by its own condition")
            return
        self._before = segment.electrodes(self._at)[0]
        self._segment = None
        if segment.why == BY_TEST and level.leads_to == NEXT_STEP:
            self._enter(self._index + 1)
        elif self._level + 1 < len(step.levels):
            self._level, self._level_began = self._level + 1, self._at
        elif self._cycle + 1 < step.cycles:
            self._level, self._cycle, self._level_began = 0, self._cycle + 1, self._at
        else:
            self._enter(self._index + 1)

    def _enter(self, index: int) -> None:
        self._segment = None
        if index >= len(self.steps):
            self._end("completed")
            return
        self._index, self._level, self._cycle = index, 0, 0
        self._step_began = self._level_began = self._at
        cell = self._cell()
        if self._driven is None and cell is not None:
            self._settle(cell)
            self._before = self._at_rest(cell, self._at)[0]

    def _end(self, why: str) -> None:
        self._switch(None)
        self.state, self._segment, self._ended = STOPPED, None, self._at
        self._note("ended", why=why, records=len(self.rows))

    def _begin(self, step: Step) -> Segment:
        level, cell = step.levels[self._level], self._cell()
        spectrum, began = step.spectrum, self._level_began
        after = sweep_times(spectrum) if spectrum is not None else np.zeros(0)
        end = max(self._at, began + level.duration + (float(after[-1]) if after.size else 0.0))
        drives = step.kind in ("current", "voltage", "peis", "geis")
        self._switch(cell if drives else None)
        if not drives or cell is None:
            segment = undriven(step, cell, self._at, end, three=self._three)
        else:
            course = cell.project(
                self._drive(step, level), max(self._at, cell.state.t), end - self._at + 1.0, self._temperature(cell)
            )
            segment = driven(step, level, cell, course, self._at, end, three=self._three)
        if self._at > began:
            # Taken up again in its middle: its beginning is recorded already.
            segment.times = segment.times[segment.times > self._at]
        if spectrum is not None and cell is not None and segment.why == AT_END:
            points = began + level.duration + after
            coming = points > self._at + 1e-9
            segment.times = segment.times[segment.times <= began + level.duration]
            segment.points, segment.frequency = points[coming], spectrum.frequencies()[coming]
            segment.impedance = self._measure(cell, spectrum.frequencies(), after)[coming]
        return segment

    def _drive(self, step: Step, level: Level) -> Any:
        if step.kind in ("current", "geis"):
            return Current(level.value)
        volts = level.value + (self._before if level.against_before else 0.0)
        return Voltage(volts, CURRENT_LIMIT)

    def _switch(self, cell: Any) -> None:
        if cell is self._driven:
            return
        if self._driven is not None:
            self._laboratory.source_off(self._driven, self.source)
        if cell is not None:
            self._settle(cell)
            self._laboratory.source_on(cell, self.source)
        self._driven = cell

    def _settle(self, cell: Any) -> None:
        """Bring a cell to where this channel is, which may lie a little before the present."""
        if self._laboratory.sources_on(cell):
            self._laboratory.bring_up_to_date(cell)
        else:
            cell.settle(self._at)

    def _measure(self, cell: Any, frequency: Any, elapsed: Any) -> Any:
        exact = cell.impedance(frequency, elapsed, self._level_began)
        noise = self._laboratory.rng(cell.id, f"{self.source} {self._level_began:.3f}").standard_normal(
            (2, len(frequency))
        )
        return exact * (1 + NOISE / np.sqrt(2) * (noise[0] + 1j * noise[1]))

    # Records

    def _record(self, segment: Segment, until: float) -> None:
        while segment.done < segment.times.size and segment.times[segment.done] <= until:
            self._row(segment, float(segment.times[segment.done]))
            segment.done += 1
        while segment.measured < segment.points.size and segment.points[segment.measured] <= until + 1e-9:
            self._point(segment, segment.measured)
            segment.measured += 1

    def _row(self, segment: Segment, t: float) -> None:
        if self.steps[self._index].kind == "trigger":
            return
        ewe, ece, current = segment.electrodes(t)
        self._keep(0, t, (ewe, ece, current, float(self._cycle)))

    def _point(self, segment: Segment, index: int) -> None:
        t, spectrum = float(segment.points[index]), self.steps[self._index].spectrum
        ewe, ece, current = segment.electrodes(t)
        value = complex(segment.impedance[index])
        share = self._share(segment.cell)
        working, counter = value * (1 - share), value * share
        amplitude = spectrum.amplitude if spectrum is not None else 0.0
        flowing = amplitude if self.steps[self._index].kind == "geis" else amplitude / abs(working)
        far = (abs(counter) * flowing, flowing, cmath.phase(counter))
        near = (abs(working) * flowing, flowing, cmath.phase(working))
        self._keep(1, t, (float(segment.frequency[index]), *near, ewe, current, *far, ece))

    def _keep(self, process: int, t: float, values: tuple[float, ...]) -> None:
        if len(self.rows) >= self.buffer:
            self.lost += 1
            return
        start = self._step_began - self._began
        self.rows.append(Row(self._index, process, self._loop, start, t - self._step_began, values))

    def _at_rest(self, cell: Any, t: float) -> tuple[float, float, float]:
        counter = float(cell.counter_at_rest()) if self._three else 0.0
        return float(cell.voltage(t)) + counter, counter, 0.0

    def _share(self, cell: Any) -> float:
        return float(cell.counter_share()) if self._three and cell is not None else 0.0

    def _cell(self) -> Any:
        cell = self._laboratory.cell_on(self._name, self.number)
        return self._laboratory.cell_on(self._name) if cell is None and self._alone else cell

    def _temperature(self, cell: Any) -> float:
        return float(self._laboratory.temperature_of(cell))

    def _note(self, event: str, **data: Any) -> None:
        self._laboratory.record(self._name, event, channel=self.number, **data)

    # Between two runs

    def save(self) -> dict[str, Any]:
        """Whole state as JSON values; a running level goes on after :meth:`restore`."""
        self.advance(self._laboratory.time())
        return {
            "steps": [asdict(step) for step in self.steps],
            "state": self.state,
            "rows": [list(row) for row in self.rows],
            "lost": self.lost,
            "place": [self._index, self._level, self._cycle, self._loop],
            "passes": [[index, done] for index, done in self._passes.items()],
            "times": [self._began, self._step_began, self._level_began, self._at, self._ended],
            "before": self._before,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`save`, before anything runs."""
        self.steps = [step_from_json(step) for step in state["steps"]]
        self.state, self.lost, self._before = state["state"], state["lost"], state["before"]
        self.rows = [Row(*row[:5], values=tuple(row[5])) for row in state["rows"]]
        self._index, self._level, self._cycle, self._loop = state["place"]
        self._passes = dict(state["passes"])
        self._began, self._step_began, self._level_began, self._at, self._ended = state["times"]
