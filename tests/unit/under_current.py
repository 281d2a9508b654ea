"""A campaign of spectra under current with a known truth, as it lies on disk: one charge in the probe, one series of
impedance spectra. Written without any of labctl's own code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars
from synthetic import Acquisition, Line, World, write_dataset

CELL = "p-1"
CURRENT_A = 2e-4
BEGAN = datetime(2025, 1, 5, 12, tzinfo=UTC).timestamp()
#: Signal per mAh at a delay, relative to a long one: T1 0.15 s.
SATURATED = {0.4: 0.93, 2.0: 1.0}
FRACTIONS = (0.6, 0.3, 0.1)
LENGTH_S = 36000.0
TOTAL_MAH = CURRENT_A * LENGTH_S / 3.6
STAMPS = (
    "spectrum,sort,folder,token,started_utc,middle_utc,ended_utc,started_s,middle_s,ended_s,charge_start_C,"
    "charge_middle_C,charge_end_C,voltage_start_V,voltage_middle_V,voltage_end_V,flowing,clock_offset_s"
)


@dataclass(frozen=True)
class Taken:
    """Seconds of the test at start and end of a spectrum, and by how much this PC's clock was ahead of it there."""

    sort: str
    since: float
    until: float
    ahead: tuple[float, float]

    @property
    def delay(self) -> float:
        return 0.4 if self.sort == "during" else 2.0


PAUSE_S = 7000.0
TAKEN = (
    *(Taken("during", at, at + 6000.0, (0.0, 0.0)) for at in (0.0, 6000.0, 12000.0)),
    Taken("pause", 18000.0, 18000.0, (0.0, PAUSE_S)),
    *(Taken("during", at, at + 6000.0, (PAUSE_S, PAUSE_S)) for at in (18000.0, 24000.0, 30000.0)),
    Taken("end", 36000.0, 36000.0, (PAUSE_S, 2 * PAUSE_S)),
)


def charge(test_s: float) -> float:
    return CURRENT_A * test_s


