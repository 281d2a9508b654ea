"""What a drive does to a virtual cell from now on: the course of voltage, current and charge, in closed form or by
quadrature. Pure: nothing here changes a cell.

Constant current moves lithium linearly in time, so its course is closed form on a grid that is fine where the voltage
bends. In a voltage hold the current depends on the moved lithium alone, so time follows from it by quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labctl_simulators.cell import curves, electrode
from labctl_simulators.cell.parameters import (
    KINETIC_EXPONENT,
    REFERENCE_K,
    STRIPPING_H,
    Parameters,
    arrhenius,
)
from labctl_simulators.cell.state import NEW_CYCLE, CellState, booked, charged, discharged, enter_charge

Array = np.ndarray

AT_ONCE = 0.3
"""Share of a change of the overpotential that appears at once: invented."""

LAGS = ((0.4, 30.0), (0.3, 900.0))
"""Shares that follow, and their relaxation times in s: invented; after a stop at 3.0 V they give the slow recovery by
hundreds of mV that such cells show."""

NOTHING_MAH = 1e-9
"""Lithium, mAh, below which a hold has nothing left to move."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing connected, or an open relay."""


@dataclass(frozen=True, slots=True)
class Current:
    """A constant current in A; charging is positive."""

    amperes: float


@dataclass(frozen=True, slots=True)
class Voltage:
    """A constant voltage in V, with the current limited to ``limit_A`` in either direction."""

    volts: float
    limit_A: float


Drive = Rest | Current | Voltage


@dataclass(frozen=True, slots=True)
class Course:
    """What a cell would do under one drive, from ``t[0]`` to ``t[-1]``.

    Attributes
    ----------
    t : numpy.ndarray
        Laboratory time in s, ascending.
    voltage, current, charge : numpy.ndarray
        Terminal voltage in V, current in A (charging positive), charge in C since ``t[0]`` (signed).
    drive, temperature_K
        What it was projected for.
    counter : numpy.ndarray or None
        Potential of the first electrode against lithium in V, where it comes with the course; see
        :meth:`labctl_simulators.cell.virtual_cell.VirtualCell.counter`.
    """

    t: Array
    voltage: Array
    current: Array
    charge: Array
    drive: Drive
    temperature_K: float
    before: CellState = field(repr=False)
    origin: CellState = field(repr=False)
    left: Array | None = field(default=None, repr=False)
    room: float = field(default=0.0, repr=False)
    counter: Array | None = field(default=None, repr=False)

    def at(self, t: Any) -> tuple[Any, Any, Any]:
        """Voltage (V), current (A) and charge (C) at ``t``, by linear interpolation; scalars or arrays."""
        result = tuple(np.interp(t, self.t, values) for values in (self.voltage, self.current, self.charge))
        if np.ndim(t) == 0:
            return float(result[0]), float(result[1]), float(result[2])
        return result[0], result[1], result[2]


def project(cell: Parameters, state: CellState, drive: Drive, horizon: float, temperature_K: float) -> Course:
    """Project ``drive`` on a cell in ``state``, for ``horizon`` seconds from ``state.t``."""
    if horizon < 0:
        raise ValueError(f"the horizon is {horizon} s; it must not be negative")
    if isinstance(drive, Current) and drive.amperes != 0:
        return _constant_current(cell, state, drive, horizon, temperature_K)
    if isinstance(drive, Voltage):
        return _hold(cell, state, drive, horizon, temperature_K)
    return _rest(cell, state, drive, horizon, temperature_K)


