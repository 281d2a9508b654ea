"""What the BioLogic driver wants of a way to the instrument, and the techniques that it speaks of. No I/O.

Two ways satisfy :class:`Backend`: the vendor's library EClib, with its own kernel on the channel, and EC-Lab's OLE-COM
server. Both take the same list of linked techniques, tell the same status, and give the same numbered records.
Channels are counted from 1, techniques from 0 as in the vendor's own loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from labctl.instruments import Identity


@dataclass(frozen=True, slots=True)
class Limit:
    """A condition that ends a technique, watched by the channel itself.

    Attributes
    ----------
    what : str
        ``voltage`` (V, working electrode against reference) or ``current`` (A, signed, charging positive).
    above : bool
        True where the value must rise to the limit, False where it must fall to it.
    value : float
        The limit, SI, with its sign.
    """

    what: Literal["voltage", "current"]
    above: bool
    value: float


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """The cell is left alone for ``duration`` s; records every so many s, and per so many V (0 for none)."""

    duration: float
    record_every: float = 60.0
    record_voltage_step: float = 0.0


@dataclass(frozen=True, slots=True)
class ConstantCurrent:
    """A current in A (charging positive) for at most ``duration`` s, until one of ``limits`` is met.

    Records every so many s, and per so many V (0 for none). ``safety_only``: each limit is one at which the whole run
    is to end, where the channel can be told so. ``current_max``: magnitude in A that the range of the current must
    hold; 0 for that of the current. ``by_charge``: the duration is that of a charge that ends it.
    """

    current: float
    duration: float
    limits: tuple[Limit, ...] = ()
    record_every: float = 60.0
    record_voltage_step: float = 0.0
    safety_only: bool = False
    current_max: float = 0.0
    by_charge: bool = False


@dataclass(frozen=True, slots=True)
class ConstantVoltage:
    """A voltage in V for at most ``duration`` s, until one of ``limits`` is met.

    Attributes
    ----------
    voltage : float
        Working electrode against reference, V.
    current_max : float
        Magnitude in A that the range of the current must hold; 0 for the instrument's own choice.
    record_every, record_current_step : float
        s, and A (0 for none).
    safety_only : bool
        As in :class:`ConstantCurrent`.
    """

    voltage: float
    duration: float
    limits: tuple[Limit, ...] = ()
    current_max: float = 0.0
    record_every: float = 60.0
    record_current_step: float = 0.0
    safety_only: bool = False


@dataclass(frozen=True, slots=True)
class PotentiostaticImpedance:
    """A spectrum with a voltage as excitation.

    Attributes
    ----------
    bias : float
        V; against the voltage before where ``against_open_circuit``, else working electrode against reference.
    amplitude : float
        Peak, V.
    frequency_start, frequency_end : float
        Hz.
    points : int
        Of the whole spectrum, logarithmically spaced, both ends included.
    periods : int
        Averaged per point.
    settle : float
        s at the bias before the first point.
    wait_periods : float
        Periods at each frequency before it is measured.
    current_max : float
        Magnitude in A that the range of the current must hold; 0 for the instrument's own choice.
    """

    bias: float
    amplitude: float
    frequency_start: float
    frequency_end: float
    points: int
    periods: int = 2
    settle: float = 0.0
    wait_periods: float = 0.1
    current_max: float = 0.0
    against_open_circuit: bool = True


@dataclass(frozen=True, slots=True)
class GalvanostaticImpedance:
    """As :class:`PotentiostaticImpedance` with a current as excitation; ``bias`` and ``amplitude`` (peak) in A.

    ``limits``: of the voltage, at which the whole run is to end, where the channel can be told so.
    """

    bias: float
    amplitude: float
    frequency_start: float
    frequency_end: float
    points: int
    periods: int = 2
    settle: float = 0.0
    wait_periods: float = 0.1
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """Go back to technique ``to`` (from 0) until the stretch was done ``passes`` times in all."""

    to: int
    passes: int


@dataclass(frozen=True, slots=True)
class TriggerOut:
    """A pulse on the trigger output, ``duration`` s long; ``rising`` for an active high one."""

    duration: float
    rising: bool = True


@dataclass(frozen=True, slots=True)
class TriggerIn:
    """Wait for an edge on the trigger input."""

    rising: bool = True


Technique = (
    OpenCircuit
    | ConstantCurrent
    | ConstantVoltage
    | PotentiostaticImpedance
    | GalvanostaticImpedance
    | Loop
    | TriggerOut
    | TriggerIn
)

_NAMES: Final[dict[str, type[Any]]] = {
    "open circuit": OpenCircuit,
    "constant current": ConstantCurrent,
    "constant voltage": ConstantVoltage,
    "potentiostatic impedance": PotentiostaticImpedance,
    "galvanostatic impedance": GalvanostaticImpedance,
    "loop": Loop,
    "trigger out": TriggerOut,
    "trigger in": TriggerIn,
}


def technique_name(technique: Technique) -> str:
    """Name of a technique in words, as it stands in files."""
    return next(name for name, kind in _NAMES.items() if type(technique) is kind)


def technique_to_json(technique: Technique) -> dict[str, Any]:
    """Plain data of a technique."""
    return {"technique": technique_name(technique), **asdict(technique)}


def technique_from_json(data: Mapping[str, Any]) -> Technique:
    """Rebuild from :func:`technique_to_json`. Raises ``KeyError`` or ``TypeError`` where it is none."""
    values = {key: value for key, value in data.items() if key != "technique"}
    if "limits" in values:
        values["limits"] = tuple(Limit(**one) for one in values["limits"])
    made: Technique = _NAMES[data["technique"]](**values)
    return made


@dataclass(frozen=True, slots=True)
class Run:
    """A list of techniques on a channel under a token, as it is written down before the channel is started.

    Attributes
    ----------
    token : str
        Ours.
    channel : int
        From 1.
    techniques : tuple of Technique
        In order.
    begun : datetime
        UTC, right before the order to start.
    sent : mapping
        What the way in needs to recognise it, JSON values only: parameters as loaded, names of files.
    """

    token: str
    channel: int
    techniques: tuple[Technique, ...]
    begun: datetime
    sent: Mapping[str, Any] = field(default_factory=dict)


class Doing(StrEnum):
    """What a channel does."""

    STOPPED = "stopped"
    RUNNING = "running"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One look at a channel.

    Attributes
    ----------
    doing : Doing
        Stopped, running or paused.
    voltage, counter : float
        Working and counter electrode against reference, V; the cell's voltage is their difference.
    current : float
        A, charging positive.
    elapsed : float
        s since the start, by the instrument; 0 where it never ran.
    technique : int or None
        Which one runs, from 0, where it is told.
    message : str
        Why it stopped or what it complains of, in the instrument's words; empty where all is well.
    failed : bool
        Whether it stopped for a reason that makes the run a failure (safety limit, lost connection, overload).
    """

    doing: Doing
    voltage: float
    counter: float
    current: float
    elapsed: float
    technique: int | None = None
    message: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A record of direct current and voltage.

    Attributes
    ----------
    number : int
        From 1, without a gap, over all records of the run.
    technique : int
        That made it, from 0.
    at : float
        s since the start of the run.
    voltage : float
        Working electrode against reference, V.
    counter : float or None
        Counter electrode against reference, V, where it was recorded.
    current : float
        A, charging positive.
    passed : int
        How often a loop had gone back before.
    part : int
        How often the run had been interrupted before; nothing flowed between two parts.
    """

    number: int
    technique: int
    at: float
    voltage: float
    counter: float | None
    current: float
    passed: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a spectrum.

    Attributes
    ----------
    number, technique, at, passed
        As in :class:`Sample`.
    frequency : float
        Hz.
    working : complex
        Impedance in ohm of the working electrode against the reference; capacitive is negative.
    counter : complex or None
        Of the counter electrode against the reference with the sign that makes the cell's impedance their sum, where
        it was measured.
    voltage, current : float
        Mean values: working electrode against reference in V, and A.
    """

    number: int
    technique: int
    at: float
    frequency: float
    working: complex
    counter: complex | None
    voltage: float
    current: float
    passed: int = 0


