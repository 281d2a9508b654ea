"""The commands and their options. What they do lives in modules that are imported only when needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from labctl.cli.plan_command import plan
from labctl.cli.protocol_commands import protocol_app
from labctl.errors import LabctlError

app = typer.Typer(
    name="labctl",
    help="Takes lithium-metal cells through cycler, NMR and impedance from one protocol, and says where the capacity "
    "went.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
instruments_app = typer.Typer(help="The station's instruments.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(instruments_app, name="instruments")
alarms_app = typer.Typer(help="What stands against the laboratory.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(alarms_app, name="alarms")
app.add_typer(protocol_app, name="protocol")

Lab = Annotated[
    Path,
    typer.Option("--lab", envvar="LABCTL_LAB", help="Laboratory folder.", show_default="the current folder"),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
Station = Annotated[
    Path | None, typer.Option(help="Station file.", show_default="station.yaml in the laboratory folder")
]
CellsFile = Annotated[
    Path | None, typer.Option("--cells", help="Cells file.", show_default="cells.yaml in the laboratory folder")
]
Seed = Annotated[int, typer.Option(help="Of everything random in a simulated laboratory.")]
User = Annotated[str | None, typer.Option("--user", help="Who says it.", show_default="the login name")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes into the journal.", show_default="none")]
Cell = Annotated[str, typer.Argument(help="The cell's id.")]
Alarm = Annotated[int, typer.Argument(help="Its number, as 'labctl alarms list' gives it.")]
Said = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="What a parameter of the protocol is.", show_default="what the file says"
    ),
]
HERE = Path()
# What typer raises for a wrong command line; it may bring its own copy of click, whose name is then private.
_WRONG_USE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run_app(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="labctl", standalone_mode=False)
        return int(code or 0)
    except typer.Exit as error:
        return int(error.exit_code)
    except _WRONG_USE as error:
        error.show()
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return 130
    except LabctlError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (a pager, head) has gone; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _default(given: Path | None, lab: Path, name: str) -> Path:
    return given if given is not None else lab / name


@app.command()
def init(directory: Annotated[Path, typer.Argument(help="Folder to make.")] = HERE) -> None:
    """Make a laboratory folder: station.yaml (simulated), cells.yaml, protocols, schemas for editors."""
    from labctl.cli.init import make_laboratory

    make_laboratory(directory)


@app.command()
def demo(
    json: Json = False,
    seed: Seed = 1,
    directory: Annotated[
        Path | None, typer.Option("--lab", help="Laboratory folder to make.", show_default="a temporary folder")
    ] = None,
) -> None:
    """Run the main job on a simulated laboratory, with a report: bare and coated copper after cycles 1 and 15."""
    from labctl.cli.demo import run_demo

    run_demo(directory, seed=seed, as_json=json)


@app.command()
def check(
    protocol: Annotated[Path, typer.Argument(help="Protocol file.")],
    station: Station = None,
    cells: CellsFile = None,
    said: Said = None,
    lab: Lab = HERE,
    json: Json = False,
) -> None:
    """Validate a protocol (with a station and cells, against them too) and show the expanded plan."""
    from labctl.cli.check import check_protocol
    from labctl.cli.protocol_files import values_of

    check_protocol(protocol, station, cells, values_of(said), as_json=json)


app.command()(plan)


@app.command()
def run(
    protocol: Annotated[Path, typer.Argument(help="Protocol file.")],
    station: Station = None,
    cells: CellsFile = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Against the simulated laboratory.")] = False,
    accelerate: Annotated[bool, typer.Option("--accelerate", help="In virtual time; needs --simulate.")] = False,
    seed: Seed = 0,
    orchestrator: Annotated[
        bool,
        typer.Option("--orchestrator", help="Never hand over to an orchestrator that runs here already; exit 5 then."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin anew a campaign of these files that has ended.")
    ] = False,
    said: Said = None,
    lab: Lab = HERE,
) -> None:
    """Apply a protocol to cells; run it again to go on after an interruption.

    Where an orchestrator runs in the laboratory folder already, it is given the campaign and followed.
    """
    from labctl.cli.protocol_files import values_of
    from labctl.cli.run import run_campaign

    code = run_campaign(
        lab,
        protocol,
        _default(station, lab, "station.yaml"),
        _default(cells, lab, "cells.yaml"),
        simulate=simulate,
        accelerate=accelerate,
        seed=seed,
        orchestrator=orchestrator,
        again=again,
        values=values_of(said),
    )
    raise typer.Exit(code)


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds until Ctrl-C.")] = False,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Show what every cell, instrument and alarm is doing, and since when (exit 0 well, 3 no orchestrator, 7 alarm)."""
    from labctl.cli.status import show_status

    raise typer.Exit(show_status(lab, watch=watch, as_json=json))


@app.command()
def explain(cell: Cell, json: Json = False, lab: Lab = HERE) -> None:
    """Say what a cell does or waits for, who holds it, what comes next, and what a power cut would do to it."""
    from labctl.cli.explain import explain_cell

    explain_cell(lab, cell, as_json=json)


