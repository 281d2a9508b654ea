"""The rows of the journal as plain data, and the life cycle of an operation as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: The journal's file in a laboratory folder.
FILE_NAME: Final = "labctl.sqlite"


class Status(StrEnum):
    """Where an operation is in its life."""

    REQUESTED = "requested"
    LEASED = "leased"
    INTENT = "intent"
    RUNNING = "running"
    FETCHED = "fetched"
    NEEDS_OPERATOR = "needs_operator"
    DONE = "done"
    FAILED = "failed"
    ABORTED = "aborted"


#: A lease is an operation in one of these; no crash can lose it.
HELD: Final = frozenset({Status.LEASED, Status.INTENT, Status.RUNNING, Status.FETCHED, Status.NEEDS_OPERATOR})
#: Nothing more happens to these.
ENDED: Final = frozenset({Status.DONE, Status.FAILED, Status.ABORTED})

#: From which statuses each status may be entered.
ENTERED_FROM: Final[Mapping[Status, frozenset[Status]]] = {
    Status.LEASED: frozenset({Status.REQUESTED}),
    Status.INTENT: frozenset({Status.LEASED}),
    Status.RUNNING: frozenset({Status.INTENT}),
    Status.FETCHED: frozenset({Status.RUNNING}),
    Status.DONE: frozenset({Status.FETCHED}),
    Status.NEEDS_OPERATOR: frozenset({Status.INTENT, Status.RUNNING}),
    Status.FAILED: frozenset({Status.REQUESTED, *HELD}),
    Status.ABORTED: frozenset({Status.REQUESTED, *HELD}),
}


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One protocol applied to a set of cells, frozen when it began.

    Attributes
    ----------
    campaign : str
        Its id.
    mode : str
        ``live``, ``simulated`` or ``mixed``.
    files : mapping
        For ``protocol``, ``station`` and ``cells``: ``{"path", "text", "sha256"}`` as they were.
    settings : mapping
        What the run was started with (``seed``).
    started, ended : str or None
        UTC, ISO 8601.
    """

    campaign: str
    mode: str
    files: Mapping[str, Any]
    settings: Mapping[str, Any]
    started: str
    ended: str | None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One step of a protocol on one instrument for one cell; see architecture, section 3.

    ``times`` maps each status that was entered to its UTC time. ``order`` counts the requests of this journal.
    """

    operation: str
    order: int
    campaign: str
    cell: str
    step: str
    kind: str
    attempt: int
    token: str
    status: Status
    resources: tuple[str, ...]
    fence: int | None
    handle: Mapping[str, Any] | None
    bundle: str | None
    result: Mapping[str, Any]
    error: str | None
    times: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the laboratory's history."""

    at: str
    category: str
    message: str
    cell: str | None
    operation: str | None
    instrument: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person must know or act on, until it is cleared."""

    alarm: int
    at: str
    severity: str
    message: str
    cell: str | None
    instrument: str | None
    cleared: str | None
