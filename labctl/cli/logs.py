"""structlog to ``logs/labctl.jsonl``, one JSON object per line; a simulated laboratory's to ``simulation.jsonl``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import structlog

from labctl.instruments import Clock, Log


def open_log(folder: Path, clock: Clock, name: str = "labctl") -> tuple[Log, IO[str]]:
    """Open the log of a laboratory folder; the caller closes the file."""
    path = folder / "logs" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a", encoding="utf-8", buffering=1)

    def stamp(_logger: Any, _method: str, event: Any) -> Any:
        event["at"] = clock.now().isoformat(timespec="milliseconds")
        return event

    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(file),
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
