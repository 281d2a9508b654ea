"""Cycler: a channel that charges, discharges, holds and rests one cell by a program of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from labctl.instruments.common import Fetched, Handle, Instrument, Progress


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of a cycler channel, as the instrument reported it.

    Attributes
    ----------
    at : float
        Seconds since the start of the operation, from the instrument's own clock.
    voltage : float
        Cell voltage in V.
    current : float
        Current in A; charging is positive, whatever the instrument's convention.
    """

    at: float
    voltage: float
    current: float


@dataclass(frozen=True, slots=True)
class End:
    """A condition that ends a step.

    Attributes
    ----------
    what : str
        ``voltage`` (V), ``current`` (A, magnitude), ``capacity`` (C, magnitude, passed since the step began), ``time``
        (s) or ``temperature`` (K, of the cell).
    above : bool
        True where the value must rise to the limit, False where it must fall to it; time and capacity always rise.
    value : float
        The limit, SI.
    guard : bool
        True for an end that should not be what ends the step (a time limit); the result is flagged.
    held : float
        Seconds that the condition must hold without a break; 0 ends at once.
    """

    what: Literal["voltage", "current", "capacity", "time", "temperature"]
    above: bool
    value: float
    guard: bool = False
    held: float = 0.0


@dataclass(frozen=True, slots=True)
class Band:
    """Temperatures between which a cell must stay for a while, as when a rest waits for the chamber.

    Attributes
    ----------
    low, high : float
        K.
    held : float
        Seconds without a break.
    """

    low: float
    high: float
    held: float


class Mode(StrEnum):
    """What a step does with the cell."""

    REST = "rest"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class CyclerStep:
    """One step of a cycler program.

    Attributes
    ----------
    mode : Mode
        Rest, constant-current charge or discharge, or constant-voltage hold.
    current : float
        Magnitude in A: the set current, or the limit of a hold.
    voltage : float or None
        The voltage to hold, in V.
    ends : tuple of End
        Whichever comes first ends the step.
    record_every : float
        Seconds between records.
    record_voltage_step : float
        A record whenever the voltage has moved by this much, in V; 0 for none.
    discharging : bool
        For a hold: which way the current is expected to flow.
    c_rate : float or None
        For a charge or discharge: its current in 1/h times the program's capacity, where the instrument is to be told
        so; ``current`` says the same in A.
    band : Band or None
        For a rest: it ends once the temperature has stayed inside; its other ends are what it waits at most.
    not_before : End or None
        For a charge, discharge or hold: a time or a capacity that must have come true before ``ends`` count, of which
        times are then counted from there. Until it has, the step goes on beyond them, within the safety limits.
    """

    mode: Mode
    current: float
    voltage: float | None
    ends: tuple[End, ...]
    record_every: float = 60.0
    record_voltage_step: float = 0.0
    discharging: bool = False
    c_rate: float | None = None
    band: Band | None = None
    not_before: End | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """Steps ``first`` to ``last`` of a program, counted from 1, done ``count`` times."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class SafetyLimits:
    """Limits that the channel itself watches, whatever becomes of this PC. V and A, both currents positive."""

    voltage_min: float
    voltage_max: float
    charge_current: float
    discharge_current: float


@dataclass(frozen=True, slots=True)
class CyclerProgram:
    """Everything a channel needs to run one operation by itself.

    Attributes
    ----------
    name : str
        The operation's id, for the instrument's comment field.
    steps : tuple of CyclerStep
        In order; the program ends after the last.
    safety : SafetyLimits
        Downloaded to the channel and read back before the start.
    loops : tuple of Loop
        Disjoint or one inside the other.
    capacity : float or None
        What C-rates refer to, in C.
    """

    name: str
    steps: tuple[CyclerStep, ...]
    safety: SafetyLimits
    loops: tuple[Loop, ...] = ()
    capacity: float | None = None


class Cycler(Instrument, Protocol):
    """Charges and discharges cells on numbered channels (counted from 1)."""

    async def start(self, token: str, channel: int, program: CyclerProgram) -> Handle:
        """Start ``program`` on ``channel`` under the name ``token``.

        Raises
        ------
        Busy
            The channel is running something.
        Refused
            The dry-start check or the start was declined, or the safety limits did not read back.
        OutOfRange
            Voltage or current beyond what the channel can do.
        """

    async def poll(self, handle: Handle) -> Progress:
        """Look once.

        ``values``: voltage_V, current_A (charging positive), capacity_C, step_time_s, and temperature_K where the cell
        has a thermometer of its own. ``test_time_s``, of a cycler that says ``TEST_CLOCK``: seconds since the program
        started as its own clock counts them, which is the clock of ``time_s`` in ``records.csv``, so that an instant
        can be found there. Whether that clock stands while the program is suspended is the instrument's own affair; a
        suspended program is told by a ``message`` that begins with ``suspended``.

        Raises
        ------
        CannotSay
            The channel is in a state of which nobody knows whether the program runs.
        """

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the raw export and ``records.csv`` into ``folder``.

        ``records.csv`` has the columns ``record,time_s,step,voltage_V,current_A,capacity_C,state,end``: time since the
        start of the operation, current signed (charging positive), capacity of the step as a magnitude, every record
        number present. ``summary``: ``end`` (how the last step ended: voltage, current, capacity, time, aborted,
        fault), ``records``, ``first_record``, ``last_record``, ``capacity_C``, ``voltage_V`` (last), ``duration_s``.

        Raises
        ------
        DataError
            A record number is missing, or the file contradicts the channel.
        """

    async def abort(self, handle: Handle) -> None:
        """To open circuit, now. Idempotent: what is not running any more is left alone."""

    async def suspend(self, handle: Handle) -> None:
        """Interrupt the program: the channel opens, and the program can go on later. Safe to repeat."""

    async def resume(self, handle: Handle) -> None:
        """Go on with a suspended program. Safe to repeat."""

    async def find(self, token: str) -> Handle | None:
        """Find a program that was started under ``token``.

        Returns
        -------
        Handle or None
            None only if it is proven that it was never started.

        Raises
        ------
        CannotSay
            Neither can be proven.
        """

    async def reading(self, channel: int) -> Reading:
        """Read voltage and current of a channel, idle or not."""

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that the station gave us."""


@runtime_checkable
class Recording(Protocol):
    """A cycler that gives records while a program runs, so that they are safe before it ends."""

    async def records(self, handle: Handle, after: int | None) -> str:
        """Give the records that are there beyond ``after``.

        Parameters
        ----------
        handle : Handle
            Of the running program.
        after : int or None
            Number of the last record that is kept already; None for none. Asked again with the same number, it gives
            the same records and what has come since.

        Returns
        -------
        str
            A table as ``fetch`` lays it down in ``records.csv``, heading included, row for row the same text.

        Raises
        ------
        DataError
            What the instrument has can't be read, or has a gap; the program is not harmed.
        """
