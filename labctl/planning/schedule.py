"""A plan as data: what every cell, instrument and person will do when, as one run of the engine in virtual time saw it.

All times are seconds since the schedule's epoch. Nothing here plans: a schedule is made by a run, and read by whoever
draws it, compares it, or looks for a better one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from labctl.errors import DataError

SCHEMA: Final = "labctl.plan/1"

#: From when to when, s.
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Task:
    """One operation of one cell.

    Attributes
    ----------
    cell, path, kind, cycle, label
        As in the cell's plan; the reference standard of a spectrometer is the cell ``reference`` with an empty plan.
    resources : tuple of str
        What it takes for itself: a whole instrument ``topspin``, a channel ``maccor/3``, a chamber at a temperature in
        K ``oven@313.15`` (shared by those who want the same).
    place : str
        The slot that the cell is in, such as ``probe/1``.
    ready_s : float
        The cell had done what comes before it.
    held_s : float
        Its resources were given to it: from here on nobody else has them.
    start_s, end_s : float
        The instrument began and ended.
    freed_s : float
        Its resources were given back.
    after_s : float or None
        When the cell's step before it had ended, which ``start_within_s`` counts from; None for the first.
    start_within_s : float or None
        How soon after ``after_s`` it should have started.
    persons_s : tuple of (float, float)
        Spans between ``ready_s`` and ``freed_s`` in which a person works for it.
    outcome : str
        ``ok``, or what else became of it: ``skipped``, ``failed``, ``timeout``, ...
    size_bytes : int
        Estimated size of what it leaves.
    asked : str
        What a person is asked, of a step by hand; empty where an instrument does it.
    """

    cell: str
    path: str
    kind: str
    cycle: int
    label: str | None
    resources: tuple[str, ...]
    place: str
    ready_s: float
    held_s: float
    start_s: float
    end_s: float
    freed_s: float
    after_s: float | None = None
    start_within_s: float | None = None
    persons_s: tuple[Span, ...] = ()
    outcome: str = "ok"
    size_bytes: int = 0
    asked: str = ""

    @property
    def waited_s(self) -> float:
        """Seconds that the cell was ready and had not what it needed."""
        return self.held_s - self.ready_s

    @property
    def delay_s(self) -> float | None:
        """Seconds between the end of the step before and the start, None for the first."""
        return None if self.after_s is None else self.start_s - self.after_s

    @property
    def late_s(self) -> float:
        """Seconds by which it started later than the protocol asks; 0 where it did not, or does not ask."""
        if self.start_within_s is None or self.delay_s is None:
            return 0.0
        return max(0.0, self.delay_s - self.start_within_s)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a person does.

    Attributes
    ----------
    asked_s, at_s, until_s : float
        When it was asked for, begun and confirmed.
    cell : str
        Which cell, or ``reference``.
    what : str
        ``transfer``.
    source, target : str
        From where to where.
    checklist : tuple of str
        What is done on the way.
    path : str
        The step that needs it; empty where it only makes room.
    person : str
        Who.
    """

    asked_s: float
    at_s: float
    until_s: float
    cell: str
    what: str
    source: str
    target: str
    checklist: tuple[str, ...] = ()
    path: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class Equipment:
    """An instrument of the station.

    Attributes
    ----------
    role : str
        ``cycler``, ``potentiostat``, ``spectrometer``, ``chamber``, ``multiplexer``.
    driver : str
        Its driver.
    units : int
        How many cells it can serve at once: the channels that the station wires; 1 for what is taken whole.
    """

    role: str
    driver: str
    units: int = 1


