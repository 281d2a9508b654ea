"""``labctl protocol``: the commands that work on protocol files themselves. What they do is imported when needed."""

from __future__ import annotations

import typer

protocol_app = typer.Typer(help="Protocol files.", no_args_is_help=True, rich_markup_mode=None)


@protocol_app.callback()
def _protocol() -> None:
    """Protocol files."""
