"""One channel of the tester: its state, and the test on it, brought up to the present whenever somebody looks.

State rules: a start needs Stat 0 or 1; Active (2) is suspended to 3 and resumed to 2; the End step makes it 4; a fault
makes it 5; reset and archive from anything make it 0 and keep the test's name in the archive. The vendor gives no
diagram; these rules were proved with a published client. While suspended, the clocks of test and step stand still
(a guess), and the leads are open.

A driving step with nothing on the leads ends after one tick as a problem with code 254, lost current control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl_simulators.macnet.export import USUAL, Dialect
from labctl_simulators.macnet.procedure import Step, compile_procedure
from labctl_simulators.macnet.projection import ahead, regulated_otherwise
from labctl_simulators.macnet.running import LETTER, Recorder, Test
from labctl_simulators.macnet.segment import Segment

AVAILABLE, ACTIVE, SUSPENDED, COMPLETED, PROBLEM = 0, 2, 3, 4, 5
STATES: Final = {ACTIVE: "active", SUSPENDED: "suspended", COMPLETED: "completed", PROBLEM: "problem"}
OPERATOR, NORMAL_END, LOST_CONTROL = 192, 193, 254

SAFETY: Final = {
    "VSafeMax": 5.0,
    "VSafeMin": -0.5,
    "ISafeChg": 5.25,
    "ISafeDis": 5.25,
    "PBatSafeChg": 26.25,
    "PBatSafeDis": 26.25,
}
"""Limits of a channel to which nobody gave others, V, A, W."""

CURRENT_ERROR: Final = 0.001
"""Standard deviation between channels of true over reported current, relative: invented, the vendor's accuracy."""

_DOING: Final = {"Charge": 1, "Dischrge": 2, "AdvCycle": 3, "Rest": 4, "End": 7}
# A step is projected anew when the cell's temperature has moved by more than this, K.
_WARMER: Final = 0.5
# More steps than this without time passing mean a procedure that goes in circles.
_CIRCLES: Final = 20000


