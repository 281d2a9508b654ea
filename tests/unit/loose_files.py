"""Files as the vendors' programs write them, for the tests of what labctl did not acquire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars

from labctl_simulators.thales import ism

HEAD = (
    "Rec\tCycle P\tCycle C\tStep\tTest Time (s)\tStep Time (s)\tCapacity (Ah)\tEnergy (Wh)\tCurrent (A)\t"
    "Voltage (V)\tMD\tES\tDPT Time"
)


def maccor(tables: Iterable[Path]) -> bytes:
    """Write records of single steps as one export of a whole test, with a rest after each."""
    lines = ["Today's Date 11/21/2026  Date of Test:\t11/21/2026\t Filename:\tx.001", "", HEAD]
    record, begun = 0, 0.0
    for step, path in enumerate(tables, start=1):
        frame = polars.read_parquet(path)
        letter = "C" if frame["Current / A"][5] > 0 else "D"
        held = "hold" in str(path)
        for time, voltage, current, capacity in frame.select(
            "Test Time / s", "Voltage / V", "Current / A", "Step Capacity / Ah"
        ).iter_rows():
            record += 1
            shown = 3.0 if held else voltage
            lines.append(
                f"{record}\t0\t0\t{step}\t{begun + time:.4f}\t{time:.4f}\t{capacity:.10f}\t0.0\t{current:.10f}"
                f"\t{shown:.6f}\t{letter}\t1\t11/21/2026"
            )
        begun += frame["Test Time / s"][-1]
        record += 1
        lines.append(f"{record}\t0\t0\t{step + 500}\t{begun:.4f}\t0.0\t0.0\t0.0\t0.0\t3.5\tR\t1\t11/21/2026")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def two_arcs() -> tuple[np.ndarray, np.ndarray]:
    f = np.logspace(5.5, -1, 66)
    jw = 2j * np.pi * f
    return f, 6 + 20 / (1 + (jw * 2e-5) ** 0.95) + 60 / (1 + (jw * 5e-3) ** 0.9)


def impedance_ism() -> bytes:
    f, z = two_arcs()
    count = len(f)
    begun = datetime(2026, 11, 21, 10, tzinfo=UTC)
    spectrum = ism.Spectrum(
        f, z, tuple(begun + timedelta(seconds=one) for one in range(count)), np.full(count, 3.9), np.zeros(count),
        True, 0.1, 0.0, 0.0, 0.1, 3e5, 3e5, 6, 6, 10, 10, "1234",
    )  # fmt: skip
    return ism.write(spectrum)


def mpt(titles: Sequence[str], rows: Iterable[Sequence[float]]) -> str:
    head = ["EC-Lab ASCII FILE", "Nb header lines : 4", "", "\t".join(titles)]
    return "\r\n".join([*head, *("\t".join(f"{value:.9E}" for value in row) for row in rows)]) + "\r\n"


def mpt_impedance() -> str:
    f, z = two_arcs()
    rows = [(a, b.real, -b.imag, i, 3.9) for i, (a, b) in enumerate(zip(f, z, strict=True))]
    return mpt(("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm", "time/s", "<Ewe>/V"), rows)


def mpt_cycling(cycles: Iterable[tuple[float, float]]) -> str:
    rows: list[tuple[float, ...]] = []
    time = charge = 0.0
    for half, mAh in enumerate(amount for pair in cycles for amount in pair):
        sign = 1 if half % 2 == 0 else -1
        for index in range(21):
            passed = charge + sign * mAh * index / 20
            rows.append((half % 2, half, time + 180.0 * index, 3.7 + 0.1 * sign, sign * mAh, passed))
        time += 3600.0
        charge += sign * mAh
    return mpt(("ox/red", "half cycle", "time/s", "Ewe/V", "<I>/mA", "(Q-Qo)/mA.h"), rows)
