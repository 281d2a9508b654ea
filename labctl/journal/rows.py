"""The rows of the journal as plain data, and the life cycle of an operation as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
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
    Status.INTENT: frozenset({Status.LEASED, Status.NEEDS_OPERATOR}),
    Status.RUNNING: frozenset({Status.INTENT, Status.NEEDS_OPERATOR}),
    Status.FETCHED: frozenset({Status.RUNNING}),
    Status.DONE: frozenset({Status.FETCHED}),
    Status.NEEDS_OPERATOR: frozenset({Status.LEASED, Status.INTENT, Status.RUNNING}),
    Status.FAILED: frozenset({Status.REQUESTED, *HELD}),
    Status.ABORTED: frozenset({Status.REQUESTED, *HELD}),
}

#: Where a cell of a campaign can be, as people see it.
CELL_STATES: Final = ("under way", "held", "stopped", "aborted", "finished")
#: The state of a cell whose way goes on by itself.
UNDER_WAY: Final = "under way"
#: What a person can have asked for a cell that is not carried out yet; ``skip`` is followed by the step's path.
WISHES: Final = ("hold", "hold now", "resume", "stop", "abort", "skip", "retry", "retry known")


class Late(Mapping[str, Any]):
    """A part of a row that is fetched and decoded when somebody looks into it.

    Parameters
    ----------
    fetch : callable
        Gives the part; asked at every look, so it should remember.
    *which
        Handed to ``fetch``.
    """

    __slots__ = ("_fetch", "_which")

    def __init__(self, fetch: Callable[..., Mapping[str, Any]], *which: Any) -> None:
        self._fetch = fetch
        self._which = which

    def __getitem__(self, key: str) -> Any:
        return self._fetch(*self._which)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fetch(*self._which))

    def __len__(self) -> int:
        return len(self._fetch(*self._which))

    def __repr__(self) -> str:
        return repr(dict(self._fetch(*self._which)))


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
        For ``protocol``, ``station`` and ``cells``: ``{"path", "text", "sha256"}`` as they were, and ``data``, the same
        as plain data, if the journal was written by a labctl that froze it.
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

    ``times`` maps each status that was entered to its UTC time. ``order`` counts the requests of this journal. The
    mappings may be :class:`Late`: they read and compare as any mapping, and become plain by ``dict``.
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

    @property
    def since(self) -> float:
        """When it was requested, in s UTC."""
        return datetime.fromisoformat(self.times[Status.REQUESTED]).timestamp()


@dataclass(frozen=True, slots=True)
class CellRow:
    """Where a cell of a campaign is, and what a person has asked for it.

    Attributes
    ----------
    campaign, cell : str
        Whose row it is.
    state : str
        One of :data:`CELL_STATES`.
    at : str
        Since when, UTC, ISO 8601.
    reason, by : str
        Why and by whom it came to that or was asked for something; empty where nobody said.
    wanted : str or None
        One of :data:`WISHES`: asked by a person and not carried out yet.
    """

    campaign: str
    cell: str
    state: str
    at: str
    reason: str = ""
    by: str = ""
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class CommandRow:
    """What a person told labctl, and what was answered.

    Attributes
    ----------
    id : str
        Made by the client, unique for ever; the same id again is the same command.
    at : str
        UTC, ISO 8601.
    op : str
        Such as ``hold``.
    campaign, cell : str or None
        Whom it was about.
    user, reason : str
        Who and why.
    data : mapping
        Whatever else was said.
    answer : mapping
        As the client got it.
    """

    id: str
    at: str
    op: str
    campaign: str | None
    cell: str | None
    user: str
    reason: str
    data: Mapping[str, Any]
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the laboratory's history; ``id`` grows with every line, 0 where the line has none."""

    at: str
    category: str
    message: str
    cell: str | None
    operation: str | None
    instrument: str | None
    data: Mapping[str, Any]
    id: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person must know or act on, until it is cleared.

    Attributes
    ----------
    cleared : str or None
        When its cause went, or a person reset it, UTC.
    acknowledged : str or None
        When a person said that it is known, UTC; it stands until it is cleared.
    by : str or None
        Who acknowledged or reset it.
    """

    alarm: int
    at: str
    severity: str
    message: str
    cell: str | None
    instrument: str | None
    cleared: str | None
    acknowledged: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """That a bundle is to be delivered.

    Attributes
    ----------
    sha256 : str
        Of its ``operation.json``, which has the hashes of all its files.
    targets : tuple of str
        To whom; see ``delivery`` of the station file.
    """

    sha256: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One bundle on its way to one target.

    Attributes
    ----------
    operation : str
        Whose bundle; a campaign's id stands for its description, or for its evaluation where the target is the core.
    target : str
        To whom.
    campaign : str
        Of the operation.
    sha256 : str
        Of ``operation.json`` or ``campaign.json``.
    since : str
        When it was put here, UTC, ISO 8601.
    tries : int
        How often it was tried in vain.
    next_try : str or None
        When it is tried again, UTC; None where that is at once, or not before labctl is started again.
    error : str or None
        What the last try came to.
    delivered : str or None
        When it was, UTC.
    """

    operation: str
    target: str
    campaign: str
    sha256: str
    since: str
    tries: int = 0
    next_try: str | None = None
    error: str | None = None
    delivered: str | None = None
