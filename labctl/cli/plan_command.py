"""The options of ``labctl plan``. What it does lives in ``plan`` and is imported only when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

HERE = Path()


def plan(
    protocol: Annotated[Path, typer.Argument(help="Protocol file.")],
    station: Annotated[
        Path | None, typer.Option(help="Station file.", show_default="station.yaml in the laboratory folder")
    ] = None,
    cells: Annotated[
        Path | None, typer.Option("--cells", help="Cells file.", show_default="cells.yaml in the laboratory folder")
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, max=200, help="How often, each time with another seed.", show_default="5, --stagger: 2"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first run.")] = 0,
    begin: Annotated[
        str | None, typer.Option("--begin", help="When it begins, local time.", show_default="now")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page that opens offline.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write the timelines as a figure.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the timelines as a picture.")] = None,
    day_sheet: Annotated[
        Path | None, typer.Option("--day-sheet", help="Write what people do when, for print: .md or .html.")
    ] = None,
    stagger: Annotated[
        bool, typer.Option("--stagger", help="Propose starts and homes that shorten the campaign and the waiting.")
    ] = False,
    assign_cycles: Annotated[
        bool, typer.Option("--assign-cycles", help="--stagger: cells of a group may exchange their measured cycles.")
    ] = False,
    method: Annotated[
        Literal["auto", "cp-sat", "heuristic"], typer.Option(help="--stagger: what looks for starts.")
    ] = "auto",
    write: Annotated[
        Path | None, typer.Option("--write", help="--stagger: write the cells file with the proposal here.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Another protocol, station or cells file: both side by side.")
    ] = None,
    said: Annotated[
        list[str] | None, typer.Option("--set", help="Value of a parameter, NAME=VALUE; again for more.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep it beside the journal, for 'labctl status' to plan the rest anew.")
    ] = False,
    lab: Annotated[
        Path,
        typer.Option("--lab", envvar="LABCTL_LAB", help="Laboratory folder.", show_default="the current folder"),
    ] = HERE,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")] = False,
) -> None:
    """Say when each cell will end, what each instrument and person does when, and where cells wait.

    Exit 1 where this station can't bring every cell to its end, with the reason.
    """
    from labctl.cli.plan import PlanRequest, begin_at, show_plan
    from labctl.cli.protocol_files import values_of

    files = protocol, station or lab / "station.yaml", cells or lab / "cells.yaml"
    often = runs or (2 if stagger else 5)
    asked = PlanRequest(*files, seed=seed, runs=often, begin=begin_at(begin), values=values_of(said))
    if compare is not None:
        from labctl.cli.plan_compare import show_comparison

        raise typer.Exit(show_comparison(asked, compare, as_json=json))
    if stagger:
        from labctl.cli.plan_stagger import StaggerRequest
        from labctl.cli.plan_staggered import show_staggered

        wanted = StaggerRequest(asked, runs=often, method=method, assign_cycles=assign_cycles, lab=lab)
        raise typer.Exit(show_staggered(wanted, write, asked.begin, as_json_=json))
    code = show_plan(
        asked,
        as_json_=json,
        html=html,
        pictures=[path for path in (svg, png) if path is not None],
        day_sheet=day_sheet,
        keep_in=lab if keep else None,
    )
    raise typer.Exit(code)
