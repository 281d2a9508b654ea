"""A growing export is followed: only what is new is read, nothing comes twice, and another file is noticed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maccor_bench import Bench, charge, discharge, rest, tell
from maccor_exports import ROWS, Row, spellings

from labctl.errors import DataError
from labctl.instruments import State
from labctl_drivers.maccor.export import csv_text, parse, program_view
from labctl_drivers.maccor.procedure import compile_program
from labctl_drivers.maccor.tail import Tail, nothing

SPELLINGS = list(spellings())
SECONDS = next(one for one in SPELLINGS if one.signed and not one.clock)
BOTH = replace(charge(), steps=charge().steps + discharge().steps)
LAYOUTS = ["clock", "export-2", "mims-client-1", "mims-client-2", "mims-server-2"]
PLAN = compile_program(BOTH, lambda current: "2")


def numbers(table: str) -> list[int]:
    head, *rows = table.splitlines()
    assert f"{head}\n" == nothing()
    return [int(row.partition(",")[0]) for row in rows]


def in_one_go(text: str) -> str:
    return csv_text(program_view(parse(text.encode("latin-1"), "x.001"), PLAN))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.001"


@settings(max_examples=60)
@given(st.data())
def test_a_file_read_in_pieces_gives_what_it_gives_in_one_go(data: st.DataObject) -> None:
    spelling = data.draw(st.sampled_from(SPELLINGS))
    text = spelling.text()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    said: list[str] = []
    kept, last = nothing(), None
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.001"
        tail = Tail(file, PLAN, said.append)
        for cut in [*cuts, len(text)]:
            file.write_bytes(text[:cut].encode("latin-1"))
            if data.draw(st.booleans()):
                # As after a restart, which knows only what is kept.
                tail = Tail(file, PLAN, said.append)
            table = tail.table(last)
            if data.draw(st.booleans()) or cut == len(text):
                # Otherwise keeping it has failed, and it is asked for again.
                kept += table.partition("\n")[2]
                last = max(numbers(table), default=last)
    assert kept == in_one_go(text)
    assert said == []


def test_only_what_is_new_is_read(file: Path) -> None:
    rows = [(n, 1, 60.0 * n, 0.0, 2e-4, 3.1, "C", 1 if n > 1 else 0) for n in range(1, 2001)]
    file.write_text(SECONDS.text(rows), newline="")
    tail = Tail(file, PLAN, pytest.fail)
    assert numbers(tail.table(None)) == list(range(1, 2001))
    # What was read already is not looked at again: its beginning may not even be readable any more.
    size = file.stat().st_size
    with file.open("rb+") as damaged:
        damaged.write(b"\x00" * (size - 1000))
    with file.open("ab") as growing:
        growing.write(SECONDS.line((2001, 1, 120060.0, 0.0, 2e-4, 3.1, "C", 1)).encode())
    assert numbers(tail.table(2000)) == [2001]
    assert tail.table(2001) == nothing()


def test_an_unfinished_last_line_is_not_there_yet(file: Path) -> None:
    tail = Tail(file, PLAN, pytest.fail)
    assert tail.table(None) == nothing()
    line = SECONDS.line(ROWS[2])
    file.write_text(SECONDS.text(ROWS[:2]) + line[:-9], newline="")
    assert numbers(tail.table(None)) == [1, 2]
    file.write_text(SECONDS.text(ROWS[:3]), newline="")
    assert numbers(tail.table(2)) == [3]


@pytest.mark.parametrize(
    ("then", "word"),
    [
        (lambda file: file.write_text(SECONDS.text(ROWS[:2]), newline=""), "shorter"),
        (lambda file: file.write_text(SECONDS.text()[7:], newline=""), "not the file"),
        (lambda file: file.unlink(), "not there any more"),
    ],
)
def test_a_file_that_is_cut_replaced_or_gone_is_begun_anew_and_said(file: Path, then, word: str) -> None:
    said: list[str] = []
    tail = Tail(file, PLAN, said.append)
    file.write_text(SECONDS.text(ROWS[:5]), newline="")
    assert numbers(tail.table(None)) == [1, 2, 3, 4, 5]
    then(file)
    tail.table(5)
    assert len(said) == 1
    assert word in said[0]
    assert "x.001" in said[0]
    file.write_text(SECONDS.text(), newline="")
    assert numbers(tail.table(5)) == [6]


def test_a_gap_or_a_line_that_is_not_understood_is_refused_until_it_is_mended(file: Path) -> None:
    tail = Tail(file, PLAN, pytest.fail)
    file.write_text(SECONDS.text(ROWS[:2]), newline="")
    assert numbers(tail.table(None)) == [1, 2]
    for rows, words in (
        ([*ROWS[:2], *ROWS[3:5]], "record 3 of 3 to 5 is missing"),
        ([*ROWS[:2], ROWS[1]], "do not rise"),
        ([*ROWS[:2], (3, 1, 2.0, 0.0, 2e-4, 3.1, "C", 1)], "goes back from 60 to 2 s"),
    ):
        file.write_text(SECONDS.text(rows), newline="")
        with pytest.raises(DataError, match=words):
            tail.table(2)
    file.write_text(SECONDS.text(), newline="")
    assert numbers(tail.table(2)) == [3, 4, 5, 6]


def test_an_unsigned_discharge_waits_for_what_shows_that_it_is_one(file: Path) -> None:
    rows: list[Row] = [
        (1, 1, 0.0, 0.0, -1e-7, 4.2, "D", 0),
        (2, 1, 60.0, 1e-6, -6e-4, 4.0, "D", 1),
    ]
    unsigned = replace(SECONDS, signed=False)
    tail = Tail(file, PLAN, pytest.fail)
    file.write_text(unsigned.text(rows[:1]), newline="")
    assert tail.table(None) == nothing()
    file.write_text(unsigned.text(rows), newline="")
    assert [row.split(",")[4] for row in tail.table(None).splitlines()[1:]] == ["-1e-07", "-0.0006"]


@pytest.mark.parametrize("program", [rest(30 * 3600), BOTH], ids=["rest", "charge and discharge"])
def test_records_of_a_running_test_are_those_of_its_end(tmp_path: Path, program) -> None:
    random_ = random.Random(4)

    async def story(bench: Bench) -> None:
        driver = await bench.connected()
        handle = await driver.start("growing", 1, program)
        kept, last, looks = "", None, 0
        while (await driver.poll(handle)).state is State.RUNNING:
            table = await driver.records(handle, last)
            kept += table.partition("\n")[2]
            last = max(numbers(table), default=last)
            looks += bool(numbers(table))
            if random_.random() < 0.1:
                driver = await bench.connected()
            await asyncio.sleep(1800)
        assert looks > 3
        await driver.fetch(handle, tmp_path / "bundle")
        whole = (tmp_path / "bundle" / "records.csv").read_text()
        assert whole.startswith(nothing() + kept)
        assert numbers(whole)[-1] > (last or 0) > 0.8 * len(numbers(whole))

    tell(tmp_path, story)


def test_an_export_that_was_replaced_under_the_driver_is_reported(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        driver = await bench.connected()
        handle = await driver.start("other", 1, rest(30 * 3600))
        await asyncio.sleep(7200)
        await driver.poll(handle)
        first = numbers(await driver.records(handle, None))
        assert len(first) > 50
        (file,) = (tmp_path / "export").glob("other.001")
        file.write_bytes(file.read_bytes()[:3000])
        assert numbers(await driver.records(handle, first[-1])) == []
        (hiccup,) = bench.hiccups
        assert (hiccup.instrument, hiccup.kind) == ("maccor", "export")
        assert "other.001 is shorter than it was" in hiccup.message

    tell(tmp_path, story)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_test_gives_the_same_records_however_the_tester_spells_them(tmp_path: Path, layout: str) -> None:
    records: list[np.ndarray] = []

    async def story(bench: Bench) -> None:
        driver = await bench.connected()
        handle = await bench.run(driver, "spelt", BOTH)
        folder = bench.folder / "bundle"
        await driver.fetch(handle, folder)
        rows = [row.split(",") for row in (folder / "records.csv").read_text().splitlines()[1:]]
        records.append(np.array([[float(cell) for cell in [*row[:6], row[7]]] for row in rows]))

    spelt = {"layout": layout, "decimal": "comma", "current": "unsigned", "grouped": layout != "clock"}
    for name, options in (("usual", {}), ("spelt", {"simulate": {"export": spelt}})):
        tell(tmp_path / name, story, **options)
    assert np.allclose(*records, rtol=0, atol=1e-9)
    assert len(records[0]) > 100


def test_a_tester_that_spells_as_none_does_is_refused(tmp_path: Path) -> None:
    for options, word in (("word", "unknown layout"), ({"decimals": 3}, "no decimals"), ({"decimal": ";"}, "point")):
        with pytest.raises(ValueError, match=word):
            tell(tmp_path, None, simulate={"export": options})
