"""The day sheet of a plan: what people do on which day and when, in local time, for print. Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import groupby
from typing import Final

from labctl.planning import Schedule

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HEADS: Final = ("done", "time", "cell", "from", "to", "what", "for")


def sheet_of(schedule: Schedule, *, html: bool) -> str:
    """Write it."""
    days = _days(schedule)
    return _html(schedule, days) if html else _markdown(schedule, days)


@dataclass(frozen=True, slots=True)
class _Line:
    """One thing that a person does: when it is asked for and done (s), and what is to be read of it."""

    asked_s: float
    at_s: float
    cell: str
    source: str
    target: str
    what: str
    path: str


def _lines(schedule: Schedule) -> list[_Line]:
    """Give all transfers and all steps by hand, in their order."""
    moves = [
        _Line(one.asked_s, one.at_s, one.cell, one.source, one.target, ", ".join(one.checklist), one.path)
        for one in schedule.actions
    ]
    by_hand = [
        _Line(one.start_s, one.end_s, one.cell, "", "", one.asked, one.path) for one in schedule.tasks if one.asked
    ]
    return sorted([*moves, *by_hand], key=lambda line: line.at_s)


def _days(schedule: Schedule) -> Mapping[date, Sequence[_Line]]:
    def day(line: _Line) -> date:
        return schedule.at(line.at_s).astimezone().date()

    return {one: list(lines) for one, lines in groupby(_lines(schedule), day)}


def _row(schedule: Schedule, line: _Line) -> tuple[str, ...]:
    at = schedule.at(line.at_s).astimezone()
    asked = schedule.at(line.asked_s).astimezone()
    waits = f" (asked {asked:%d.%m. %H:%M})" if line.at_s - line.asked_s > 3600 else ""
    return ("", f"{at:%H:%M}{waits}", line.cell, line.source, line.target, line.what, line.path)


def _title(schedule: Schedule) -> str:
    return f"Day sheet: {schedule.protocol} at {schedule.station}"


def _about(schedule: Schedule) -> str:
    begin = schedule.at(0.0).astimezone()
    return (
        f"Planned for a beginning on {begin:%Y-%m-%d %H:%M}. Times are what a simulation expects, not appointments: "
        "'labctl status' says what is asked for now, and nothing is moved that it does not ask for."
    )


def _heading(day: date, lines: Sequence[_Line]) -> str:
    moves = sum(bool(line.target) for line in lines)
    said = [f"{moves} transfer{'s' if moves > 1 else ''}"] if moves else []
    said += [f"{len(lines) - moves} by hand"] if moves < len(lines) else []
    return f"{_WEEKDAYS[day.weekday()]}, {day:%Y-%m-%d}: {', '.join(said)}"


def _markdown(schedule: Schedule, days: Mapping[date, Sequence[_Line]]) -> str:
    lines = [f"# {_title(schedule)}", "", _about(schedule), ""]
    for day, entries in days.items():
        lines += [f"## {_heading(day, entries)}", "", "| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
        for entry in entries:
            _, *rest = _row(schedule, entry)
            lines.append("| " + " | ".join(["☐", *rest]) + " |")
        lines.append("")
    if not days:
        lines += ["Nobody has to do anything.", ""]
    return "\n".join(lines)


def _html(schedule: Schedule, days: Mapping[date, Sequence[_Line]]) -> str:
    from labctl.analysis.page import heading, page, paragraph

    body = [f"<style>{_CSS}</style>", paragraph(_about(schedule))]
    for day, entries in days.items():
        rows = []
        for entry in entries:
            cells = "".join(f"<td>{escape(text)}</td>" for text in _row(schedule, entry)[1:])
            rows.append(f'<tr><td class="box">☐</td>{cells}</tr>')
        heads = "".join(f"<th>{'' if one == 'done' else one}</th>" for one in _HEADS)
        table = f'<table class="sheet"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        body.append(f'<section class="day">{heading(_heading(day, entries))}{table}</section>')
    if not days:
        body.append(paragraph("Nobody has to do anything."))
    return page(_title(schedule), "simulated", body)


_CSS: Final = (
    "table.sheet{border-collapse:collapse;width:100%}table.sheet td,table.sheet th{border:1px solid #999;"
    "padding:.25em .5em;text-align:left;vertical-align:top;white-space:nowrap}"
    "table.sheet td:nth-child(6){white-space:normal}table.sheet td.box{font-size:1.2em;width:1.4em;text-align:center}"
    "section.day{break-inside:avoid-page}@media print{section.day{break-after:page}}"
)
