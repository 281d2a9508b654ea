"""``labctl plan --stagger``: starts and homes that shorten a campaign and the waiting of its fresh cells, verified.

Durations are taken from runs with all cells started at once; what is told of the proposal is what runs of the engine
with other seeds make of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from labctl.cli import plugins
from labctl.cli.output import say
from labctl.cli.plan import PlanRequest, run_schedules
from labctl.cli.plan_choices import choices, learn_choices
from labctl.cli.plan_hours import people_and_closed
from labctl.cli.plan_shown import days_shown
from labctl.cli.taking_up import check_files
from labctl.documents import load
from labctl.engine.campaign import Campaign
from labctl.errors import LabctlError
from labctl.planning import Schedule
from labctl.planning.account import Account, Shifts, account, shifts
from labctl.planning.bound import LowerBound
from labctl.planning.cells_file import with_starts
from labctl.planning.chains import learn, problem_of, slots_of
from labctl.planning.compare import Figures, figures
from labctl.planning.placing import place
from labctl.planning.problem import ALWAYS, Problem
from labctl.planning.solver import is_installed
from labctl.planning.stagger import Method, Proposal, propose
from labctl.station import Cell, Cells

#: For so many seconds working hours are looked up.
_AHEAD: Final = 400 * 86400.0


@dataclass(frozen=True, slots=True)
class StaggerRequest:
    """What ``labctl plan --stagger`` was asked.

    Attributes
    ----------
    plan : PlanRequest
        The files, and the first seed.
    runs : int
        From how many runs durations are taken, and by how many with other seeds the proposal is judged.
    effort : float
        Of the solver.
    method : str
        ``auto``, ``cp-sat`` or ``heuristic``.
    assign_cycles : bool
        Whether cells of a group may exchange the cycles in which they are measured.
    lab : Path, optional
        The laboratory folder: cells that sit in its places keep their homes.
    """

    plan: PlanRequest
    runs: int = 2
    effort: float = 6.0
    method: Method = "auto"
    assign_cycles: bool = False
    lab: Path | None = None


@dataclass(frozen=True)
class Staggered:
    """What was proposed, and what became of it.

    Attributes
    ----------
    proposal : Proposal
        With the figures of the one who proposes.
    homes : mapping of str to (str, str)
        Of cells that get another home: the one of the file, and the proposed one.
    measure_at : mapping of str to (tuple of int, tuple of int)
        The same of cells that are measured in other cycles.
    remarks : tuple of str
        Why homes or cycles stay as they are.
    text : str
        The cells file with it.
    before, after : Figures
        Of runs with all cells started at once, and with the proposal, both with seeds that it has not seen; means.
    near : Figures or None
        Of runs with the best starts near the bound, where a longer campaign is proposed.
    bound : LowerBound
        Of the makespan.
    account : Account
        Where the time of the last cell goes.
    shifts : Shifts or None
        What the busiest instrument can do in the shifts of those who carry cells to it.
    """

    proposal: Proposal
    homes: Mapping[str, tuple[str, str]]
    measure_at: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    remarks: tuple[str, ...]
    text: str
    before: Figures
    after: Figures
    near: Figures | None
    bound: LowerBound
    account: Account
    shifts: Shifts | None


def stagger(request: StaggerRequest) -> Staggered:
    """Propose homes, measured cycles and starts, and have them verified.

    Raises
    ------
    InvalidFile
        With every mistake of the files.
    LabctlError
        A cell would not come to its end whatever its start; or CP-SAT is asked for and not installed.
    """
    if request.method == "cp-sat" and not is_installed():
        raise LabctlError("CP-SAT is not installed", hint="pip install 'labctl-cells[stagger]', or --method heuristic")
    plan, runs = request.plan, request.runs
    campaign = check_files(plan.protocol, plan.station, plan.cells, values=plan.values)
    open_ = choices(campaign, request.lab, exchange=request.assign_cycles)
    with TemporaryDirectory(prefix="labctl-plan-") as made:
        trials = _Trials(plan, Path(made))
        at_once = {cell.id: 0.0 for cell in campaign.cells.cells}
        seen = trials.run(at_once, plan.seed, 2 * runs)
        learned = [(one, campaign.cells) for one in seen[:runs]]
        laboratory = _Laboratory(campaign, plan.begin, [*learn_choices(plan, campaign, open_, Path(made)), *learned])
        cells = campaign.cells.cells
        placed = place(
            *(cells, laboratory.problem, laboratory.known),
            free=open_.free,
            fixed=open_.fixed,
            homes=open_.homes,
            cycles=open_.cycles,
        )
        trials.change(cells, placed.cells)
        fresh = _mean("all at once", seen[:runs]).fresh_s
        judged: list[Figures] = []

        def waiting(starts: Mapping[str, float]) -> float:
            judged.append(_mean("near the bound", trials.run(starts, plan.seed, runs)))
            part = judged[-1].fresh_s / fresh if fresh else 0.0
            say(
                f"tried: all cells end after {days_shown(judged[-1].makespan_s)}, fresh cells wait {part:.2f} x as long"
            )
            return part

        problem = laboratory.problem(placed.cells)
        proposal = propose(problem, method=request.method, effort=request.effort, seed=plan.seed, waiting=waiting)
        after = trials.run(proposal.starts, plan.seed + runs, runs)
    remarks = list(open_.remarks)
    if (open_.homes or open_.cycles) and not (trials.homes or trials.measure_at):
        what = " and ".join(["homes"] * open_.homes + ["measured cycles"] * open_.cycles).capitalize()
        remarks.append(f"{what} stay as they are: {placed.tried} exchanges were tried, and none is worth it")
    return Staggered(
        proposal,
        trials.homes,
        trials.measure_at,
        tuple(remarks),
        trials.text(proposal.starts),
        _mean("all at once", seen[runs:]),
        _mean("staggered", after),
        judged[0] if proposal.near is not None else None,
        proposal.bound,
        account(after[0]),
        shifts(problem, proposal.bound.busiest, after[0].makespan_s),
    )


class _Trials:
    """Runs the campaign of a cells file with other starts, homes and measured cycles."""

    def __init__(self, plan: PlanRequest, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._text = load(plan.cells).text
        self.homes: dict[str, tuple[str, str]] = {}
        self.measure_at: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def change(self, before: Sequence[Cell], after: Sequence[Cell]) -> None:
        """Have homes and measured cycles changed in all that is run from now on."""
        pairs = list(zip(before, after, strict=True))
        self.homes = {one.id: (one.place, now.place) for one, now in pairs if one.place != now.place}
        self.measure_at = {
            one.id: (one.measure_at, now.measure_at) for one, now in pairs if one.measure_at != now.measure_at
        }

    def text(self, starts: Mapping[str, float]) -> str:
        """Give the cells file with these starts."""
        measure_at = {cell: now for cell, (_, now) in self.measure_at.items()}
        return with_starts(self._text, starts, measure_at, {cell: now for cell, (_, now) in self.homes.items()})

    def run(self, starts: Mapping[str, float], seed: int, runs: int) -> list[Schedule]:
        """Run it with these starts."""
        path = self._folder / "cells.yaml"
        path.write_text(self.text(starts), encoding="utf-8")
        return run_schedules(replace(self._plan, cells=path, seed=seed, runs=runs))


class _Laboratory:
    """Puts working hours and bookings, which runs do not tell, beside what they do."""

    def __init__(self, campaign: Campaign, begin: datetime, runs: Sequence[tuple[Schedule, Cells]]) -> None:
        station = campaign.station
        self._station = station
        self._keep = not campaign.gives_back
        self._people, self._closed = people_and_closed(station, begin, _AHEAD)
        by_hours = any(one != ALWAYS for one in self._people) or bool(self._closed)
        self.known = learn(runs, by_hours=by_hours)
        self._roles = plugins.roles(station.entries())

    def _instead(self, cells: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
        """Group what may serve a cell elsewhere, where a slot is free for it: whatever has the same role."""
        homes = Counter(cell.place.partition("/")[0] for cell in cells) if self._keep else Counter[str]()
        groups: dict[tuple[object, ...], set[str]] = {}
        open_: set[str] = set()
        for name, found in self._station.places.items():
            inside = self._roles.get(found.instrument or "")
            groups.setdefault(("slots", inside, self._station.chamber_of(name) is not None), set()).add(slots_of(name))
            wired = {found.instrument, *found.leads, *(wiring.through for wiring in found.leads.values())}
            for instrument in filter(None, wired):
                groups.setdefault((self._roles.get(instrument),), set()).add(instrument)
            if homes[name] < found.count:
                open_ |= {slots_of(name), *filter(None, wired)}
        grouped = [tuple(sorted(group)) for group in groups.values() if len(group) > 1 and group & open_]
        return {name: group for group in grouped for name in group}

    def problem(self, cells: Sequence[Cell]) -> Problem:
        """Say what is to be put in order with these cells, whose kinds are known."""
        return problem_of(
            self.known, self._station, cells, self._people, self._closed, keep=self._keep, instead=self._instead(cells)
        )


def _mean(name: str, schedules: list[Schedule]) -> Figures:
    """Take the mean of what runs came to."""
    found = [figures(name, schedule) for schedule in schedules]
    count = len(found)
    return replace(
        found[0],
        makespan_s=sum(one.makespan_s for one in found) / count,
        fresh_s=sum(one.fresh_s for one in found) / count,
        fresh_median_s=sum(one.fresh_median_s for one in found) / count,
        fresh_longest_s=max(one.fresh_longest_s for one in found),
        late=round(sum(one.late for one in found) / count),
        waited_s=sum(one.waited_s for one in found) / count,
        unfinished=max(one.unfinished for one in found),
    )
