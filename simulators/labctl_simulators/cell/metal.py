"""The course of a cell whose second electrode is lithium metal too: Li||Li, and Cu||Li. Pure; no cell is changed here.

As everywhere the voltage is that of the second electrode against the first, and a positive current takes lithium from
the second and plates it onto the first. In Cu||Li copper is the first, the counter electrode: its own potential falls
while it is plated, so that the cell's voltage rises, and the tip of the nucleation is a maximum of the cell's voltage.

What each electrode does is a potential against lithium: plating needs a negative one (nucleation, resistance), and
stripping a positive one (resistance, the climb that P2 sees at the end of a half cycle, bare copper). How these depend
on the charge is assumed; their heights and the life are those of :mod:`labctl_simulators.cell.chemistries`. The voltage
does not lag behind the current here, and a hold wears nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from labctl_simulators.cell import curves
from labctl_simulators.cell.chemistries import CUT_OFF_V, FRESH_COPPER_V, STRIPPED_COPPER_V, SYMMETRIC_CAPACITY
from labctl_simulators.cell.course import NOTHING_MAH, Course, Current, Drive, Voltage
from labctl_simulators.cell.parameters import STRIPPING_H, Parameters, arrhenius
from labctl_simulators.cell.state import CellState, booked, enter_charge

Array = np.ndarray

END_V: Final = 5.0
"""A source that finds no lithium to move drives the cell to this voltage, one way or the other."""

TIP_MAH: Final = 0.01
"""Charge, mAh/cm2, at which the tip of the nucleation is reached; it fades over some times that. Assumed."""

TIP_MA: Final = (0.2, 0.5)
"""Current densities, mA/cm2, from which on the tip on copper, and on lithium, has its full height; below it is
proportional (assumed). P1 and P2 measured there."""

LATER_TIPS: Final = (0.15, 5.0)
"""What is left of the tip on lithium after many cycles, as P2 says that it is small then, and the cycles in which it
goes there. Assumed."""

COPPER_OHM: Final = 20.0
"""Resistance of a plated copper electrode or of lithium in LHCE, Ohm cm2: assumed."""

SERIES_OHM: Final = 6.0
"""Of electrolyte and separator, Ohm cm2, as in the impedance: assumed."""

BARE_V: Final = 0.05
"""Rise of the potential of copper per e-fold of the lithium that is left on it: assumed."""

CLIMB: Final = (0.6, 4.0)
"""Part of a half cycle after which the climb begins, and its power of the life that is over: assumed."""

AS_IT_STANDS_V: Final = 0.02
"""How far from its own a cell's voltage can be held without that being a step of a cycle: assumed."""

BRIDGED: Final = 0.02
"""What a soft short leaves of the voltage: assumed."""


# Electrodes


def lithium_ohm(cell: Parameters, cycle: int) -> float:
    """Interphase resistance of a lithium electrode in ``cycle``, Ohm cm2."""
    if cell.electrolyte != "carbonate":
        return COPPER_OHM
    first, second, third = cell.layer.ohm
    early = second + (first - second) * math.exp(-cycle / cell.layer.cycles)
    return early + (third - second) * min(max((cycle - 30) / 20, 0.0), 1.0)


def first_ohm(cell: Parameters, cycle: int) -> float:
    """The same of the first electrode."""
    return COPPER_OHM if cell.chemistry.copper else lithium_ohm(cell, cycle)


def life(cell: Parameters, density: float) -> float:
    """Cycles of P2's capacity that lithium against lithium lasts at ``density`` (mA/cm2)."""
    one, two = cell.layer.life
    return one * density ** math.log2(two / one)


def first_at_rest(cell: Parameters, connected: Any, alloyed: Any, used: Any) -> Any:
    """Potential of the first electrode in V without current; ``used`` is all lithium that it ever took up, mAh."""
    if not cell.chemistry.copper:
        return 0.0 * connected
    fresh, reach = FRESH_COPPER_V
    empty, below = STRIPPED_COPPER_V
    new = np.exp(-used / (reach * cell.area_cm2))
    stripped: Any = empty * np.exp(-np.maximum(connected, 0.0) / (below * cell.area_cm2))
    if cell.alloy > 0:
        stripped = np.where(
            alloyed < cell.alloy, curves.alloy(alloyed / cell.alloy), stripped / empty * curves.alloy(1.0)
        )
        return np.maximum(stripped, fresh * new)
    return fresh * new + (1 - new) * stripped