class Channel:
    """A channel, numbered from 1."""

    def __init__(
        self,
        laboratory: Any,
        name: str,
        number: int,
        folder: Path,
        archive: Callable[[str, int], None],
        current_error: float = CURRENT_ERROR,
        dialect: Dialect = USUAL,
    ) -> None:
        self._laboratory = laboratory
        self._name = name
        self.number = number
        self._archive = archive
        self._recorder = Recorder(laboratory, folder, dialect)
        self.source = f"{name}/{number}"
        self.stat, self.doing, self.reason = AVAILABLE, 0, 0
        self.test: Test | None = None
        self.safety = dict(SAFETY)
        self.variables = [0.0] * 15
        self.flags = 0
        self._steps: tuple[Step, ...] = ()
        self._segment: Segment | None = None
        self._driven: Any = None
        self._stands: dict[str, float] | None = None
        self._blind = self._stubborn = False
        self._at = 0.0
        self._not_before = 0.0
        self._gain = {
            kind: 1.0 + float(laboratory.rng(name, f"channel {number} {kind}").normal(0.0, current_error))
            for kind in ("Charge", "Dischrge")
        }

    # What a client can ask for

    def start(
        self,
        name: str,
        procedure: str,
        comment: str,
        content: bytes,
        steps: tuple[Step, ...],
        one_c: float = 1.0,
    ) -> None:
        """Start a compiled procedure; the caller has checked that the channel is free and the name unused."""
        now = self._laboratory.time()
        file = f"{name}.{self.number:03d}"
        self.test = Test(name, procedure, comment, content.decode("utf-8", "replace"), now, file, one_c=one_c)
        self._steps = steps
        self._at = now
        self.stat, self.reason = ACTIVE, 0
        cell = self._laboratory.cell_on(self._name, self.number)
        self._note("started", test=name, procedure=procedure, cell=None if cell is None else cell.id)
        self._recorder.begin(self.test)
        self._enter(1, now)
        self.advance(now)

    def break_down(self, kind: str, code: int = 0) -> None:
        """Fail in one of the ways that the tester's simulator lists."""
        now = self._laboratory.time()
        self.advance(now)
        if kind == "stands":
            self._stands = self.reading()
        elif kind == "blind":
            self._blind = True
            if self._segment is not None and self.test is not None:
                self._carry(self._segment, self.test, self._at)
        elif kind == "stubborn":
            self._stubborn = True
        elif kind == "problem":
            self._fault(code or LOST_CONTROL)
        else:
            self._stands, self._blind, self._stubborn = None, False, False

    def suspend(self, code: int = OPERATOR) -> None:
        """Interrupt: leads open, clocks stand."""
        if self._stubborn:
            return
        self._stop(SUSPENDED, 30, code, "S")

    def resume(self) -> None:
        """Go on where it was interrupted."""
        now = self._laboratory.time()
        if self.test is None or self.test.ended is None:
            return
        paused = now - self.test.ended
        self.test.began += paused
        self.test.step_began += paused
        self.test.ended = None
        self._at = now
        self.stat, self.reason = ACTIVE, 0
        self.doing = _DOING.get(self._steps[self.test.step - 1].kind, 0)
        self._note("resumed", test=self.test.name, records=self.test.records)
        self._begin_drive()
        self.advance(now)

    def clear(self) -> None:
        """Reset or archive: the channel is free, and the test's name is in the archive."""
        if self._stubborn:
            return
        if self.stat == ACTIVE:
            self.suspend()
        if self.test is not None:
            self._archive(self.test.name, self.number)
        self.stat, self.doing, self.reason, self.test, self._segment, self._steps = AVAILABLE, 0, 0, None, None, ()
        self.safety = dict(SAFETY)
        self.flags = 0

    def reading(self) -> dict[str, float]:
        """Give what the channel measures now: V, A, Ah, Wh, and seconds of test and step."""
        now = self._laboratory.time()
        self.advance(now)
        test, segment = self.test, self._segment
        if self._stands is not None and self.stat == ACTIVE:
            return self._stands
        if test is None:
            return {"V": self._idle_voltage(), "I": 0.0, "Q": 0.0, "E": 0.0, "test": 0.0, "step": 0.0}
        at = now if test.ended is None else test.ended
        clocks = {"test": at - test.began, "step": at - test.step_began}
        if segment is None:
            return {"V": self._idle_voltage(), "I": 0.0, "Q": test.charge / 3600, "E": test.energy / 3600, **clocks}
        voltage, current, charge, energy = (float(value) for value in segment.values(now))
        return {
            "V": voltage,
            "I": current,
            "Q": (test.charge + charge) / 3600,
            "E": (test.energy + energy) / 3600,
            **clocks,
        }

    def _idle_voltage(self) -> float:
        cell = self._laboratory.cell_on(self._name, self.number)
        if cell is None:
            return 0.0
        self._laboratory.bring_up_to_date(cell)
        return float(cell.voltage(self._laboratory.time()))

    def limit(self, limits: dict[str, float]) -> None:
        """Set the six safety limits; a running step is looked at anew with them."""
        self.safety = dict(limits)
        self._note("limits set", **limits)
        if self._segment is not None and self.test is not None:
            self._carry(self._segment, self.test, self._at)

    # Time

    def advance(self, t: float) -> None:
        """Do everything that is due until laboratory time ``t``."""
        idle = 0
        while self.stat == ACTIVE and self.test is not None and t >= self._at and idle < _CIRCLES:
            before = self._at
            if not self._one(t):
                break
            idle = idle + 1 if self._at == before else 0
        if idle >= _CIRCLES:
            self._fault(198)
        self._flush()

    def _one(self, t: float) -> bool:
        """Go to the end of the present segment or to ``t``; whether there is more to do."""
        test = self.test
        if test is None:
            return False
        step = self._steps[test.step - 1]
        if step.kind not in LETTER:
            return self._passing(step, test)
        cell = self._laboratory.cell_on(self._name, self.number)
        segment = self._segment
        if segment is not None and regulated_otherwise(self._laboratory, segment, t):
            self._carry(segment, test, self._at)
            segment = None
        if segment is None or segment.cell is not cell:
            if step.drives and cell is None:
                self._fault(LOST_CONTROL)
                return False
            segment = self._segment = self._project(step, test, cell)
        until = min(t, segment.end)
        self._record_until(segment, test, until)
        self._at = until
        if segment.end > t:
            if cell is not None and step.drives:
                warmer = abs(self._laboratory.temperature_of(cell) - segment.temperature)
                if warmer > _WARMER:
                    self._carry(segment, test, t)
                    self._segment = self._project(step, test, cell)
            return False
        values = segment.values(segment.end)
        if segment.target:
            self._row(test, segment.end, LETTER[step.kind], segment.code, values)
        self._carry(segment, test, segment.end)
        if segment.code == 0:
            return True
        if segment.target == 0:
            self._fault(segment.code, values)
            return False
        self._enter(segment.target, segment.end)
        return True

    def _passing(self, step: Step, test: Test) -> bool:
        """A step without action on the cell."""
        if step.kind == "End":
            self._row(test, self._at, "O", NORMAL_END, self._open_values())
            test.ended = self._at
            self.stat, self.doing, self.reason = COMPLETED, 31, NORMAL_END
            self._note("completed", test=test.name, ended=test.ended, records=test.records)
            return False
        target = test.step + 1
        if step.kind == "AdvCycle":
            test.cycle += 1
        elif step.kind == "Do":
            test.loops[step.label - 1] = 0
        elif step.kind == "Loop":
            test.loops[step.label - 1] += 1
            over = step.exits[0]
            if test.loops[step.label - 1] >= over.value:
                test.loops[step.label - 1] = 0
                target = over.target
            else:
                target = step.again
        self._enter(target, self._at)
        return True

    def _project(self, step: Step, test: Test, cell: Any) -> Segment:
        # A cell that was put to these leads in the middle of a step has come further than the step.
        start = max(self._at, self._not_before, 0.0 if cell is None else cell.state.t)
        safety = self.safety
        if self._blind:
            step, safety = replace(step, exits=()), dict.fromkeys(SAFETY, 1e9) | {"VSafeMin": -1e9}
        gain = self._gain.get(step.kind, 1.0)
        return ahead(self._laboratory, step, cell, start, test.step_began, gain, safety, test.charge)

    def _enter(self, number: int, t: float) -> None:
        test = self.test
        if test is None:
            return
        self._end_drive()
        test.step, test.step_began, test.charge, test.energy = number, t, 0.0, 0.0
        self.reason = 0
        self._segment = None
        self._at = t
        step = self._steps[number - 1]
        self.doing = _DOING.get(step.kind, 0)
        self._begin_drive()
        cell = self._laboratory.cell_on(self._name, self.number)
        if step.kind in LETTER and (cell is not None or not step.drives):
            segment = self._segment = self._project(step, test, cell)
            self._row(test, t, LETTER[step.kind], 0, segment.values(t))

    def _begin_drive(self) -> None:
        if self.test is None or not self._steps[self.test.step - 1].drives:
            return
        self._driven = self._laboratory.cell_on(self._name, self.number)
        if self._driven is not None:
            self._laboratory.source_on(self._driven, self.source)

    def _end_drive(self) -> None:
        driven, self._driven = self._driven, None
        if driven is not None:
            self._laboratory.source_off(driven, self.source)

    def bring_up(self, t: float) -> None:
        """Bring a running channel and the cell on its leads up to laboratory time ``t``."""
        if self.stat == ACTIVE:
            self.advance(t)
            self.follow()

    def follow(self) -> None:
        """Bring the cell on the leads to where the channel is; readings alone need only its course."""
        if self._segment is not None and self.stat == ACTIVE:
            self._follow(self._segment, self._at)

    def _follow(self, segment: Segment, t: float) -> None:
        if segment.cell is None:
            return
        if segment.drives:
            segment.cell.follow(segment.course, t)
        else:
            segment.cell.settle(t)

    def _carry(self, segment: Segment, test: Test, t: float) -> None:
        """Book a segment that ends here into the cell and into the step's counters."""
        self._follow(segment, t)
        self._recorder.render(test, self._steps, segment)
        _, _, charge, energy = segment.values(t)
        test.charge += float(charge)
        test.energy += float(energy)
        self._segment = None

    def _stop(self, stat: int, doing: int, code: int, letter: str, values: Any = None) -> None:
        now = self._laboratory.time()
        if values is None:
            self.advance(now)
        test, segment = self.test, self._segment
        if test is None or self.stat != ACTIVE:
            return
        if segment is not None:
            values = segment.values(self._at)
            self._carry(segment, test, self._at)
        if values is None:
            values = self._open_values()
        self._row(test, self._at, letter, code, (values[0], values[1], 0.0, 0.0))
        test.ended = self._at
        self._end_drive()
        self.stat, self.doing, self.reason = stat, doing, code
        event = "suspended" if stat == SUSPENDED else "problem"
        self._note(event, test=test.name, ended=test.ended, records=test.records, code=code)
        self._flush()

    def _note(self, event: str, **data: Any) -> None:
        self._laboratory.record(self._name, event, channel=self.number, **data)

    def _fault(self, code: int, values: Any = None) -> None:
        self._stop(PROBLEM, 29, code, "P", values if values is not None else self._open_values())

    def _open_values(self) -> tuple[float, float, float, float]:
        cell = self._laboratory.cell_on(self._name, self.number)
        return (float(cell.voltage(self._at)) if cell is not None else 0.0, 0.0, 0.0, 0.0)

    # Records

    def _record_until(self, segment: Segment, test: Test, until: float) -> None:
        last = int(np.searchsorted(segment.times, until, side="right"))
        if last > segment.done:
            test.records += last - segment.done
            segment.done = last
            self.reason = int(segment.codes[last - 1])

    def _row(self, test: Test, t: float, letter: str, code: int, values: Any) -> None:
        self._recorder.row(test, self._steps, self._segment, t, letter, code, values)

    def _flush(self, *, now: bool = False) -> None:
        """Write the export: when a test stops, and in between as the tester does."""
        if self.test is not None:
            self._recorder.flush(self.test, self._steps, self._segment, self._at, now=now or self.stat != ACTIVE)

    # Between two runs

    def save(self) -> dict[str, Any]:
        """Whole state as JSON values; a running step is projected anew after :meth:`restore`."""
        self.advance(self._laboratory.time())
        test = self.test
        if test is not None and self._segment is not None:
            # The counters as they would be if this segment ended here; it is projected anew afterwards.
            self._carry(self._segment, test, self._at)
        self._flush(now=True)
        return {
            "stat": self.stat,
            "doing": self.doing,
            "reason": self.reason,
            "safety": self.safety,
            "variables": self.variables,
            "flags": self.flags,
            "at": self._at,
            "test": None if test is None else asdict(test),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`save`; what the export got after it is cut off again."""
        self.stat, self.doing, self.reason = state["stat"], state["doing"], state["reason"]
        self.safety, self.variables, self.flags = dict(state["safety"]), list(state["variables"]), state["flags"]
        self._at = state["at"]
        self._not_before = self._laboratory.time()
        self._segment = None
        self.test = None if state["test"] is None else Test(**state["test"])
        if self.test is None:
            return
        self._steps = compile_procedure(self.test.content.encode(), self.test.one_c)
        self._recorder.cut(self.test)
        if self.stat == ACTIVE:
            self._begin_drive()
