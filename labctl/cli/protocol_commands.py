"""``labctl protocol``: the commands that work on protocol files themselves. What they do is imported when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

protocol_app = typer.Typer(help="Protocol files.", no_args_is_help=True, rich_markup_mode=None)


@protocol_app.callback()
def _protocol() -> None:
    """Protocol files."""


File = Annotated[Path, typer.Argument(help="Protocol file.")]
CellArea = Annotated[
    str | None, typer.Option("--cell-area", help="Area of the electrode, such as '1.0 cm2'.", show_default="--cells")
]
Cells = Annotated[Path | None, typer.Option("--cells", help="Cells file.", show_default="none")]
CellId = Annotated[str | None, typer.Option("--cell", help="Which cell of it.", show_default="its only one")]
MeasureAt = Annotated[
    str | None,
    typer.Option("--measure-at", help="Cycles in which the cell is measured, such as 15.", show_default="the cell's"),
]


@protocol_app.command("export")
def export(
    file: File,
    kind: Annotated[str, typer.Option("--format", help="maccor, unicycler or pybamm.")],
    cell_area: CellArea = None,
    cells: Cells = None,
    cell: CellId = None,
    measure_at: MeasureAt = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="stdout")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Let the other program read it (extra 'interchange').")
    ] = False,
) -> None:
    """Write a protocol's electrochemistry for another program, and say line by line what that does not hold."""
    from labctl.cli.protocol_exchange import export_protocol

    export_protocol(file, kind, cells=cells, cell=cell, area=cell_area, measure_at=measure_at, out=out, verify=verify)


@protocol_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="MACCOR procedure (.000) or unicycler protocol (.json).")],
    out: Annotated[Path | None, typer.Option("--out", help="Protocol file to write.", show_default="stdout")] = None,
) -> None:
    """Write a MACCOR procedure or a unicycler protocol as a protocol file; what it does not say is told."""
    from labctl.cli.protocol_exchange import import_protocol

    import_protocol(file, out)