def advance(cell: Parameters, course: Course, until: float) -> CellState:
    """State of the cell at laboratory time ``until`` on ``course``."""
    origin, drive = course.origin, course.drive
    elapsed = until - origin.t
    if isinstance(drive, Current) and drive.amperes != 0:
        current = abs(drive.amperes) * 1e3
        passed = current * elapsed / 3600
        moved = min(passed, course.room)
        if drive.amperes > 0:
            state = booked(charged(origin, cell, moved), charge=passed)
            voltage = electrode.charging(cell, state.soc, state.passed, current, state.cycle, state.alloy)
        else:
            kinetic = cell.kinetic(origin.cycle, course.temperature_K)
            state = booked(discharged(origin, cell, moved, dying=True), discharge=passed)
            voltage = electrode.discharging(cell, state.soc, state.connected, current, kinetic, state.cycle)
            if moved >= course.room:
                voltage = electrode.BOTTOM_V
        steady = float(voltage) - float(curves.equilibrium(cell.curve, state.soc))
        return replace(state, t=until, overpotential=steady, lag=_relaxed(cell, origin.lag, elapsed))
    if isinstance(drive, Voltage):
        return _held(cell, course, drive, until)
    return replace(origin, t=until, lag=_relaxed(cell, origin.lag, elapsed))


def rested(cell: Parameters, state: CellState, t: float) -> CellState:
    """State of ``cell`` after nothing has driven the cell until laboratory time ``t``."""
    if t <= state.t and state.overpotential == 0.0:
        return state
    origin = _turned(state, 0.0)
    return replace(origin, t=max(t, state.t), lag=_relaxed(cell, origin.lag, max(0.0, t - state.t)))


def _relaxed(cell: Parameters, lag: tuple[float, float], elapsed: float) -> tuple[float, float]:
    passed = elapsed / cell.relaxation
    first, second = (value * math.exp(-passed / tau) for value, (_, tau) in zip(lag, LAGS, strict=True))
    return first, second


def _turned(state: CellState, steady: float) -> CellState:
    """Let the overpotential lag behind its new steady value."""
    jump = state.overpotential - steady
    first, second = (value + share * jump for value, (share, _) in zip(state.lag, LAGS, strict=True))
    return replace(state, overpotential=steady, lag=(first, second))


def _lagging(cell: Parameters, lag: tuple[float, float], elapsed: Array) -> Array:
    total = np.zeros_like(elapsed)
    passed = elapsed / cell.relaxation
    for value, (_, tau) in zip(lag, LAGS, strict=True):
        if abs(value) > 1e-9:
            total += value * np.exp(-passed / tau)
    return total


def _rest(cell: Parameters, before: CellState, drive: Drive, horizon: float, temperature_K: float) -> Course:
    origin = _turned(before, 0.0)
    elapsed = np.concatenate(([0.0], np.geomspace(0.05, max(horizon, 0.1), 300)))
    elapsed = _cut(elapsed, horizon)
    voltage = curves.equilibrium(cell.curve, origin.soc) + _lagging(cell, origin.lag, elapsed)
    nothing = np.zeros_like(elapsed)
    return Course(origin.t + elapsed, voltage, nothing, nothing, drive, temperature_K, before, origin)


def _cut(elapsed: Array, horizon: float) -> Array:
    """Ascending times within the horizon, its end included."""
    kept = elapsed[elapsed < horizon]
    return np.append(kept, horizon) if horizon > 0 else np.array([0.0])


_SOC_GRID = np.unique(np.concatenate((np.linspace(0, 0.12, 170), np.linspace(0.12, 1.0, 180))))
_EARLY_S = np.geomspace(0.05, 7200.0, 160)
_LATE = np.exp(-np.arange(2.0, 21.0, 0.07))