@dataclass(frozen=True)
class Schedule:
    """What one run in virtual time did.

    Attributes
    ----------
    epoch : datetime
        UTC; second 0.
    protocol, station : str
        Their names.
    seed : int
        Of the simulated laboratory.
    tasks, actions : tuple
        In order of their beginning.
    finish : mapping of str to float
        When each cell had come to its end; cells that did not are in ``unfinished``.
    unfinished : mapping of str to str
        Cell to why it does not come to its end: held, failed, waiting for ever.
    instruments : mapping of str to Equipment
        By name.
    offsets : mapping of str to float
        Every cell, and the seconds after the epoch before which it was not to begin.
    """

    epoch: datetime
    protocol: str
    station: str
    seed: int
    tasks: tuple[Task, ...]
    actions: tuple[Action, ...] = ()
    finish: Mapping[str, float] = field(default_factory=dict)
    unfinished: Mapping[str, str] = field(default_factory=dict)
    instruments: Mapping[str, Equipment] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)

    @property
    def cells(self) -> tuple[str, ...]:
        """All cells, in the order of the cells file; the reference standard is none."""
        return tuple(self.offsets)

    @property
    def makespan_s(self) -> float:
        """When the last cell had come to its end, or all had that will."""
        return max(self.finish.values(), default=max((task.freed_s for task in self.tasks), default=0.0))

    def at(self, seconds: float) -> datetime:
        """UTC instant of a time of this schedule."""
        return self.epoch + timedelta(seconds=seconds)

    def of(self, cell: str) -> tuple[Task, ...]:
        """Tasks of one cell, in order."""
        return tuple(task for task in self.tasks if task.cell == cell)

    # -- as JSON -------------------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """Plain data, ``labctl.plan/1``; times in s since ``epoch``."""
        data = asdict(self)
        data["tasks"] = [_plain(task) for task in data["tasks"]]
        data["actions"] = [_plain(action) for action in data["actions"]]
        return {"schema": SCHEMA, **data, "epoch": self.epoch.isoformat(), "makespan_s": self.makespan_s}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schedule:
        """Rebuild from :meth:`to_json`; what it does not know is left aside.

        Raises
        ------
        DataError
            It is no plan, or lacks something.
        """
        if data.get("schema") != SCHEMA:
            raise DataError(f"this is no plan: its schema is {data.get('schema')!r}, not {SCHEMA!r}")
        try:
            return cls(
                epoch=datetime.fromisoformat(data["epoch"]).astimezone(UTC),
                protocol=str(data["protocol"]),
                station=str(data["station"]),
                seed=int(data["seed"]),
                tasks=tuple(_task(one) for one in data["tasks"]),
                actions=tuple(_action(one) for one in data["actions"]),
                finish={cell: float(value) for cell, value in data["finish"].items()},
                unfinished=dict(data["unfinished"]),
                instruments={name: Equipment(**one) for name, one in data["instruments"].items()},
                offsets={cell: float(value) for cell, value in data["offsets"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this plan can't be read: {error!r}") from error


def _plain(one: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in one.items()}


def _task(one: Mapping[str, Any]) -> Task:
    known = {name: one[name] for name in Task.__dataclass_fields__ if name in one}
    known["resources"] = tuple(known["resources"])
    known["persons_s"] = tuple((float(begin), float(end)) for begin, end in known["persons_s"])
    return Task(**known)


def _action(one: Mapping[str, Any]) -> Action:
    known = {name: one[name] for name in Action.__dataclass_fields__ if name in one}
    known["checklist"] = tuple(known["checklist"])
    return Action(**known)


# -- what instruments do -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Load:
    """How busy one instrument, or one channel of it, is.

    Attributes
    ----------
    resource : str
        ``topspin``, ``maccor/3``, ``oven``; an instrument's name alone stands for all its channels together.
    busy_s : float
        Seconds in which it is given to somebody; for all channels together, summed over them.
    measuring_s : float
        Seconds of that in which it works; the rest is walking, soaking and settling.
    idle_s : float
        Seconds until the campaign's end in which nobody has it.
    share : float
        Busy, as a part of its units times the makespan.
    tasks : int
        How many.
    waited_s : float
        Seconds that cells were ready for it and waited, summed.
    """

    resource: str
    busy_s: float
    measuring_s: float
    idle_s: float
    share: float
    tasks: int
    waited_s: float


def instrument_of(resource: str) -> str:
    """Name the instrument that a resource belongs to."""
    return resource.partition("/")[0].partition("@")[0]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that touch or overlap, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def loads(schedule: Schedule, *, channels: bool = False) -> list[Load]:
    """Say how busy each instrument is; with ``channels``, each channel by itself."""
    groups: dict[str, dict[str, list[Task]]] = {}
    for task in schedule.tasks:
        for resource in task.resources:
            unit = resource.partition("@")[0]
            groups.setdefault(unit if channels else instrument_of(unit), {}).setdefault(unit, []).append(task)
    found = []
    for name in [*dict.fromkeys([*schedule.instruments, *sorted(groups)])]:
        units = groups.get(name, {})
        if not units and (channels or schedule.instruments[name].role == "multiplexer"):
            continue
        count = 1 if channels else max(schedule.instruments[name].units if name in schedule.instruments else 1, 1)
        busy = sum(_length((task.held_s, task.freed_s) for task in tasks) for tasks in units.values())
        measuring = sum(_length((task.start_s, task.end_s) for task in tasks) for tasks in units.values())
        together = {(task.cell, task.path): task for tasks in units.values() for task in tasks}
        whole = count * schedule.makespan_s
        waited = sum(task.waited_s for task in together.values())
        share = busy / whole if whole else 0.0
        found.append(Load(name, busy, measuring, max(whole - busy, 0.0), share, len(together), waited))
    return found


def _length(spans: Iterable[Span]) -> float:
    return sum(end - begin for begin, end in merged(spans))


# -- who waits ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a cell that should be measured soon waits.

    Attributes
    ----------
    cell, path, resource
        Which step, and the instrument.
    waited_s : float
        Between the end of the step before and the start.
    allowed_s : float
        The protocol's ``start_within``.
    late_s : float
        Beyond it.
    """

    cell: str
    path: str
    resource: str
    waited_s: float
    allowed_s: float
    late_s: float


def fresh_waiting(schedule: Schedule) -> list[Waiting]:
    """Give how long every fresh cell (a step with ``start_within``) waits for its instrument, the longest first."""
    found = [
        Waiting(
            task.cell,
            task.path,
            instrument_of(task.resources[0]) if task.resources else "",
            task.delay_s,
            task.start_within_s,
            task.late_s,
        )
        for task in schedule.tasks
        if task.start_within_s is not None and task.delay_s is not None
    ]
    return sorted(found, key=lambda one: -one.waited_s)


# -- how good it is ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Bound:
    """What no schedule of these tasks can be shorter than.

    Attributes
    ----------
    seconds : float
        The larger of both.
    longest_cell, cell_s
        The cell that takes longest alone, and how long.
    busiest, instrument_s
        The instrument that is given away longest, and how long it needs at least: what comes before its first task
        and after its last in the cells where that is least, and its whole load between.
    """

    seconds: float
    longest_cell: str
    cell_s: float
    busiest: str
    instrument_s: float


def alone_s(tasks: Sequence[Task]) -> float:
    """Seconds that one cell's tasks take if nothing is waited for."""
    return sum(task.freed_s - task.held_s for task in tasks)


def lower_bound(schedule: Schedule) -> Bound:
    """Say what limits the makespan: the longest cell alone, or the busiest instrument."""
    cells = {cell: schedule.of(cell) for cell in schedule.cells}
    alone = {cell: alone_s(tasks) for cell, tasks in cells.items()}
    longest = max(alone, key=lambda cell: alone[cell], default="")
    needs: dict[str, float] = {}
    for name, equipment in schedule.instruments.items():
        if equipment.role == "chamber":
            # Shared by all who want the same temperature: its load says nothing of how long it takes.
            continue
        heads, tails, load = [], [], 0.0
        for tasks in cells.values():
            mine = [n for n, task in enumerate(tasks) if name in map(instrument_of, task.resources)]
            if mine:
                heads.append(alone_s(tasks[: mine[0]]))
                tails.append(alone_s(tasks[mine[-1] + 1 :]))
                load += sum(alone_s([tasks[n]]) for n in mine)
        if heads:
            needs[name] = min(heads) + load / max(equipment.units, 1) + min(tails)
    busiest = max(needs, key=lambda name: needs[name], default="")
    cell_s, instrument_s = alone.get(longest, 0.0), needs.get(busiest, 0.0)
    return Bound(max(cell_s, instrument_s), longest, cell_s, busiest, instrument_s)
