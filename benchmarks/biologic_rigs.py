"""The BioLogic driver on its simulated instrument, both ways in, for the fault table and the fuzz.

The vendor's library gives its records once: what a lost answer took with it is missing, and must be told as a gap.
EC-Lab has them in its files: none may be missing. Every record must be one that the channel has made.
"""

from __future__ import annotations

import asyncio
import csv
from itertools import pairwise
from typing import Any, ClassVar, Final

from benchmarks.rig import Started
from labctl.instruments import CyclerProgram, CyclerStep, DynamicRequest, End, ImpedanceRequest, Mode, SafetyLimits
from labctl_drivers.biologic import BIOLOGIC
from labctl_simulators.biologic import BiologicSimulator

_CELL: Final = {"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "bench/1"}


class BiologicRig(Started):
    """What both roles and both ways in share."""

    description: ClassVar[dict[str, Any]] = {
        "cells": [_CELL],
        "places": {"bench": {"count": 2, "leads": {"biologic": [1, 2]}}},
    }
    #: Longer than the stand-ins for library and EC-Lab wait.
    seconds = 2.0
    #: The way in, and the name of its wire.
    backend: ClassVar[str]
    wire: ClassVar[str]
    role: ClassVar[str]

    async def open(self) -> None:
        entry: dict[str, Any] = {
            "role": self.role, "backend": self.backend, "channels": 1, "simulate": {"channels": 2}
        }  # fmt: skip
        self.simulator = BiologicSimulator("biologic", entry, self.laboratory)
        entry |= await self.simulator.start()
        port = await self.proxied(int(entry["address"].rpartition(":")[2]), self.wire, self.simulator.power_cycle)
        entry["address"] = f"127.0.0.1:{port}"
        self.made: list[tuple[float, tuple[float, ...]]] = []
        self._note_what_is_made()
        self.driver = BIOLOGIC(self.context("biologic", entry))

    def _note_what_is_made(self) -> None:
        """Keep every record of the channel, as its buffer forgets what was taken out of it."""
        channel = self.simulator.channels[0]
        keep = channel._keep

        def noting(process: int, t: float, values: tuple[float, ...]) -> None:
            self.made.append((t - channel._began, values))
            keep(process, t, values)

        channel._keep = noting  # type: ignore[method-assign]

    async def shut(self) -> None:
        await super().shut()
        await self.simulator.stop()

    def starts(self) -> int:
        return sum(entry["event"] == "started" for entry in self.laboratory.records("biologic"))

    def judge(self, fetched: Any) -> None:
        if self.laboratory.sources_on(self.laboratory.cells["bare-01"]):
            self.doubts.append("the source is on after the fetch")
        with (self.folder / "bundle" / self.table).open(encoding="utf-8") as file:
            self.compare(list(csv.DictReader(file)), fetched)

    table: ClassVar[str]
    #: Into the run when it is looked at, s: records wait in the buffer by then.
    middle: ClassVar[float]

    async def before(self, phase: str) -> None:
        await super().before(phase)
        if phase in ("poll", "abort"):
            await asyncio.sleep(self.middle)

    def compare(self, rows: list[dict[str, str]], fetched: Any) -> None:
        raise NotImplementedError


class CyclerRig(BiologicRig):
    role = "cycler"
    table = "records.csv"
    middle = 300.0
    step = CyclerStep(Mode.CHARGE, 2e-4, None, (End("voltage", True, 4.3), End("time", True, 1800.0, guard=True)), 60.0)
    program = CyclerProgram("c/charge", (step,), SafetyLimits(2.5, 4.4, 5e-3, 5e-3))

    async def identify(self) -> None:
        reading = await self.driver.reading(1)
        true = self.laboratory.cells["bare-01"].voltage(self.laboratory.time())
        if abs(reading.voltage - true) > 0.01:
            self.shown.append(f"{reading.voltage:g} V instead of {true:g} V")

    async def command(self) -> None:
        self.handle = await self.driver.start(self.token, 1, self.program)

    def compare(self, rows: list[dict[str, str]], fetched: Any) -> None:
        told = [(float(row["time_s"]), float(row["voltage_V"]), float(row["current_A"])) for row in rows]
        made = [(at, values[0], values[2]) for at, values in self.made]
        for row in told:
            if not any(_same(row, one) for one in made):
                self.doubts.append(f"a record that was never made: {row}")
        for one in made:
            missing = not any(_same(row, one) for row in told)
            if missing and not fetched.warnings and fetched.summary["end"] == "time":
                self.doubts.append(f"a record is missing and nothing says so: {one}")


class PotentiostatRig(BiologicRig):
    role = "potentiostat"
    table = "impedance.csv"
    middle = 0.7
    request = ImpedanceRequest(
        name="camp/bare-01/c001/03-eis/a1", control="galvanostatic", frequency_start=1e4, frequency_end=10.0,
        points_per_decade=5, periods=4, amplitude=100e-6, bias=0.0, voltage_min=1.0, voltage_max=4.4,
    )  # fmt: skip

    async def identify(self) -> None:
        voltage = await self.driver.open_circuit_voltage()
        true = self.laboratory.cells["bare-01"].voltage(self.laboratory.time())
        if abs(voltage - true) > 0.01:
            self.shown.append(f"{voltage:g} V instead of {true:g} V")

    async def command(self) -> None:
        self.handle = await self.driver.start(self.token, self.request)

    def compare(self, rows: list[dict[str, str]], fetched: Any) -> None:
        points = [values for _, values in self.made if len(values) > 4]
        told = [(float(row["frequency_Hz"]), float(row["real_ohm"]), float(row["imaginary_ohm"])) for row in rows]
        if len(told) < len(points) and not fetched.warnings:
            self.doubts.append(f"{len(points)} points were made, {len(told)} told, and nothing says so")
        true = [(values[0], abs(values[1] / values[2])) for values in points]
        for frequency, real, imaginary in told:
            if not any(_same((frequency, abs(complex(real, imaginary))), one) for one in true):
                self.doubts.append(f"a point that was never made: {frequency} Hz")


class SeriesRig(PotentiostatRig):
    """A series of spectra under a direct current, which the channel runs by itself."""

    table = "direct.csv"
    middle = 2.0
    series = DynamicRequest(
        name="camp/bare-01/c001/04-deis/a1", current=-5e-5, amplitude=6.5e-5, frequency_start=1e4, frequency_end=10.0,
        points_per_decade=5, periods=4, spectra=2, cutoff=1.2, voltage_min=1.0, voltage_max=4.4,
    )  # fmt: skip

    async def command(self) -> None:
        self.handle = await self.driver.start_dynamic(self.token, self.series)

    def compare(self, rows: list[dict[str, str]], fetched: Any) -> None:
        points = [(values[0], abs(values[1] / values[2])) for _, values in self.made if len(values) > 4]
        tables = sorted((self.folder / "bundle").glob("impedance-*.csv"))
        told = [row for path in tables for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
        for row in told:
            size = abs(complex(float(row["real_ohm"]), float(row["imaginary_ohm"])))
            if not any(_same((float(row["frequency_Hz"]), size), one) for one in points):
                self.doubts.append(f"a point that was never made: {row['frequency_Hz']} Hz")
        if len(told) < len(points) and not fetched.warnings:
            self.doubts.append(f"{len(points)} points were made, {len(told)} told, and nothing says so")
        stamps = (self.folder / "bundle" / "spectra.csv").read_text(encoding="utf-8").splitlines()[1:]
        charges = [float(line.split(",")[6]) for line in stamps]
        if fetched.summary["spectra"] != len(tables) or len(charges) != len(tables):
            self.doubts.append(f"{len(charges)} stamps of {len(tables)} spectra")
        if any(after >= before for before, after in pairwise([0.0, *charges])):
            self.doubts.append(f"charges of a discharge: {charges}")
        moves = {one["event"]: one["t"] for one in self.laboratory.records("biologic")}
        true = self.series.current * (moves["ended"] - moves["started"])
        unknown = any("not counted" in word or "less may have passed" in word for word in fetched.warnings)
        if abs(fetched.summary["charge_C"] - true) > 0.02 * abs(true) + 5e-6 and not unknown:
            self.doubts.append(f"{fetched.summary['charge_C']:g} C told, {true:g} C have passed")


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two agree as far as single precision and a tick of the instrument go."""
    return all(
        abs(a - b) <= 1e-5 * abs(b) + 1e-4 * (index == 0) + 1e-9
        for index, (a, b) in enumerate(zip(one, other, strict=True))
    )


class _ByLibrary:
    backend, wire = "eclib", "eclib"


class _ByEcLab:
    backend, wire = "olecom", "eclabcom"


class EclibCyclerRig(_ByLibrary, CyclerRig):
    """A cycler through the vendor's library."""


class EclibPotentiostatRig(_ByLibrary, PotentiostatRig):
    """A potentiostat through the vendor's library."""


class EclibSeriesRig(_ByLibrary, SeriesRig):
    """A series of spectra through the vendor's library."""


class EcLabSeriesRig(_ByEcLab, SeriesRig):
    """A series of spectra through EC-Lab."""


class EcLabCyclerRig(_ByEcLab, CyclerRig):
    """A cycler through EC-Lab."""


class EcLabPotentiostatRig(_ByEcLab, PotentiostatRig):
    """A potentiostat through EC-Lab."""