def listed(folder: Path, *patterns: str) -> list[dict]:
    names = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return [
        {
            "name": str(path.relative_to(folder)),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in names
    ]


def document(folder: Path, step: str, kind: str, token: str, files: list[dict], **more: object) -> None:
    stamp = datetime.fromtimestamp(BEGAN, UTC).isoformat()
    told = {
        "schema": "labctl.operation/1", "cell": CELL, "group": "bare", "cycle": 0, "step": step, "attempt": 1,
        "kind": kind, "label": "plating", "token": token, "started": stamp, "summary": {}, "flags": [],
        "reference": None, "files": files,
    } | more  # fmt: skip
    (folder / "operation.json").write_text(json.dumps(told))


def operando(world: World) -> Path:
    """A charge of 2 mAh in the probe, suspended once: eight spectra."""
    step = "c000/02-operando-plating"
    folder = world.folder / CELL / step / "a1"
    lines = [STAMPS]
    for number, one in enumerate(TAKEN, start=1):
        middle = 0.5 * (one.since + one.until)
        inner = folder / f"s{number:03d}" / "a1"
        soc, seen = middle / LENGTH_S, 1000.0 * charge(middle) / 3.6 * SATURATED[one.delay]
        at = [part + 3.3 * (1.0 - soc) for part in (246.7, 256.5, 266.5)]
        metal = [Line(ppm, seen * part, 7.0, 3.0) for ppm, part in zip(at, FRACTIONS, strict=True)]
        shown = Acquisition((*metal, Line(-1.0, 900.0, 2.8)), 4000.0, scans=4096, recycle_s=one.delay,
                            sr_Hz=world.sr_Hz, points=8192, width=1.25e6)  # fmt: skip
        write_dataset(inner / f"t{number}" / "1", shown, world.rng)
        document(inner, f"{step}/a1/s{number:03d}", "spectrum", f"t{number}", listed(inner, "**/*"),
                 summary={"number": number, "sort": one.sort}, reference="ref-1")  # fmt: skip
        instants = [BEGAN + one.since + one.ahead[0], 0.0, BEGAN + one.until + one.ahead[1]]
        instants[1] = 0.5 * (instants[0] + instants[2])
        tests = [one.since, middle, one.until]
        fields = [str(number), one.sort, f"s{number:03d}/a1", f"t{number}"]
        fields += [datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds") for when in instants]
        fields += [f"{when:.3f}" for when in tests] + [f"{charge(when):.7g}" for when in tests]
        lines.append(",".join([*fields, "3.9", "3.9", "3.9", "1.0", "0.000"]))
    (folder / "stamps.csv").write_text("\n".join(lines) + "\n")
    looks = ["at_s,test_s,standing"]
    looks += [f"{BEGAN + when},{when},0" for when in np.arange(5.0, 18000.0, 300.0)]
    looks += [f"{BEGAN + 18100.0 + when},18000.0,1" for when in (0.0, 3000.0, 6000.0)]
    looks += [f"{BEGAN + PAUSE_S + when},{when},0" for when in np.arange(18050.0, 36000.0, 300.0)]
    (folder / "looks.csv").write_text("\n".join(looks) + "\n")
    times = np.arange(0.0, LENGTH_S + 1.0, 60.0)
    frame = {
        "Test Time / s": times, "Voltage / V": 3.5 + times / LENGTH_S * 0.8,
        "Current / A": np.full(len(times), CURRENT_A), "Record Number / 1": np.arange(1, len(times) + 1),
    }  # fmt: skip
    polars.DataFrame(frame).write_parquet(folder / "records.parquet")
    document(folder, step, "operando", "op-1", listed(folder, "*.csv", "*.parquet", "s*/a1/operation.json"),
             summary={"end": "voltage", "direction": "charge", "integrated_C": charge(LENGTH_S)})  # fmt: skip
    return folder


#: Ohm at spectrum number n, from 0.
TRUE_OHM = {"R0": lambda n: 6.0, "R1": lambda n: 20.0, "R2": lambda n: 60.0 + 8.0 * n}
SPECTRA = 6


def deis(world: World) -> Path:
    """The end of a discharge: resistance 2 rises."""
    step = "c030/03-deis-end"
    folder = world.folder / CELL / step / "a1"
    folder.mkdir(parents=True)
    f = np.logspace(5.4771, 0.1, 55)
    jw = 2j * np.pi * f
    lines = ["spectrum,started_s,charge_start_C,charge_middle_C,charge_end_C,voltage_middle_V,table,soc_middle,wanted"]
    for n in range(SPECTRA):
        r0, r1, r2 = (TRUE_OHM[name](n) for name in ("R0", "R1", "R2"))
        z = r0 + r1 / (1 + r1 * 2e-5 * jw**0.9) + r2 / (1 + r2 * 3e-4 * jw**0.85)
        z *= 1 + 1e-3 * (world.rng.normal(size=len(f)) + 1j * world.rng.normal(size=len(f)))
        rows = [f"{a:.6e},{b.real:.6e},{b.imag:.6e}" for a, b in zip(f, z, strict=True)]
        (folder / f"impedance-{n + 1:03d}.csv").write_text("\n".join(["frequency_Hz,real_ohm,imaginary_ohm", *rows]))
        passed = -0.015 * (n + 0.5)
        lines.append(
            f"{n + 1},{300 * n},{passed},{passed},{passed},3.6,impedance-{n + 1:03d}.csv,{0.2 - 0.01 * n:.4f},1"
        )
    (folder / "stamps.csv").write_text("\n".join(lines) + "\n")
    document(folder, step, "deis", "deis-1", listed(folder, "*.csv"), cycle=30,
             summary={"direction": "discharge", "charge_C": -0.09})  # fmt: skip
    return folder


def campaign(folder: Path) -> Path:
    """Write all of it; give the campaign's folder."""
    world = World(folder / "results" / "probe", seed=5)
    operando(world)
    deis(world)
    factor = {"value": 1.0, "sd": 0.0, "source": "calibrated: there is none in this truth"}
    world.cells.append({"cell": CELL, "group": "bare", "area_m2": 1e-4, "measure_at": [], "chemistry": "Cu||NMC622",
                        "soc_factor": factor})  # fmt: skip
    return world.finish()
