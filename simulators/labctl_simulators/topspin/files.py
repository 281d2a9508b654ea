"""A dataset on disk, written in the order in which a spectrometer writes it, so that a reader can come too early.

Before: acqu, pulse program, audit trail (in progress), a fid of zeros. After: fid (renamed into place), acqus,
processing parameters, and last the audit trail that says what created the data. Left out: ``proc``, ``uxnmr.par``,
``scon2``, ``format.temp`` and whatever else only TopSpin itself reads.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from labctl_simulators.topspin.parameters import VERSION, Parameters, read_parameters

_AUDIT_HEAD: Final = (
    f"##TITLE= Audit trail, TOPSPIN\t\tVersion {VERSION}\n##JCAMPDX= 5.01\n##ORIGIN= virtual laboratory\n"
    "##OWNER= labctl\n##AUDIT TRAIL=  $$ (NUMBER, WHEN, WHO, WHERE, PROCESS, VERSION, WHAT)\n"
)
_PULSE_PROGRAMS: Final = {
    "zg": "1 ze\n2 30m\n  d1\n  p1 ph1\n  go=2 ph31\n  30m mc #0 to 2 F0(zd)\nexit\n\nph1=0 2 2 0 1 3 3 1\n"
    "ph31=0 2 2 0 1 3 3 1\n",
    "zgpr": "1 ze\n2 30m\n  d12 pl9:f1\n  d1 cw:f1 ph29\n  4u do:f1\n  d12 pl1:f1\n  p1 ph1\n  go=2 ph31\n"
    "  30m mc #0 to 2 F0(zd)\nexit\n\nph1=0 2 2 0 1 3 3 1\nph29=0\nph31=0 2 2 0 1 3 3 1\n",
    "zgcomb": "1 ze\n2 30m\n3 d20\n  p1 ph2\n  lo to 3 times l20\n  d1\n  p1 ph1\n  go=2 ph31\n"
    "  30m mc #0 to 2 F0(zd)\nexit\n\nph1=0 2 2 0 1 3 3 1\nph2=0 1 2 3\nph31=0 2 2 0 1 3 3 1\n",
    "solidecho": "1 ze\n2 30m\n  d1\n  p1 ph1\n  d6\n  p1 ph2\n  d6\n  go=2 ph31\n"
    "  30m mc #0 to 2 F0(zd)\nexit\n\nph1=0 2\nph2=1 1 3 3\nph31=0 2\n",
}


def make(folder: Path, parameters: Parameters, now: datetime) -> None:
    """Lay down a fresh EXPNO folder."""
    (folder / "pdata" / "1").mkdir(parents=True)
    save_wanted(folder, parameters, now)


def save_wanted(folder: Path, parameters: Parameters, now: datetime) -> None:
    """Write ``acqu``, the wanted values."""
    (folder / "acqu").write_text(parameters.acquisition_file(_when(now)), encoding="utf-8")


def load_wanted(folder: Path) -> Parameters:
    """Read ``acqu``."""
    return read_parameters((folder / "acqu").read_text(encoding="utf-8"))


def load_used(folder: Path) -> Parameters | None:
    """Read ``acqus``, the values of the last acquisition, if there was one."""
    path = folder / "acqus"
    return read_parameters(path.read_text(encoding="utf-8")) if path.is_file() else None


def begin(folder: Path, parameters: Parameters, now: datetime, in_progress: bool = True) -> None:
    """Write what is there while an acquisition goes on; ``in_progress``: the audit trail says that it does."""
    save_wanted(folder, parameters, now)
    program = parameters.get("PULPROG")
    (folder / "pulseprogram").write_text(f'# 1 "{program}"\n;{program}\n{_PULSE_PROGRAMS[program]}', encoding="utf-8")
    if in_progress:
        _audit(folder, now, "<acquisition in progress>")
    width = 8 if parameters.get("DTYPA") == "2" else 4
    (folder / "fid").write_bytes(bytes(width * int(parameters.number("TD"))))


def end(folder: Path, parameters: Parameters, data: bytes, started: datetime, now: datetime) -> None:
    """Write what is there once the acquisition is over."""
    fresh = folder / "fid.new"
    fresh.write_bytes(data)
    fresh.replace(folder / "fid")
    (folder / "acqus").write_text(parameters.acquisition_file(_when(now)), encoding="utf-8")
    (folder / "pdata" / "1" / "procs").write_text(parameters.processing_file(_when(now)), encoding="utf-8")
    _audit(folder, now, f"<created by zg\n\tstarted at {_when(started)},\n\tPOWCHK enabled, PULCHK disabled>")


def discard(folder: Path) -> None:
    """Take back what :func:`begin` wrote."""
    for name in ("fid", "audita.txt"):
        (folder / name).unlink(missing_ok=True)


def _audit(folder: Path, now: datetime, what: str) -> None:
    entry = f"(   1,<{_when(now)}>,<labctl>,<virtual>,<go4>,<TOPSPIN {VERSION}>,\n      {what})\n##END=\n"
    (folder / "audita.txt").write_text(_AUDIT_HEAD + entry, encoding="utf-8")


def _when(now: datetime) -> str:
    return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} +0000"
