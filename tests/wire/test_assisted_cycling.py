"""A person at the cycler: real text exports, dropped whole and spoiled, against the program that was asked."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from assisted_bench import EPOCH, Assistant, assisted
from maccor_bench import bench, charge, discharge, hold, rest

from labctl.engine.clock import run_virtual
from labctl.instruments import CannotSay, CyclerProgram, Handle, OutOfRange, SafetyLimits, State
from labctl_drivers.maccor.procedure import read

CHARGE = charge(2e-4, 4.3)
DISCHARGE = discharge(6e-4, 3.0)
HOLD = hold(limit=1e-5)
REST = rest(7200.0)
PROGRAMS = {"charge": CHARGE, "discharge": DISCHARGE, "hold": HOLD, "rest": REST}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports as a tester wrote them, asked at the epoch: rest, charge, discharge, hold of one cell on channel 1."""
    folder = tmp_path_factory.mktemp("tester")

    async def main(clock: Any) -> None:
        async with bench(clock, folder) as one:
            driver = await one.connected()
            for token in ("rest", "charge", "discharge", "hold"):
                await one.run(driver, token, PROGRAMS[token])
            handle = await driver.start("stopped", 1, CHARGE)
            await asyncio.sleep(1800)
            await driver.abort(handle)
            await asyncio.sleep(120)

    run_virtual(main, EPOCH)
    (export,) = {file.parent for file in folder.rglob("charge.001")}
    return export


def told(
    tmp_path: Path,
    exported: Path,
    token: str,
    spoil: Callable[[Path], Any] = lambda file: None,
    program: CyclerProgram | None = None,
    **entry: Any,
) -> list[str]:
    """What is said of the export ``token`` after ``spoil`` has been at it."""
    said: list[str] = []

    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(token, 1, program or PROGRAMS[token])
        await asyncio.sleep(5 * 86400)
        spoil(hand.put(exported / f"{token}.001", token))
        said.extend(await hand.differs(handle))

    assisted(tmp_path, story, role="cycler", channels="1-3", **entry)
    return said


@pytest.mark.parametrize("token", ["rest", "charge", "discharge", "hold"])
def test_an_export_as_asked_becomes_the_same_records_as_from_the_real_driver(
    tmp_path: Path, exported: Path, token: str
) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(token, 1, PROGRAMS[token])
        await asyncio.sleep(5 * 86400)
        hand.put(exported / f"{token}.001", token)
        fetched = await hand.take(handle)
        bundle = hand.folder / "bundle"
        assert (bundle / f"{token}.001").read_bytes() == (exported / f"{token}.001").read_bytes()
        with (bundle / "records.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["record", "time_s", "step", "voltage_V", "current_A", "capacity_C", "state", "end"]
        numbers = [int(row["record"]) for row in rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(rows)))
        assert {row["step"] for row in rows} == {"1"}
        assert fetched.summary["records"] == len(rows)
        expected = {"rest": "time", "charge": "voltage", "discharge": "voltage", "hold": "current"}
        assert fetched.summary["end"] == expected[token]
        if token == "rest":
            assert fetched.summary["open_voltage_V"] == pytest.approx(float(rows[0]["voltage_V"]), abs=1e-6)
        else:
            assert "begins under current" in fetched.warnings[-1]
        assert all((bundle / name).is_file() for name in fetched.files)
        assert any("set by a person" in warning for warning in fetched.warnings)

    assisted(tmp_path, story, role="cycler", channels="1-3")


