"""The day sheet of a plan: what people do on which day and when, in local time, for print. Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from itertools import groupby
from typing import Final

from labctl.planning import Action, Schedule

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HEADS: Final = ("done", "time", "cell", "from", "to", "on the way", "for")


def sheet_of(schedule: Schedule, *, html: bool) -> str:
    """Write it."""
    days = _days(schedule)
    return _html(schedule, days) if html else _markdown(schedule, days)


def _days(schedule: Schedule) -> Mapping[date, Sequence[Action]]:
    def day(action: Action) -> date:
        return schedule.at(action.at_s).astimezone().date()

    return {one: list(actions) for one, actions in groupby(schedule.actions, day)}


def _row(schedule: Schedule, action: Action) -> tuple[str, ...]:
    at = schedule.at(action.at_s).astimezone()
    asked = schedule.at(action.asked_s).astimezone()
    waits = f" (asked {asked:%d.%m. %H:%M})" if action.at_s - action.asked_s > 3600 else ""
    checklist = ", ".join(action.checklist)
    return ("", f"{at:%H:%M}{waits}", action.cell, action.source, action.target, checklist, action.path)


def _title(schedule: Schedule) -> str:
    return f"Day sheet: {schedule.protocol} at {schedule.station}"


def _about(schedule: Schedule) -> str:
    begin = schedule.at(0.0).astimezone()
    return (
        f"Planned for a beginning on {begin:%Y-%m-%d %H:%M}. Times are what a simulation expects, not appointments: "
        "'labctl status' says what is asked for now, and nothing is moved that it does not ask for."
    )


def _heading(day: date, actions: Sequence[Action]) -> str:
    many = "s" if len(actions) > 1 else ""
    return f"{_WEEKDAYS[day.weekday()]}, {day:%Y-%m-%d}: {len(actions)} transfer{many}"


def _markdown(schedule: Schedule, days: Mapping[date, Sequence[Action]]) -> str:
    lines = [f"# {_title(schedule)}", "", _about(schedule), ""]
    for day, actions in days.items():
        lines += [f"## {_heading(day, actions)}", "", "| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
        for action in actions:
            _, *rest = _row(schedule, action)
            lines.append("| " + " | ".join(["☐", *rest]) + " |")
        lines.append("")
    if not days:
        lines += ["Nobody has to move anything.", ""]
    return "\n".join(lines)


def _html(schedule: Schedule, days: Mapping[date, Sequence[Action]]) -> str:
    from labctl.analysis.page import heading, page, paragraph

    body = [f"<style>{_CSS}</style>", paragraph(_about(schedule))]
    for day, actions in days.items():
        rows = []
        for action in actions:
            cells = "".join(f"<td>{escape(text)}</td>" for text in _row(schedule, action)[1:])
            rows.append(f'<tr><td class="box">☐</td>{cells}</tr>')
        heads = "".join(f"<th>{'' if one == 'done' else one}</th>" for one in _HEADS)
        table = f'<table class="sheet"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        body.append(f'<section class="day">{heading(_heading(day, actions))}{table}</section>')
    if not days:
        body.append(paragraph("Nobody has to move anything."))
    return page(_title(schedule), "simulated", body)


_CSS: Final = (
    "table.sheet{border-collapse:collapse;width:100%}table.sheet td,table.sheet th{border:1px solid #999;"
    "padding:.25em .5em;text-align:left;vertical-align:top;white-space:nowrap}"
    "table.sheet td:nth-child(6){white-space:normal}table.sheet td.box{font-size:1.2em;width:1.4em;text-align:center}"
    "section.day{break-inside:avoid-page}@media print{section.day{break-after:page}}"
)
