"""``labctl plan --stagger``: starts that shorten a campaign and the waiting of its fresh cells, verified by runs.

Durations are taken from runs with all cells started at once; what is told of the proposal is what runs of the engine
with other seeds make of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from labctl.cli.output import ago, put_json, say
from labctl.cli.plan import PlanRequest, run_schedules
from labctl.cli.plan_shown import days_shown
from labctl.documents import load
from labctl.errors import LabctlError
from labctl.planning import Schedule
from labctl.planning.bound import LowerBound
from labctl.planning.cells_file import with_starts
from labctl.planning.chains import problem_of
from labctl.planning.compare import Figures, figures
from labctl.planning.problem import ALWAYS, NEVER, Problem, Windows
from labctl.planning.solver import is_installed
from labctl.planning.stagger import Method, Proposal, propose
from labctl.station import Cells, Hours, Station, load_station, parse_hours, read_cells

SCHEMA: Final = "labctl.stagger/1"
#: For so many seconds working hours are looked up.
_AHEAD: Final = 400 * 86400.0
#: Who leaves within so many seconds takes up nothing new, and nothing is begun on what is booked for less than this.
_LAST_CALL: Final = 900.0
_LAST_BEGIN: Final = 3600.0


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
    """

    plan: PlanRequest
    runs: int = 2
    effort: float = 6.0
    method: Method = "auto"
    assign_cycles: bool = False


@dataclass(frozen=True)
class Staggered:
    """What was proposed, and what became of it.

    Attributes
    ----------
    proposal : Proposal
        With the figures of the one who proposes.
    text : str
        The cells file with it.
    before, after : Figures
        Of runs with all cells started at once, and with the proposal, both with seeds that it has not seen; means.
    bound : LowerBound
        Of the makespan.
    assigned : bool
        Whether cycles could be exchanged.
    """

    proposal: Proposal
    text: str
    before: Figures
    after: Figures
    bound: LowerBound
    assigned: bool


def stagger(request: StaggerRequest) -> Staggered:
    """Propose starts and have them verified.

    Raises
    ------
    InvalidFile
        With every mistake of the files.
    LabctlError
        A cell would not come to its end whatever its start; or CP-SAT is asked for and not installed.
    """
    if request.method == "cp-sat" and not is_installed():
        raise LabctlError("CP-SAT is not installed", hint="pip install 'labctl-cells[stagger]', or --method heuristic")
    plan = request.plan
    text = load(plan.cells).text
    station = load_station(plan.station)
    at_once = with_starts(text, {cell.id: 0.0 for cell in read_cells(text, str(plan.cells)).cells})
    cells = read_cells(at_once, str(plan.cells))
    unseen = replace(plan, seed=plan.seed + request.runs, runs=request.runs)
    with TemporaryDirectory(prefix="labctl-plan-") as made:
        once = Path(made) / "at-once.yaml"
        once.write_text(at_once)
        seen = run_schedules(replace(plan, cells=once, runs=2 * request.runs))
        problem = problem_at(seen[: request.runs], station, cells, plan.begin)
        proposal = propose(
            problem,
            method=request.method,
            effort=request.effort,
            seed=plan.seed,
            assign=request.assign_cycles,
        )
        proposed = with_starts(text, proposal.starts, proposal.measure_at)
        written = Path(made) / "staggered.yaml"
        written.write_text(proposed)
        runs = run_schedules(replace(unseen, cells=written))
    return Staggered(
        proposal,
        proposed,
        _mean("all at once", seen[request.runs :]),
        _mean("staggered", runs),
        proposal.bound,
        request.assign_cycles,
    )


def problem_at(schedules: list[Schedule], station: Station, cells: Cells, begin: datetime) -> Problem:
    """Put working hours and bookings, which the runs do not tell, beside what they do."""
    people = [
        _windows(parse_hours(one.hours), begin, _LAST_CALL) if one.hours is not None else ALWAYS
        for one in station.operators
    ]
    closed = {
        place.instrument: _closed(_windows(parse_hours(place.booked), begin, _LAST_BEGIN))
        for place in station.places.values()
        if place.instrument is not None and place.booked is not None
    }
    return problem_of(schedules, station, cells, people or [ALWAYS], closed)


def _windows(hours: Hours, begin: datetime, before: float) -> Windows:
    """When somebody is there who takes up nothing new shortly ``before`` (s) leaving."""
    spans = [(first, last - before) for first, last in _spans(hours, begin) if last - before > first]
    return Windows(tuple(spans))