def test_the_sheet_says_currents_ends_and_limits_and_brings_a_procedure(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("charge", 2, CHARGE)
        folder = hand.drop / "charge"
        sheet = (folder / "REQUEST.txt").read_text(encoding="utf-8")
        for words in ("0.2 mA", "voltage ≥ 4.3 V", "16 h have passed", "guard", "2.5 V to 4.4 V", "every 60 s"):
            assert words in sheet
        (step,) = read((folder / "charge.000").read_bytes())
        assert (step.kind, step.current) == ("Charge", 2e-4)
        progress = await hand.driver.poll(handle)
        assert progress.request["settings"]["channel"] == "2 (exactly)"
        assert progress.request["differs"] == []

    assisted(tmp_path, story, role="cycler", channels="1-3")


def test_another_current_is_told(tmp_path: Path, exported: Path) -> None:
    texts = told(tmp_path, exported, "charge", program=charge(2.5e-4, 4.3))
    assert texts == ["step 1 current: 0.2 mA found, 0.25 mA asked (±1 %) (charge.001)"]


def test_another_cut_off_is_told(tmp_path: Path, exported: Path) -> None:
    (text,) = told(tmp_path, exported, "discharge", program=discharge(6e-4, 2.8))
    assert text.startswith("step 1 end: 3 V and 0.6 mA after ")
    assert text.endswith("until voltage ≤ 2.8 V or 8 h have passed asked (discharge.001)")
    (text,) = told(tmp_path / "higher", exported, "discharge", program=discharge(6e-4, 3.2))
    assert text.endswith("until voltage ≤ 3.2 V asked (discharge.001)")


def test_another_technique_is_told(tmp_path: Path, exported: Path) -> None:
    assert told(tmp_path, exported, "charge", program=DISCHARGE) == [
        "step 1: charge found, discharge asked (charge.001)"
    ]
    assert told(tmp_path / "rest", exported, "rest", program=CHARGE) == ["step 1: rest found, charge asked (rest.001)"]


def test_another_held_voltage_is_told(tmp_path: Path, exported: Path) -> None:
    program = replace(HOLD, steps=(replace(HOLD.steps[0], voltage=2.9),))
    (text,) = told(tmp_path, exported, "hold", program=program)
    assert text == "step 1 voltage: 3 V found, 2.9 V asked (±5 mV) (hold.001)"


def test_a_hold_that_ended_at_a_higher_current_is_told(tmp_path: Path, exported: Path) -> None:
    (text,) = told(tmp_path, exported, "hold", program=hold(limit=5e-6))
    assert "current ≤ 5 uA for 60 s" in text


def test_limits_that_were_broken_are_told(tmp_path: Path, exported: Path) -> None:
    tight = SafetyLimits(2.5, 4.2, 1e-4, 5e-3)
    texts = told(tmp_path, exported, "charge", program=charge(2e-4, 4.3, safety=tight))
    assert [text.split(" found")[0] for text in texts][1:] == ["limits: 0.2 mA charging"]
    assert texts[0].endswith("2.5 V to 4.2 V asked (charge.001)")


def test_too_few_points_are_told(tmp_path: Path, exported: Path) -> None:
    denser = replace(REST, steps=(replace(REST.steps[0], record_every=10.0),))
    (text,) = told(tmp_path, exported, "rest", program=denser)
    assert text == "step 1 points: up to 60 s between records found, 10 s asked (rest.001)"


def test_another_channel_and_another_name_are_told(tmp_path: Path, exported: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("bare-01-abcdef", 2, CHARGE)
        await asyncio.sleep(5 * 86400)
        hand.put(exported / "charge.001", "bare-01-abcdef")
        assert await hand.differs(handle) == [
            "name: 'charge.001' found, test name bare-01-abcdef asked",
            "channel: 1 found, 2 asked (name of charge.001)",
        ]

    assisted(tmp_path, story, role="cycler", channels="1-3")


def test_a_test_from_before_the_request_is_told(tmp_path: Path, exported: Path) -> None:
    async def story(hand: Assistant) -> None:
        await asyncio.sleep(5 * 86400)
        handle = await hand.driver.start("charge", 1, CHARGE)
        hand.put(exported / "charge.001", "charge")
        (text,) = await hand.differs(handle)
        assert text.startswith("start: 2026-07-03 1")
        assert "older than the request" in text

    assisted(tmp_path, story, role="cycler")


def test_the_testers_local_time_is_taken_into_account(tmp_path: Path, exported: Path) -> None:
    (text,) = told(tmp_path, exported, "rest", instrument_clock="2 h")
    assert "start: 2026-07-03 06:00:" in text


def test_a_test_that_was_stopped_by_hand_needs_a_persons_word(tmp_path: Path, exported: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("stopped", 1, CHARGE)
        await asyncio.sleep(5 * 86400)
        hand.put(exported / "stopped.001", "stopped")
        assert await hand.differs(handle) == ["end: ended by hand, an end of its own asked (stopped.001)"]
        hand.accept("stopped")
        fetched = await hand.take(handle)
        assert fetched.summary["end"] == "aborted"
        assert "accepted by Ada" in fetched.warnings[-1]

    assisted(tmp_path, story, role="cycler")


def lines_of(file: Path, keep: Callable[[list[str]], list[str]]) -> None:
    file.write_bytes("\n".join(keep(file.read_bytes().decode("latin-1").split("\n"))).encode("latin-1"))


BROKEN: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a record missing", lambda file: lines_of(file, lambda lines: lines[:20] + lines[21:]), "record 19 of "),
    ("the end missing", lambda file: lines_of(file, lambda lines: lines[:-20]), "without an end of the test"),
    ("no export", lambda file: file.write_text("time,volts\n1,2\n"), "no heading"),
    ("empty", lambda file: file.write_bytes(b""), "no heading yet"),
    ("binary", lambda file: file.write_bytes(bytes(range(256)) * 20), "no heading"),
]


@pytest.mark.parametrize(("spoil", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_an_export_with_something_missing_is_never_taken(
    tmp_path: Path, exported: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    (text,) = told(tmp_path, exported, "charge", spoil)
    assert words in text


def test_a_program_no_tester_can_do_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(OutOfRange):
            await hand.driver.start("long", 1, charge(hours=200))
        with pytest.raises(OutOfRange, match="channel 7"):
            await hand.driver.start("far", 7, CHARGE)
        assert await hand.driver.find("long") is None
        assert await hand.driver.find("far") is None

    assisted(tmp_path, story, role="cycler", channels="1-3")


def test_the_voltage_of_a_channel_is_what_a_person_wrote_or_not_known(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        with pytest.raises(CannotSay, match=r"channel-2\.txt"):
            await hand.driver.reading(2)
        (hand.drop / "channel-2.txt").write_text("3,712 V\n")
        assert (await hand.driver.reading(2)).voltage == pytest.approx(3.712)
        assert set(await hand.driver.channels()) == {1, 2, 3}
        await hand.driver.start("next", 2, REST)
        with pytest.raises(CannotSay):
            await hand.driver.reading(2)

    assisted(tmp_path, story, role="cycler", channels="1-3")


def test_a_program_comes_back_from_the_journal_as_it_was(tmp_path: Path, exported: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("hold", 1, HOLD)
        again = Handle.from_json(json.loads(json.dumps(handle.to_json())))
        await asyncio.sleep(5 * 86400)
        hand.driver = hand.another()
        await hand.driver.connect()
        hand.put(exported / "hold.001", "hold")
        assert (await hand.look(again)).state is State.DONE

    assisted(tmp_path, story, role="cycler")
