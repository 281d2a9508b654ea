"""Each driver on its simulator with a spoiling proxy between, and what the simulator knows to be true afterwards.

For :mod:`benchmarks.faults`. A rig offers the phases of a driver's life one by one, and says at the end whether what
the driver returned, and what it laid into the record, agrees with the simulator's own truth.
"""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.biologic_rigs import (
    EcLabCyclerRig,
    EcLabPotentiostatRig,
    EcLabSeriesRig,
    EclibCyclerRig,
    EclibPotentiostatRig,
    EclibSeriesRig,
)
from benchmarks.chamber_rigs import BinderRig, BinderRtuRig, EspecRig, JulaboRig
from benchmarks.rig import PHASES, Rig, Started
from labctl.instruments import (
    AcquisitionRequest,
    CyclerProgram,
    CyclerStep,
    DynamicRequest,
    End,
    ImpedanceRequest,
    Mode,
    SafetyLimits,
    State,
)
from labctl_drivers.bruker import BrukerSpectrometer
from labctl_drivers.bruker.gateway import Gateway
from labctl_drivers.maccor import MaccorCycler
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.macnet import MacnetSimulator
from labctl_simulators.scpi import ScpiMultiplexerSimulator
from labctl_simulators.thales import ThalesSimulator
from labctl_simulators.topspin import TopspinSimulator