def _constant_current(
    cell: Parameters, before: CellState, drive: Current, horizon: float, temperature_K: float
) -> Course:
    current = abs(drive.amperes) * 1e3
    charge = drive.amperes > 0
    kinetic = cell.kinetic(before.cycle, temperature_K)
    if charge:
        origin = enter_charge(before, cell)
        room = max(0.0, cell.capacity * (1.0 - curves.FULL - origin.soc))
        on_grid = (_SOC_GRID - origin.soc) * cell.capacity
    else:
        origin = enter_discharge(before, cell)
        room = electrode.discharge_room(cell, origin, current, kinetic, origin.share)
        on_grid = (origin.soc - _SOC_GRID) * cell.capacity
    if room < curves.FULL * cell.capacity:
        room = 0.0
    late = room - cell.capacity * _LATE
    moved = np.concatenate((on_grid, late, _EARLY_S * (current / 3600), [0.0, room]))
    moved = np.unique(moved[(moved >= 0) & (moved <= room)])
    elapsed = moved * (3600 / current)
    if charge:
        state_soc = origin.soc + moved / cell.capacity
        plated = np.maximum(moved - cell.unalloyed(origin.alloy), 0.0)
        alloyed = np.minimum(origin.alloy + moved, cell.alloy)
        voltage = electrode.charging(cell, state_soc, origin.passed + plated, current, origin.cycle, alloyed)
        beyond = electrode.TOP_V
    else:
        state_soc = origin.soc - moved / cell.capacity
        connected = origin.connected - (1 + origin.share) * moved
        voltage = electrode.discharging(cell, state_soc, connected, current, kinetic, origin.cycle)
        beyond = electrode.BOTTOM_V
    voltage[-1] = beyond
    origin = _turned(origin, float(voltage[0] - curves.equilibrium(cell.curve, origin.soc)))
    if elapsed[-1] < horizon:
        elapsed = np.append(elapsed, horizon)
        voltage = np.append(voltage, beyond)
    elif elapsed[-1] > horizon:
        last = np.searchsorted(elapsed, horizon)
        voltage = np.append(voltage[:last], np.interp(horizon, elapsed, voltage))
        elapsed = np.append(elapsed[:last], horizon)
    voltage = np.clip(voltage + _lagging(cell, origin.lag, elapsed), electrode.BOTTOM_V, electrode.TOP_V)
    amperes = np.full_like(elapsed, drive.amperes)
    return Course(
        origin.t + elapsed, voltage, amperes, drive.amperes * elapsed, drive, temperature_K, before, origin, room=room
    )


def enter_discharge(state: CellState, cell: Parameters) -> CellState:
    """Turn to discharging; the share that dies is fixed here for the whole discharge."""
    if state.phase == "discharge":
        return state
    share = electrode.dying_share(cell, state, cell.kinetic(state.cycle, REFERENCE_K))
    return replace(state, phase="discharge", passed=0.0, share=share)


def _hold(cell: Parameters, before: CellState, drive: Voltage, horizon: float, temperature_K: float) -> Course:
    target = curves.soc_at(cell.curve, drive.volts)
    charge = target > before.soc
    if charge and before.phase == "discharge" and target - before.soc < NEW_CYCLE:
        # A potentiostat that holds a discharged cell where it stands charges its double layer, and opens no new cycle.
        origin, room = before, 0.0
    elif charge:
        origin = enter_charge(before, cell)
        room = (target - origin.soc) * cell.capacity
    else:
        origin = enter_discharge(before, cell)
        room = min(origin.connected, (origin.soc - target) * cell.capacity)
    steady = drive.volts - float(curves.equilibrium(cell.curve, origin.soc))
    origin = replace(origin, overpotential=steady, lag=(0.0, 0.0))
    leak = _leak(cell, drive)
    if room <= NOTHING_MAH:
        room = 0.0
        elapsed, left, current = np.array([0.0]), np.array([0.0]), np.array([0.0])
    else:
        # Where lithium abounds the current hardly changes: equal steps; later it falls with what is left: equal ratios.
        folds = np.linspace(0.0, max(np.log(0.2 * room / NOTHING_MAH), 0.1), 250)
        left = room * np.concatenate((np.linspace(1.0, 0.2, 150, endpoint=False), 0.2 * np.exp(-folds)))
        between = 0.5 * (left[:-1] + left[1:])
        both = _hold_current(cell, origin, drive, np.concatenate((left, between)), room, charge, temperature_K, leak)
        current, halfway = both[: len(left)], both[len(left) :]
        hours = (1 / current[:-1] + 4 / halfway + 1 / current[1:]) * (left[:-1] - left[1:]) / 6  # Simpson's rule
        elapsed = np.concatenate(([0.0], np.cumsum(hours))) * 3600
    if elapsed[-1] > horizon:
        last = max(1, int(np.searchsorted(elapsed, horizon)))
        at_end = _left_at(horizon, elapsed, left, current)
        current = np.append(current[:last], np.interp(horizon, elapsed, current))
        left = np.append(left[:last], at_end)
        elapsed = np.append(elapsed[:last], horizon)
    elif elapsed[-1] < horizon:
        after = min(horizon, elapsed[-1] + 1.0)
        tail = [after, horizon] if after < horizon else [horizon]
        elapsed = np.append(elapsed, tail)
        current = np.append(current, np.zeros(len(tail)))
        left = np.append(left, np.full(len(tail), left[-1]))
    sign = 1.0 if charge else -1.0
    moved = room - left
    amperes = (sign * current - leak) / 1e3
    passed = sign * moved - leak * elapsed / 3600
    voltage = np.full_like(elapsed, drive.volts)
    return Course(origin.t + elapsed, voltage, amperes, passed * 3.6, drive, temperature_K, before, origin, left, room)