def _tip(cell: Parameters, state: CellState, plated: Any, density: float, *, first: bool) -> Any:
    """Nucleation overvoltage in V, ``plated`` mAh after this half cycle began."""
    if first and cell.chemistry.copper:
        before = max(0.0, state.connected - state.passed)
        height = cell.substrate.nucleation_V * math.exp(-before / cell.anode_reach) * min(1.0, density / TIP_MA[0])
    else:
        left, cycles = LATER_TIPS
        height = cell.lithium_nucleation_V * max(left, math.exp(-max(0, state.cycle - 1) / cycles))
        height *= min(1.0, density / TIP_MA[1])
    x = plated / (TIP_MAH * cell.area_cm2)
    return height * x * np.exp(1.0 - x)


def _climb(cell: Parameters, stripped: Any, damage: Any, dropped: float) -> Any:
    """What P2 sees at the end of a half cycle: lithium has to come from the bulk, through what has piled up."""
    if not cell.ages:
        return 0.0 * stripped
    begins, power = CLIMB
    part = stripped / (SYMMETRIC_CAPACITY * cell.area_cm2)
    x = np.clip((part - begins) / (1.0 - begins), 0.0, 1.0)
    return (CUT_OFF_V - dropped) * damage**power * x * x * (3.0 - 2.0 * x)


def _electrodes(cell: Parameters, origin: CellState, moved: Any, amperes: float) -> tuple[Any, Any]:
    """Potentials of both electrodes against lithium in V, ``moved`` mAh after ``origin``."""
    current = abs(amperes) * 1e3
    density = current / cell.area_cm2
    passed, damage = origin.passed + moved, origin.damage + moved * _wear(cell, density)
    drops = [density * 1e-3 * (ohm(cell, origin.cycle) + SERIES_OHM / 2) for ohm in (first_ohm, lithium_ohm)]
    if amperes > 0:
        alloyed = np.minimum(origin.alloy + moved, cell.alloy)
        metal = np.maximum(moved - cell.unalloyed(origin.alloy), 0.0)
        rest = first_at_rest(cell, origin.connected + metal, alloyed, _used(origin) + moved)
        first = rest - drops[0] - _tip(cell, origin, origin.passed + metal, density, first=True)
        second = drops[1] + _climb(cell, passed, damage, sum(drops))
    else:
        left = np.maximum(origin.connected - (1 + origin.share) * moved, 0.0)
        rest = first_at_rest(cell, left, origin.alloy, _used(origin))
        first = rest + drops[0] + _climb(cell, passed, damage, sum(drops))
        if cell.chemistry.copper:
            first = first - BARE_V * np.log(np.maximum(-np.expm1(-left / cell.anode_reach), 1e-30))
        second = -drops[1] - _tip(cell, origin, passed, density, first=False)
    bridged = cell.soft_short is not None and origin.cycle >= cell.soft_short
    return (first * BRIDGED, second * BRIDGED) if bridged else (first, second)


def _wear(cell: Parameters, density: float) -> float:
    """Part of the life that one mAh of the cell takes."""
    return 0.5 / (life(cell, density) * SYMMETRIC_CAPACITY * cell.area_cm2) if cell.ages else 0.0


def _used(state: CellState) -> float:
    return state.connected + state.dead + state.interphase + state.alloy


# States


def voltage(cell: Parameters, state: CellState) -> float:
    """Open-circuit voltage in V."""
    return 0.0 - counter(cell, state)


def counter(cell: Parameters, state: CellState) -> float:
    """Open-circuit potential of the first electrode in V."""
    return float(first_at_rest(cell, state.connected, state.alloy, _used(state)))


def _entered(cell: Parameters, state: CellState, *, charge: bool) -> CellState:
    if charge:
        return enter_charge(state, cell)
    if state.phase == "discharge":
        return state
    if state.cycle == 0:
        state = enter_charge(state, cell)
    return replace(state, phase="discharge", passed=0.0, share=min(0.5, state.dead_quota / cell.capacity))


