"""Where the cells of a running campaign stand by its journal, as its re-planning wants it.

Lengths are those of the plan that is kept, times what the cell's steps of that kind have taken against it so far (those
of all cells, where the cell has done none). Conditions that were decided count as decided; for those that were not,
what the plan's own run came to. Whatever waits for a person's word is taken as if it were given now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median
from typing import Final

from labctl.engine.campaign import REFERENCE, Campaign
from labctl.engine.decided import Decided
from labctl.engine.kinds import SPECTRUM
from labctl.engine.situation import HELD, UNDER_WAY, is_behind
from labctl.journal import ENDED, LastWord, OperationRow, Status
from labctl.planning import Schedule, Task
from labctl.planning.chains import slots_of
from labctl.planning.replan import Phase, Standing, Taken, stretched
from labctl.protocol import PlannedOperation

#: Steps shorter than this (s) say nothing of how long others take, and no factor is taken beyond these.
_SHORTEST: Final = 60.0
_FACTORS: Final = (0.2, 5.0)
#: Of an instrument that another campaign holds: seconds until it is free, where nobody knows.
_SOME_TIME: Final = 3600.0

#: Kinds whose length follows from the cell's capacity.
_BY_CAPACITY: Final = ("charge", "discharge")
_PREPARED: Final = frozenset({Status.LEASED, Status.INTENT})
_RUNNING: Final = frozenset({Status.RUNNING, Status.FETCHED, Status.NEEDS_OPERATOR})


class Reality:
    """One campaign, as far as it has come.

    Parameters
    ----------
    plan : Schedule
        The plan that is kept.
    campaign : Campaign
        With its frozen files.
    rows : sequence of OperationRow
        Its operations.
    journal : LastWord
        What has happened besides.
    now : datetime
        The instant of planning, UTC.
    ends : mapping of str to datetime
        By cell, when its running step ends, where a running orchestrator knows.
    """

    def __init__(
        self,
        plan: Schedule,
        campaign: Campaign,
        rows: Sequence[OperationRow],
        journal: LastWord,
        now: datetime,
        ends: Mapping[str, datetime],
    ) -> None:
        self._plan = plan
        self._campaign = campaign
        self._journal = journal
        self._now = now
        self._ends = ends
        self._homes = {cell.id: cell.place for cell in campaign.cells.cells}
        self._tasks = {(task.cell, task.path): task for task in plan.tasks}
        self._rows: dict[str, list[OperationRow]] = {}
        for row in rows:
            if row.kind != SPECTRUM:
                self._rows.setdefault(row.cell, []).append(row)
        self._held = _held_spans(journal, campaign.name)
        self._places = journal.places()
        self.states = journal.cell_rows(campaign.name)
        self._factors = self._compared()

    # -- what was --------------------------------------------------------------------------------------------------
    def last_done(self, cell: str) -> OperationRow | None:
        """Give the last step of the plan that a cell has done."""
        done = (row for row in reversed(self._rows.get(cell, ())) if row.status is Status.DONE)
        return next((row for row in done if (cell, row.step) in self._tasks), None)

    def _ago(self, instant: str) -> float:
        return (self._now - datetime.fromisoformat(instant)).total_seconds()

    def _ran(self, row: OperationRow, until: datetime) -> float:
        """Seconds that an operation has run, without those in which a person held it."""
        began = datetime.fromisoformat(row.times[Status.RUNNING])
        held = 0.0
        for begin, end in self._held.get(row.cell, ()):
            held += max((min(end or until, until) - max(begin, began)).total_seconds(), 0.0)
        return max((until - began).total_seconds() - held, 0.0)

    def _compared(self) -> dict[tuple[str, str], float]:
        """Say how much longer than planned the steps of a kind took; of all cells under an empty name."""
        ratios: dict[tuple[str, str], list[float]] = {}
        for rows in self._rows.values():
            for row in rows:
                task = self._tasks.get((row.cell, row.step))
                if task is None or row.status is not Status.DONE or Status.RUNNING not in row.times:
                    continue
                if task.end_s - task.start_s < _SHORTEST:
                    continue
                ended = datetime.fromisoformat(str(row.result.get("ended") or row.times[Status.DONE]))
                ratio = self._ran(row, ended) / (task.end_s - task.start_s)
                for whose in (row.cell, ""):
                    ratios.setdefault((whose, row.kind), []).append(ratio)
        low, high = _FACTORS
        return {key: min(max(median(found), low), high) for key, found in ratios.items()}

    def _factors_of(self, cell: str) -> dict[str, float]:
        both = {kind: factor for (whose, kind), factor in self._factors.items() if not whose}
        return both | {kind: factor for (whose, kind), factor in self._factors.items() if whose == cell}

    # -- what is left ----------------------------------------------------------------------------------------------
    def standings(self) -> list[Standing]:
        """Give every cell that goes on, or is held, and whose end the plan knows; who asked first comes first."""
        cells = [cell for cell in self.going_on() if cell in self._plan.finish]
        last = {cell: rows[-1].order for cell in cells if (rows := self._rows.get(cell))}
        return [self._standing(cell) for cell in sorted(cells, key=lambda cell: last.get(cell, sys.maxsize))]

    def going_on(self) -> list[str]:
        """Name the cells that have not come to their end."""
        return [cell for cell in self._homes if self._state(cell) in (UNDER_WAY, HELD)]

    def _state(self, cell: str) -> str:
        return self.states[cell].state if cell in self.states else UNDER_WAY

    def _standing(self, cell: str) -> Standing:
        plan, rows = self._campaign.plans[cell], self._rows.get(cell, [])
        latest = {row.step: row for row in rows if row.kind != "transfer"}
        at = 0
        for index, planned in enumerate(plan):
            if planned.path in latest:
                at = index + is_behind(latest[planned.path])
        head = latest.get(plan[at].path) if at < len(plan) else None
        tasks = self._left(cell, plan[at:], Decided(rows), head)
        if (wanted := self.states[cell].wanted if cell in self.states else None) in ("stop", "abort"):
            tasks = tasks[:1] if wanted == "stop" and head is not None and head.status in _RUNNING else []
        paths = {task.path for task in tasks}
        actions = [one for one in self._plan.actions if one.cell == cell and one.path in paths]
        longer, moved = stretched(tasks, actions, self._factors_of(cell))
        before = next((row for row in reversed(rows) if row.status is Status.DONE and row.kind != "transfer"), None)
        ended = before and str(before.result.get("ended") or before.times[Status.DONE])
        standing = Standing(
            cell=cell,
            home=self._homes[cell],
            place=self._places.get(cell, self._homes[cell]),
            tasks=longer,
            actions=moved,
            since=self._ago(ended) if ended else 0.0,
            start=self._start(cell, head) if head is None or head.status is Status.REQUESTED else 0.0,
            before=before.step if before is not None else "",
            known=self._campaign.cell(cell).capacity is not None
            or any(row.kind in _BY_CAPACITY and row.status is Status.DONE for row in rows),
            priority=self._campaign.cell(cell).priority,
        )
        return self._now_doing(standing, head if tasks and head and tasks[0].path == head.step else None)

    def _now_doing(self, cell: Standing, head: OperationRow | None) -> Standing:
        """Say what a cell does now with its first step, or still with the one before."""
        move = next(
            (row for row in reversed(self._rows.get(cell.cell, ())) if row.kind == "transfer" and _lasts(row)), None
        )
        asked = None
        if move is not None:
            asked = max(self._ago(move.times[Status.RUNNING]), 0.0) if Status.RUNNING in move.times else 0.0
            if head is None or move.step.rpartition("/")[0] != head.step:
                return replace(cell, phase=Phase.LEAVING, asked=asked)
        if head is None:
            return cell
        if head.status in _PREPARED:
            return replace(cell, phase=Phase.PREPARED, asked=asked, passed=self._lies(head))
        if head.status in _RUNNING and Status.RUNNING in head.times:
            passed, length = self._ran(head, self._now), cell.tasks[0].end_s - cell.tasks[0].start_s
            ends = self._ends.get(cell.cell)
            if head.kind in _BY_CAPACITY and passed < length:
                # The orchestrator counts by what the step before it passed; the plan knows how cycles differ.
                ends = None
            left = (ends - self._now).total_seconds() if ends is not None else None
            return replace(cell, phase=Phase.RUNNING, left=left, passed=passed)
        return cell

    def _lies(self, head: OperationRow) -> float:
        """Seconds since a cell has been brought to where its step is to be done, or has got what that takes."""
        brought = [
            row.times[Status.DONE]
            for row in self._rows[head.cell]
            if row.kind == "transfer" and row.status is Status.DONE and row.step.rpartition("/")[0] == head.step
        ]
        return max(self._ago(max([head.times[Status.LEASED], *brought])), 0.0)

    def _left(
        self, cell: str, ahead: Sequence[PlannedOperation], decided: Decided, head: OperationRow | None
    ) -> list[Task]:
        """Give the tasks of the steps that are left, each as this cell or another one was to do it."""
        found = []
        for planned in ahead:
            if decided.out(planned):
                continue
            sure = planned.path == (head.step if head is not None else None) or (
                bool(planned.conditions) and all(decided.passes(one) for one in planned.conditions)
            )
            task = self._tasks.get((cell, planned.path)) or (self._like(cell, planned) if sure else None)
            if task is not None:
                found.append(task)
        return found

    def _like(self, cell: str, planned: PlannedOperation) -> Task | None:
        """Find a step that the plan's run did otherwise: as another cell was to do it, or this one before."""
        others = (self._tasks.get((other, planned.path)) for other in self._homes)
        task = next((one for one in others if one is not None), None)
        if task is None:
            alike = [one for one in self._plan.of(cell) if (one.kind, one.label) == (planned.kind, planned.label)]
            task = alike[-1] if alike else None
        if task is None:
            return None
        place = self._homes[cell] if task.place == self._homes.get(task.cell) else task.place
        return replace(task, cell=cell, path=planned.path, place=place)

    def _start(self, cell: str, head: OperationRow | None) -> float:
        """Seconds before which a cell does not begin: its own start, or a delay that was decided."""
        if head is None and not self._rows.get(cell):
            return self._campaign.cell(cell).start_after - self._ago(self._campaign.started)
        if head is None:
            return 0.0
        told = [one for one in self._journal.events(category="delay", cell=cell) if one.operation == head.operation]
        return -self._ago(str(told[-1].data["until"])) if told else 0.0

    # -- what others have ------------------------------------------------------------------------------------------
    def taken(self) -> list[Taken]:
        """Give what the reference standard and the cells of other campaigns have, or will have before all others."""
        found, mine = [], set(self._homes)
        for row in self._journal.held():
            needs = tuple(one for one in row.resources if ":" not in one and "=" not in one)
            if row.cell in mine or row.kind in ("transfer", SPECTRUM) or not needs:
                continue
            ends = self._ends.get(row.cell)
            left = (ends - self._now).total_seconds() if ends is not None else _SOME_TIME
            if row.cell == REFERENCE:
                left = self._reference_s() - self._ago(row.times[Status.LEASED])
            found.append(Taken(row.operation, tuple(map(_shared, needs)), left))
        rows = self._rows.get(REFERENCE, ())
        if not any(row.kind == "reference" for row in rows):
            references = [task for task in self._plan.tasks if task.cell == REFERENCE]
            for task in references[:1]:
                needs = (*task.resources, slots_of(task.place.partition("/")[0]))
                found.append(Taken(REFERENCE, needs, self._reference_s(), None))
        return found

    def _reference_s(self) -> float:
        references = (task.freed_s - task.held_s for task in self._plan.tasks if task.cell == REFERENCE)
        return next(references, _SOME_TIME)


def _shared(resource: str) -> str:
    place, _, number = resource.partition("/")
    return slots_of(place) if number else resource


def _lasts(row: OperationRow) -> bool:
    return row.status not in ENDED


def _held_spans(journal: LastWord, campaign: str) -> Mapping[str, Iterable[tuple[datetime, datetime | None]]]:
    """Say from when to when each cell was brought to open circuit by a person's word; None where it still is."""
    found: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for command in journal.commands(campaign):
        spans = found.setdefault(command.cell or "", [])
        is_open = bool(spans) and spans[-1][1] is None
        if command.op == "hold" and command.data.get("now") and not is_open:
            spans.append((datetime.fromisoformat(command.at), None))
        elif command.op == "resume" and is_open:
            spans[-1] = spans[-1][0], datetime.fromisoformat(command.at)
    return found
