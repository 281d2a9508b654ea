"""Synthetic Bruker datasets and result bundles with a known truth, written without any of labctl's own code.

Lines are Voigt lines given in ppm; a decay begins at the dead time; noise is white. ``World`` makes whole campaigns.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

BF1 = 77.77812  # MHz, 7Li at 4.7 T
RANDOM_PHASE = 0.7  # rad, of the simulated receiver


@dataclass(frozen=True)
class Line:
    ppm: float
    area: float
    gauss: float
    lorentz: float = 0.0


@dataclass(frozen=True)
class Acquisition:
    lines: tuple[Line, ...]
    sigma: float = 0.0  # of one channel of one point, one scan
    scans: int = 1024
    gain: float = 101.0
    pulse_us: float = 7.0
    recycle_s: float = 0.5
    dead_time_us: float = 6.5
    delay: float = 0.0  # digital filter, complex points
    points: int = 32768
    width: float = 5e6
    carrier_ppm: float = 250.0
    sr_Hz: float = 0.0  # 0 ppm lies at BF1 + SR
    phase: float = RANDOM_PHASE
    kind: int = 2  # DTYPA
    temperature: float = 293.15


def decay(a: Acquisition, rng: np.random.Generator | None = None) -> np.ndarray:
    count = a.points // 2
    sf = BF1 * 1e6 + a.sr_Hz
    carrier = BF1 * 1e6 * (1 + a.carrier_ppm * 1e-6)
    t = a.dead_time_us * 1e-6 + (np.arange(count) - a.delay) / a.width
    signal = np.zeros(count, complex)
    for line in a.lines:
        nu = sf * (1 + line.ppm * 1e-6) - carrier
        gauss, lorentz = line.gauss * sf * 1e-6, line.lorentz * sf * 1e-6
        envelope = np.exp(-np.pi * lorentz * np.abs(t) - (np.pi * gauss * t) ** 2 / (4 * np.log(2)))
        signal += line.area * np.exp(2j * np.pi * nu * t) * envelope
    if a.delay:
        signal[t < 0] = 0.0
    signal *= a.scans * a.gain * np.exp(1j * a.phase)
    if rng is not None and a.sigma:
        noise = rng.normal(size=count) + 1j * rng.normal(size=count)
        signal = signal + a.sigma * a.gain * np.sqrt(a.scans) * noise
    return signal


def _array(values: dict[int, float]) -> str:
    return "(0..63)\n" + " ".join(str(values.get(i, 0)) for i in range(64))


def write_dataset(folder: Path, a: Acquisition, rng: np.random.Generator | None = None, sf: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    fid = decay(a, rng)
    raw = np.empty(a.points)
    raw[0::2], raw[1::2] = fid.real, fid.imag
    exponent = 0
    if a.kind == 2:
        payload = raw.astype("<f8").tobytes()
    else:
        exponent = int(np.ceil(np.log2(np.abs(raw).max() / 2**29)))
        payload = np.round(raw / 2.0**exponent).astype("<i4").tobytes()
    (folder / "fid").write_bytes(payload)
    carrier_Hz = BF1 * a.carrier_ppm
    pairs = {
        "AQ_mod": 1, "BF1": BF1, "BYTORDA": 0, "D": _array({1: a.recycle_s}), "DE": a.dead_time_us, "DECIM": 1,
        "DIGMOD": 1 if a.delay else 0, "DSPFVS": 20, "DTYPA": a.kind, "GRPDLY": a.delay or -1, "NC": exponent,
        "NS": a.scans, "NUC1": "<7Li>", "O1": carrier_Hz, "P": _array({1: a.pulse_us}), "PLW": _array({1: 80}),
        "PULPROG": "<zgpr>", "RG": a.gain, "SFO1": BF1 + carrier_Hz * 1e-6, "SW_h": a.width,
        "SW": a.width / (BF1 + carrier_Hz * 1e-6), "TD": a.points, "TE": a.temperature,
    }  # fmt: skip
    _jcamp(folder / "acqus", pairs)
    _jcamp(folder / "acqu", pairs)
    (folder / "audita.txt").write_text("##AUDIT TRAIL=\n(1,<2025-01-01>,<created by zg>)\n##END=\n")
    if sf:
        (folder / "pdata" / "1").mkdir(parents=True, exist_ok=True)
        _jcamp(folder / "pdata" / "1" / "procs", {"SF": BF1 + a.sr_Hz * 1e-6, "SI": 65536})
    return folder


def _jcamp(path: Path, pairs: dict[str, object]) -> None:
    lines = ["##TITLE= Parameter file, TOPSPIN Version 4.1.4", "##JCAMPDX= 5.0", "##DATATYPE= Parameter Values"]
    lines += [f"##${name}= {value}" for name, value in pairs.items()]
    path.write_text("\n".join([*lines, "##END="]) + "\n")


# -- a whole campaign ------------------------------------------------------------------------------------------------

SHAPES = {"early": (0.78, 0.17, 0.05), "late": (0.28, 0.46, 0.26), "dead": (0.15, 0.60, 0.25)}


def metal_lines(mAh: float, shape: str, soc: float, factor: float = 1.08) -> tuple[Line, ...]:
    seen = mAh / (factor + (1 - factor) * soc)
    dense, mossy, dendritic = SHAPES[shape]
    shift = 3.3 * (1 - soc)
    return (
        Line(246.7 + shift, seen * dense, 7, 3),
        Line(256.5 + shift, seen * mossy, 8, 3),
        Line(266.5 + shift, seen * dendritic, 9, 4),
    )


ELECTROLYTE = Line(-1.0, 2.0, 2.8)


@dataclass
class World:
    """A campaign's folder, filled cell by cell, and the truth of it."""

    folder: Path
    seed: int = 0
    sigma: float = 4.5  # per scan: sqrt(1024) scans leave 0.14 of 2.6 mAh
    accuracy: float = 0.001
    mode: str = "simulated"
    sr_Hz: float = 120.0
    scans: int = 1024
    truth: dict = field(default_factory=lambda: {"cells": {}})
    cells: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.hour = 0

    # bundles
    def bundle(self, cell: str, group: str, cycle: int, step: str, kind: str, **more: object) -> Path:
        folder = self.folder / cell / step / "a1"
        folder.mkdir(parents=True, exist_ok=True)
        self.hour += 1
        files = [
            {
                "name": str(path.relative_to(folder)),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size": path.stat().st_size,
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "operation.json"
        ]
        stamp = f"2025-01-{1 + self.hour // 24 % 28:02d}T{self.hour % 24:02d}:00:00Z"
        document = {
            "schema": "labctl.operation/1", "operation": f"{self.folder.name}/{cell}/{step}/a1",
            "campaign": self.folder.name, "cell": cell, "group": group, "cycle": cycle, "step": step, "attempt": 1,
            "kind": kind, "label": None, "mode": self.mode, "token": f"{cell}-{step}".replace("/", "-"),
            "requested": stamp, "started": stamp, "ended": stamp, "instrument": {"name": kind}, "asked": {}, "sent": {},
            "read_back": {}, "summary": {}, "warnings": [], "flags": [], "reference": None, "nutation": None,
            "sample_temperature_K": 293.15, "files": files,
        }  # fmt: skip
        document.update(more)
        (folder / "operation.json").write_text(json.dumps(document))
        return folder

    def cycling(
        self, cell: str, group: str, cycle: int, step: str, kind: str, mAh: float, end: str = "voltage"
    ) -> None:
        import polars

        folder = self.folder / cell / step / "a1"
        folder.mkdir(parents=True, exist_ok=True)
        sign = 1 if kind == "charge" else -1
        hours = np.linspace(0, 5, 61)
        frame = {
            "Test Time / s": hours * 3600,
            "Voltage / V": 3.65 + sign * 0.1 + sign * (hours / 5) ** 3 * 0.5,
            "Current / A": np.full(61, sign * mAh / 5 * 1e-3),
            "Step Capacity / Ah": hours / 5 * mAh * 1e-3,
            "Step Index / 1": np.full(61, 2),
            "Record Number / 1": np.arange(1, 62),
        }
        polars.DataFrame(frame).write_parquet(folder / "records.parquet")
        self.bundle(cell, group, cycle, step, kind, summary={"end": end})

    def nmr(self, cell: str, group: str, cycle: int, step: str, label: str, lines: tuple[Line, ...], **more) -> None:
        token = f"{cell}-{step}".replace("/", "-")
        folder = self.folder / cell / step / "a1"
        a = Acquisition((*lines, ELECTROLYTE), self.sigma, sr_Hz=self.sr_Hz, scans=self.scans,
                        **more.pop("acquisition", {}))  # fmt: skip
        write_dataset(folder / token / "1", a, self.rng, sf=False)
        settings = {"label": label, "token": token, "reference": "ref-1", "nutation": f"nut-{cell}"} | more
        self.bundle(cell, group, cycle, step, "nmr", **settings)

    def reference(self) -> None:
        folder = self.folder / "reference" / "s1" / "a1"
        a = Acquisition((Line(0.0, 50.0, 1.0),), self.sigma, scans=8, carrier_ppm=0.0, sr_Hz=self.sr_Hz)
        write_dataset(folder / "ref-1" / "1", a, self.rng, sf=False)
        self.bundle("reference", "reference", 0, "s1", "reference", token="ref-1")

    def nutation(self, cell: str, group: str, cycle: int, step: str, t90_us: float, metal: float) -> None:
        folder = self.folder / cell / step / "a1"
        for index, pulse in enumerate(np.linspace(3.0, 24.0, 8), start=1):
            scale = np.sin(np.pi / 2 * pulse / t90_us) * np.exp(-pulse / 60)
            lines = tuple(Line(x.ppm, x.area * scale, x.gauss, x.lorentz) for x in metal_lines(metal, "early", 1.0))
            a = Acquisition(lines, self.sigma, scans=256, pulse_us=pulse, sr_Hz=self.sr_Hz)
            write_dataset(folder / f"nut-{cell}" / str(index), a, self.rng, sf=False)
        self.bundle(cell, group, cycle, step, "nutation", token=f"nut-{cell}", reference="ref-1")

    def impedance(self, cell: str, group: str, cycle: int, step: str, label: str, resistance: float) -> None:
        folder = self.folder / cell / step / "a1"
        folder.mkdir(parents=True, exist_ok=True)
        f = np.logspace(5.4771, -1, 66)
        jw = 2j * np.pi * f
        z = 6 + 0.4 * resistance / (1 + (jw * 1e-5) ** 0.85) + resistance / (1 + (jw * 3e-3) ** 0.9) + 3 * jw**-0.5
        rows = [f"{a:.6e},{b.real:.6e},{b.imag:.6e},0,3.9,0" for a, b in zip(f, z, strict=True)]
        head = "frequency_Hz,real_ohm,imaginary_ohm,time_s,voltage_V,current_A"
        (folder / "impedance.csv").write_text("\n".join([head, *rows]) + "\n")
        self.bundle(cell, group, cycle, step, "eis", label=label)

    # cells
    def cell(self, cell: str, group: str, measured: int, cycles: int | None = None, nutation: bool = True) -> None:
        """Cycle a cell until ``measured`` (or ``cycles`` without measuring) and write everything it leaves behind."""
        coated = group == "coated"
        total = 2.62 * (1 + 0.012 * self.rng.normal())
        gain_charge, gain_discharge = 1 + self.accuracy * self.rng.normal(size=2)
        f = 1.08 + 0.015 * self.rng.normal()
        rows: list[dict] = []
        last = cycles or measured
        for n in range(1, last + 1):
            interphase = total * ((0.045 if coated else 0.031) + 0.006 * (n - 1))
            dead = total * ((0.001 if coated else 0.002) + (0.0007 if coated else 0.0018) * (n - 1))
            connected = total * 0.088 * max(0.0, 1 - (n - 1) / 12)
            discharge = total - interphase - dead - connected
            charge = total if n == 1 else rows[-1]["discharge_mAh"]
            rows.append({"cycle": n, "charge_mAh": charge, "discharge_mAh": discharge, "connected_mAh": connected,
                         "dead_mAh": dead, "interphase_mAh": interphase})  # fmt: skip
            step = f"c{n:03d}"
            self.cycling(cell, group, n, f"{step}/01-charge", "charge", charge * gain_charge)
            full = n == measured
            shape = "early" if n < 10 else "late"
            if full:
                metal = total - interphase
                self.nmr(cell, group, n, f"{step}/02-nmr-charged", "charged", metal_lines(metal, shape, 1.0, f))
                if nutation:
                    self.nutation(cell, group, n, f"{step}/02-nutation", 7.0, metal)
                self.impedance(cell, group, n, f"{step}/03-eis-charged", "charged", 20)
            self.cycling(cell, group, n, f"{step}/04-discharge", "discharge", discharge * gain_discharge)
            if full:
                left = metal_lines(connected + dead, shape, 0.0, f)
                self.nmr(cell, group, n, f"{step}/05-nmr-discharged", "discharged", left)
                self.impedance(cell, group, n, f"{step}/06-eis", "discharged", 60 if n < 10 or coated else 300)
                self.cycling(cell, group, n, f"{step}/07-hold", "hold", connected * gain_discharge, "current")
                self.nmr(cell, group, n, f"{step}/08-nmr-dead", "dead", metal_lines(dead, "dead", 0.0, f))
                self.impedance(cell, group, n, f"{step}/09-eis", "stripped", 80 if coated else 400)
        self.nmr(cell, group, 0, "c000/02-nmr-pristine", "pristine", ())
        self.truth["cells"][cell] = {"first_charge_mAh": total, "soc_factor": f, "cycles": rows}
        self.cells.append(
            {"cell": cell, "group": group, "area_m2": 1e-4, "measure_at": [measured],
             "chemistry": "coated Cu||NMC622" if coated else "Cu||NMC622",
             "soc_factor": {"value": 1.08, "sd": 0.015, "source": "paper, not calibrated here"}}
        )  # fmt: skip

    def finish(self) -> Path:
        self.reference()
        document = {"schema": "labctl.campaign/1", "campaign": self.folder.name, "protocol": "dead-lithium",
                    "mode": self.mode, "capacity_accuracy": self.accuracy, "cells": self.cells}  # fmt: skip
        (self.folder / "campaign.json").write_text(json.dumps(document))
        return self.folder
