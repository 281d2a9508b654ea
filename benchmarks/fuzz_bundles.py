"""What :mod:`benchmarks.fuzz` begins with for the readers of the analysis: one file of a bundle is replaced at a time.

The bundle's document lists the hash of what was put there: what is tried is not the hash but what comes after it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.fuzz_corpus import Reader
from labctl.analysis import bundles, dynamic, impedance, operando
from labctl.analysis.bundles import Operation
from labctl.analysis.measured import Session
from labctl.analysis.operando_course import course
from labctl.analysis.operando_shots import whole
from labctl.analysis.settings import Settings
from labctl.errors import LabctlError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

import under_current as truth

_OPERANDO = f"{truth.CELL}/c000/02-operando-plating/a1"
_DEIS = f"{truth.CELL}/c030/03-deis-end/a1"
#: So many lines of a table of stamps are kept: two spectra.
_LINES = 3


@cache
def _campaign() -> Path:
    """Write a campaign of few spectra, once for each process."""
    folder = truth.campaign(Path(mkdtemp(prefix="labctl-fuzz-")))
    for step in (_OPERANDO, _DEIS):
        path = folder / step / "stamps.csv"
        path.write_text("\n".join(path.read_text().splitlines()[:_LINES]) + "\n")
        _put(folder / step, "stamps.csv", path.read_bytes())
    return folder


def _put(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)
    path = bundle / "operation.json"
    document = json.loads(path.read_text())
    for entry in document["files"]:
        if entry["name"] == name:
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    path.write_text(json.dumps(document))


def _session(kind: str) -> tuple[Session, Operation]:
    (found,) = bundles.find([_campaign()])
    return Session(found, Settings()), next(one for one in found.operations if one.kind == kind)


def _silent(text: str) -> None:
    if "\n" in text or not text:
        raise AssertionError(f"not one line: {text!r}")


def _reader(step: str, name: str, read: Callable[[], str | None]) -> Reader:
    """Give the reader of a campaign in which one file of a step is replaced, and put back after."""

    def replaced(content: bytes) -> str | None:
        bundle = _campaign() / step
        before = (bundle / name).read_bytes()
        _put(bundle, name, content)
        try:
            return read()
        finally:
            _put(bundle, name, before)

    return Reader(lambda: ((_campaign() / step / name).read_bytes(),), replaced, (LabctlError,))


def _read_operando() -> str | None:
    session, one = _session("operando")
    for series in operando.read(session, [one], _silent):
        sizes = {len(series.sort), len(series.integral), len(series.deposits), len(series.soc), *map(len, (
            series.intensity, series.start_h, series.middle_h, series.end_h, series.charge_mAh))}  # fmt: skip
        if sizes != {len(series.numbers)}:
            return f"{sizes} values for {len(series.numbers)} spectra"
    return None


def _read_spectra() -> str | None:
    session, one = _session("operando")
    whole(session, one, _silent)
    return None


def _read_course() -> str | None:
    _, one = _session("operando")
    hours, voltage, current = course(one, truth.BEGAN, _silent)
    return None if len(hours) == len(voltage) == len(current) else "columns of different length"


def _read_dynamic() -> str | None:
    _, one = _session("deis")
    for series in dynamic.read(Settings(), [one], _silent):
        sizes = set(map(len, (series.spectra, series.fits, series.tests, series.charge_mAh, series.soc)))
        if sizes != {len(series.numbers)}:
            return f"{sizes} values for {len(series.numbers)} spectra"
    return None


def _read_document(content: bytes) -> str | None:
    path = _campaign() / _DEIS / "operation.json"
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        (found,) = bundles.find([_campaign()])
        dynamic.read(Settings(), found.of(truth.CELL), _silent)
    finally:
        path.write_bytes(before)
    return None


def _read_table(content: bytes) -> str | None:
    path = _campaign().parent / "loose.csv"
    path.write_bytes(content)
    impedance.read_series(path)
    return None


READERS: dict[str, Reader] = {
    "operando-stamps": _reader(_OPERANDO, "stamps.csv", _read_operando),
    "operando-looks": _reader(_OPERANDO, "looks.csv", _read_course),
    "operando-spectrum": _reader(_OPERANDO, "s001/a1/operation.json", _read_spectra),
    "deis-stamps": _reader(_DEIS, "stamps.csv", _read_dynamic),
    "deis-table": _reader(_DEIS, "impedance-001.csv", _read_dynamic),
    "operation": Reader(
        lambda: ((_campaign() / _DEIS / "operation.json").read_bytes(),), _read_document, (LabctlError,)
    ),
    "impedance-csv": Reader(
        lambda: ((_campaign() / _DEIS / "impedance-001.csv").read_bytes(),), _read_table, (LabctlError,)
    ),
}
