"""Spectrometer: one acquisition on the sample in the probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labctl.instruments.common import Fetched, Handle, Identity, Instrument, Progress


@dataclass(frozen=True, slots=True)
class AcquisitionRequest:
    """One acquisition, or a series of them with different pulse lengths, as one dataset.

    Attributes
    ----------
    name : str
        The operation's id; it goes into the title.
    sample : str
        What is in the probe, for the title.
    nucleus : str
        Such as ``7Li``.
    pulse_program : str
        Such as ``zg`` or ``zgpr``.
    carrier_ppm : float
        Transmitter offset in ppm of the basic frequency.
    scans : int
        NS.
    recycle_delay : float
        D1 in s.
    dwell_time : float
        DW in s between real points; SW_h = 1/(2 DW).
    points : int
        TD, real points.
    pulse_lengths : tuple of float
        P1 in s. One: an ordinary acquisition in EXPNO 1. More: a nutation series in EXPNO 1, 2, 3, ...
    pulse_power : float
        PLW1 in W.
    receiver_gain : float or None
        RG; None lets the spectrometer keep its present value, which is read back.
    """

    name: str
    sample: str
    nucleus: str
    pulse_program: str
    carrier_ppm: float
    scans: int
    recycle_delay: float
    dwell_time: float
    points: int
    pulse_lengths: tuple[float, ...]
    pulse_power: float
    receiver_gain: float | None = None


class Spectrometer(Instrument, Protocol):
    """Acquires NMR datasets; what was acquired is a complete vendor dataset or nothing."""

    async def connect(self) -> Identity:
        """Connect. ``details["session"]`` names the spectrometer session that a reference is good for."""

    def session(self) -> str:
        """Name the present spectrometer session: a reference spectrum is good for one session."""

    async def start(self, token: str, request: AcquisitionRequest) -> Handle:
        """Make the dataset ``token``, write and read back every parameter, and start.

        Raises
        ------
        Refused
            A parameter did not read back as written, or the dataset exists.
        Busy
            Something is being acquired.
        """

    async def poll(self, handle: Handle) -> Progress:
        """Look once. ``values``: scans_done, expno. Done is judged from the dataset, not from the program."""

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Copy the datasets whole to ``folder/<token>/<expno>``; complete or not at all.

        ``sent`` and ``read_back`` hold the parameters by their Bruker names; ``summary``: ``expnos``, ``scans``,
        ``session``, and where the dataset tells them ``acquired_from`` and ``acquired_until`` (ISO 8601, the
        spectrometer's clock).

        Raises
        ------
        DataError
            Truncated, still being written, or not what was asked for.
        """

    async def abort(self, handle: Handle) -> None:
        """Halt the acquisition. Idempotent."""

    async def find(self, token: str) -> Handle | None:
        """As for a cycler, by dataset name and audit trail."""
