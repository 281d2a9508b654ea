"""The drivers of chambers on their simulators, for the fault table and the fuzz.

A chamber has no record: what counts is what it regulates, which limits it keeps, and what a look at it says.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

from benchmarks.rig import Rig
from labctl.instruments import State
from labctl_drivers.binder import BinderChamber
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.espec import EspecSimulator
from labctl_simulators.julabo import JulaboSimulator

_ZERO_CELSIUS = 273.15


class ChamberRig(Rig):
    """A chamber that is told to be at ``wanted``, and looked at when it has arrived."""

    phases = ("connect", "identify", "command", "poll")
    seconds = 1.2
    wanted = 40.0 + _ZERO_CELSIUS
    limits: tuple[float, float] | None = None
    #: The name of the wire, what the simulator is told of itself, and its class and the driver's.
    wire: ClassVar[str]
    simulate: ClassVar[dict[str, Any]] = {}
    makes: ClassVar[tuple[Any, Any]]

    async def open(self) -> None:
        make_simulator, make_driver = self.makes
        entry: dict[str, Any] = {"simulate": {"steady": True, **self.simulate}}
        self.simulator = make_simulator("oven", entry, self.laboratory)
        address = (await self.simulator.start())["address"]
        host, _, port = address.rpartition(":")
        port = await self.proxied(int(port), self.wire, partial(self.laboratory.break_down, "oven", "mains lost"))
        entry["address"] = f"{host}:{port}"
        self.plant = self.laboratory.chamber("oven")
        self.driver = make_driver(self.context("oven", entry))

    async def shut(self) -> None:
        await super().shut()
        await self.simulator.stop()

    async def identify(self) -> None:
        await self.poll()

    async def command(self) -> None:
        await self.driver.regulate(self.wanted, self.limits)
        # A reboot after the last answer is for the next look to find.
        if self.plan.met != "reboot":
            self.doubts += self.wrong()

    def wrong(self) -> list[str]:
        """Say what is not as it was told."""
        if self.plant.running and abs(self.plant.set_point - self.wanted) < 0.006:
            return []
        return [f"regulating at {self.plant.set_point} K, running {self.plant.running}"]

    async def before(self, phase: str) -> None:
        await super().before(phase)
        # A bath that has arrived does not move during a look.
        await asyncio.sleep(4 * 3600.0)

    async def poll(self) -> State | None:
        seen = await self.driver.read()
        for what, value, true in (
            ("temperature", seen.temperature, self.plant.temperature),
            ("running", seen.running, self.plant.running),
        ):
            if abs(value - true) > 0.06:
                self.shown.append(f"{what} {value:g} instead of {true:g}")
        if self.plant.running and abs(seen.set_point - self.plant.set_point) > 0.06:
            self.shown.append(f"set point {seen.set_point:g} instead of {self.plant.set_point:g}")
        return None

    async def aftermath(self, phase: str, *, failed: bool) -> None:
        await asyncio.sleep(self.seconds + 0.5)
        if phase == "command" and not failed and not self.plant.running and (await self.driver.read()).running:
            self.doubts.append("stands, and reads as running")
        self.plan.met = ""
        await self.driver.connect()
        await self.command()
        await self.poll()


class JulaboRig(ChamberRig):
    wire = "julabo"
    makes = (JulaboSimulator, JulaboChamber)


class BinderRig(ChamberRig):
    wire = "modbus-tcp"
    makes = (BinderSimulator, BinderChamber)
    #: Bits of the operation lines that are not labctl's: two switches and the protection from condensation.
    others = 0x004C

    async def open(self) -> None:
        await super().open()
        self.simulator.restore({**self.simulator.save(), "word": self.others})

    def wrong(self) -> list[str]:
        lines = self.simulator.save()["word"]
        moved = [] if lines == self.others else [f"operation lines {lines:04X} instead of {self.others:04X}"]
        return super().wrong() + moved


class BinderRtuRig(BinderRig):
    wire = "modbus-rtu"
    simulate: ClassVar[dict[str, Any]] = {"rtu": True}


class EspecRig(ChamberRig):
    wire = "espec"
    makes = (EspecSimulator, EspecChamber)
    limits = (10.0 + _ZERO_CELSIUS, 60.0 + _ZERO_CELSIUS)

    def wrong(self) -> list[str]:
        limits = self.simulator.save()["limits"]
        kept = [] if limits == [10.0, 60.0] else [f"limits {limits} instead of 10 to 60 degC"]
        return super().wrong() + kept
