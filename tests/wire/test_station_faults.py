"""Faults that stand in the station file happen on the wire of the simulated instrument, when they are due."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest
from laboratory_scene import EPOCH, Echo, Quiet, ask, description

from labctl.engine.clock import LoopClock, run_virtual
from labctl.station.instruments import WireFault
from labctl_simulators.faults import KINDS
from labctl_simulators.laboratory import Laboratory


def test_the_station_file_knows_every_fault() -> None:
    assert get_args(WireFault.model_fields["kind"].annotation) == KINDS


def test_a_planned_fault_happens_when_it_is_due_and_nowhere_else(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        planned = {"zahner": [WireFault.model_validate({"kind": "garble", "after": "2 h"}).plain()]}
        station: dict[str, Any] = {**description(), "faults": planned}
        lab = Laboratory(station, folder=tmp_path, seed=1, clock=clock, log=Quiet())
        echo = Echo()
        behind = await echo.start()
        port = await lab.expose("zahner", behind)
        assert await lab.expose("maccor", behind) == behind
        answers = []
        for wait in (3600.0, 7200.0, 0.0):
            await asyncio.sleep(wait)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answers.append(await ask(reader, writer, b"ab\n"))
            writer.close()
            await writer.wait_closed()
        assert answers == [b"ab\n", b"\xff\xff\n", b"ab\n"]
        await lab.stop()
        await echo.stop()

    run_virtual(main, EPOCH)


def test_a_misspelt_fault_is_found_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="drop-before"):
        WireFault.model_validate({"kind": "dorp"})