@app.command()
def hold(
    cell: Cell,
    now: Annotated[bool, typer.Option("--now", help="To open circuit now.", show_default="after its step")] = False,
    reason: Reason = "",
    user: User = None,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Hold a cell after its step, or now at open circuit, until 'labctl resume'."""
    from labctl.cli.commands import command_cell

    command_cell(lab, "hold", cell, reason=reason, user=user, as_json=json, now=now)


@app.command()
def resume(cell: Cell, reason: Reason = "", user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """Let a held cell go on, or take back a hold or stop that has not come about yet."""
    from labctl.cli.commands import command_cell

    command_cell(lab, "resume", cell, reason=reason, user=user, as_json=json)


@app.command()
def stop(cell: Cell, reason: Reason = "", user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """End a cell after its step: it takes no further one."""
    from labctl.cli.commands import command_cell

    command_cell(lab, "stop", cell, reason=reason, user=user, as_json=json)


@app.command()
def abort(cell: Cell, reason: Reason = "", user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """End a cell now: its instrument goes to open circuit, and it takes no further step."""
    from labctl.cli.commands import command_cell

    command_cell(lab, "abort", cell, reason=reason, user=user, as_json=json)


@app.command()
def skip(cell: Cell, reason: Reason = "", user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """Leave out the step that a cell is at; it goes on with the next."""
    from labctl.cli.commands import command_cell

    command_cell(lab, "skip", cell, reason=reason, user=user, as_json=json)


@app.command()
def retry(
    cell: Cell,
    barcode: Annotated[
        str | None,
        typer.Option(help="As read from the cell: it is the booked one, whatever voltage it shows."),
    ] = None,
    reason: Reason = "",
    user: User = None,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Try the step that has failed again, as a new attempt."""
    from labctl.cli.commands import command_cell

    more = {} if barcode is None else {"barcode": barcode}
    command_cell(lab, "retry", cell, reason=reason, user=user, as_json=json, **more)


@app.command()
def confirm(
    cell: Annotated[str, typer.Argument(help="Cell that was moved.")],
    barcode: Annotated[str | None, typer.Option(help="As read from the cell.", show_default="asked for")] = None,
    answer: Annotated[str | None, typer.Option(help="To a question that the protocol asks.")] = None,
    value: Annotated[str | None, typer.Option(help="What was measured by hand, such as '12.3 mg'.")] = None,
    user: User = None,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Confirm that a cell has been moved, taken apart or put together, or answer what is asked about it.

    With the barcode read from it; exit 8 if it is another cell's, or if what is said is no answer.
    """
    from labctl.cli.confirming import confirm_cell

    confirm_cell(lab, cell, barcode, user, answer=answer, value=value, as_json=json)


@app.command()
def log(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    cell: Annotated[str | None, typer.Option("--cell", help="Only about this cell.", show_default="all")] = None,
    last: Annotated[int, typer.Option("--last", min=0, help="So many lines of what has been; 0 for all.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line, on stdout.")] = False,
    lab: Lab = HERE,
) -> None:
    """Print what has happened, from the journal; with or without an orchestrator."""
    from labctl.cli.log import show_log

    show_log(lab, cell=cell, last=last, follow=follow, as_json=json)


@alarms_app.command("list")
def alarms_list(json: Json = False, lab: Lab = HERE) -> None:
    """Print the alarms that stand; without an orchestrator, those of the journal."""
    from labctl.cli.alarms import list_alarms

    list_alarms(lab, as_json=json)


@alarms_app.command("ack")
def alarms_ack(alarm: Alarm, user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """Say that an alarm is known; it goes on standing."""
    from labctl.cli.alarms import change_alarm

    change_alarm(lab, "ack", alarm, user, as_json=json)


@alarms_app.command("reset")
def alarms_reset(alarm: Alarm, user: User = None, json: Json = False, lab: Lab = HERE) -> None:
    """Say that the cause of an alarm is gone."""
    from labctl.cli.alarms import change_alarm

    change_alarm(lab, "reset", alarm, user, as_json=json)


@app.command()
def simulate(
    station: Station = None,
    cells: CellsFile = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Simulated seconds per second.")] = 1.0,
    seed: Seed = 0,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Run the virtual laboratory as its own process until Ctrl-C; 'labctl run --simulate' in its folder attaches."""
    from labctl.cli.simulate import serve_simulators

    serve_simulators(
        _default(station, lab, "station.yaml"),
        _default(cells, lab, "cells.yaml"),
        lab,
        speed=speed,
        seed=seed,
        as_json=json,
    )


@app.command()
def deliver(station: Station = None, lab: Lab = HERE) -> None:
    """Deliver results that are still waiting, as the station file says now; exit 1 where some still wait."""
    from labctl.cli.delivering import deliver_waiting

    raise typer.Exit(deliver_waiting(lab, _default(station, lab, "station.yaml")))


@app.command()
def analyze(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            help="In any mixture: laboratory, results, campaign or cell folders; Bruker folders or zips of them; "
            "MACCOR text exports; EC-Lab .mpt; Zahner .ism; impedance .csv; YAML lists of files (--template).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--report",
            help="Folder for report, figures and files; never in or above raw data.",
            show_default="./analysis; with --json nothing is written",
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="YAML with settings of the evaluation.", show_default="the paper's")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes at most.", show_default="one for each core")
    ] = None,
    figures: Annotated[
        Literal["none", "groups", "all"],
        typer.Option(help="What is also drawn for print (SVG, PDF, PNG): none, groups, or all (each cell too)."),
    ] = "none",
    template: Annotated[
        bool, typer.Option("--template", help="Write a commented list of files to PATH, or to stdout, and end.")
    ] = False,
    design: Annotated[
        bool, typer.Option("--design", help="Say how many cells show a wanted difference, and end.")
    ] = False,
    effect: Annotated[
        float | None, typer.Option(help="--design: difference between two groups, in the unit of --sd.")
    ] = None,
    sd: Annotated[float | None, typer.Option(help="--design: standard deviation between cells of a group.")] = None,
    sd_known_from: Annotated[
        int | None, typer.Option(min=2, help="--design: number of cells from which --sd is known.")
    ] = None,
    power: Annotated[float, typer.Option(help="--design: wanted probability to find the difference.")] = 0.8,
    alpha: Annotated[float | None, typer.Option(help="--design: significance level.", show_default="0.05")] = None,
    confidence: Annotated[float | None, typer.Option(help="--design: 1 - alpha.", show_default="0.95")] = None,
    json: Json = False,
) -> None:
    """Evaluate results: lithium inventory with error margins, efficiencies, spectra, impedance."""
    from labctl.cli import analyze as command

    code = command.run(
        paths or [],
        command.Asked(out, settings, jobs, json, figures, template),
        command.Design(effect, sd, power, alpha, confidence, sd_known_from) if design else None,
    )
    if code:
        raise typer.Exit(code)


