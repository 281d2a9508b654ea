"""structlog to ``logs/labctl.jsonl``, one JSON object per line; a simulated laboratory's to ``simulation.jsonl``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from labctl.instruments import Clock, Log


class LogFile:
    """A file of lines that does not matter enough to stop anything: what there is no room for is left out."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> int:
        """Write a line, if there is room."""
        with contextlib.suppress(OSError):
            self._file.write(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_log(folder: Path, clock: Clock, name: str = "labctl") -> tuple[Log, LogFile]:
    """Open the log of a laboratory folder; the caller closes the file."""
    path = folder / "logs" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = LogFile(path)

    def stamp(_logger: Any, _method: str, event: Any) -> Any:
        event["at"] = clock.now().isoformat(timespec="milliseconds")
        return event

    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(cast(TextIO, file)),
        processors=[
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )
    return log, file
