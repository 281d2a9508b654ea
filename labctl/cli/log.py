"""``labctl log``: what has happened, from the journal; with an orchestrator or without one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from labctl.cli.output import columns, put, put_json, say
from labctl.engine.clock import pause
from labctl.journal import FILE_NAME
from labctl.journal.history import PLAIN, History, Line

# Seconds between looks while following.
_LOOK = 0.5


def show_log(lab: Path, *, cell: str | None, last: int, follow: bool, as_json: bool) -> None:
    """Print the last lines of history, and with ``follow`` what comes after them until Ctrl-C.

    Parameters
    ----------
    lab : Path
        The laboratory folder.
    cell : str or None
        Only lines about this cell.
    last : int
        How many lines of what has been; 0 for all.
    follow, as_json : bool
        Whether to go on, and whether to print one JSON object per line, steps between included.

    Raises
    ------
    JournalError
        There is no journal, or it can't be read.
    """
    history = History(lab / FILE_NAME, cell)
    try:
        lines = _worth(history.new(), as_json=as_json)
        _print(lines[-last:] if last else lines, as_json=as_json)
        if not lines and not follow:
            say(f"nothing has happened to {cell} yet" if cell else "nothing has happened here yet")
        while follow:
            pause(_LOOK)
            _print(_worth(history.new(), as_json=as_json), as_json=as_json)
    finally:
        history.close()


def _worth(lines: Iterable[Line], *, as_json: bool) -> list[Line]:
    return [line for line in lines if as_json or line.status is None or line.status in PLAIN]


def _print(lines: Iterable[Line], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            put_json(line.to_json(), indent=None)
        else:
            put(_text(line))


def _text(line: Line) -> str:
    """Write a line of columns, its message folded under itself where the window is narrow."""
    where = line.cell or line.instrument or ""
    at = f"{datetime.fromisoformat(line.at):%m-%d %H:%M:%S}"
    return columns((at, f"{line.category:<12}", where), line.message)