def _room(cell: Parameters, origin: CellState, *, charge: bool) -> float:
    """Lithium that there is to move, mAh."""
    return max(0.0, origin.second if charge else origin.connected / (1 + origin.share))


def _moved(cell: Parameters, origin: CellState, moved: float, *, charge: bool) -> CellState:
    if charge:
        alloyed = min(moved, cell.unalloyed(origin.alloy))
        plated = moved - alloyed
        bound = origin.share * plated
        return replace(
            origin,
            second=origin.second - moved,
            alloy=origin.alloy + alloyed,
            connected=origin.connected + (plated - bound),
            interphase=origin.interphase + bound,
            interphase_quota=max(0.0, origin.interphase_quota - bound),
            passed=origin.passed + plated,
        )
    lost = origin.share * moved
    return replace(
        origin,
        second=origin.second + moved,
        connected=origin.connected - moved - lost,
        dead=origin.dead + lost,
        dead_quota=max(0.0, origin.dead_quota - lost),
        passed=origin.passed + moved,
    )


# Courses


def project(cell: Parameters, state: CellState, drive: Drive, horizon: float, temperature_K: float) -> Course:
    """Project ``drive`` on a cell in ``state``, for ``horizon`` seconds from ``state.t``."""
    if horizon < 0:
        raise ValueError(f"the horizon is {horizon} s; it must not be negative")
    if isinstance(drive, Current) and drive.amperes != 0:
        return _constant_current(cell, state, drive, horizon, temperature_K)
    if isinstance(drive, Voltage):
        return _hold(cell, state, drive, horizon, temperature_K)
    elapsed = np.array([0.0, horizon]) if horizon > 0 else np.array([0.0])
    nothing, first = np.zeros(elapsed.size), np.full(elapsed.size, counter(cell, state))
    return Course(
        state.t + elapsed, -first, nothing, nothing, drive, temperature_K, state, state, counter=first
    )  # fmt: skip


_EARLY: Final = np.concatenate(([0.0], np.geomspace(1e-5, 0.2, 160)))
_LATE: Final = np.concatenate((np.exp(-np.arange(1.0, 19.0, 0.1)), [0.0]))
_HALF_CYCLE: Final = np.linspace(0.0, 1.0, 201) * SYMMETRIC_CAPACITY


def _constant_current(
    cell: Parameters, before: CellState, drive: Current, horizon: float, temperature_K: float
) -> Course:
    current, charge = abs(drive.amperes) * 1e3, drive.amperes > 0
    origin = _entered(cell, before, charge=charge)
    room = _room(cell, origin, charge=charge)
    most = min(room, current * horizon / 3600)
    area = cell.area_cm2
    grids = [
        _EARLY * area,
        _HALF_CYCLE * area - origin.passed,
        np.linspace(0.0, most, 300),
        room - _LATE * area,
        [most],
    ]
    if charge and cell.unalloyed(origin.alloy) > 0:
        room_of_alloy = cell.unalloyed(origin.alloy)
        grids += [np.linspace(0.0, room_of_alloy, 100), room_of_alloy + _EARLY * area]
    moved = np.unique(np.concatenate(grids))
    moved = moved[(moved >= 0) & (moved <= most)]
    elapsed = moved * (3600 / current)
    first, second = (np.array(one) + np.zeros(moved.size) for one in _electrodes(cell, origin, moved, drive.amperes))
    if most >= room:
        first[-1] += 0.0 if charge else END_V
        second[-1] += END_V if charge else 0.0
    if elapsed[-1] < horizon:
        elapsed, first, second = (
            np.append(one, end) for one, end in ((elapsed, horizon), (first, first[-1]), (second, second[-1]))
        )
    volts = np.clip(second - first, -END_V, END_V)
    amperes = np.full(elapsed.size, drive.amperes)
    return Course(
        origin.t + elapsed, volts, amperes, drive.amperes * elapsed, drive, temperature_K, before, origin,
        room=room, counter=second - volts,
    )  # fmt: skip


