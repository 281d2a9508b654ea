"""A session at the keyboard, against the simulated tester in virtual time: slips, limits, the watchdog."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import SAFETY, Bench, tell

from labctl.cli.instruments_manual import session
from labctl.instruments import Refused

WATCHED: dict[str, Any] = {"simulate": {"direct_mode_watchdog": 10}}


async def typed(b: Bench, *lines: tuple[float, str | None], **safety: float) -> None:
    """A session in which a person types each line after so many seconds."""
    waiting: asyncio.Queue[str | None] = asyncio.Queue()

    async def person() -> None:
        for pause, line in lines:
            await asyncio.sleep(pause)
            waiting.put_nowait(line)

    fingers = asyncio.create_task(person())
    context = b.context(driver="maccor", direct_mode_watchdog="10 s")
    try:
        await session(context, 1, replace(SAFETY, **safety), waiting)
    finally:
        fingers.cancel()


def outputs(b: Bench) -> list[str]:
    return [entry["mode"] for entry in b.laboratory.records("maccor") if entry["event"] == "output"]


def test_a_slip_of_the_keyboard_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(b: Bench) -> None:
        slips = ("charge 0.2 mA", "charge 0.2 A to 4 V", "discharge 0.2 mA to 2 V", "discharge -1 mA to 3 V", "stop")
        await typed(b, (0, "charge 0.2 mA to 4 V"), *((30, one) for one in slips), (30, "look"), (1, "end"))
        assert outputs(b) == ["R"]
        assert (await (await b.connected()).channels())[1] == "Available"

    tell(tmp_path, story, **WATCHED)
    said = capsys.readouterr().err
    assert "'stop' is no order" in said
    assert "0.2 A is not between zero and the limit of 0.005 A" in said
    assert "+0.2 mA" in said


def test_a_channel_that_stops_at_its_limits_is_told_though_nobody_types(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        with pytest.raises(Refused, match=r"voltage safety|direct output declined"):
            await typed(b, (0, "charge 4 mA to 3.6 V"), (24 * 3600, "look"), voltage_max=3.6)
        assert b.laboratory.sources_on(b.laboratory.cells["one"]) == ()

    tell(tmp_path, story, **WATCHED)


def test_the_end_of_what_is_typed_ends_the_session(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        await typed(b, (0, None))
        assert b.laboratory.records("maccor") == []
        await typed(b, (0, "charge 0.2 mA to 4 V"), (60, None))
        assert (await (await b.connected()).channels())[1] == "Available"

    tell(tmp_path, story, **WATCHED)
