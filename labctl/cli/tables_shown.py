"""Prints a finding that is a table: its rows, and what is to be said of all of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from labctl.cli.output import console

if TYPE_CHECKING:
    from labctl.analysis.tabulated import Table


def print_table(one: Table) -> None:
    """Print title, rows and notes."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as Shown

    out = console()
    shown = Shown(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_lines=False)
    for column in one.columns:
        shown.add_column(column.title.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for row in one.texts():
        shown.add_row(*map(escape, row))
    out.print(f"[bold]{escape(one.title)}[/bold]")
    out.print(shown)
    for note in one.notes:
        text = textwrap.fill(note, out.width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
        out.print(text, markup=False, soft_wrap=True)
