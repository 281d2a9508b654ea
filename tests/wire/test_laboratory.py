"""The virtual laboratory: where cells are, what reaches them, its time and temperatures, its saved state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from laboratory_scene import EPOCH, ROOM_K, Quiet, description, in_laboratory

from labctl.engine.clock import LoopClock, run_virtual
from labctl_simulators.cell import Current, VirtualCell
from labctl_simulators.control import ControlPort
from labctl_simulators.laboratory import Laboratory, NotPossible
from labctl_simulators.samples import Sample
from labctl_simulators.thermal import ThermalPlant

# Places and leads


def test_leads_reach_the_cell_that_sits_there(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        assert lab.cell_on("maccor", 2) is lab.cells["bare-02"]
        assert lab.cell_on("maccor", 4) is None
        assert lab.cell_on("maccor", 9) is None
        assert lab.cell_on("nobody", 1) is None
        lab.move("bare-02", "oven/1")
        assert lab.cell_on("maccor", 2) is None
        assert lab.cell_on("maccor", 9) is lab.cells["bare-02"]
        assert lab.violations == []

    in_laboratory(tmp_path, scene)


def test_a_potentiostat_reaches_the_cell_of_the_one_closed_relay(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        assert lab.cell_on("zahner") is None
        lab.relays("mux").add(103)
        assert lab.cell_on("zahner") is lab.cells["coated-01"]
        lab.relays("mux").add(101)
        assert lab.cell_on("zahner") is None
        assert lab.violations[-1]["kind"] == "leads in parallel"
        assert lab.routes("mux", 101) == [lab.cells["bare-01"]]
        assert lab.routes("mux", 104) == []

    in_laboratory(tmp_path, scene)


def test_the_probe_holds_a_cell_or_the_reference_or_nothing(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        assert lab.in_probe("topspin") is None
        lab.move("reference", "probe")
        sample = lab.in_probe("topspin")
        assert isinstance(sample, Sample)
        (line,) = sample.nmr_lines(0.0)
        assert line.shift_ppm == 0.0
        with pytest.raises(NotPossible, match="taken by reference"):
            lab.move("bare-01", "probe/1")
        lab.move("reference", "bench")
        lab.move("bare-01", "probe/1")
        assert lab.in_probe("topspin") is lab.cells["bare-01"]
        assert lab.temperature_of(lab.cells["bare-01"]) == ROOM_K

    in_laboratory(tmp_path, scene)


@pytest.mark.parametrize(
    ("cell", "to", "said"),
    [
        ("bare-01", "cabinet/9", "slots 1 to 4"),
        ("bare-01", "cabinet/x", "slots 1 to 4"),
        ("bare-01", "attic/1", "there is no place 'attic'"),
        ("bare-01", "cabinet/2", "taken by bare-02"),
        ("nobody", "cabinet/4", "there is no cell 'nobody'"),
    ],
)
def test_moves_that_cannot_be_are_refused(tmp_path: Path, cell: str, to: str, said: str) -> None:
    async def scene(lab: Laboratory) -> None:
        before = lab.where()
        with pytest.raises(ValueError, match=said):
            lab.move(cell, to)
        assert lab.where() == before

    in_laboratory(tmp_path, scene)


def test_a_description_with_two_cells_on_one_slot_is_refused(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        wrong = description()
        wrong["cells"][1]["place"] = "cabinet/1"
        with pytest.raises(NotPossible, match="cabinet/1 is taken by bare-01"):
            Laboratory(wrong, folder=tmp_path, seed=1, clock=clock, log=Quiet())

    run_virtual(main, EPOCH)


# Sources


def test_two_sources_on_one_cell_are_a_violation(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        cell = lab.cells["bare-01"]
        lab.source_on(cell, "maccor/1")
        lab.source_on(cell, "maccor/1")
        assert lab.violations == []
        lab.source_on(cell, "zahner")
        (entry,) = lab.violations
        assert entry["kind"] == "two sources"
        assert entry["cell"] == "bare-01"
        assert entry["sources"] == ["maccor/1", "zahner"]
        lab.source_off(cell, "zahner")
        lab.source_off(cell, "maccor/1")
        assert lab.sources_on(cell) == ()

    in_laboratory(tmp_path, scene)


def test_a_cell_under_current_is_not_moved_and_the_attempt_is_a_violation(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        cell = lab.cells["bare-01"]
        lab.source_on(cell, "maccor/1")
        with pytest.raises(NotPossible, match="under current of maccor/1"):
            lab.move("bare-01", "oven/1")
        assert lab.violations[-1]["kind"] == "moved under current"
        assert lab.where()["bare-01"] == {"place": "cabinet/1", "barcode": "B0001"}
        lab.source_off(cell, "maccor/1")
        lab.move("bare-01", "oven/1")

    in_laboratory(tmp_path, scene)


def test_whoever_looks_at_a_driven_cell_sees_it_up_to_date(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        cell = lab.cells["bare-01"]
        course = cell.project(Current(0.2e-3), lab.time(), 7200.0, ROOM_K)
        lab.register_source("maccor", lambda t: cell.follow(course, t))
        lab.source_on(cell, "maccor/1")
        await asyncio.sleep(3600)
        lab.bring_up_to_date(cell)
        assert cell.state.t == pytest.approx(3600.0)
        assert lab.truth()["cells"]["bare-01"]["first_charge_mAh"] == pytest.approx(0.2, rel=1e-6)
        other = lab.cells["bare-02"]
        lab.bring_up_to_date(other)
        assert other.state.t == pytest.approx(3600.0), "a cell that nothing drives relaxes"

    in_laboratory(tmp_path, scene)


# Time and temperature


def test_the_laboratory_keeps_the_time_of_its_loop(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        assert lab.time() == 0.0
        assert lab.now() == EPOCH
        await asyncio.sleep(86400)
        assert lab.time() == pytest.approx(86400)
        assert (lab.now() - EPOCH).total_seconds() == pytest.approx(86400)
        assert lab.at(60.0).minute == 1

    in_laboratory(tmp_path, scene)


def test_an_oven_takes_its_time_and_its_cells_follow(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        lab.move("bare-01", "oven/2")
        cell, oven = lab.cells["bare-01"], lab.chamber("oven")
        assert oven.temperature == pytest.approx(ROOM_K, abs=0.02)
        oven.regulate(313.15)
        seen = []
        for _ in range(60):
            await asyncio.sleep(60)
            seen.append(lab.temperature_of(cell))
        assert max(np.diff(seen)) < 2.1, "no faster than its ramp"
        assert seen[0] < 296.0
        assert seen[-1] == pytest.approx(313.15, abs=0.05)
        oven.stop()
        assert oven.running is False
        await asyncio.sleep(6 * 3600)
        assert lab.temperature_of(cell) == pytest.approx(ROOM_K, abs=0.1)

    in_laboratory(tmp_path, scene)


def test_a_new_set_point_starts_from_where_the_bath_is() -> None:
    now = 0.0
    plant = ThermalPlant(lambda: now, ROOM_K)
    plant.regulate(313.15)
    now = 600.0
    before = plant.temperature
    plant.regulate(283.15)
    assert plant.temperature == pytest.approx(before, abs=1e-9)
    again = ThermalPlant(lambda: now, ROOM_K)
    again.restore(json.loads(json.dumps(plant.save())))
    now = 2000.0
    assert again.temperature == plant.temperature
    assert again.set_point == 283.15


# Chance, saving, restoring


def test_noise_depends_on_seed_cell_and_token_alone(tmp_path: Path) -> None:
    drawn: list[list[float]] = []

    def scene(order: list[tuple[str, str]], seed: int) -> Callable[[Laboratory], Coroutine[Any, Any, None]]:
        async def play(lab: Laboratory) -> None:
            values = {key: float(lab.rng(*key).standard_normal()) for key in order}
            drawn.append([values[key] for key in sorted(values)])

        return play

    keys = [("bare-01", "t1"), ("bare-01", "t2"), ("bare-02", "t1")]
    in_laboratory(tmp_path, scene(keys, 1))
    in_laboratory(tmp_path, scene(keys[::-1], 1))
    in_laboratory(tmp_path, scene(keys, 2), seed=2)
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) == 3


def drive(cell: VirtualCell, amperes: float, start: float, seconds: float) -> None:
    cell.follow(cell.project(Current(amperes), start, seconds, ROOM_K), start + seconds)


def test_cells_come_out_the_same_in_whatever_order_they_are_served(tmp_path: Path) -> None:
    truths = []

    def scene(order: list[str]) -> Callable[[Laboratory], Coroutine[Any, Any, None]]:
        async def play(lab: Laboratory) -> None:
            for hour in range(4):
                for name in order:
                    drive(lab.cells[name], 0.2e-3 if hour < 3 else -0.6e-3, lab.time(), 3600.0)
                await asyncio.sleep(3600)
            truths.append(lab.truth())

        return play

    names = [entry["id"] for entry in description()["cells"]]
    in_laboratory(tmp_path, scene(names))
    in_laboratory(tmp_path, scene(names[::-1]))
    assert truths[0] == truths[1]


def test_a_restored_laboratory_goes_on_where_the_saved_one_stopped(tmp_path: Path) -> None:
    saved: list[str] = []
    after: list[Any] = []

    async def finish(lab: Laboratory) -> None:
        for name in ("bare-01", "coated-01"):
            drive(lab.cells[name], -0.6e-3, lab.time(), 1800.0)
        await asyncio.sleep(1800)
        after.append((lab.truth(), lab.time(), lab.now(), lab.chamber("oven").temperature, lab.cells["bare-02"].state))

    async def first(lab: Laboratory) -> None:
        for name in ("bare-01", "coated-01"):
            drive(lab.cells[name], 0.2e-3, lab.time(), 7200.0)
        lab.move("bare-02", "oven/1")
        lab.relays("mux").add(102)
        lab.chamber("oven").regulate(313.15)
        lab.source_on(lab.cells["bare-02"], "maccor/9")
        lab.record("maccor", "said", words="hello")
        lab.note_violation("test", cell="bare-02")
        await asyncio.sleep(7200)
        lab.source_off(lab.cells["bare-02"], "maccor/9")
        saved.append(json.dumps(lab.save()))
        await finish(lab)

    async def second(lab: Laboratory) -> None:
        await asyncio.sleep(555)
        lab.restore(json.loads(saved[0]))
        assert json.dumps(lab.save()) == saved[0]
        assert lab.relays("mux") == {102}
        assert lab.cell_on("maccor", 9) is lab.cells["bare-02"]
        assert lab.violations[-1]["kind"] == "test"
        assert lab.records("maccor")[-1]["words"] == "hello"
        await finish(lab)

    in_laboratory(tmp_path, first)
    in_laboratory(tmp_path, second)
    assert after[0] == after[1]


def test_a_state_of_another_laboratory_is_refused(tmp_path: Path) -> None:
    kept: list[dict[str, Any]] = []

    async def first(lab: Laboratory) -> None:
        kept.append(lab.save())

    async def second(lab: Laboratory) -> None:
        with pytest.raises(NotPossible, match="with the seed 1, not 2"):
            lab.restore(kept[0])
        with pytest.raises(NotPossible, match="schema"):
            lab.restore({})

    in_laboratory(tmp_path, first)
    in_laboratory(tmp_path, second, seed=2)


def test_hands_take_a_cell_apart_and_its_leads_reach_nothing_until_another_is_put_together(tmp_path: Path) -> None:
    saved: list[str] = []

    async def scene(lab: Laboratory) -> None:
        def hands(**request: Any) -> dict[str, Any]:
            return ControlPort(lab).answer(json.dumps({"id": 1, **request}).encode())

        drive(lab.cells["bare-01"], 0.2e-3, lab.time(), 7200.0)
        await asyncio.sleep(7200)
        plated = lab.cells["bare-01"].state.connected
        lab.source_on(lab.cells["bare-01"], "maccor")
        assert "under current" in hands(op="disassemble", cell="bare-01", parts=["negative"])["error"]
        lab.source_off(lab.cells["bare-01"], "maccor")
        for name in ("bare-01", "bare-02"):
            reply = hands(op="disassemble", cell=name, parts=["negative", "positive"])
            assert reply["parts"] == [f"{name}-negative", f"{name}-positive"]
        assert lab.cell_on("maccor", 1) is None
        lab.move("bare-01", "probe/1")
        held = lab.in_probe("topspin")
        assert held is not None
        assert [line.shift_ppm > 200 for line in held.nmr_lines(lab.time())] == [True] * 3
        lab.move("bare-01", "cabinet/1")
        assert "no part" in hands(op="assemble", cell="bare-01", parts=["gold"])["error"]
        assert "parts is a list" in hands(op="assemble", cell="bare-01", parts="gold")["error"]
        assert hands(op="assemble", cell="bare-01", parts=["bare-01-negative", "bare-02-positive"])["ok"]
        rebuilt = lab.cell_on("maccor", 1)
        assert rebuilt is not None
        assert (rebuilt.state.connected, rebuilt.state.soc) == (plated, 0.0)
        assert [one["kind"] for one in lab.violations] == ["taken apart under current"]
        saved.append(json.dumps(lab.save()))

    async def again(lab: Laboratory) -> None:
        lab.restore(json.loads(saved[0]))
        assert lab.cells["bare-01"].state.connected > 0.3
        assert not lab.cells["bare-02"].whole
        assert lab.glovebox.shelf == ("bare-01-positive", "bare-02-negative")

    in_laboratory(tmp_path, scene)
    in_laboratory(tmp_path, again)
