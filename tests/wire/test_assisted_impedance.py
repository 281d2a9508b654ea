"""A person at the potentiostat: real spectra, dropped whole and spoiled, against what was asked."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zahner_bench
from assisted_bench import EPOCH, Assistant, assisted

from labctl.analysis import impedance
from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import DataError
from labctl.instruments import CannotSay, ImpedanceRequest, State

TOKEN = "bare-01-eis"
ASKED = zahner_bench.REQUEST


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spectrum as the instrument wrote it, some hours after the epoch."""
    folder = tmp_path_factory.mktemp("zahner")

    async def main(clock: LoopClock) -> None:
        async with zahner_bench.bench(clock, folder) as made:
            driver = made.driver()
            await driver.connect()
            handle = await driver.start(TOKEN, ASKED)
            assert (await zahner_bench.ended(driver, handle)).state is State.DONE
            await driver.fetch(handle, folder)
            await driver.close()

    run_virtual(main, EPOCH)
    return folder / f"{TOKEN}.ism"


def told(
    tmp_path: Path,
    file: Path,
    wanted: ImpedanceRequest = ASKED,
    spoil: Callable[[Path], Any] = lambda file: None,
    name: str | None = None,
) -> list[str]:
    said: list[str] = []

    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, wanted)
        await asyncio.sleep(86400)
        spoil(hand.put(file, TOKEN, name))
        said.extend(await hand.differs(handle))

    assisted(tmp_path, story, role="potentiostat")
    return said


def test_the_sheet_says_technique_range_amplitude_and_limits(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        await hand.driver.start(TOKEN, ASKED)
        sheet = (hand.drop / TOKEN / "REQUEST.txt").read_text(encoding="utf-8")
        for words in (
            "galvanostatic",
            "100 uA",
            "300 kHz to 0.1 Hz",
            "10 per decade",
            "2.8 V to 4.4 V",
            f"{TOKEN}.ism",
        ):
            assert words in sheet, words

    assisted(tmp_path, story, role="potentiostat")


def test_a_spectrum_as_asked_is_taken_in_untouched_with_its_table(tmp_path: Path, measured: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(86400)
        hand.put(measured, TOKEN)
        fetched = await hand.take(handle)
        bundle = hand.folder / "bundle"
        assert (bundle / f"{TOKEN}.ism").read_bytes() == measured.read_bytes()
        assert (bundle / "impedance.csv").read_bytes() == (measured.parent / "impedance.csv").read_bytes()
        assert len(impedance.read(bundle / "impedance.csv").frequency_Hz) == fetched.summary["points"]
        assert fetched.warnings == ()
        assert set(fetched.files) == {f"{TOKEN}.ism", "impedance.csv", "request.json"}

    assisted(tmp_path, story, role="potentiostat")


CHANGED: list[tuple[str, dict[str, Any], str]] = [
    ("amplitude", {"amplitude": 50e-6}, "amplitude: 100 uA found, 50 uA asked (±1 %)"),
    ("technique", {"control": "potentiostatic", "amplitude": 0.01}, "technique: galvanostatic found, potentiostatic"),
    ("high", {"frequency_start": 1e6}, "highest frequency: 300 kHz found, 1000 kHz asked"),
    ("low", {"frequency_end": 1.0}, "lowest frequency: 0.1 Hz found, 1 Hz asked"),
    ("points", {"points_per_decade": 20}, "points: 66 found, at least 130 asked"),
    ("limits", {"voltage_min": 3.9}, "voltage: 3."),
]


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_what_was_set_otherwise_is_told_with_both_values(
    tmp_path: Path, measured: Path, changes: dict[str, Any], words: str
) -> None:
    texts = told(tmp_path, measured, replace(ASKED, **changes))
    assert any(text.startswith(words) for text in texts), texts
    if "frequency_start" not in changes:
        assert len(texts) == 1, texts


def test_another_name_is_told(tmp_path: Path, measured: Path) -> None:
    assert told(tmp_path, measured, name="spectrum7.ism") == [f"name: 'spectrum7.ism' found, {TOKEN}.ism asked"]


def test_a_spectrum_from_before_the_request_is_told(tmp_path: Path, measured: Path) -> None:
    async def story(hand: Assistant) -> None:
        await asyncio.sleep(86400)
        handle = await hand.driver.start(TOKEN, ASKED)
        hand.put(measured, TOKEN)
        (text,) = await hand.differs(handle)
        assert "older than the request" in text

    assisted(tmp_path, story, role="potentiostat")


@pytest.mark.parametrize("left", [0, 8, 40, 1000])
def test_a_file_that_is_cut_short_is_never_taken(tmp_path: Path, measured: Path, left: int) -> None:
    (text,) = told(tmp_path, measured, spoil=lambda file: file.write_bytes(file.read_bytes()[:left]))
    assert TOKEN in text
    assert "found" not in text


def test_another_file_beside_the_spectrum_is_left_alone(tmp_path: Path, measured: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(86400)
        hand.put(measured, TOKEN)
        (hand.drop / TOKEN / "notes.docx").write_bytes(b"smelled odd")
        assert (await hand.look(handle)).state is State.DONE

    assisted(tmp_path, story, role="potentiostat")


def test_a_csv_of_any_other_potentiostat_is_taken_with_what_could_not_be_checked(
    tmp_path: Path, measured: Path
) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        with (measured.parent / "impedance.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        lines = [f"{row['frequency_Hz']},{row['real_ohm']},{row['imaginary_ohm']}" for row in rows]
        target = hand.drop / TOKEN / f"{TOKEN}.csv"
        target.write_text("frequency_Hz, real_ohm, imaginary_ohm\n" + "\n".join(lines) + "\n")
        fetched = await hand.take(handle)
        assert "neither technique and amplitude nor start and end" in fetched.warnings[0]
        found = impedance.read(hand.folder / "bundle" / "impedance.csv")
        assert len(found.frequency_Hz) == len(rows)
        target.write_text("frequency_Hz,real_ohm\n1,2\n")
        (text,) = await hand.differs(handle)
        assert "no column imaginary_ohm" in text
        target.write_text("frequency_Hz,real_ohm,imaginary_ohm\n" + "\n".join(lines)[:-40])
        with pytest.raises(DataError):
            await hand.driver.fetch(handle, hand.folder / "bundle")

    assisted(tmp_path, story, role="potentiostat", vendor="csv")


def test_nobody_pretends_to_know_the_voltage_at_its_leads(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(CannotSay):
            await hand.driver.open_circuit_voltage()

    assisted(tmp_path, story, role="potentiostat")
