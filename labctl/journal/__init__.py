"""What happened: the durable record of a laboratory, and its state.

:class:`Journal` is loaded when it is first used: the database library costs a quarter of a second, and who only looks
(:class:`LastWord`) does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.journal.lastword import LastWord
from labctl.journal.rows import (
    CELL_STATES,
    ENDED,
    FILE_NAME,
    HELD,
    UNDER_WAY,
    WISHES,
    Alarm,
    CampaignRow,
    CellRow,
    CommandRow,
    Event,
    OperationRow,
    OutboxRow,
    Posting,
    Status,
)

if TYPE_CHECKING:
    from labctl.journal.journal import Journal

__all__ = [
    "CELL_STATES",
    "ENDED",
    "FILE_NAME",
    "HELD",
    "UNDER_WAY",
    "WISHES",
    "Alarm",
    "CampaignRow",
    "CellRow",
    "CommandRow",
    "Event",
    "Journal",
    "LastWord",
    "OperationRow",
    "OutboxRow",
    "Posting",
    "Status",
]


def __getattr__(name: str) -> Any:
    """Load :class:`Journal` when it is asked for."""
    if name != "Journal":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labctl.journal.journal import Journal

    return Journal
