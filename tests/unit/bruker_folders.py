"""Bruker datasets as consoles of several generations have written them, made without labctl's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: What a console of today writes beside the decay.
TODAY = {
    "AQ_mod": 3, "BF1": 77.77812, "BYTORDA": 0, "D": "(0..3)\n0 0.5 0 0", "DE": 6.5, "DECIM": 1, "DIGMOD": 0,
    "DSPFVS": 20, "DTYPA": 0, "GRPDLY": -1, "NC": 0, "NS": 16, "NUC1": "<7Li>", "O1": 19444.53, "P": "(0..3)\n0 7 0 0",
    "PLW": "(0..3)\n0 80 0 0", "PULPROG": "<zg>", "RG": 101, "SFO1": 77.79756453, "SW_h": 100000.0, "TE": 293.15,
}  # fmt: skip


def decay(points: int = 512) -> np.ndarray:
    """Whole numbers, so that every format can hold them."""
    n = np.arange(points)
    return np.round(2**20 * np.exp(2j * np.pi * 0.05 * n - n / 150))


def payload(fid: np.ndarray, kind: int = 0, order: int = 0) -> bytes:
    raw = np.empty(2 * len(fid))
    raw[0::2], raw[1::2] = fid.real, fid.imag
    return raw.astype((">" if order else "<") + ("f8" if kind == 2 else "i4")).tobytes()


def write(folder: Path, fid: np.ndarray | None = None, *, without: str = "", sf: float | None = None, **given) -> Path:
    fid = decay() if fid is None else fid
    folder.mkdir(parents=True, exist_ok=True)
    used = {"TD": 2 * len(fid), **TODAY, **given}
    (folder / "fid").write_bytes(payload(fid, used["DTYPA"], used["BYTORDA"]))
    kept = {name: value for name, value in used.items() if name not in without.split()}
    lines = ["##TITLE= Parameter file, TOPSPIN Version 4.1.4", "##JCAMPDX= 5.0"]
    (folder / "acqus").write_text("\n".join([*lines, *(f"##${k}= {v}" for k, v in kept.items()), "##END="]) + "\n")
    if sf is not None:
        (folder / "pdata" / "1").mkdir(parents=True, exist_ok=True)
        (folder / "pdata" / "1" / "procs").write_text(f"##TITLE= x\n##$SF= {sf}\n##END=\n")
    return folder
