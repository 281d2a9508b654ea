"""Potentiostat: impedance of the cell that its leads reach, at rest or while a direct current flows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from labctl.instruments.common import Fetched, Handle, Instrument, Progress


@dataclass(frozen=True, slots=True)
class ImpedanceRequest:
    """One impedance spectrum, and on request the sweeps that show whether it can be trusted.

    Attributes
    ----------
    name : str
        The operation's id.
    control : str
        ``galvanostatic`` (amplitude in A), ``potentiostatic`` (amplitude in V), or ``pseudo-galvanostatic`` (amplitude
        in A, kept up by regulating the voltage round open circuit).
    frequency_start, frequency_end : float
        Hz; swept from the first to the second, falling or rising.
    points_per_decade : int
        Density over the whole range, or above 66 Hz where ``points_per_decade_low`` is given.
    periods : int
        Periods averaged per point, or above 66 Hz where ``periods_low`` is given.
    amplitude : float
        Peak amplitude, A or V.
    bias : float
        DC current in A (galvanostatic) or voltage in V against open circuit (the others).
    voltage_min, voltage_max : float
        The cell's limits in V; outside them the run is refused or ended.
    points_per_decade_low : int, optional
        Density below 66 Hz.
    periods_low : int, optional
        Periods per point at the lowest frequency; at most ``periods``.
    rest_before : float
        Seconds at open circuit before the sweep, source off, after the leads have reached the cell.
    linearity : float, optional
        Sweep once more with the amplitude times this factor.
    repeat : bool
        Sweep once more with everything as it was, to see whether the cell has changed meanwhile.
    """

    name: str
    control: Literal["galvanostatic", "potentiostatic", "pseudo-galvanostatic"]
    frequency_start: float
    frequency_end: float
    points_per_decade: int
    periods: int
    amplitude: float
    bias: float
    voltage_min: float
    voltage_max: float
    points_per_decade_low: int | None = None
    periods_low: int | None = None
    rest_before: float = 0.0
    linearity: float | None = None
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class DynamicRequest:
    """A series of spectra while a direct current charges or discharges the cell.

    The direct current flows from the first spectrum's start to the series' end without a break, between spectra too.

    Attributes
    ----------
    name : str
        The operation's id.
    current : float
        Direct current in A; positive charges.
    amplitude : float
        Peak amplitude in A of the alternating current on top; it may exceed the direct current.
    frequency_start, frequency_end, points_per_decade, periods
        As for :class:`ImpedanceRequest`, the same for every spectrum.
    spectra : int
        Most spectra; after them the series has come to its end.
    pause : float
        Seconds of direct current alone between the end of a spectrum and the start of the next.
    cutoff : float
        Mean voltage in V at which the series ends: a lower end for a discharge, an upper one for a charge. Mean is
        over the periods of a point, so that the alternating current's own swing ends nothing.
    voltage_min, voltage_max : float
        The cell's limits in V for the mean voltage; outside them the series is refused, or ended as failed.
    points_per_decade_low, periods_low : int, optional
        As for :class:`ImpedanceRequest`.
    """

    name: str
    current: float
    amplitude: float
    frequency_start: float
    frequency_end: float
    points_per_decade: int
    periods: int
    spectra: int
    cutoff: float
    voltage_min: float
    voltage_max: float
    pause: float = 0.0
    points_per_decade_low: int | None = None
    periods_low: int | None = None

    def spectrum(self) -> ImpedanceRequest:
        """One spectrum of the series: galvanostatic, with the direct current as its bias."""
        return ImpedanceRequest(
            name=self.name,
            control="galvanostatic",
            frequency_start=self.frequency_start,
            frequency_end=self.frequency_end,
            points_per_decade=self.points_per_decade,
            periods=self.periods,
            amplitude=self.amplitude,
            bias=self.current,
            voltage_min=self.voltage_min,
            voltage_max=self.voltage_max,
            points_per_decade_low=self.points_per_decade_low,
            periods_low=self.periods_low,
        )


class Potentiostat(Instrument, Protocol):
    """Measures impedance; its source is off except while it does."""

    async def open_circuit_voltage(self) -> float:
        """Voltage in V at the leads, source off."""

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Start the sweep; the instrument's file carries ``token`` as its name."""

    async def poll(self, handle: Handle) -> Progress:
        """Look once. ``values``: frequency_Hz, points_done."""

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the raw file and ``impedance.csv`` into ``folder``.

        ``impedance.csv``: ``frequency_Hz,real_ohm,imaginary_ohm,time_s,voltage_V,current_A``, in the order of
        measurement, imaginary part with its own sign (capacitive is negative). ``summary``: points, the frequency
        range, ``voltage_before_V``.
        """

    async def abort(self, handle: Handle) -> None:
        """Source off, now, verified. Idempotent."""

    async def find(self, token: str) -> Handle | None:
        """As for a cycler; a busy script channel is waited for before judging."""


@runtime_checkable
class DynamicPotentiostat(Protocol):
    """A potentiostat that also takes spectra while it charges or discharges.

    ``abort`` and ``find`` take the handles of a series as those of a single spectrum.
    """

    async def start_dynamic(self, token: str, request: DynamicRequest) -> Handle:
        """Switch the direct current on and start the first spectrum; files carry ``token`` and the spectrum's number.

        Raises
        ------
        Busy, OutOfRange, Refused
            As ``start``; a cell whose voltage is at or beyond the cut-off is refused, too.
        """

    async def poll(self, handle: Handle) -> Progress:
        """Look once; starts the next spectrum when one has come to its end, and keeps the cut-off.

        ``remaining`` says when to look again, and is no more than the cut-off needs; ``values`` have
        ``spectra_done``, ``voltage_V`` and ``current_A`` (mean), ``frequency_Hz``, ``charge_C``, ``capacity_C`` (its
        magnitude), ``series_remaining_s``.
        """

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay all spectra of the series, its stamps and the record of its direct current into ``folder``.

        ``impedance-001.csv`` and so on: one table for each complete spectrum, columns as ``impedance.csv``.
        ``spectra.csv``: ``spectrum,started_s,middle_s,ended_s,charge_start_C,charge_middle_C,charge_end_C,``
        ``voltage_start_V,voltage_middle_V,voltage_end_V,table,file``; charge is what has passed since the direct
        current was switched on, positive when charging. ``direct.csv``: ``time_s,voltage_V,current_A,charge_C``.
        Times are seconds since ``summary["started"]`` (UTC, this PC's clock), when the current was switched on.
        ``summary``: ``started``, ``spectra``, ``end`` (``cut-off`` or ``all spectra``), ``charge_C``, ``duration_s``,
        ``voltage_before_V``, ``voltage_after_V``.
        """
