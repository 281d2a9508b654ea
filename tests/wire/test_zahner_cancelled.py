"""What becomes of the source where whoever started something at the Zahner was cancelled before it was written down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from dynamic_series import SERIES
from zahner_bench import REQUEST, TOKEN, Bench, on_bench


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_start_that_was_cancelled_half_way_leaves_no_source_on_when_labctl_ends(
    tmp_path: Path, dynamic: bool
) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        start = driver.start_dynamic(TOKEN, SERIES) if dynamic else driver.start(TOKEN, replace(REQUEST, bias=5e-5))
        task = asyncio.create_task(start)
        while made.thales.settings["Pot"] == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await driver.close()
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_series_whose_start_was_cancelled_is_off_as_soon_as_it_is_looked_for(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        task = asyncio.create_task(driver.start_dynamic(TOKEN, SERIES))
        while (await driver._session.script()).owes != "EIS":
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        began = made.laboratory.time()
        assert await driver.find(TOKEN) is None
        assert made.laboratory.sources_on(made.cell) == ()
        assert made.laboratory.time() - began < 30
        await driver.close()

    on_bench(tmp_path, story)
