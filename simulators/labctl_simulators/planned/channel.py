"""A cycler as the courses of its cells: each step is projected once, and its end is known from the beginning.

The courses, their ends and the error of the currents are those of the tester's stand-in (``macnet``). Records are
counted, not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labctl_simulators.cell import Current, Rest, Voltage
from labctl_simulators.macnet.channel import CURRENT_ERROR
from labctl_simulators.macnet.segment import TICK, crossing
from labctl_simulators.planned.device import Device

_HORIZON: Final = 100 * 3600.0
_WARMER: Final = 0.5
RUNNING, SUSPENDED, DONE, FAILED = "running", "suspended", "done", "failed"


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of a step: ``voltage`` (V), ``current`` (A), ``capacity`` (C since it began) or ``time`` (s).

    It must last for ``held`` s.
    """

    what: str
    above: bool
    value: float
    held: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``rest``, ``charge``, ``discharge`` or ``hold``; A, V."""

    mode: str
    current: float
    voltage: float | None
    ways: tuple[Way, ...]
    record_every: float
    record_voltage_step: float

    @property
    def drives(self) -> bool:
        """Whether current flows by its will."""
        return self.mode != "rest"


@dataclass(frozen=True, slots=True)
class Look:
    """What a channel shows.

    Attributes
    ----------
    state : str
        ``running``, ``suspended``, ``done`` or ``failed``.
    end : str
        How the last step ended: ``voltage``, ``current``, ``time``, ``unsafe``.
    left : float or None
        Seconds to the end of the present step, or to when its course must be looked at anew.
    voltage, current : float
        V, and A (charging positive).
    charge, moved : float
        C of the present step as a magnitude, and of all steps, signed.
    clock : float
        Seconds since the start without interruptions.
    records : int
        How many there would be.
    """

    state: str
    end: str
    left: float | None
    voltage: float
    current: float
    charge: float
    moved: float
    clock: float
    records: int


class PlannedTester(Device):
    """All channels of one cycler."""

    def __init__(self, name: str, entry: Mapping[str, Any], laboratory: Any) -> None:
        super().__init__(name, entry, laboratory)
        self._three = entry.get("electrodes") == 3
        self._channels: dict[int, _Channel] = {}

    def channel(self, number: int) -> _Channel:
        """One channel, counted from 1."""
        if number not in self._channels:
            self._channels[number] = _Channel(self._laboratory, self._name, number, three=self._three)
        return self._channels[number]

    @staticmethod
    def step(
        mode: str,
        current: float,
        voltage: float | None,
        ways: Sequence[tuple[str, bool, float, float]],
        record_every: float,
        record_voltage_step: float,
    ) -> Step:
        """Make a step; each way is what, whether it must rise, the limit, and for how long (s)."""
        return Step(mode, current, voltage, tuple(Way(*way) for way in ways), record_every, record_voltage_step)

    def on(self, token: str) -> int | None:
        """Number of the channel that a program was started on, None if on none."""
        return next((number for number, one in self._channels.items() if one.token == token), None)


class _Channel:
    """One channel with at most one program, brought up to the present whenever somebody looks."""

    def __init__(self, laboratory: Any, name: str, number: int, *, three: bool) -> None:
        self._laboratory = laboratory
        # With a reference electrode it is the working electrode's potential that is looked at.
        self._three = three
        self._name, self._number = name, number
        self._source = f"{name}/{number}"
        self._gain: dict[str, float] = {}
        self.token: str | None = None
        self.state, self.end = DONE, ""
        self._steps: Sequence[Step] = ()
        self._at = 0
        self._limits = (-1e9, 1e9)
        self._course: Any = None
        self._voltage: Any = None
        self._cell: Any = None
        self._began = self._step_began = self._until = self._stopped = 0.0
        self._why, self._warmth = "", 0.0
        self._charge = self._moved = 0.0
        self._records = 0
        laboratory.register_source(self._source, self._update)

    def start(self, token: str, steps: Sequence[Step], limits: tuple[float, float]) -> bool:
        """Start a program; False where one runs. ``limits`` are the lowest and highest safe voltage."""
        if self.look().state in (RUNNING, SUSPENDED) and self.token is not None:
            return False
        now = self._laboratory.time()
        self.token, self._steps, self._limits = token, steps, limits
        self.state, self.end = RUNNING, ""
        self._began = now
        self._moved, self._records = 0.0, 0
        self._enter(0, now)
        return True

    def look(self) -> Look:
        """Bring it up to now, and say what it shows."""
        now = self._laboratory.time()
        while self.state == RUNNING and now >= self._until:
            self._leave(self._until)
        if self.state == RUNNING and abs(self._warm() - self._warmth) > _WARMER:
            # Projected anew, as the cell is somewhere else or its place has another temperature.
            self._carry(now)
            self._project(now)
        if self.state != RUNNING or self._course is None:
            clock = (now if self.state == RUNNING else self._stopped) - self._began
            left = self._until - now if self.state == RUNNING else None
            voltage = self.voltage()
            return Look(self.state, self.end, left, voltage, 0.0, abs(self._charge), self._moved, clock, self._records)
        _, current, charge = self._course.at(now)
        voltage = float(np.interp(now, self._course.t, self._voltage))
        gain = self._gain_of(self._steps[self._at].mode)
        return Look(
            RUNNING,
            "",
            self._until - now,
            voltage,
            current / gain,
            abs(self._charge + charge / gain),
            self._moved + charge / gain,
            now - self._began,
            self._records,
        )

    def _update(self, now: float) -> None:
        """Bring the cell on the leads up to ``now``."""
        if self.look().state == RUNNING and self._course is not None:
            self._cell.follow(self._course, min(now, float(self._course.t[-1])))

    def voltage(self) -> float:
        """What the leads show, V."""
        cell = self._laboratory.cell_on(self._name, self._number)
        if cell is None:
            return 0.0
        now = self._laboratory.time()
        if self.state != RUNNING:
            self._laboratory.bring_up_to_date(cell)
        counter = float(cell.counter_at_rest()) if self._three else 0.0
        return float(cell.voltage(max(now, cell.state.t))) + counter

    def open(self) -> None:
        """End the program: to open circuit."""
        if self.look().state in (RUNNING, SUSPENDED):
            if self.state == RUNNING:
                self._carry(self._laboratory.time())
                self._let_go(DONE, "aborted")
            self.state, self.end = DONE, "aborted"

    def suspend(self) -> None:
        """Interrupt it to open circuit."""
        if self.look().state == RUNNING:
            self._carry(self._laboratory.time())
            self._let_go(SUSPENDED, "")

    def resume(self) -> None:
        """Go on; its clocks have stood."""
        if self.look().state != SUSPENDED:
            return
        now = self._laboratory.time()
        self._began += now - self._stopped
        self._step_began += now - self._stopped
        self.state = RUNNING
        self._project(now)

    # -- one step ------------------------------------------------------------------------------------------------------
    def _enter(self, index: int, now: float) -> None:
        self._at, self._step_began, self._charge = index, now, 0.0
        self._project(now)

    def _warm(self) -> float:
        if self._cell is None or not self._steps[self._at].drives:
            return self._warmth
        return float(self._laboratory.temperature_of(self._cell))

    def _gain_of(self, mode: str) -> float:
        kind = {"charge": "Charge", "discharge": "Dischrge"}.get(mode)
        if kind is None:
            return 1.0
        if kind not in self._gain:
            draw = self._laboratory.rng(self._name, f"channel {self._number} {kind}")
            self._gain[kind] = 1.0 + float(draw.normal(0.0, CURRENT_ERROR))
        return self._gain[kind]

    def _project(self, now: float) -> None:
        """Look ahead to the end of the present step."""
        step = self._steps[self._at]
        timed = [self._step_began + way.value for way in step.ways if way.what == "time"]
        self._cell = self._laboratory.cell_on(self._name, self._number)
        self._course = None
        if self._cell is None or not step.drives:
            # A rest needs no course: the cell relaxes by itself.
            self._until, self._why = min(timed, default=now + _HORIZON), "time"
            if self._cell is None and step.drives:
                self._until, self._why = now + TICK, "unsafe"
            return
        self._laboratory.source_on(self._cell, self._source)
        self._warmth = self._warm()
        gain = self._gain_of(step.mode)
        horizon = max(min([*timed, now + _HORIZON]) - now, 0.0) + 2 * TICK
        start = max(now, self._cell.state.t)
        self._course = course = self._cell.project(_drive(step, gain), start, horizon, self._warmth)
        self._voltage = course.voltage + self._cell.counter(course) if self._three else course.voltage
        along = {
            "voltage": self._voltage,
            "current": np.abs(course.current) / gain,
            "capacity": np.abs(self._charge + course.charge / gain),
        }
        earliest = max(start, self._step_began + TICK)
        ends = [(max(at, earliest), "time") for at in timed]
        for way in step.ways:
            if way.what != "time":
                at = crossing(course.t, along[way.what], way.above, way.value, earliest)
                if at is not None:
                    ends.append((at + way.held, way.what))
        for above, limit in ((False, self._limits[0]), (True, self._limits[1])):
            at = crossing(course.t, self._voltage, above, limit, earliest)
            if at is not None:
                ends.append((at, "unsafe"))
        self._until, self._why = min(ends, default=(float(course.t[-1]), ""))

    def _carry(self, t: float) -> None:
        """Book what has flowed until ``t`` into the cell and the counters."""
        step = self._steps[self._at]
        elapsed = t - max(self._step_began, self._began)
        self._records += 2 + int(max(elapsed, 0.0) // step.record_every) if step.record_every else 2
        if self._course is None:
            return
        until = min(t, float(self._course.t[-1]))
        _, _, charge = self._course.at(until)
        charge /= self._gain_of(step.mode)
        if step.record_voltage_step:
            swing = float(np.ptp(self._voltage[self._course.t <= until])) if until > self._course.t[0] else 0.0
            self._records += int(swing / step.record_voltage_step)
        self._charge += charge
        self._moved += charge
        self._cell.follow(self._course, until)
        self._course = None

    def _leave(self, t: float) -> None:
        """Come to the end of the present step at ``t``."""
        why, self.end = self._why, self._why
        self._carry(t)
        if not why:
            self._project(t)
        elif why == "unsafe":
            self._let_go(FAILED, why, t)
        elif self._at + 1 < len(self._steps):
            self._release()
            self._enter(self._at + 1, t)
        else:
            self._let_go(DONE, why, t)

    def _release(self) -> None:
        if self._cell is not None:
            self._laboratory.source_off(self._cell, self._source)

    def _let_go(self, state: str, end: str, t: float | None = None) -> None:
        self.state, self.end = state, end
        self._stopped = self._laboratory.time() if t is None else t
        self._release()


def _drive(step: Step, gain: float) -> Any:
    limit = step.current * gain
    if step.mode == "hold" and step.voltage is not None:
        return Voltage(step.voltage, limit)
    return Current(limit if step.mode == "charge" else -limit) if step.drives else Rest()
