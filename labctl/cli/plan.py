"""``labctl plan``: what a campaign will do when, before the first ampere flows.

The engine runs in virtual time on a laboratory without wires, several times with other seeds; what is shown is the run
with the median end, and the spread is that of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.cli.output import put_json, say
from labctl.cli.taking_up import check_files
from labctl.engine.clock import real_now
from labctl.errors import LabctlError, UsageError
from labctl.planning import Forecast, Schedule, forecast_of, fresh_waiting, loads, lower_bound

#: Seconds of one run for each operation of all cells, roughly; for sharing the runs out.
_EACH = 5e-3


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What ``labctl plan`` was asked.

    Attributes
    ----------
    protocol, station, cells : Path
        The user's files.
    seed, runs : int
        Of the first run; how many runs, each with the next seed.
    begin : datetime
        When the campaign begins, UTC.
    values : mapping of str to str
        What the protocol's parameters are, where not what its file says.
    """

    protocol: Path
    station: Path
    cells: Path
    seed: int
    runs: int
    begin: datetime
    values: Mapping[str, str] = field(default_factory=dict)


def begin_at(text: str | None) -> datetime:
    """Read when a campaign is to begin, in local time; now, where nothing is said.

    Raises
    ------
    UsageError
        It is no date and time.
    """
    if text is None:
        return real_now().replace(second=0, microsecond=0)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise UsageError(f"'{text}' is no date and time", hint="such as --begin '2026-11-24 09:00'") from error


def run_plan(request: PlanRequest) -> Forecast:
    """Run the campaign as often as is asked, on all cores.

    Raises
    ------
    InvalidFile
        With every mistake of the files.
    """
    return forecast_of(run_schedules(request))


def run_schedules(request: PlanRequest) -> list[Schedule]:
    """Give the runs one by one, in the order of their seeds."""
    seeds = range(request.seed, request.seed + request.runs)
    return run_each([replace(request, seed=seed, runs=1) for seed in seeds])


def run_each(requests: Sequence[PlanRequest]) -> list[Schedule]:
    """Run each of some plans once, on all cores."""
    from labctl.analysis.parallel import Workers, cores

    operations: dict[Path, int] = {}
    for one in requests:
        if one.cells not in operations:
            campaign = check_files(one.protocol, one.station, one.cells, values=one.values)
            operations[one.cells] = sum(map(len, campaign.plans.values()))
    asked = [
        (str(one.protocol), str(one.station), str(one.cells), one.seed, one.begin.isoformat(), dict(one.values))
        for one in requests
    ]
    seconds = _EACH * sum(operations[one.cells] for one in requests)
    with Workers(min(cores(), len(requests))) as workers:
        found = workers.mapped(_one, asked, seconds=seconds)
    return [Schedule.from_json(one) for one in found]


def _one(asked: tuple[str, str, str, int, str, dict[str, str]]) -> dict[str, Any]:
    from labctl.cli.planned_run import planned_run

    protocol, station, cells, seed, begin, values = asked
    campaign = check_files(Path(protocol), Path(station), Path(cells), values=values)
    return planned_run(campaign, seed, datetime.fromisoformat(begin)).to_json()


def as_json(forecast: Forecast) -> dict[str, Any]:
    """Give ``labctl.plan/1`` with what follows from it."""
    from dataclasses import asdict

    schedule = forecast.schedule
    return {
        **schedule.to_json(),
        "runs": forecast.runs,
        "makespans_s": list(forecast.makespans_s),
        "spread_s": {cell: list(span) for cell, span in forecast.spread_s.items()},
        "loads": [asdict(one) for one in loads(schedule)],
        "waiting": [asdict(one) for one in fresh_waiting(schedule)],
        "lower_bound": asdict(lower_bound(schedule)),
        "size_bytes": sum(task.size_bytes for task in schedule.tasks),
    }


def show_plan(
    request: PlanRequest,
    *,
    as_json_: bool,
    html: Path | None,
    pictures: Sequence[Path],
    day_sheet: Path | None,
    keep_in: Path | None = None,
) -> int:
    """Plan, show and write; gives the exit code: 1 where a cell does not come to its end."""
    forecast = run_plan(request)
    for path in pictures:
        from labctl.cli.plan_figure import draw

        _write(path, draw(forecast, path.suffix.lstrip(".")))
    if html is not None:
        from labctl.cli.plan_page import page_of

        _write(html, page_of(forecast).encode())
    if day_sheet is not None:
        from labctl.cli.plan_sheet import sheet_of

        _write(day_sheet, sheet_of(forecast.schedule, html=day_sheet.suffix in (".html", ".htm")).encode())
    if keep_in is not None:
        from labctl.cli.plan_kept import keep

        say(f"kept as {keep(keep_in, as_json(forecast))}: 'labctl status' holds what happens against it")
    if as_json_:
        put_json(as_json(forecast), indent=None)
    else:
        from labctl.cli.plan_shown import print_plan

        print_plan(forecast)
    return _told(forecast.unfinished)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise LabctlError(f"{path}: can't be written ({error.strerror})") from error
    say(f"wrote {path}")


def _told(unfinished: Mapping[str, str]) -> int:
    if not unfinished:
        return 0
    say(f"this station does not bring {len(unfinished)} cells to their end:")
    reasons: dict[str, list[str]] = {}
    for cell, why in unfinished.items():
        reasons.setdefault(why, []).append(cell)
    for why, cells in reasons.items():
        named = ", ".join(cells[:6]) + (f" and {len(cells) - 6} more" if len(cells) > 6 else "")
        say(f"  {named}: {why}")
    return 1
