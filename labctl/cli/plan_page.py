"""A plan as a page: one file that opens offline, in the form of the report."""

from __future__ import annotations

from statistics import median

from labctl.analysis.page import Column, Html, Notes, heading, page, paragraph, picture, table
from labctl.cli.output import ago
from labctl.cli.plan_figure import draw
from labctl.cli.plan_shown import bytes_shown, date_shown, days_shown
from labctl.planning import Forecast, fresh_waiting, loads, lower_bound


def page_of(forecast: Forecast) -> str:
    """Write it."""
    schedule = forecast.schedule
    end = date_shown(schedule.at(schedule.makespan_s))
    low, high = days_shown(forecast.makespans_s[0]), days_shown(forecast.makespans_s[-1])
    body: list[str] = [
        paragraph(
            f"{len(schedule.cells)} cells, begun {date_shown(schedule.at(0.0))}: the last ends {end}, after "
            f"{days_shown(schedule.makespan_s)}. {forecast.runs} runs with other seeds give {low} to {high}; shown is "
            "the one with the median end."
        )
    ]
    if forecast.unfinished:
        body.append(_problems(forecast))
    body += [
        heading("Timelines"),
        picture(draw(forecast, "svg"), "What each cell and instrument does when", "Local time; weekends are grey."),
        heading("Cells"),
        _cells(forecast),
        heading("Instruments"),
        _instruments(forecast),
        heading("Fresh cells"),
        *_waiting(forecast),
        heading("How good it is"),
        *_bound(forecast),
    ]
    return page(f"Plan: {schedule.protocol} at {schedule.station}", "simulated", body)


def _problems(forecast: Forecast) -> Html:
    rows = list(forecast.unfinished.items())
    return table([Column("cell"), Column("why it does not come to its end")], rows, "Not possible", Notes())


def _cells(forecast: Forecast) -> Html:
    schedule, rows = forecast.schedule, []
    for cell in schedule.cells:
        finish, tasks = schedule.finish.get(cell), schedule.of(cell)
        waited = sum(task.waited_s for task in tasks)
        if finish is None:
            rows.append((cell, "does not end", "–", "–", ago(waited)))
            continue
        low, high = forecast.spread_s[cell]
        span = f"{date_shown(schedule.at(low))} – {date_shown(schedule.at(high))}"
        rows.append((cell, date_shown(schedule.at(finish)), span, days_shown(finish), ago(waited)))
    heads = [Column(one) for one in ("cell", "ends", "over all runs", "after", "waits in all")]
    return table(heads, rows, "When each cell ends", Notes())


def _instruments(forecast: Forecast) -> Html:
    rows = [
        (
            one.resource,
            str(forecast.schedule.instruments[one.resource].units),
            f"{100 * one.share:.0f} %",
            days_shown(one.busy_s),
            days_shown(one.measuring_s),
            days_shown(one.idle_s),
            str(one.tasks),
            ago(one.waited_s),
        )
        for one in loads(forecast.schedule)
    ]
    names = (
        "instrument",
        "cells at once",
        "taken",
        "for",
        "of that at work",
        "idle",
        "operations",
        "waited for, in all",
    )
    return table([Column(one) for one in names], rows, "Load, over all channels", Notes())


def _waiting(forecast: Forecast) -> list[str]:
    fresh = fresh_waiting(forecast.schedule)
    if not fresh:
        return [paragraph("The protocol asks for no spectrum within a time.")]
    late = [one for one in fresh if one.late_s > 0]
    usual = ago(median(one.waited_s for one in fresh))
    text = (
        f"{len(fresh)} spectra are to start within a time after the step before: they wait {usual} "
        f"(median), at most {ago(fresh[0].waited_s)}; {len(late)} start later than the protocol asks."
    )
    rows = [(one.cell, one.path, ago(one.waited_s), ago(one.allowed_s), ago(one.late_s)) for one in fresh[:20]]
    heads = [Column(one) for one in ("cell", "step", "waits", "allowed", "too late by")]
    return [paragraph(text), table(heads, rows, "Those that wait longest", Notes())]


def _bound(forecast: Forecast) -> list[str]:
    schedule, bound = forecast.schedule, lower_bound(forecast.schedule)
    size = bytes_shown(sum(task.size_bytes for task in schedule.tasks))
    return [
        paragraph(
            f"No order of these operations can be shorter than {days_shown(bound.seconds)}: {bound.longest_cell} alone "
            f"takes {days_shown(bound.cell_s)}, and {bound.busiest}, with what comes before and after it, "
            f"{days_shown(bound.instrument_s)}."
        ),
        paragraph(f"{len(schedule.actions)} transfers by people; about {size} of data."),
    ]
