"""``labctl protocol``: the commands that work on protocol files themselves. What they do is imported when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

protocol_app = typer.Typer(help="Protocol files.", no_args_is_help=True, rich_markup_mode=None)


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