def _hold(cell: Parameters, before: CellState, drive: Voltage, horizon: float, temperature_K: float) -> Course:
    """Course of a held voltage: what the resistances let through, as long as there is lithium and a drive for it."""
    beyond = drive.volts - voltage(cell, before)
    charge = beyond > 0
    # A potentiostat that holds a cell about where it stands opens no new cycle.
    origin = _entered(cell, before, charge=charge) if abs(beyond) > AS_IT_STANDS_V else before
    room = _room(cell, origin, charge=charge)
    moved = np.unique(
        np.concatenate((_EARLY * cell.area_cm2, np.linspace(0.0, room, 400), room - _LATE * cell.area_cm2))
    )
    moved = moved[(moved >= 0) & (moved <= room)]
    ohm = (first_ohm(cell, origin.cycle) + lithium_ohm(cell, origin.cycle) + SERIES_OHM) / cell.area_cm2
    if charge:
        metal = np.maximum(moved - cell.unalloyed(origin.alloy), 0.0)
        alloyed = np.minimum(origin.alloy + moved, cell.alloy)
        rest = first_at_rest(cell, origin.connected + metal, alloyed, _used(origin) + moved)
        driving = drive.volts + rest
        limit = np.full(moved.size, np.inf)
    else:
        left = np.maximum(origin.connected - (1 + origin.share) * moved, 0.0)
        driving = -drive.volts - first_at_rest(cell, left, origin.alloy, _used(origin))
        limit = (
            left * (arrhenius(temperature_K) / STRIPPING_H) if cell.chemistry.copper else np.full(moved.size, np.inf)
        )
    flowing = np.minimum(np.minimum(driving / ohm * 1e3, limit), drive.limit_A * 1e3)
    stops = np.flatnonzero(flowing <= NOTHING_MAH)
    last = int(stops[0]) if stops.size else moved.size
    if last < 2:
        moved, flowing = np.array([0.0]), np.array([0.0])
        elapsed = np.array([0.0])
    else:
        moved, flowing = moved[:last], flowing[:last]
        elapsed = np.concatenate(([0.0], np.cumsum(np.diff(moved) * 0.5 * (1 / flowing[1:] + 1 / flowing[:-1])))) * 3600
    if elapsed[-1] >= horizon:
        at = int(np.searchsorted(elapsed, horizon))
        moved = np.append(moved[:at], np.interp(horizon, elapsed, moved))
        flowing = np.append(flowing[:at], np.interp(horizon, elapsed, flowing))
        elapsed = np.append(elapsed[:at], horizon)
    else:
        after = min(horizon, elapsed[-1] + 1.0)
        elapsed = np.concatenate((elapsed, [after, horizon] if after < horizon else [horizon]))
        missing = elapsed.size - moved.size
        moved = np.append(moved, np.full(missing, moved[-1]))
        flowing = np.append(flowing, np.zeros(missing))
    sign = 1.0 if charge else -1.0
    volts = np.full(elapsed.size, drive.volts)
    drop = flowing * 1e-3 * (lithium_ohm(cell, origin.cycle) + SERIES_OHM / 2) / cell.area_cm2
    return Course(
        origin.t + elapsed, volts, sign * flowing * 1e-3, sign * moved * 3.6, drive, temperature_K, before, origin,
        room=room, counter=sign * drop - volts,
    )  # fmt: skip


def advance(cell: Parameters, course: Course, until: float) -> CellState:
    """State of the cell at laboratory time ``until`` on ``course``."""
    origin, drive = course.origin, course.drive
    elapsed = until - origin.t
    if isinstance(drive, Current) and drive.amperes != 0:
        current = abs(drive.amperes) * 1e3
        passed = current * elapsed / 3600
        moved = min(passed, course.room)
        charge = drive.amperes > 0
        state = _moved(cell, origin, moved, charge=charge)
        state = replace(state, damage=origin.damage + moved * _wear(cell, current / cell.area_cm2))
        state = booked(state, charge=passed) if charge else booked(state, discharge=passed)
        return replace(state, t=until)
    if isinstance(drive, Voltage):
        signed = course.at(until)[2] / 3.6
        state = _moved(cell, origin, min(abs(signed), course.room), charge=signed > 0)
        state = booked(state, charge=signed) if signed > 0 else booked(state, hold=-signed)
        return replace(state, t=until)
    return replace(origin, t=until)
