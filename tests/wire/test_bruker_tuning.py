"""The curve that is stored after automatic tuning: read whole or not at all, in every form of numbers."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import numpy as np
import pytest
from nmr_bench import Bench, on_bench, request

from labctl.instruments import Busy
from labctl_drivers.bruker.tuning import curve
from labctl_simulators.topspin import wobble
from labctl_simulators.topspin.parameters import Parameters

VALUES = [1.0] * 24 + [0.5, 0.25, 0.5] + [1.0] * 21


@pytest.mark.parametrize(("kind", "order"), [("0", "0"), ("0", "1"), ("2", "0"), ("2", "1")])
def test_a_curve_is_read_in_every_form_of_numbers_and_not_before_it_is_whole(kind: str, order: str) -> None:
    form = f"{'<>'[int(order)]}{len(VALUES)}{ {'0': 'i', '2': 'd'}[kind] }"
    content = struct.pack(form, *([int(400 * value) for value in VALUES] if kind == "0" else VALUES))
    parameters = {"SI": str(len(VALUES)), "DTYPP": kind, "BYTORDP": order}
    found = curve(parameters, content)
    assert found is not None
    assert found[25] / found[0] == 0.25
    for broken in (content[:-1], content[: len(content) // 2], bytes(len(content)), b""):
        assert curve(parameters, broken) is None
    assert curve({**parameters, "SI": "0"}, content) is None
    assert curve({**parameters, "DTYPP": "7"}, content) is None


@pytest.mark.parametrize("field", [1.0, 0.9, 0.8])
def test_what_the_probe_reflects_is_told_as_it_is_and_the_same_again_without_tuning_again(
    tmp_path: Path, field: float
) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        bench.laboratory.break_down("topspin", "jammed")
        bench.simulator.tuning = field
        found = await driver.tune("one", "7Li")
        assert found is not None
        assert found.reflected == pytest.approx((1.0 - field**2) ** 0.5, abs=0.05)
        assert found.beside_Hz == pytest.approx(250e3 * (field**-2 - 1.0) ** 0.5, abs=20e3)
        assert found.well is (field == 1.0)
        assert await driver.tune("one", "7Li") == found == await bench.driver().tuned("one")
        assert await driver.tuned("another") is None
        assert bench.commands("atma storeWobb 100") == 1

    on_bench(test, tmp_path)


def test_a_curve_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        tuning = asyncio.ensure_future(driver.tune("one", "7Li"))
        await asyncio.sleep(21)
        folder = bench.simulator.folder / "one-tm" / "1"
        wobble.store(folder, "100", Parameters(), 1.0, np.random.default_rng(1), "2026-11-22")
        path = folder / "pdata" / "100" / "1r"
        whole = path.read_bytes()
        path.write_bytes(whole[:1000])
        await asyncio.sleep(20)
        assert not tuning.done()
        path.write_bytes(whole)
        found = await tuning
        assert found is not None
        assert found.well

    on_bench(test, tmp_path, wobble="none")


def test_nothing_is_tuned_while_something_is_acquired(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.start("one", request())
        with pytest.raises(Busy):
            await driver.tune("two", "7Li")

    on_bench(test, tmp_path)