@instruments_app.command("list")
def instruments_list(station: Station = None, json: Json = False, lab: Lab = HERE) -> None:
    """Print every instrument of the station: role, driver, address, who uses it, what it needs. Asks none of them."""
    from labctl.cli.instruments_list import list_instruments

    list_instruments(_default(station, lab, "station.yaml"), as_json=json)


@instruments_app.command("check")
def instruments_check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Instruments to ask.", show_default="all")
    ] = None,
    exercise: Annotated[
        bool,
        typer.Option("--exercise", help="Make harmless movements and undo them.", show_default="only read"),
    ] = False,
    station: Station = None,
    cells: CellsFile = None,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Identify instruments; show ranges, safety settings, clocks, and what is unsafe or unverified.

    Exit 4 if one can't be used, 5 if a campaign uses it. Nothing is changed unless --exercise: then one relay without
    a cell is opened, closed and opened, limits of an idle channel and a chamber's set-point are written as they are.
    """
    from labctl.cli.instruments_check import check_instruments

    check_instruments(
        _default(station, lab, "station.yaml"),
        _default(cells, lab, "cells.yaml"),
        lab,
        names=names or [],
        exercise=exercise,
        as_json=json,
    )


@instruments_app.command("scan")
def instruments_scan(
    identify: Annotated[
        bool,
        typer.Option(
            "--identify", help="Send '*IDN?' to each; to an unknown device that is not harmless.", show_default="no"
        ),
    ] = False,
    station: Station = None,
    json: Json = False,
    lab: Lab = HERE,
) -> None:
    """Look for serial ports and VISA resources on this PC and its network, and say which the station names.

    Without --identify nothing is sent to any of them but VISA's own call for instruments on the local network.
    """
    from labctl.cli.instruments_scan import scan

    scan(_default(station, lab, "station.yaml"), lab, identify=identify, as_json=json)


@instruments_app.command("manual")
def instruments_manual(
    name: Annotated[str, typer.Argument(help="Cycler of the station.")],
    channel: Annotated[int, typer.Argument(min=1, help="Its channel, counted from 1.")],
    voltage: Annotated[
        tuple[str, str], typer.Option("--voltage", metavar="LOW HIGH", help="Limits, such as '2.5 V' '4.35 V'.")
    ],
    current: Annotated[str, typer.Option("--current", help="Limit for charge and discharge, such as '1 mA'.")],
    station: Station = None,
    cells: CellsFile = None,
    lab: Lab = HERE,
) -> None:
    """Steer one free channel by hand, with limits in the channel, until 'end' or Ctrl-C; then it is opened.

    The channel's number is asked for once more before. Then: 'charge 0.2 mA to 4.2 V', 'discharge 0.2 mA to 3 V',
    'rest', 'look', 'end'. Exit 5 if a campaign uses the instrument, 8 if it was not confirmed.
    """
    from labctl.cli.instruments_manual import manual

    manual(
        _default(station, lab, "station.yaml"),
        _default(cells, lab, "cells.yaml"),
        lab,
        name=name,
        channel=channel,
        voltage=voltage,
        current=current,
    )


@app.command()
def schema(kind: Annotated[str, typer.Argument(help="protocol, piece, station or cells.")]) -> None:
    """Print the JSON Schema of a file, for editors."""
    from labctl.cli.schema import print_schema

    print_schema(kind)
