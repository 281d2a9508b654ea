"""The commands and their options. What they do lives in modules that are imported only when needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

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
    lab: Lab = HERE,
    json: Json = False,
) -> None:
    """Validate a protocol (with a station and cells, against them too) and show the expanded plan."""
    from labctl.cli.check import check_protocol

    check_protocol(protocol, station, cells, as_json=json)


@app.command()
def run(
    protocol: Annotated[Path, typer.Argument(help="Protocol file.")],
    station: Station = None,
    cells: CellsFile = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Against the simulated laboratory.")] = False,
    accelerate: Annotated[bool, typer.Option("--accelerate", help="In virtual time; needs --simulate.")] = False,
    seed: Seed = 0,
    lab: Lab = HERE,
) -> None:
    """Apply a protocol to cells; run it again to go on after an interruption."""
    from labctl.cli.run import run_campaign

    code = run_campaign(
        lab,
        protocol,
        _default(station, lab, "station.yaml"),
        _default(cells, lab, "cells.yaml"),
        simulate=simulate,
        accelerate=accelerate,
        seed=seed,
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
def confirm(
    cell: Annotated[str, typer.Argument(help="Cell that was moved.")],
    barcode: Annotated[str | None, typer.Option(help="As read from the cell.")] = None,
    user: Annotated[str | None, typer.Option(help="Who confirms.", show_default="the login name")] = None,
    lab: Lab = HERE,
) -> None:
    """Confirm that a cell has been moved, with the barcode read from it."""
    from labctl.cli.commands import confirm_transfer

    confirm_transfer(lab, cell, barcode, user)


@app.command()
def abort(
    cell: Annotated[str, typer.Argument(help="Cell to end.")],
    reason: Annotated[str, typer.Option(help="Why; it goes into the journal.")] = "",
    user: Annotated[str | None, typer.Option(help="Who.", show_default="the login name")] = None,
    lab: Lab = HERE,
) -> None:
    """End a cell now: its instrument goes to open circuit, and it takes no further step."""
    from labctl.cli.commands import abort_cell

    abort_cell(lab, cell, reason, user)


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
def analyze(
    paths: Annotated[list[Path], typer.Argument(help="Laboratory, results, campaign or cell folders.")],
    report: Annotated[Path | None, typer.Option(help="Write figures and report.html into this folder.")] = None,
    json: Json = False,
) -> None:
    """Evaluate results: lithium inventory with error margins, efficiencies, impedance."""
    from labctl.cli.analyze import analyze_paths

    analyze_paths(paths, report, as_json=json)


@instruments_app.command("check")
def instruments_check(station: Station = None, json: Json = False, lab: Lab = HERE) -> None:
    """Connect to every instrument, identify it, and read its safety settings back (exit 4 if one can't be used)."""
    from labctl.cli.instruments import check_instruments

    check_instruments(_default(station, lab, "station.yaml"), lab, as_json=json)


@app.command()
def schema(kind: Annotated[str, typer.Argument(help="protocol, station or cells.")]) -> None:
    """Print the JSON Schema of a file, for editors."""
    from labctl.cli.schema import print_schema

    print_schema(kind)
