"""Read a Bruker 1D dataset: the free induction decay as it was acquired, and the parameters that were used.

A dataset that is truncated, still being written or not one-dimensional is refused by name. Nothing is processed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError

#: A parameter of a JCAMP-DX file: its name, and its value to the next label or comment.
_ENTRY: Final = re.compile(r"^##\$(\w+)= ?(.*(?:\n(?!##|\$\$).*)*)", re.MULTILINE)
_BYTES_PER_POINT: Final = {0: 4, 2: 8}  # DTYPA: int32, float64
_IN_PROGRESS: Final = "acquisition in progress"
_FINISHED: Final = "created by zg"
#: Points at exactly the largest value that are no chance, in a decay of at least so many counts.
_ALIKE: Final = 8
_COUNTS: Final = 256.0


@dataclass(frozen=True, slots=True)
class Dataset:
    """One acquisition, unprocessed.

    Attributes
    ----------
    folder : Path
        The dataset's EXPNO folder.
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

    @property
    def acquisition_s(self) -> float:
        """Length of the decay in s."""
        return len(self.fid) / self.sweep_width_Hz


def read(folder: Path, *, scans: int | None = None) -> Dataset:
    """Read the dataset in ``folder`` (the EXPNO).

    Parameters
    ----------
    folder : Path
        The EXPNO folder.
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
    if scans is None:
        _refuse_unfinished(folder)
    used = _parameters(folder / ("acqus" if scans is None else "acqu"))
    points = int(_number(used, "TD", folder))
    kind = int(_number(used, "DTYPA", folder, 0))
    if int(_number(used, "AQ_mod", folder, 3)) == 0:
        raise DataError(f"{folder}: acquired on one channel (AQ_mod 0); quadrature data is needed")
    size = (folder / "fid").stat().st_size
    expected = points * _BYTES_PER_POINT.get(kind, 0)
    if expected == 0:
        raise DataError(f"{folder}: unknown number format DTYPA={kind} or no points (TD={points})")
    if size < expected:
        raise DataError(f"{folder / 'fid'}: truncated, {size} of {expected} bytes")
    if size > expected:
        raise DataError(f"{folder / 'fid'}: {size} bytes, but TD={points} asks for {expected}")
    order = ">" if int(_number(used, "BYTORDA", folder, 0)) == 1 else "<"
    raw = np.fromfile(folder / "fid", dtype=f"{order}{'f8' if kind == 2 else 'i4'}").astype(np.float64)
    # Real and imaginary parts in turn; a last point without its partner would be none.
    fid = raw[: 2 * (points // 2)].view(np.complex128) * 2.0 ** _number(used, "NC", folder, 0)
    if not np.all(np.isfinite(fid)):
        raise DataError(f"{folder / 'fid'}: holds values that are no numbers")
    if not np.any(fid):
        raise DataError(f"{folder / 'fid'}: nothing but zeros; the acquisition was still running or never ran")
    sweep_width = _number(used, "SW_h", folder)
    scans = int(_number(used, "NS", folder)) if scans is None else scans
    gain = _number(used, "RG", folder, 1)
    if sweep_width <= 0 or scans < 1 or gain <= 0:
        raise DataError(f"{folder / 'acqus'}: SW_h={sweep_width}, NS={scans}, RG={gain} make no sense")
    fid.setflags(write=False)
    return Dataset(
        folder=folder,
        fid=fid,
        sweep_width_Hz=sweep_width,
        basic_Hz=_number(used, "BF1", folder) * 1e6,
        carrier_Hz=_number(used, "SFO1", folder) * 1e6,
        reference_Hz=_reference(folder),
        start_s=_number(used, "DE", folder, 0) * 1e-6 - _group_delay(used) / sweep_width,
        scans=scans,
        receiver_gain=gain,
        recycle_delay_s=_element(used, "D", 1),
        pulse_s=_element(used, "P", 1) * 1e-6,
        power_W=_element(used, "PLW", 1),
        temperature_K=_number(used, "TE", folder, 0),
        pulse_program=str(used.get("PULPROG", "")),
        nucleus=str(used.get("NUC1", "")),
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


def _refuse_unfinished(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such dataset")
    if (folder / "ser").exists() or (folder / "acqu2s").exists():
        raise DataError(f"{folder}: a two-dimensional dataset; labctl evaluates one EXPNO per acquisition")
    audit = folder / "audita.txt"
    if audit.exists():
        text = audit.read_text(encoding="latin-1")
        if _IN_PROGRESS in text and text.rfind(_FINISHED) < text.rfind(_IN_PROGRESS):
            raise DataError(f"{folder}: still being written (audita.txt says 'acquisition in progress')")
    for name in ("acqus", "fid"):
        if not (folder / name).is_file():
            state = "still being written" if (folder / "acqu").exists() else "not a Bruker dataset"
            raise DataError(f"{folder}: {state}, {name} is missing")


def _parameters(path: Path) -> Mapping[str, Any]:
    """Read a JCAMP-DX parameter file: numbers, texts without their <>, and lists."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: unreadable parameters ({error})") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    found = {name: _value(raw.strip()) for name, raw in _ENTRY.findall(text.replace("\r\n", "\n"))}
    if not found or ("TD" not in found and path.name == "acqus"):
        raise DataError(f"{path}: no Bruker parameter file, or truncated")
    return found


def _value(text: str) -> Any:
    """Read one value: ``<text>``, ``(0..n)`` and its elements, or a number; anything else stays text."""
    if text.startswith("<"):
        return text[1:].partition(">")[0]
    if text.startswith("("):
        return [_scalar(part) for part in text.partition(")")[2].split()]
    return _scalar(text)


def _scalar(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _number(found: Mapping[str, Any], name: str, folder: Path, otherwise: float | None = None) -> float:
    value = found.get(name, otherwise)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise DataError(f"{folder / 'acqus'}: parameter {name} is missing or not a number ({value!r})")


def _element(found: Mapping[str, Any], name: str, index: int) -> float:
    values = found.get(name)
    if isinstance(values, list) and len(values) > index and isinstance(values[index], (int, float)):
        return float(values[index])
    return 0.0


def _reference(folder: Path) -> float | None:
    path = folder / "pdata" / "1" / "procs"
    if not path.is_file():
        return None
    value = _parameters(path).get("SF")
    return float(value) * 1e6 if isinstance(value, (int, float)) and value > 0 else None


def _group_delay(used: Mapping[str, Any]) -> float:
    """Give the digital filter's delay in complex points."""
    delay = used.get("GRPDLY", 0)
    if isinstance(delay, (int, float)) and delay > 0:
        return float(delay)
    if int(used.get("DIGMOD", 0) or 0) == 0:
        return 0.0
    # Only data of old consoles lack GRPDLY; for them the vendor's table of delays is needed, and nmrglue has it.
    from nmrglue.fileio import bruker

    table = bruker.bruker_dsp_table.get(int(used.get("DSPFVS", 0) or 0), {})
    return float(table.get(int(used.get("DECIM", 0) or 0), 0.0))
