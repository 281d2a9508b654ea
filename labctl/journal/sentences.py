"""What people did, and what became of a cell, as one line of history."""

from __future__ import annotations

from labctl.journal.rows import CellRow, CommandRow


def order(command: CommandRow) -> str:
    """Say who told what."""
    reason = f": {command.reason}" if command.reason else ""
    return f"{command.user}: {command.op}{f' {command.cell}' if command.cell else ''}{reason}"


def sentence(row: CellRow, command: CommandRow | None, *, changed: bool) -> str:
    """Say in one line of history what became of a cell."""
    now = f"{row.cell} is {row.state}" + (f", {row.wanted} is wanted" if row.wanted else "")
    if command is not None:
        return f"{order(command)} ({now})"
    why = "; ".join(part for part in (row.reason, f"by {row.by}" if row.by else "") if part) if changed else ""
    return f"{now}: {why}" if why else now