Record = Sample | Point


class Backend(Protocol):
    """A way to the instrument. Everything may raise the line faults of :mod:`labctl.instruments`."""

    async def connect(self) -> Identity:
        """Connect and identify within 5 s; nothing on any channel is changed.

        Raises
        ------
        NotReachable, NotIdentified
            With instrument and address.
        """

    async def close(self) -> None:
        """Disconnect; what runs goes on."""

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that the instrument has."""

    async def status(self, channel: int) -> ChannelStatus:
        """Look at a channel; harms nothing."""

    async def load(self, token: str, channel: int, techniques: Sequence[Technique]) -> Mapping[str, Any]:
        """Put linked techniques on an idle channel, without starting them.

        Returns
        -------
        mapping
            What is kept as :attr:`Run.sent`, JSON values only.

        Raises
        ------
        Busy
            The channel is not idle.
        OutOfRange
            Beyond what the channel can do; told before anything is loaded.
        Refused
            In the instrument's words.
        """

    async def start(self, runs: Sequence[Run]) -> None:
        """Start what was loaded, several channels by one order; seen to have started on return.

        Raises
        ------
        Refused
            In the instrument's words; nothing runs.
        """

    async def stop(self, channel: int) -> None:
        """To open circuit, now, verified. Idempotent. Raises ``VendorAlarm`` where it does not stop."""

    async def started(self, run: Run) -> bool:
        """Whether the channel was ever started with ``run``, ended or not.

        Raises
        ------
        CannotSay
            Neither can be proven.
        """

    async def records(self, run: Run, after: int) -> Sequence[Record]:
        """Give the records beyond number ``after``; asked again they are the same.

        Raises
        ------
        DataError
            What the instrument has can't be read.
        """

    async def files(self, run: Run, folder: Path) -> tuple[str, ...]:
        """Lay the raw files of an ended run into ``folder``, untouched; gives their names.

        Raises
        ------
        DataError
            There are none, or they are incomplete.
        """

    async def inspect(self) -> tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]:
        """Facts for people, what stands against a start, and what is unverified, the latter two with what to do."""
