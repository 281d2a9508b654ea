"""Read a Bruker 1D dataset: the free induction decay as it was acquired, and the parameters that were used.

A dataset that is truncated, still being written or not one-dimensional is refused by name. Nothing is processed here.
``read`` is for what labctl acquired itself and forgives nothing; ``read_loose`` takes what others have acquired, from
any generation of the software, and writes down what it had to assume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.acquired import Acquired
from labctl.analysis.jcamp import Parameters
from labctl.analysis.places import Folder, Place, locate
from labctl.analysis.provenance import Origin
from labctl.errors import DataError

_BYTES_PER_POINT: Final = {0: 4, 2: 8}  # DTYPA: int32, float64
#: What a dataset's file is rounded up to.
_BLOCK: Final = 1024
_IN_PROGRESS: Final = "acquisition in progress"
_FINISHED: Final = "created by zg"
#: Points at exactly the largest value that are no chance, in a decay of at least so many counts.
_ALIKE: Final = 8
_COUNTS: Final = 256.0
#: AQ_mod: how the two channels of the receiver were read.
_ONE_CHANNEL: Final = 0
_SEQUENTIAL: Final = 2


@dataclass(frozen=True, slots=True)
class Dataset:
    """One acquisition, unprocessed.

    Attributes
    ----------
    folder : Path
        The dataset's EXPNO folder; inside an archive, its path with the member's.
    fid : ndarray of complex
        The sum over all scans, in the receiver's units (the exponent NC applied).
    sweep_width_Hz : float
        Complex points per second.
    basic_Hz, carrier_Hz : float
        BF1 and SFO1.
    reference_Hz : float or None
        SF of the processing parameters: the frequency of 0 ppm. None where the dataset has none.
    start_s : float
        When the first point was taken, in s after the pulse (dead time DE less the digital filter's delay).
    scans, receiver_gain, recycle_delay_s, pulse_s, power_W : float
        NS, RG, D1, P1, PLW1 as used.
    temperature_K : float
        TE as the spectrometer wrote it.
    pulse_program, nucleus : str
        PULPROG and NUC1.
    dead_time_s : float
        From the end of the pulse to the first point of the signal, s.
    delay_points : float
        The digital filter's delay in complex points.
    origins : tuple of Origin
        Where each of these came from.
    parameters : mapping
        Everything the spectrometer wrote into its parameter file.
    """

    folder: Path
    fid: NDArray[np.complex128]
    sweep_width_Hz: float
    basic_Hz: float
    carrier_Hz: float
    reference_Hz: float | None
    start_s: float
    scans: int
    receiver_gain: float
    recycle_delay_s: float
    pulse_s: float
    power_W: float
    temperature_K: float
    pulse_program: str
    nucleus: str
    dead_time_s: float = 0.0
    delay_points: float = 0.0
    origins: tuple[Origin, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def acquisition_s(self) -> float:
        """Length of the decay in s."""
        return len(self.fid) / self.sweep_width_Hz

    @property
    def assumed(self) -> tuple[str, ...]:
        """What no file said and had to be assumed, one sentence each."""
        return tuple(str(one) for one in self.origins if one.source == "assumed")


def read(folder: Path | Place, *, scans: int | None = None) -> Dataset:
    """Read the dataset in ``folder`` (the EXPNO).

    Parameters
    ----------
    folder : Path or Place
        The EXPNO folder; a place is of others' data and read as :func:`read_loose` does.
    scans : int, optional
        Given for a copy of an acquisition that still goes on: so many scans are in its data, and its parameters are
        those that were wanted (``acqu``).

    Raises
    ------
    DataError
        If there is none, it is two-dimensional, truncated, still being written, or its parameters contradict the data.

    Notes
    -----
    Number format (DTYPA), byte order (BYTORDA) and layout are as nmrglue reads real data. That NC scales the raw data
    as 2**NC, that a positive GRPDLY counts complex points, and that the fid may exist, full of zeros, while the
    acquisition goes on, was seen in public clients and in nmrglue; none of it was checked on a spectrometer.
    """
    if not isinstance(folder, Path):
        return _read(folder, scans, lenient=True)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such dataset")
    return _read(Folder(folder), scans, lenient=False)


def read_loose(path: Path) -> Dataset:
    """Read a dataset that labctl did not acquire.

    Parameters
    ----------
    path : Path
        An EXPNO folder, its ``fid``, ``acqus``, ``pdata`` or anything below, a folder above it, or a zip archive. It
        must hold a single EXPNO; :func:`labctl.analysis.places.locate` finds several.

    Raises
    ------
    DataError
        As :func:`read`; also if there are several, named. Parameters that are missing are assumed and written down
        where anything lawful can be assumed, and refused by name where nothing can.
    """
    found = locate(path)
    if len(found) > 1:
        names = ", ".join(str(one.path) for one in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise DataError(f"{path}: {len(found)} datasets ({names}{more})", hint="give one of them")
    return read_place(found[0])


def read_place(place: Place) -> Dataset:
    """Read one that :func:`labctl.analysis.places.locate` found, as :func:`read_loose` does."""
    return _read(place, None, lenient=True)


def _read(place: Place, scans: int | None, *, lenient: bool) -> Dataset:
    if scans is None:
        _refuse_unfinished(place, lenient=lenient)
    name = "acqus" if scans is None else "acqu"
    used = Parameters.parse(place.read(name))
    if not len(used) or ("TD" not in used and scans is None and not lenient):
        raise DataError(f"{place.path / name}: no Bruker parameter file, or truncated")
    ask = Acquired(used, place.path / name, lenient=lenient, under_way=scans is not None)
    mode = ask.whole("AQ_mod", "channels", 3, "simultaneous detection, which all digital consoles use")
    if mode == _ONE_CHANNEL:
        raise DataError(f"{place.path}: acquired on one channel (AQ_mod 0, qf); quadrature data is needed")
    if mode == _SEQUENTIAL:
        raise DataError(f"{place.path}: the channels were read in turn (AQ_mod 2, qseq), which needs a real transform",
                        hint="convert it in TopSpin (convdta) or acquire with qsim or DQD")  # fmt: skip
    fid = _decay(place, ask)
    width = ask.sweep_width()
    basic, carrier = ask.frequencies()
    delay = ask.delay_points()
    dead = ask.dead_time()
    counted = ask.scans() if scans is None else scans
    gain = ask.gain()
    if width <= 0 or counted < 1 or gain <= 0:
        raise DataError(f"{place.path / name}: SW_h={width}, NS={counted}, RG={gain} make no sense")
    if not 0.0 <= delay < len(fid):
        raise DataError(f"{place.path / name}: the digital filter's delay of {delay:g} points does not fit "
                        f"a decay of {len(fid)}")  # fmt: skip
    fid.setflags(write=False)
    return Dataset(
        folder=place.path,
        fid=fid,
        sweep_width_Hz=width,
        basic_Hz=basic,
        carrier_Hz=carrier,
        reference_Hz=_reference(place, ask),
        start_s=dead - delay / width,
        scans=counted,
        receiver_gain=gain,
        recycle_delay_s=ask.listed("D", 1, "recycle delay", "s"),
        pulse_s=ask.listed("P", 1, "pulse", "µs") * 1e-6,
        power_W=ask.listed("PLW", 1, "pulse power", "W"),
        temperature_K=ask.plain("TE", "temperature", "K"),
        pulse_program=used.text("PULPROG"),
        nucleus=used.text("NUC1") or used.text("NUCLEUS"),
        dead_time_s=dead,
        delay_points=delay,
        origins=tuple(ask.origins),
        parameters=used.values,
    )


def cut_off(dataset: Dataset) -> int:
    """Count the points that lie at exactly the largest value, where so many do that something cut the decay off there.

    A second sign of an overloaded receiver beside what the console says; 0 is no proof of the contrary, since scans
    that were added up and a digital filter behind the converter leave no two points alike.
    """
    values = np.abs(dataset.fid.view(np.float64))
    top = float(values.max())
    alike = int(np.count_nonzero(values == top))
    step = float(np.min(values[values > 0.0]))
    return alike if alike >= _ALIKE and top >= _COUNTS * step else 0


def _refuse_unfinished(place: Place, *, lenient: bool) -> None:
    # A one-dimensional experiment made from a two-dimensional one keeps its leftover parameters.
    if place.has("ser") or (place.has("acqu2s") and not (lenient and place.has("fid"))):
        raise DataError(f"{place.path}: a two-dimensional dataset; labctl evaluates one EXPNO per acquisition")
    if place.has("audita.txt"):
        text = place.read("audita.txt").decode("latin-1")
        if _IN_PROGRESS in text and text.rfind(_FINISHED) < text.rfind(_IN_PROGRESS):
            raise DataError(f"{place.path}: still being written (audita.txt says 'acquisition in progress')")
    for name in ("acqus", "fid"):
        if not place.has(name):
            state = "still being written" if place.has("acqu") else "not a Bruker dataset"
            raise DataError(f"{place.path}: {state}, {name} is missing")


def _decay(place: Place, ask: Acquired) -> NDArray[np.complex128]:
    """Read the numbers of the decay: their format, order and count are checked against the size of the file."""
    file = place.path / "fid"
    content = place.read("fid")
    points = ask.points(len(content))
    kind = ask.number_format(points, len(content))
    expected = points * _BYTES_PER_POINT.get(kind, 0)
    if expected <= 0:
        raise DataError(f"{place.path}: unknown number format DTYPA={kind} or no points (TD={points})")
    if len(content) < expected:
        raise DataError(f"{file}: truncated, {len(content)} of {expected} bytes")
    padded = -(-expected // _BLOCK) * _BLOCK
    if len(content) not in (expected, padded):
        raise DataError(f"{file}: {len(content)} bytes, but TD={points} asks for {expected}")
    if len(content) > expected:
        ask.note("padding", len(content) - expected, "bytes", "dataset", f"the fid fills blocks of {_BLOCK} bytes")
    order = ask.byte_order(content[:expected], kind)
    raw = np.frombuffer(content, f"{order}{'f8' if kind == 2 else 'i4'}", points).astype(np.float64)
    # Real and imaginary parts in turn; a last point without its partner would be none.
    pairs = raw[: 2 * (points // 2)].view(np.complex128)
    exponent = ask.whole("NC", "exponent of the data", 0, "the data are not scaled")
    if not np.all(np.isfinite(pairs)):
        raise DataError(f"{file}: holds values that are no numbers")
    if not np.any(pairs):
        raise DataError(f"{file}: nothing but zeros; the acquisition was still running or never ran")
    return pairs * 2.0**exponent if exponent else pairs


def _reference(place: Place, ask: Acquired) -> float | None:
    """Read SF from the first processed copy of the dataset."""
    for number in ("1", *place.below("pdata")):
        name = f"pdata/{number}/procs"
        if place.has(name):
            value = Parameters.parse(place.read(name)).number("SF")
            if value is not None and value > 0:
                ask.note("frequency of 0 ppm", value * 1e6, "Hz", "dataset", f"{name} SF")
                return value * 1e6
    return None
