"""aurora_biologic, unmodified, finds, loads, starts, watches and stops channels of the simulated EC-Lab.

Two things are put in its way, as it runs on Windows only: where comtypes would make EC-Lab's object, and where it asks
Windows whether EC-Lab runs. Its time is real, the instrument's runs faster.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from labctl.engine.clock import LoopClock, run_scaled
from labctl_drivers.biologic.backend import ConstantCurrent, Limit, Loop, OpenCircuit
from labctl_drivers.biologic.mps import Safety, document
from labctl_drivers.biologic.mps_techniques import Writer
from labctl_simulators.biologic import BiologicSimulator
from labctl_simulators.biologic.eclabcom import EClabExe
from labctl_simulators.laboratory import Laboratory

if importlib.util.find_spec("aurora_biologic") is None:
    # Not imported here: that would load comtypes, which is for Windows.
    pytest.skip("needs the extra `conformance` (aurora_biologic)", allow_module_level=True)
pytestmark = pytest.mark.conformance

SPEED = 20.0
DESCRIPTION: dict[str, Any] = {
    "cells": [
        {"id": "cell-1", "barcode": "B1", "area_m2": 1e-4, "place": "bench/1", "simulate": {"substrate": "bare"}}
    ],
    "places": {"bench": {"count": 1, "temperature": None, "leads": {"biologic": [1]}}},
}


class Quiet:
    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Makes the client's API on the EC-Lab at an address."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(
        json.dumps({"serial_to_name": {"21042": "VMP3e"}, "eclab_path": "C:/EC-Lab/EClab.exe"}), encoding="utf-8"
    )
    monkeypatch.setenv("AURORA_BIOLOGIC_CONFIG_DIR", str(tmp_path / "config"))
    servers: list[EClabExe] = []
    addresses: list[str] = []

    def create(program: str) -> EClabExe:
        assert program == "EClabCOM.EClabExe"
        servers.append(EClabExe(addresses[-1]))
        return servers[-1]

    comtypes, maker = ModuleType("comtypes"), ModuleType("comtypes.client")
    vars(maker)["CreateObject"], vars(comtypes)["client"] = create, maker
    monkeypatch.setitem(sys.modules, "comtypes", comtypes)
    monkeypatch.setitem(sys.modules, "comtypes.client", maker)
    for name in [name for name in sys.modules if name.partition(".")[0] == "aurora_biologic"]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("aurora_biologic.biologic")
    tasks = SimpleNamespace(stdout="EClab.exe   4711 Console")
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=lambda *_, **__: tasks))

    def make(address: str) -> Any:
        addresses.append(address)
        return module.BiologicAPI()

    yield make
    for server in servers:
        server.close()


def against(folder: Path, work: Callable[[str], Any], **simulate: Any) -> tuple[Any, Laboratory]:
    """Run the blocking client in a thread, EC-Lab on this loop; gives its findings and the laboratory."""

    async def main(clock: LoopClock) -> tuple[Any, Laboratory]:
        laboratory = Laboratory(DESCRIPTION, folder=folder, seed=1, clock=clock, log=Quiet())
        entry = {"backend": "olecom", "simulate": {"channels": 2, **simulate}}
        instrument = BiologicSimulator("biologic", entry, laboratory)
        try:
            found = await asyncio.to_thread(work, (await instrument.start())["address"])
        finally:
            await instrument.stop()
            await laboratory.stop()
        assert laboratory.violations == []
        return found, laboratory

    return run_scaled(main, SPEED)


def settings_file(folder: Path) -> Path:
    """Rest, then charge, twice."""
    techniques = (
        OpenCircuit(10.0, 1.0),
        ConstantCurrent(2e-4, 3600.0, (Limit("voltage", True, 4.3),), 10.0),
        Loop(0, 2),
    )
    path = folder / "job" / "protocol.mps"
    path.parent.mkdir()
    path.write_bytes(
        document(
            Writer(".", (0.0, 5.0), 5).blocks(techniques),
            path=str(path),
            device="VMP-3e",
            voltage_range=(0.0, 5.0),
            safety=Safety(2.5, 4.5, 1e-3),
            record_counter=False,
        )
    )
    return path


@pytest.mark.parametrize("simulate", [{}, {"fails_every": 5}])
def test_it_loads_starts_watches_and_stops(
    client: Callable[[str], Any], tmp_path: Path, simulate: dict[str, Any]
) -> None:
    protocol = settings_file(tmp_path)

    def work(address: str) -> Any:
        api = client(address)
        pipelines = api.get_pipelines()
        before = api.get_status("VMP3e-1")["VMP3e-1"]
        api.start("VMP3e-1", protocol, protocol.parent / "data.mpr")
        seen = [api.get_status("VMP3e-1")["VMP3e-1"]]
        while seen[-1]["Technique code"] != "MB":
            seen.append(api.get_status("VMP3e-1")["VMP3e-1"])
        job = api.get_job_id("VMP3e-1")
        api.stop("VMP3e-1")
        after = api.get_status("VMP3e-1")["VMP3e-1"]
        return pipelines, before, seen, job, after, api.get_experiment_info("VMP3e-1"), api.get_job_id("VMP3e-1")

    (pipelines, before, seen, job, after, infos, ended), laboratory = against(tmp_path, work, **simulate)
    assert pipelines["VMP3e-1"]["channel_serial_number"] == 1042
    assert [status["Status"] for status in (before, seen[0], after)] == ["Stop", "Run", "Stop"]
    assert (seen[0]["Technique code"], seen[0]["Connection"], seen[0]["Safety limit"]) == ("OCV", "Ok", "Ok")
    assert seen[-1]["I (A)"] == pytest.approx(2e-4)
    assert seen[-1]["Ewe (V)"] > seen[0]["Ewe (V)"]
    assert (job, ended) == ({"VMP3e-1": "job"}, {"VMP3e-1": None})
    assert infos[1] is not None
    assert [name for name in infos[3] if name][:2] == ["data_01_OCV_C01.mpr", "data_02_MB_C01.mpr"]
    assert (protocol.parent / "data_02_MB_C01.mpr").is_file()
    assert laboratory.sources_on(laboratory.cells["cell-1"]) == ()


def test_a_file_that_eclab_does_not_take_starts_nothing(client: Callable[[str], Any], tmp_path: Path) -> None:
    protocol = settings_file(tmp_path)
    protocol.write_bytes(protocol.read_bytes().replace(b"Modulo Bat", b"Modulo Rat"))

    def work(address: str) -> Any:
        api = client(address)
        with pytest.raises(RuntimeError):
            api.start("VMP3e-1", protocol, protocol.parent / "data.mpr")
        return api.get_status("VMP3e-1")["VMP3e-1"]["Status"]

    assert against(tmp_path, work)[0] == "Stop"
