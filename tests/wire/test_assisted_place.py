"""The drop folder itself, the chamber that a person sets, and what a station file may say of both."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from assisted_bench import Assistant, assisted
from nmr_bench import request

from labctl.errors import UsageError
from labctl.instruments import CannotSay, NotIdentified, NotReachable, State
from labctl_drivers.assisted import ASSISTED


@pytest.mark.parametrize("role", ["spectrometer", "cycler", "potentiostat", "chamber"])
def test_any_role_can_be_filled_as_the_station_says(tmp_path: Path, role: str) -> None:
    async def story(hand: Assistant) -> None:
        assert hand.driver.role == ASSISTED.role_of(hand.entry) == role
        identity = await hand.driver.connect()
        assert identity.details["filled by"] == "a person"
        assert identity.serial == "0815"

    assisted(tmp_path, story, role=role, serial="0815")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "multiplexer"}, "use spectrometer, cycler, potentiostat, chamber"),
        ({"vendor": "zahner"}, "not read for a spectrometer"),
        ({"quiet": "10"}, "quiet: '10' has no unit"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(UsageError) as caught:
            hand.another(**changes)
        assert "by-hand" in str(caught.value)
        assert words in str(caught.value)

    assisted(tmp_path, story, role="spectrometer")


def test_a_share_that_is_not_mounted_is_not_made_up(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(NotReachable, match="no such drop folder"):
            await hand.another(drop_folder=str(tmp_path / "share")).connect()
        assert not (tmp_path / "share").exists()

    assisted(tmp_path, story, role="spectrometer")


def test_a_share_that_went_away_never_proves_that_nothing_was_asked(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("token", request())
        hand.drop.rename(tmp_path / "elsewhere")
        hand.drop.mkdir()
        with pytest.raises(CannotSay, match="is its share mounted"):
            await hand.driver.find("token")
        with pytest.raises(NotReachable):
            await hand.driver.poll(handle)
        hand.drop.rmdir()
        (tmp_path / "elsewhere").rename(hand.drop)
        assert await hand.driver.find("token") == handle

    assisted(tmp_path, story, role="spectrometer")


def test_a_damaged_request_never_proves_that_nothing_was_asked(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        await hand.driver.start("token", request())
        (hand.drop / "token" / "request.json").write_text('{"schema": "labctl.assi')
        with pytest.raises(CannotSay, match="damaged"):
            await hand.driver.find("token")

    assisted(tmp_path, story, role="spectrometer")


def test_two_instruments_never_share_a_drop_folder(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(NotIdentified, match="belongs to 'by-hand'"):
            await hand.another("other").connect()

    assisted(tmp_path, story, role="spectrometer")


def test_what_file_browsers_and_copies_leave_behind_is_no_measurement(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("token", request())
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "fid.part", "~lock"):
            (hand.drop / "token" / name).write_bytes(b"x")
        progress = await hand.look(handle)
        assert progress.message == "waits for a person to drop the file"
        (hand.drop / "token" / "photo.jpg").write_bytes(b"x")
        assert await hand.differs(handle) == ["nothing that is a measurement among photo.jpg"]
        (hand.drop / "token" / "photo.jpg").unlink()
        progress = await hand.look(handle)
        assert progress.request["differs"] == []
        assert not (hand.drop / "token" / "DIFFERS.txt").exists()

    assisted(tmp_path, story, role="spectrometer")


def test_a_file_that_cannot_be_read_yet_is_waited_for(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("token", request())
        (hand.drop / "token" / "1").mkdir()
        (hand.drop / "token" / "1" / "fid").symlink_to(tmp_path / "not-there-yet")
        progress = await hand.look(handle)
        assert progress.state is State.RUNNING
        assert "can't be read now" in progress.message

    assisted(tmp_path, story, role="spectrometer")


def test_a_chamber_settles_by_a_reading_that_was_made_after_it_was_asked(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        chamber, reading = hand.driver, hand.drop / "temperature.txt"
        assert not (await chamber.read()).running
        reading.write_text("40.0 degC")
        os.utime(reading, (1.0, 1.0))
        await chamber.regulate(313.15)
        assert "40 degC" in (hand.drop / "SET-TEMPERATURE.txt").read_text(encoding="utf-8")
        with pytest.raises(NotReachable, match="40 degC was asked") as caught:
            await chamber.read()
        assert str(reading) in str(caught.value)
        reading.write_text("39,9 °C\n")
        found = await chamber.read()
        assert (found.temperature, found.set_point, found.running) == (pytest.approx(313.05), 313.15, True)
        reading.write_text("warm")
        with pytest.raises(NotReachable, match="not readable"):
            await chamber.read()

    assisted(tmp_path, story, role="chamber")


def test_asking_a_chamber_again_for_the_same_keeps_its_reading(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        await hand.driver.regulate(313.15)
        (hand.drop / "temperature.txt").write_text("40.1 degC")
        hand.driver = hand.another()
        await hand.driver.connect()
        await hand.driver.regulate(313.15)
        assert (await hand.driver.read()).temperature == pytest.approx(313.25)
        await hand.driver.stop()
        await hand.driver.stop()
        assert not (await hand.driver.read()).running
        assert "not needed any more" in (hand.drop / "SET-TEMPERATURE.txt").read_text(encoding="utf-8")

    assisted(tmp_path, story, role="chamber")


def test_a_request_folder_that_was_deleted_is_laid_down_again(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("token", request())
        shutil.rmtree(hand.drop / "token")
        assert (await hand.driver.poll(handle)).state is State.RUNNING
        assert (hand.drop / "token" / "REQUEST.txt").exists()

    assisted(tmp_path, story, role="spectrometer")