class MaccorRig(Started):
    description: ClassVar[dict[str, Any]] = {
        "cells": [{"id": "one", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1"}],
        "places": {"cabinet": {"count": 2, "leads": {"maccor": [1, 2]}}},
    }
    step = CyclerStep(Mode.CHARGE, 2e-4, None, (End("voltage", True, 4.3), End("time", True, 1800.0, guard=True)), 60.0)
    program = CyclerProgram("c/charge", (step,), SafetyLimits(2.5, 4.4, 5e-3, 5e-3))

    async def open(self) -> None:
        entry = {"channels": "1-2", "export_folder": "export", "simulate": {"channels": 2}}
        self.simulator = MacnetSimulator("maccor", entry, self.laboratory)
        entry |= await self.simulator.start()
        for key, wire in (("json_port", "macnet-json"), ("binary_port", "macnet-binary")):
            entry[key] = await self.proxied(entry[key], wire)
        self.driver = MaccorCycler(self.context("maccor", entry))

    async def shut(self) -> None:
        await super().shut()
        await self.simulator.stop()

    async def identify(self) -> None:
        reading = await self.driver.reading(1)
        if not 2.0 < reading.voltage < 4.5:
            self.shown.append(f"{reading.voltage:g} V")

    async def command(self) -> None:
        self.handle = await self.driver.start(self.token, 1, self.program)

    def judge(self, fetched: Any) -> None:
        (test,) = self.simulator.tester.tests()
        raw = (Path(self.folder) / "export" / f"{self.token}.001").read_bytes()
        bundle = self.folder / "bundle"
        with (bundle / "records.csv").open(encoding="utf-8") as file:
            numbers = [int(row["record"]) for row in csv.DictReader(file)]
        if test["state"] not in ("completed", "cleared"):
            self.doubts.append(f"a record was made of a test that is {test['state']}")
        if (bundle / f"{self.token}.001").read_bytes() != raw or numbers != list(range(1, test["records"] + 1)):
            self.doubts.append(f"{len(numbers)} records, the tester has {test['records']}")

    def starts(self) -> int:
        return sum(entry["event"] == "started" for entry in self.laboratory.records("maccor"))


class ZahnerRig(Started):
    description: ClassVar[dict[str, Any]] = {
        "cells": [{"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1"}],
        "places": {"cabinet": {"count": 1, "leads": {"zahner": {"through": "mux", "relays": [101]}}}},
    }
    request = ImpedanceRequest(
        name="camp/bare-01/c001/03-eis/a1", control="galvanostatic", frequency_start=1e4, frequency_end=10.0,
        points_per_decade=5, periods=4, amplitude=100e-6, bias=0.0, voltage_min=1.0, voltage_max=4.4,
    )  # fmt: skip

    async def open(self) -> None:
        entry: dict[str, Any] = {"output_path": "c:\\thales\\labctl"}
        self.simulator = ThalesSimulator("zahner", entry, self.laboratory)
        reached = await self.simulator.start()
        port = await self.proxied(reached["port"], "thales")
        entry |= {"address": f"127.0.0.1:{port}", "port": port}
        self.laboratory.relays("mux").add(101)
        self.driver = ZahnerPotentiostat(self.context("zahner", entry))

    async def shut(self) -> None:
        await super().shut()
        await self.simulator.stop()

    async def identify(self) -> None:
        voltage = await self.driver.open_circuit_voltage()
        true = self.laboratory.cells["bare-01"].voltage(self.laboratory.time())
        if abs(voltage - true) > 0.01:
            self.shown.append(f"{voltage:g} V instead of {true:g} V")

    async def command(self) -> None:
        self.handle = await self.driver.start(self.token, self.request)

    def judge(self, fetched: Any) -> None:
        true = next((content for path, content in self.simulator.files.items() if self.token in path), None)
        if (self.folder / "bundle" / f"{self.token}.ism").read_bytes() != true:
            self.doubts.append("the spectrum is not the one that was measured")
        if self.laboratory.sources_on(self.laboratory.cells["bare-01"]):
            self.doubts.append("the source is on after the fetch")

    def starts(self) -> int:
        return sum(entry["event"] == "sweep" for entry in self.laboratory.records("zahner"))

    def came_to_its_end(self) -> bool:
        return self.swept() == 1

    def swept(self) -> int:
        return sum(entry["event"] == "swept" for entry in self.laboratory.records("zahner"))


class ZahnerSeriesRig(ZahnerRig):
    """A series of spectra under a direct current, which flows between them, too.

    It charges: a fresh cell stays within its limits for as long as a potentiostat that starts anew leaves it alone.
    """

    series = DynamicRequest(
        name="camp/bare-01/c001/04-deis/a1", current=5e-5, amplitude=6.5e-5, frequency_start=1e4, frequency_end=10.0,
        points_per_decade=5, periods=4, spectra=2, cutoff=4.3, voltage_min=1.0, voltage_max=4.4,
    )  # fmt: skip

    async def command(self) -> None:
        self.handle = await self.driver.start_dynamic(self.token, self.series)

    def came_to_its_end(self) -> bool:
        return self.swept() == self.series.spectra

    async def ended(self) -> State:
        while (progress := await self.driver.poll(self.handle)).state is State.RUNNING:
            await asyncio.sleep((progress.remaining or 0.0) + 0.5)
        return progress.state

    def judge(self, fetched: Any) -> None:
        spectra = [content for path, content in sorted(self.simulator.files.items()) if self.token in path]
        kept = [path.read_bytes() for path in sorted((self.folder / "bundle").glob(f"{self.token}*.ism"))]
        if "spectra" not in fetched.summary:
            # Found by its token alone, when nobody knew any more that it was a series: ended, with what it had.
            if kept != spectra[:1]:
                self.doubts.append("what was found is not the first spectrum")
            return
        if kept != spectra or fetched.summary["spectra"] != len(spectra):
            self.doubts.append(f"{len(kept)} spectra are kept, or not as measured, of {len(spectra)}")
        if not self.failed and len(spectra) != self.series.spectra:
            self.doubts.append(f"{len(spectra)} spectra of {self.series.spectra}, and nothing says so")
        stamps = (self.folder / "bundle" / "spectra.csv").read_text(encoding="utf-8").splitlines()[1:]
        charges = [float(line.split(",")[6]) for line in stamps]
        if any(after <= before for before, after in pairwise([0.0, *charges])):
            self.doubts.append(f"charges of a charge: {charges}")

    def starts(self) -> int:
        return min(1, super().starts()) if super().starts() <= self.series.spectra else super().starts()


class BrukerRig(Started):
    description: ClassVar[dict[str, Any]] = {
        "cells": [{"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "probe/1"}],
        "places": {"probe": {"count": 1, "instrument": "topspin"}},
    }
    seconds = 45.0
    request = AcquisitionRequest(
        name="camp/bare-01/c001/02-nmr/a1", sample="bare-01", nucleus="7Li", pulse_program="zg", carrier_ppm=250.0,
        scans=256, recycle_delay=0.5, dwell_time=1e-7, points=4096, pulse_lengths=(7e-6,), pulse_power=80.0,
        receiver_gain=101.0,
    )  # fmt: skip

    async def open(self) -> None:
        self.simulator = TopspinSimulator("topspin", {"data_folder": "topspin-data"}, self.laboratory)
        changes = await self.simulator.start()
        self.gateway = Gateway(
            self.simulator.api, token="t", clock=self.clock, session="s1", data_folder=changes["data_folder"]
        )
        port = await self.proxied(await self.gateway.start(), "topspin-gateway")
        self.driver = BrukerSpectrometer(self.context("topspin", {"address": f"127.0.0.1:{port}", "token": "t"}))

    async def shut(self) -> None:
        await super().shut()
        await self.gateway.stop()
        await self.simulator.stop()

    async def identify(self) -> None:
        if await self.driver.find("nothing") is not None:
            self.doubts.append("found what never was")

    async def command(self) -> None:
        self.handle = await self.driver.start(self.token, self.request)

    def judge(self, fetched: Any) -> None:
        true = next(self.simulator.folder.rglob(f"{self.token}/1/fid")).read_bytes()
        if (self.folder / "bundle" / self.token / "1" / "fid").read_bytes() != true:
            self.doubts.append("the FID is not the one that was measured")
        if fetched.summary["scans"] != self.request.scans:
            self.doubts.append(f"{fetched.summary['scans']} scans in the summary")

    def starts(self) -> int:
        return sum(entry.get("command") == "zg" for entry in self.laboratory.records("topspin"))


class BrukerSeriesRig(BrukerRig):
    """Two pulse lengths: the second acquisition is started by a look at the first."""

    request = replace(BrukerRig.request, pulse_lengths=(5e-6, 7e-6))

    async def before(self, phase: str) -> None:
        await super().before(phase)
        if phase == "poll":
            # The first has come to its end, so that the look that meets the fault starts the second.
            await asyncio.sleep(150.0)

    def judge(self, fetched: Any) -> None:
        for expno, _ in enumerate(self.request.pulse_lengths, 1):
            true = next(self.simulator.folder.rglob(f"{self.token}/{expno}/fid")).read_bytes()
            if (self.folder / "bundle" / self.token / str(expno) / "fid").read_bytes() != true:
                self.doubts.append(f"the FID of EXPNO {expno} is not the one that was measured")
        if fetched.summary["expnos"] != [1, 2]:
            self.doubts.append(f"EXPNOs {fetched.summary['expnos']} in the summary")

    def starts(self) -> int:
        commands = [entry for entry in self.laboratory.records("topspin") if entry.get("command") == "zg"]
        return max(Counter(entry["dataset"] for entry in commands).values(), default=0)


class ScpiRig(Rig):
    phases = ("connect", "identify", "command", "poll")
    seconds = 1.2
    group = range(101, 105)
    description: ClassVar[dict[str, Any]] = {
        "cells": [{"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1"}],
        "places": {"cabinet": {"count": 4, "leads": {"zahner": {"through": "mux", "relays": list(group)}}}},
    }

    model = "34970A"

    async def open(self) -> None:
        leads = [{"relay": relay, "slot": f"cabinet/{relay - 100}", "instrument": "zahner"} for relay in self.group]
        entry: dict[str, Any] = {"model": self.model, "leads": leads}
        self.simulator = ScpiMultiplexerSimulator("mux", entry, self.laboratory)
        port = int((await self.simulator.start())["address"].split("::")[2])
        port = await self.proxied(port, "scpi", self.simulator.lose_power)
        entry["address"] = f"TCPIP::127.0.0.1::{port}::SOCKET"
        self.driver = ScpiMultiplexer(self.context("mux", entry))

    async def shut(self) -> None:
        await super().shut()
        await self.simulator.stop()

    async def identify(self) -> None:
        await self.poll()

    async def command(self) -> None:
        await self.driver.switch(103, self.group)
        if self.laboratory.relays("mux") != {103} and self.plan.met != "reboot":
            self.doubts.append(f"{sorted(self.laboratory.relays('mux'))} closed instead of 103")

    async def before(self, phase: str) -> None:
        await super().before(phase)
        if phase in ("connect", "identify"):
            # Somebody else left one closed, which must be seen.
            self.simulator.restore({**self.simulator.save(), "memory": [102], "contacts": [102]})

    async def connect(self) -> None:
        identity = await self.driver.connect()
        seen, true = identity.details["closed"], ", ".join(map(str, sorted(self.laboratory.relays("mux")))) or "none"
        if seen != true and self.plan.met != "reboot":
            self.shown.append(f"closed {seen} instead of {true}")

    async def poll(self) -> State | None:
        seen, true = await self.driver.closed(self.group), self.laboratory.relays("mux")
        if seen != true:
            self.doubts.append(f"relays {sorted(seen)} read as closed, {sorted(true)} are")
        return None

    async def aftermath(self, phase: str, *, failed: bool) -> None:
        await asyncio.sleep(self.seconds + 0.2)
        if len(self.laboratory.relays("mux")) > 1:
            self.doubts.append("two relays closed")
        self.plan.met = ""
        await self.driver.connect()
        if await self.driver.closed(self.group) != self.laboratory.relays("mux"):
            self.doubts.append("relays read back wrong")
        await self.driver.switch(None, self.group)
        if self.laboratory.relays("mux"):
            self.doubts.append("relays left closed")


class KeithleyRig(ScpiRig):
    model = "2700"


__all__ = ["PHASES", "RIGS", "Rig"]

RIGS: dict[str, type[Rig]] = {
    "maccor": MaccorRig,
    "zahner": ZahnerRig,
    "zahner-series": ZahnerSeriesRig,
    "bruker": BrukerRig,
    "bruker-series": BrukerSeriesRig,
    "eclib-cycler": EclibCyclerRig,
    "eclib-eis": EclibPotentiostatRig,
    "eclib-series": EclibSeriesRig,
    "eclab-cycler": EcLabCyclerRig,
    "eclab-eis": EcLabPotentiostatRig,
    "eclab-series": EcLabSeriesRig,
    "julabo": JulaboRig,
    "binder": BinderRig,
    "binder-rtu": BinderRtuRig,
    "espec": EspecRig,
    "scpi-multiplexer": ScpiRig,
    "scpi-keithley": KeithleyRig,
}