def _leak(cell: Parameters, drive: Voltage) -> float:
    return min(cell.leak, drive.limit_A * 1e3)


def _hold_current(
    cell: Parameters,
    origin: CellState,
    drive: Voltage,
    left: Array,
    room: float,
    charge: bool,
    temperature_K: float,
    leak: float,
) -> Array:
    """Current in mA (positive) that moves lithium in a hold, where ``left`` of ``room`` has still to go."""
    moved = room - left
    limit = max(drive.limit_A * 1e3 - leak, 1e-6)
    if charge:
        soc = origin.soc + moved / cell.capacity
        driving = drive.volts - curves.equilibrium(cell.curve, soc)
        charging: Array = np.clip(driving / cell.resistance(origin.cycle), 1e-12, limit)
        return charging
    soc = origin.soc - moved / cell.capacity
    driving = np.maximum(curves.equilibrium(cell.curve, soc) - drive.volts, 1e-12) / cell.resistance(origin.cycle)
    cathode = cell.kinetic(origin.cycle, temperature_K) * np.maximum(soc, 1e-12) ** KINETIC_EXPONENT
    anode = (origin.connected - room + left) * (arrhenius(temperature_K) / STRIPPING_H)
    # A smooth least of the three: the limits act in series, and a kink would cost accuracy.
    smooth: Array = np.clip((cathode**-4 + anode**-4 + driving**-4) ** -0.25, 1e-12, limit)
    return smooth


def _left_at(elapsed: float, times: Array, left: Array, current: Array) -> float:
    """Lithium left at ``elapsed``: a cubic between grid points, as the current is its slope."""
    last = min(max(int(np.searchsorted(times, elapsed, side="right")), 1), len(times) - 1)
    t0, t1 = float(times[last - 1]), float(times[last])
    y0, y1 = float(left[last - 1]), float(left[last])
    if t1 <= t0:
        return y1
    x, step = (elapsed - t0) / (t1 - t0), (t1 - t0) / 3600
    slope0, slope1 = -float(current[last - 1]) * step, -float(current[last]) * step
    value = (1 - x) ** 2 * ((1 + 2 * x) * y0 + x * slope0) + x**2 * ((3 - 2 * x) * y1 + (x - 1) * slope1)
    return min(max(value, y1), y0)


def _held(cell: Parameters, course: Course, drive: Voltage, until: float) -> CellState:
    origin, elapsed = course.origin, until - course.origin.t
    leak = _leak(cell, drive)
    moved = 0.0
    if course.left is not None and course.room > 0:
        flowing = np.abs(course.current * 1e3 + leak)
        moved = max(0.0, course.room - _left_at(elapsed, course.t - origin.t, course.left, flowing))
    leaked = leak * elapsed / 3600
    if origin.phase == "charge":
        state = booked(charged(origin, cell, moved), charge=moved - leaked)
    else:
        state = booked(discharged(origin, cell, moved, dying=False), hold=moved + leaked)
        state = replace(state, seed=min(state.seed, state.connected))
    steady = drive.volts - float(curves.equilibrium(cell.curve, state.soc))
    return replace(state, t=until, overpotential=steady)
