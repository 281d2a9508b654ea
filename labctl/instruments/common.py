"""What every role shares: identity, handles, progress, and what the engine hands to a driver. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class Clock(Protocol):
    """Time as it is handed to drivers, simulators and the journal. To wait, sleep by the running loop."""

    def now(self) -> datetime:
        """Give the present instant, timezone-aware, in UTC."""

    def exchange(self) -> AbstractContextManager[None]:
        """Mark that a worker thread is in an exchange with an instrument, connecting included.

        While one is, a virtual clock waits for real instead of jumping to the next timer.
        """

    def patience(self, seconds: float) -> float:
        """Give the running loop's seconds that pass during ``seconds`` of real waiting.

        For time-outs on the wire, and for nothing else: what an instrument or a cell takes for its work is not real
        waiting where the laboratory is simulated.
        """


class Log(Protocol):
    """The part of a structlog logger that drivers use."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Say what only a developer needs."""

    def info(self, event: str, **fields: Any) -> Any:
        """Say what happened."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Say what a person should know."""

    def error(self, event: str, **fields: Any) -> Any:
        """Say what failed."""


@dataclass(frozen=True, slots=True)
class Hiccup:
    """Something that went wrong on the wire and was survived; the engine journals it.

    Attributes
    ----------
    instrument : str
        The station's name of the instrument.
    kind : str
        The category of the fault, such as ``"timed out"``, ``"garbled"``, ``"connection lost"``.
    message : str
        What happened and what was done, for a lab person.
    """

    instrument: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What the engine hands to a driver when it makes one.

    Attributes
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        The instrument's entry in the station file, as plain data (``address``, ``channels``, ...).
    clock : Clock
        The only source of time.
    log : Log
        Bound structured logger.
    report : callable
        Called with a :class:`Hiccup` for every fault that the driver survived.
    secret : callable
        Resolves a credential of the station file, such as ``{"env": "LABCTL_TOPSPIN_TOKEN"}``, to its text.
    folder : Path
        The laboratory folder; relative paths of the station file start here.
    read_only : bool
        Whether connecting must leave everything as it is: what is found unsafe is then said, not put right.
    wired : tuple of int
        Channels or relays that the station wires to this instrument; told where it is to be inspected.
    free : frozenset of int
        Those of ``wired`` at whose end no cell is known to sit, so that an exercise may move them.
    """

    name: str
    settings: Mapping[str, Any]
    clock: Clock
    log: Log
    report: Callable[[Hiccup], None]
    secret: Callable[[Any], str]
    folder: Path
    read_only: bool = False
    wired: tuple[int, ...] = ()
    free: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered at an address.

    Attributes
    ----------
    vendor, model, serial, firmware : str
        As the instrument says, empty where it does not.
    address : str
        Where it answered.
    details : mapping of str to str
        What else it says of itself and of its safety settings, read back; shown by ``labctl instruments check``.
    """

    vendor: str
    model: str
    serial: str
    firmware: str
    address: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an instrument says of itself beyond its identity, and how far it can be relied on.

    Attributes
    ----------
    facts : mapping of str to str
        Versions, ranges, state, in words with units; what was exercised, too.
    safety : mapping of str to str
        Limits and other settings that keep cells safe, as read back.
    clock_offset : float or None
        Seconds by which the instrument's clock is ahead of where it should be by this PC's; None where it tells no
        time.
    unsafe : tuple of str
        What is wrong now, each with what to do: ``"the source is on; switch it off at the instrument"``.
    unverified : tuple of str
        What labctl relies on without ever having seen it on such an instrument, each with what to do.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    safety: Mapping[str, str] = field(default_factory=dict)
    clock_offset: float | None = None
    unsafe: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()


@runtime_checkable
class Inspectable(Protocol):
    """A driver that can say more of its instrument than who it is."""

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Look at everything that matters, after ``connect``; nothing is changed unless ``exercise``.

        With it, harmless movements are made and undone, within ``DriverContext.free`` and on what is idle.

        Raises
        ------
        InstrumentError
            It stopped answering, or an exercise was not undone.
        """


@dataclass(frozen=True, slots=True)
class Handle:
    """How a running action is found again; journalled as JSON.

    Attributes
    ----------
    token : str
        The name that the instrument stores for us.
    place : str
        Channel, EXPNO, file or the like on the instrument.
    started : str
        UTC time of the start, ISO 8601.
    data : mapping
        Whatever else the driver needs to go on, JSON values only.
    """

    token: str
    place: str
    started: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return {"token": self.token, "place": self.place, "started": self.started, "data": dict(self.data)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Handle:
        """Rebuild from :meth:`to_json`."""
        return cls(data["token"], data["place"], data["started"], dict(data["data"]))


class State(StrEnum):
    """What a long action is doing."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a running action.

    Attributes
    ----------
    state : State
        Running, done, or failed.
    message : str
        In the instrument's words where it failed.
    remaining : float or None
        Expected seconds to the end, if that can be told; the engine plans its next look by it.
    values : mapping of str to float
        Live values with their unit in the key: ``voltage_V``, ``current_A``, ``capacity_C``, ``temperature_K``,
        ``scans_done`` of ``scans``, ``left_s`` (to the end, where ``remaining`` is only to the next part of a series),
        ``frequency_Hz``.
    request : mapping, optional
        What a person is asked to do now, where a person fills the role: ``instruction`` (one sentence), ``settings``,
        ``steps``, ``folder``, ``since``, ``differs`` (what is wrong with what was dropped), JSON values only.
    """

    state: State
    message: str = ""
    remaining: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    request: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an action produced, as ``fetch`` laid it into the bundle folder.

    Attributes
    ----------
    files : tuple of str
        Paths relative to the bundle folder, raw vendor files untouched.
    sent, read_back : mapping
        Parameters as they were sent and as the instrument reported them.
    summary : mapping
        A few numbers for people and for the engine, unit in the key (``capacity_C``, ``end``, ``records``).
    warnings : tuple of str
        What a person should know, such as a guard time that ended a hold.
    """

    files: tuple[str, ...]
    sent: Mapping[str, Any] = field(default_factory=dict)
    read_back: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Instrument(Protocol):
    """What every driver offers, whatever its role."""

    role: str

    async def connect(self) -> Identity:
        """Connect, identify, and check the safety settings, within 5 s.

        Raises
        ------
        NotReachable, NotIdentified
            With instrument and address.
        """

    async def close(self) -> None:
        """Leave the instrument in order; a running action goes on."""
