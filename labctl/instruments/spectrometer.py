"""Spectrometer: one acquisition on the sample in the probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from labctl.instruments.common import Fetched, Handle, Identity, Instrument, Progress

#: What is done to the magnetisation before the exciting pulse; the steady state, and with it every integral, differs.
Saturation = Literal["none", "continuous", "comb"]


@dataclass(frozen=True, slots=True)
class AcquisitionRequest:
    """One acquisition, or a series of them with different pulse lengths or recycle delays, as one dataset.

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
        RG; None lets the spectrometer keep its present value, which is read back. A spectrometer with steps takes the
        nearest one, and says which.
    carrier_offset : float
        Hz by which the transmitter lies beside ``carrier_ppm``.
    saturation : str or None
        ``none``, ``continuous`` (weak irradiation of one shift during the recycle delay) or ``comb`` (a train of pulses
        before it, after which every line recovers from zero); None leaves it to the pulse program and its presets.
    saturation_ppm, saturation_power : float
        Of continuous irradiation: where, and with how many W.
    comb_pulses, comb_spacing : int, float
        Of a comb: how many pulses, s between them.
    echo_delay : float or None
        s between the two pulses of a solid echo, and from the second to its top; None where there is no echo.
    dead_time : float or None
        DE in s from the pulse, or the echo's top, to the first point; None leaves it to the spectrometer.
    recycle_delays : tuple of float
        s. None given: an ordinary acquisition, or a nutation series. Some: a saturation recovery in EXPNO 1, 2, ...,
        with one pulse length.
    may_end_early : bool
        Whether an acquisition with fewer scans than ``scans`` is a result.
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
    carrier_offset: float = 0.0
    saturation: Saturation | None = None
    saturation_ppm: float = 0.0
    saturation_power: float = 0.0
    comb_pulses: int = 0
    comb_spacing: float = 0.0
    echo_delay: float | None = None
    dead_time: float | None = None
    recycle_delays: tuple[float, ...] = ()
    may_end_early: bool = False

    @property
    def points_of_series(self) -> tuple[tuple[float, float], ...]:
        """Pulse length and recycle delay of each EXPNO, in s."""
        if self.recycle_delays:
            return tuple((self.pulse_lengths[0], delay) for delay in self.recycle_delays)
        return tuple((pulse, self.recycle_delay) for pulse in self.pulse_lengths)


@runtime_checkable
class SampleThermometer(Protocol):
    """A spectrometer that tells the sample's temperature before a spectrum is taken."""

    async def sample_temperature(self, token: str) -> float:
        """Measure it, in K; what that leaves at the spectrometer carries ``token`` in its name."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a probe reflects after it was tuned and matched.

    Attributes
    ----------
    reflected : float
        At the transmitter's frequency, as a part of what it reflects far from resonance.
    at_most : float
        What it may be.
    beside_Hz : float or None
        How far from the transmitter's frequency the probe is in resonance; None where the spectrometer does not tell.
    """

    reflected: float
    at_most: float
    beside_Hz: float | None = None

    @property
    def well(self) -> bool:
        """Whether it is tuned."""
        return self.reflected <= self.at_most


@runtime_checkable
class Tuning(Protocol):
    """A spectrometer that tunes and matches its probe by itself."""

    async def tune(self, token: str, nucleus: str) -> Tuned | None:
        """Tune and match for this nucleus with the sample in the probe, and say how it came out.

        None where the spectrometer does not tell: then it is for the spectra to tell.
        """

    async def tuned(self, token: str) -> Tuned | None:
        """Say again how the tuning for ``token`` came out."""


@runtime_checkable
class Watched(Protocol):
    """A spectrometer whose data can be looked at while it acquires them, and that can be told that they are enough."""

    async def so_far(self, handle: Handle, folder: Path) -> int | None:
        """Copy the data of the running acquisition into ``folder``; gives the scans in them, None where none are."""

    async def enough(self, handle: Handle) -> None:
        """End an acquisition that was started with ``may_end_early``; what it has counts as complete. Idempotent."""


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
        """Look once. ``values``: scans_done, scans, expno; when done also receiver_gain and clipped (0 or 1).

        Done is judged from the dataset, not from the program. Clipped: the receiver was overloaded in some EXPNO, as
        far as the spectrometer can tell; a spectrometer that can't leaves it out.
        """

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

    async def find(self, token: str, request: AcquisitionRequest | None = None) -> Handle | None:
        """As for a cycler, by dataset name and audit trail.

        With the request that it was started with, the handle is the one that ``start`` gave: what comes back is held
        against that, not against what stands in the dataset now.
        """
