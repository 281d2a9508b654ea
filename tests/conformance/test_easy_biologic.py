"""easy_biologic, unmodified, measures on the simulated potentiostat: rest, current, voltage and both spectra.

Two things are put in its way before it is imported, as it runs on Windows only: the name of the operating system, and
the stand-in where ``ctypes.WinDLL`` would load the vendor's libraries. Its time is real, the instrument's runs faster.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import platform
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_scaled
from labctl_simulators.biologic import BiologicSimulator
from labctl_simulators.biologic.eclib import EClib, Find
from labctl_simulators.cell import Current
from labctl_simulators.laboratory import Laboratory

if importlib.util.find_spec("easy_biologic") is None:
    pytest.skip("needs the extra `conformance` (easy_biologic)", allow_module_level=True)
pytestmark = pytest.mark.conformance

SPEED = 20.0
DESCRIPTION: dict[str, Any] = {
    "cells": [
        {
            "id": f"cell-{n}",
            "barcode": f"B{n}",
            "area_m2": 1e-4,
            "place": f"bench/{n}",
            "simulate": {"substrate": "bare"},
        }
        for n in (1, 2)
    ],
    "places": {"bench": {"count": 2, "temperature": None, "leads": {"biologic": [1, 2]}}},
}


class Quiet:
    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The client's modules; the stand-in's connections are cut at the end."""
    libraries: list[EClib] = []

    def load(name: str) -> Any:
        if "blfind" in name:
            return Find(name)
        libraries.append(EClib(name))
        return libraries[-1]

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # Its own: comparisons with literals, and how it looks for its files.
        warnings.simplefilter("ignore")
        patch.setattr(platform, "system", lambda: "Windows")
        patch.setattr(ctypes, "WinDLL", load, raising=False)
        yield importlib.import_module("easy_biologic")
    for library in libraries:
        library.close()


def against(folder: Path, work: Callable[[str], Any]) -> tuple[Any, Any]:
    """Run the blocking client in a thread, the instrument on this loop; gives its findings and the laboratory."""

    async def main(clock: LoopClock) -> tuple[Any, Any]:
        laboratory = Laboratory(DESCRIPTION, folder=folder, seed=1, clock=clock, log=Quiet())
        instrument = BiologicSimulator("biologic", {"simulate": {"firmware": "none", "channels": 2}}, laboratory)
        for cell in laboratory.cells.values():
            course = cell.project(Current(2e-4), cell.state.t, 14400.0, 293.15)
            cell.follow(course, cell.state.t + 14400.0)
            cell.state = type(cell.state).from_json({**cell.state.to_json(), "t": laboratory.time()})
        try:
            entry = await instrument.start()
            found = await asyncio.to_thread(work, entry["address"])
        finally:
            await instrument.stop()
            await laboratory.stop()
        assert laboratory.violations == []
        return found, laboratory

    return run_scaled(main, SPEED)


def run(client: Any, device: Any, kind: str, params: dict[str, Any], channels: list[int]) -> Any:
    program = getattr(client.base_programs, kind)(device, params, channels=channels)
    program.run()
    return program.data


def test_it_connects_identifies_and_loads_its_kernel(client: Any, tmp_path: Path) -> None:
    def work(address: str) -> Any:
        device = client.BiologicDevice(address)
        device.connect()
        infos = [info for info in device.channels if info is not None]
        told = device.kind.name, device.plugged, [info.FirmwareCode for info in infos]
        device.disconnect()
        return told

    (kind, plugged, firmware), _ = against(tmp_path, work)
    assert kind == "KBIO_DEV_VMP3e"
    assert plugged == [True, True] + [False] * 14
    assert firmware == [5, 5]


def test_rest_current_and_voltage_come_back_as_the_cell_has_them(client: Any, tmp_path: Path) -> None:
    def work(address: str) -> Any:
        device = client.BiologicDevice(address)
        rest = run(client, device, "OCV", {"time": 20.0, "time_interval": 1.0}, [0, 1])
        charge = run(
            client,
            device,
            "CP",
            {"currents": [2e-4, -1e-4], "durations": [10.0, 10.0], "time_interval": 1.0, "voltage_interval": 1.0},
            [0],
        )
        hold = run(
            client,
            device,
            "CA",
            {"voltages": [3.6], "durations": [10.0], "time_interval": 1.0, "current_interval": 1.0},
            [1],
        )
        return rest, charge[0], hold[1]

    (rest, charge, hold), laboratory = against(tmp_path, work)
    for channel in (0, 1):
        assert [row.time for row in rest[channel]] == pytest.approx(list(range(21)), abs=0.01)
        assert 3.3 < rest[channel][-1].voltage < 4.3
    assert [row.current for row in charge] == pytest.approx([2e-4] * 11 + [-1e-4] * 11, rel=1e-6)
    assert charge[10].voltage > rest[0][-1].voltage > charge[-1].voltage
    assert [row.voltage for row in hold] == pytest.approx([3.6] * 11)
    assert all(laboratory.sources_on(cell) == () for cell in laboratory.cells.values())


@pytest.mark.parametrize(
    ("kind", "excitation"),
    [
        ("PEIS", {"voltage": 0.0, "amplitude_voltage": 0.01, "vs_initial": True}),
        ("GEIS", {"current": 0.0, "amplitude_current": 1e-4}),
    ],
)
def test_a_spectrum_comes_back_as_the_cell_has_it(
    client: Any, tmp_path: Path, kind: str, excitation: dict[str, Any]
) -> None:
    sweep = {"initial_frequency": 1e5, "final_frequency": 1.0, "frequency_number": 26, "duration": 2.0}

    def work(address: str) -> Any:
        return run(client, client.BiologicDevice(address), kind, {**sweep, **excitation}, [0])[0]

    data, laboratory = against(tmp_path, work)
    points = [row for row in data if row.process == 1]
    settling = [row for row in data if row.process == 0]
    assert [row.frequency for row in points] == pytest.approx(np.geomspace(1e5, 1.0, 26).tolist(), rel=1e-6)
    assert settling
    assert settling[-1].time == pytest.approx(2.0, abs=0.01)
    measured = np.array([row.abs_voltage / row.abs_current * np.exp(1j * row.impedance_phase) for row in points])
    cell = laboratory.cells["cell-1"]
    exact = cell.impedance(np.array([row.frequency for row in points]), np.zeros(26), 0.0)
    assert np.abs(measured / exact - 1).max() < 0.02
