"""``labctl protocol``: the commands that work on protocol files themselves. What they do is imported when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

protocol_app = typer.Typer(help="Protocol files.", no_args_is_help=True, rich_markup_mode=None)


File = Annotated[Path, typer.Argument(help="Protocol file.")]
CellArea = Annotated[
    str | None, typer.Option("--cell-area", help="Area of the electrode, such as '1.0 cm2'.", show_default="--cells")
]
CellCapacity = Annotated[
    str | None,
    typer.Option("--cell-capacity", help="Its capacity, such as '2.6 mAh', for C-rates.", show_default="none"),
]
CellMass = Annotated[
    str | None,
    typer.Option("--cell-mass", help="Its active material, such as '12 mg', for mA/g.", show_default="none"),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="What a parameter of the protocol is.", show_default="what the file says"
    ),
]
Cells = Annotated[Path | None, typer.Option("--cells", help="Cells file.", show_default="none")]
CellId = Annotated[str | None, typer.Option("--cell", help="Which cell of it.", show_default="its only one")]
MeasureAt = Annotated[
    str | None,
    typer.Option("--measure-at", help="Cycles in which the cell is measured, such as 15.", show_default="the cell's"),
]


@protocol_app.command("reference")
def reference() -> None:
    """Print the reference of the protocol language as Markdown: every key, type, unit, default, meaning, example."""
    from labctl.cli.output import put
    from labctl.protocol.language import language_reference

    put(language_reference())


@protocol_app.command("export")
def export(
    file: File,
    kind: Annotated[str, typer.Option("--format", help="maccor, unicycler or pybamm.")],
    cell_area: CellArea = None,
    cell_capacity: CellCapacity = None,
    cell_mass: CellMass = None,
    cells: Cells = None,
    cell: CellId = None,
    measure_at: MeasureAt = None,
    set_: Set = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="stdout")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Let the other program read it (extra 'interchange').")
    ] = False,
) -> None:
    """Write a protocol's electrochemistry for another program, and say line by line what that does not hold."""
    from labctl.cli.protocol_exchange import export_protocol
    from labctl.cli.sketched import Asked

    asked = Asked(cells, cell, cell_area, cell_capacity, cell_mass, measure_at)
    export_protocol(file, kind, asked, set_, out=out, verify=verify)


@protocol_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="MACCOR procedure (.000) or unicycler protocol (.json).")],
    out: Annotated[Path | None, typer.Option("--out", help="Protocol file to write.", show_default="stdout")] = None,
) -> None:
    """Write a MACCOR procedure or a unicycler protocol as a protocol file; what it does not say is told."""
    from labctl.cli.protocol_exchange import import_protocol

    import_protocol(file, out)


@protocol_app.command("format")
def protocol_format(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Protocols, or other files of a laboratory.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file is not in the normal form.")
    ] = False,
) -> None:
    """Bring files into one normal form; comments, the order of keys and what they say stay as they are."""
    from labctl.cli.protocol_format import format_files

    raise typer.Exit(format_files(files, check=check))


@protocol_app.command("upgrade")
def protocol_upgrade(file: Annotated[Path, typer.Argument(help="A protocol, or a file that one includes.")]) -> None:
    """Bring a protocol of an older version of the language to today's; comments and order stay."""
    from labctl.cli.protocol_format import upgrade_file

    upgrade_file(file)


@protocol_app.command("show")
def show(
    file: File,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page there instead.", show_default="Markdown on stdout")
    ] = None,
    cell_area: CellArea = None,
    cell_capacity: CellCapacity = None,
    cell_mass: CellMass = None,
    cells: Cells = None,
    cell: CellId = None,
    set_: Set = None,
) -> None:
    """Write a protocol's datasheet for people: limits, steps, spectra, durations, and where a cell can be in it."""
    from labctl.cli.protocol_show import show_protocol
    from labctl.cli.sketched import Asked

    show_protocol(file, Asked(cells, cell, cell_area, cell_capacity, cell_mass, None), set_, html=html)
