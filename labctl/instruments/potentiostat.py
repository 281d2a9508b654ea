"""Potentiostat: impedance of the cell that its leads reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from labctl.instruments.common import Fetched, Handle, Instrument, Progress


@dataclass(frozen=True, slots=True)
class ImpedanceRequest:
    """One impedance spectrum.

    Attributes
    ----------
    name : str
        The operation's id.
    control : str
        ``galvanostatic`` (amplitude in A) or ``potentiostatic`` (amplitude in V).
    frequency_start, frequency_end : float
        Hz; swept from the higher to the lower.
    points_per_decade : int
        Density over the whole range.
    periods : int
        Periods averaged per point.
    amplitude : float
        Peak amplitude, A or V.
    bias : float
        DC current in A (galvanostatic) or voltage in V against open circuit (potentiostatic).
    voltage_min, voltage_max : float
        The cell's limits in V; outside them the run is refused or ended.
    """

    name: str
    control: Literal["galvanostatic", "potentiostatic"]
    frequency_start: float
    frequency_end: float
    points_per_decade: int
    periods: int
    amplitude: float
    bias: float
    voltage_min: float
    voltage_max: float


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