def _spans(hours: Hours, begin: datetime) -> Iterator[tuple[float, float]]:
    at = begin.astimezone()
    while (passed := (at - begin).total_seconds()) < _AHEAD:
        following = hours.next_change(at)
        until = (following - begin).total_seconds() if following is not None else NEVER
        if hours.at(at):
            yield passed, until
        if following is None:
            return
        at = following


def _closed(open_: Windows) -> Windows:
    """The time between."""
    found, at = [], 0.0
    for first, last in open_.spans:
        if first > at:
            found.append((at, first))
        at = last
    return Windows((*found, (at, NEVER))) if at < NEVER else Windows(tuple(found))


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


def tell(found: Staggered) -> list[str]:
    """Say it in sentences."""
    proposal, bound, before, after = found.proposal, found.bound, found.before, found.after
    how = "CP-SAT" if proposal.method == "cp-sat" else "the heuristic"
    if proposal.method == "heuristic" and not is_installed():
        how += " (CP-SAT is not installed: pip install 'labctl-cells[stagger]')"
    beyond = 100 * (after.makespan_s / bound.seconds - 1) if bound.seconds else 0.0
    said = [
        f"Starts proposed by {how}, run by the engine with other seeds:",
        f"  all cells end after {days_shown(after.makespan_s)}; started at once, after {days_shown(before.makespan_s)}",
        f"  fresh cells wait {ago(after.fresh_median_s)} (median), {ago(after.fresh_longest_s)} at most, "
        f"{_hours(after.fresh_s)} together; started at once {_hours(before.fresh_s)}",
        f"  {after.late} of {after.fresh} spectra later than the protocol asks; started at once {before.late}",
        f"  no order is shorter than {days_shown(bound.seconds)} ({bound.why}): {beyond:.1f} % longer than that",
    ]
    if beyond > 5.0:
        said.append(_why_not(found))
    if proposal.late_if_near is not None:
        said.append(
            f"  Within 5 % of the bound {proposal.late_if_near} spectra would be late, so a longer campaign is proposed"
        )
    if found.assigned and not proposal.measure_at:
        said.append("  Which cell of a group is measured when stays as it is: other assignments bring nothing")
    return said


def _why_not(found: Staggered) -> str:
    waits = found.after.waited_s / 3600
    return (
        "  The bound serves one resource at a time and lets its work be interrupted. In this plan cells wait "
        f"{waits:.0f} h for each other and for people, who are needed at both ends of every spectrum"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h"


def as_json(found: Staggered) -> dict[str, Any]:
    """Give ``labctl.stagger/1``."""
    from dataclasses import asdict

    proposal, bound = found.proposal, found.bound
    return {
        "schema": SCHEMA,
        "method": proposal.method,
        "starts_s": dict(proposal.starts),
        "measure_at": {cell: list(at) for cell, at in proposal.measure_at.items()},
        "lower_bound": {**asdict(bound), "why": bound.why},
        "beyond_bound": found.after.makespan_s / bound.seconds - 1 if bound.seconds else 0.0,
        "late_within_5_percent": proposal.late_if_near,
        "at_once": asdict(found.before),
        "staggered": asdict(found.after),
    }


def show_staggered(request: StaggerRequest, write: Path | None, begin: datetime, *, as_json_: bool) -> int:
    """Propose, tell and write; 1 where a cell does not come to its end."""
    found = stagger(request)
    if as_json_:
        put_json(as_json(found))
    else:
        _print(found, begin)
    if write is not None:
        try:
            write.write_text(found.text)
        except OSError as error:
            raise LabctlError(f"{write}: can't be written ({error.strerror})") from error
        say(f"wrote {write}")
    return 1 if found.after.unfinished else 0


def _print(found: Staggered, begin: datetime) -> None:
    from rich import box
    from rich.table import Table

    from labctl.cli.output import console
    from labctl.cli.plan_shown import date_shown

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("cell", "start_after", "starts", "ends"):
        table.add_column(head, no_wrap=True, justify="left" if head == "cell" else "right")
    for cell, start in sorted(found.proposal.starts.items(), key=lambda item: (item[1], item[0])):
        end = found.after.finish_s.get(cell)
        ends = date_shown(begin + timedelta(seconds=end)) if end is not None else "not"
        table.add_row(cell, f"{start / 3600:.2f} h", date_shown(begin + timedelta(seconds=start)), ends)
    out.print(table)
    for line in tell(found):
        out.print(line, markup=False)
