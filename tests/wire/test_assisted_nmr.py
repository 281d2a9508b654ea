"""A person at the spectrometer: real datasets, dropped whole and spoiled, against what was asked."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from assisted_bench import EPOCH, Assistant, assisted
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nmr_bench import Bench, request

from labctl.analysis import bruker
from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import DataError
from labctl.instruments import AcquisitionRequest, Handle, Refused, State
from labctl_drivers.assisted.findings import Window
from labctl_drivers.assisted.judging import Verdict, judge
from labctl_drivers.assisted.nmr import NmrTask
from labctl_drivers.assisted.tolerances import NMR

TOKEN = "bare-01-abcdefghijkl"
ASKED = request(scans=64)
SERIES = request(scans=8, pulse_lengths=(3e-6, 6e-6, 9e-6, 12e-6))


@pytest.fixture(scope="module")
def acquired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets as a spectrometer wrote them, an hour after they were asked: the name of each is its token."""
    folder = tmp_path_factory.mktemp("spectrometer")

    async def main(clock: LoopClock) -> None:
        bench = Bench(folder, clock, False)
        await bench.open()
        try:
            await asyncio.sleep(3600)
            driver = bench.driver()
            await driver.connect()
            for token, wanted in ((TOKEN, ASKED), ("series", SERIES)):
                handle = await driver.start(token, wanted)
                progress = await bench.until_over(driver, handle)
                assert progress.state is State.DONE
                await driver.fetch(handle, folder)
        finally:
            await bench.close()

    run_virtual(main, EPOCH)
    return folder


def edit(path: Path, name: str, value: str) -> None:
    """Give a parameter of a dropped ``acqus`` another value, arrays at the place that TopSpin shows."""
    text = path.read_text(encoding="utf-8")
    base, _, index = name.partition(" ")
    if index:
        head, values = re.search(rf"(##\${base}= \(0\.\.\d+\)\s)([^#]*)", text).groups()
        listed = values.split()
        listed[int(index)] = value
        changed = text.replace(head + values, head + " ".join(listed) + "\n")
    else:
        changed = re.sub(rf"(?m)^(##\${base}= ).*$", rf"\g<1>{value}", text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def judged(folder: Path) -> Verdict:
    """What a folder with one dropped dataset is worth, two hours after it was asked for."""
    window = Window(EPOCH, EPOCH + timedelta(hours=2), timedelta(minutes=5), timedelta(0))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return judge(NmrTask(TOKEN, ASKED), folder, files, window)


def told(tmp_path: Path, acquired: Path, spoil: Callable[[Path], Any], wanted: AcquisitionRequest = ASKED) -> list[str]:
    """What is said of a dataset after ``spoil`` has been at it."""
    said: list[str] = []

    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, wanted)
        await asyncio.sleep(2 * 3600)
        spoil(hand.put(acquired / TOKEN, TOKEN, "anything") / "1")
        said.extend(await hand.differs(handle))
        sheet = (hand.drop / TOKEN / "DIFFERS.txt").read_text(encoding="utf-8")
        assert all(text in sheet for text in said)

    assisted(tmp_path, story, role="spectrometer")
    return said


def test_the_sheet_says_what_to_set_in_the_units_of_the_instrument(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        sheet = (hand.drop / TOKEN / "REQUEST.txt").read_text(encoding="utf-8")
        for line in ("NS +64 +exactly", "D1 +0.5 s +±1 %", "P1 +7 us", "RG +101", "PLW1 +80 W", "O1P +250 ppm",
                     "TD +32768", "PULPROG +zg", "NUC1 +7Li"):  # fmt: skip
            assert re.search(line, sheet), line
        assert TOKEN in sheet
        assert "2026-07-03 08:00:00 UTC" in sheet
        progress = await hand.driver.poll(handle)
        assert progress.state is State.RUNNING
        assert progress.request is not None
        assert json.loads(json.dumps(progress.request)) == progress.request
        assert progress.request["settings"]["NS"] == "64 (exactly)"
        assert progress.request["folder"] == str(hand.drop / TOKEN)
        assert progress.request["differs"] == []

    assisted(tmp_path, story, role="spectrometer")


def test_a_dataset_as_asked_is_taken_in_untouched_and_the_analysis_reads_it(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        dropped = hand.put(acquired / TOKEN, TOKEN)
        fetched = await hand.take(handle)
        bundle = hand.folder / "bundle"
        for file in (path for path in dropped.rglob("*") if path.is_file()):
            taken = bundle / TOKEN / file.relative_to(dropped)
            assert taken.read_bytes() == file.read_bytes()
            assert taken.relative_to(bundle).as_posix() in fetched.files
        assert all((bundle / name).is_file() for name in fetched.files)
        assert fetched.summary["scans"] == 64
        assert fetched.summary["receiver_gain"] == 101.0
        assert fetched.warnings == ()
        assert bruker.read(bundle / TOKEN / "1").scans == 64
        assert not (hand.drop / TOKEN / "REQUEST.txt").exists()
        assert "TAKEN IN" in (hand.drop / TOKEN / "TAKEN.txt").read_text(encoding="utf-8")
        assert (await hand.driver.poll(handle)).state is State.DONE

    assisted(tmp_path, story, role="spectrometer")


def test_a_series_is_matched_pulse_by_pulse_whatever_its_numbers_are(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        wanted = replace(SERIES)
        handle = await hand.driver.start("series", wanted)
        await asyncio.sleep(2 * 3600)
        for number in range(1, 5):
            hand.put(acquired / "series" / str(number), "series", f"monday/{number + 9}")
        fetched = await hand.take(handle)
        assert fetched.summary["expnos"] == [1, 2, 3, 4]
        assert fetched.summary["pulse_us"] == [3.0, 6.0, 9.0, 12.0]
        assert fetched.summary["dropped"] == ["monday/10", "monday/11", "monday/12", "monday/13"]
        assert bruker.read(hand.folder / "bundle" / "series" / "4").pulse_s == pytest.approx(12e-6)

    assisted(tmp_path, story, role="spectrometer")


def test_a_series_with_one_spectrum_missing_is_not_taken(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start("series", SERIES)
        await asyncio.sleep(2 * 3600)
        for number in (1, 2, 4):
            hand.put(acquired / "series" / str(number), "series", f"series/{number}")
        assert await hand.differs(handle) == ["EXPNOs: 3 datasets found, 4 asked"]

    assisted(tmp_path, story, role="spectrometer")


SPOILED = [
    ("NS", "32", "NS: 32 found, 64 asked (acqus of EXPNO 1)"),
    ("D 1", "5", "D1: 5 s found, 0.5 s asked (±1 %) (acqus of EXPNO 1)"),
    ("P 1", "7.1", "P1: 7.1 us found, 7 us asked (±0.5 %) (acqus of EXPNO 1)"),
    ("RG", "90.5", "RG: 90.5 found, 101 asked (±0.1 %) (acqus of EXPNO 1)"),
    ("PULPROG", "<zgpr>", "PULPROG: zgpr found, zg asked (acqus of EXPNO 1)"),
    ("NUC1", "<1H>", "NUC1: 1H found, 7Li asked (acqus of EXPNO 1)"),
    ("PLW 1", "20", "PLW1: 20 W found, 80 W asked (±0.5 %) (acqus of EXPNO 1)"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), SPOILED, ids=[row[0] for row in SPOILED])
def test_another_setting_is_told_with_both_values(
    tmp_path: Path, acquired: Path, name: str, value: str, sentence: str
) -> None:
    assert told(tmp_path, acquired, lambda expno: edit(expno / "acqus", name, value)) == [sentence]


def test_the_carrier_is_compared_in_ppm(tmp_path: Path, acquired: Path) -> None:
    (text,) = told(tmp_path, acquired, lambda expno: edit(expno / "acqus", "O1", "0"))
    assert text == "O1P: 0 ppm found, 250 ppm asked (±1 ppm) (acqus of EXPNO 1)"


def test_all_that_differs_is_told_at_once(tmp_path: Path, acquired: Path) -> None:
    def spoil(expno: Path) -> None:
        edit(expno / "acqus", "NS", "32")
        edit(expno / "acqus", "RG", "16")

    assert [text.split(":")[0] for text in told(tmp_path, acquired, spoil)] == ["NS", "RG"]


def test_another_cells_dataset_is_told_by_its_title(tmp_path: Path, acquired: Path) -> None:
    (text,) = told(tmp_path, acquired, lambda expno: (expno / "pdata/1/title").write_text("bare-02, charged"))
    assert text == f"title: 'bare-02, charged' found, the token {TOKEN} asked (EXPNO 1)"


def test_a_dataset_that_is_named_by_the_token_needs_no_title(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        (hand.put(acquired / TOKEN, TOKEN) / "1/pdata/1/title").write_text("")
        assert (await hand.look(handle)).state is State.DONE

    assisted(tmp_path, story, role="spectrometer")


def test_a_dataset_from_before_the_request_is_told(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        await asyncio.sleep(3 * 3600)
        handle = await hand.driver.start(TOKEN, ASKED)
        hand.put(acquired / TOKEN, TOKEN)
        (text,) = await hand.differs(handle)
        assert text.startswith("start: 2026-07-03 09:0")
        assert "older than the request" in text

    assisted(tmp_path, story, role="spectrometer")


def test_a_dataset_from_the_future_is_told(tmp_path: Path, acquired: Path) -> None:
    (text,) = told(tmp_path, acquired, lambda expno: edit(expno / "acqus", "DATE", str(int(EPOCH.timestamp()) + 90000)))
    assert "still to come" in text


INCOMPLETE: list[tuple[str, Callable[[Path], Any], str]] = [
    ("cut short", lambda expno: (expno / "fid").write_bytes((expno / "fid").read_bytes()[:-4]), "fid has 131068 bytes"),
    ("no fid", lambda expno: (expno / "fid").unlink(), "fid has 0 bytes"),
    ("zeros", lambda expno: (expno / "fid").write_bytes(bytes(131072)), "the end of fid is empty"),
    (
        "still running",
        lambda expno: (expno / "audita.txt").write_text("<acquisition in progress>"),
        "not complete (running)",
    ),
    ("no acqus", lambda expno: (expno / "acqus").unlink(), "not complete"),
]


@pytest.mark.parametrize(("spoil", "words"), [row[1:] for row in INCOMPLETE], ids=[row[0] for row in INCOMPLETE])
def test_an_incomplete_dataset_is_never_taken_not_even_accepted(
    tmp_path: Path, acquired: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        spoil(hand.put(acquired / TOKEN, TOKEN) / "1")
        (text,) = await hand.differs(handle)
        assert words in text
        hand.accept(TOKEN)
        assert await hand.differs(handle) == [text]
        with pytest.raises(DataError):
            await hand.driver.fetch(handle, hand.folder / "bundle")

    assisted(tmp_path, story, role="spectrometer")


def test_a_dataset_that_is_still_being_copied_is_waited_for(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        fid = hand.put(acquired / TOKEN, TOKEN) / "1" / "fid"
        whole = fid.read_bytes()
        for size in (1000, 60000, 131072):
            fid.write_bytes(whole[:size])
            progress = await hand.driver.poll(handle)
            assert progress.state is State.RUNNING
            assert progress.request["differs"] == []
            await asyncio.sleep(8)
        assert (await hand.look(handle)).state is State.DONE

    assisted(tmp_path, story, role="spectrometer")


def test_a_corrected_dataset_takes_the_place_of_a_wrong_one(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        edit(hand.put(acquired / TOKEN, TOKEN) / "1" / "acqus", "NS", "32")
        assert len(await hand.differs(handle)) == 1
        hand.put(acquired / TOKEN, TOKEN)
        assert (await hand.look(handle)).state is State.DONE
        assert not (hand.drop / TOKEN / "DIFFERS.txt").exists()

    assisted(tmp_path, story, role="spectrometer")


def test_beside_a_wrong_dataset_the_one_that_fits_is_taken(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        edit(hand.put(acquired / TOKEN, TOKEN, "first-try") / "1" / "acqus", "NS", "32")
        hand.put(acquired / TOKEN, TOKEN, "second-try")
        fetched = await hand.take(handle)
        assert fetched.summary["dropped"] == ["second-try/1"]
        hand.put(acquired / TOKEN, TOKEN, "third-try")
        (text,) = await hand.differs(handle)
        assert "2 measurements are here (second-try, third-try)" in text

    assisted(tmp_path, story, role="spectrometer")


def test_what_differs_is_taken_in_on_a_persons_word_and_flagged(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        edit(hand.put(acquired / TOKEN, TOKEN) / "1" / "acqus", "NS", "32")
        sentence = "NS: 32 found, 64 asked (acqus of EXPNO 1)"
        assert await hand.differs(handle) == [sentence]
        hand.accept(TOKEN, "Ada says yes")
        assert await hand.differs(handle) == [sentence, "accept.txt: needs two lines, 'name: ...' and 'reason: ...'"]
        hand.accept(TOKEN)
        fetched = await hand.take(handle)
        assert fetched.warnings == (f"{sentence}; accepted by Ada: shorter, but enough",)
        assert fetched.summary["accepted"]["name"] == "Ada"
        assert fetched.summary["scans"] == 32
        assert "accept.txt" in fetched.files

    assisted(tmp_path, story, role="spectrometer")


def test_a_word_given_before_anything_was_told_counts_for_nothing(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        hand.accept(TOKEN)
        await asyncio.sleep(2 * 3600)
        edit(hand.put(acquired / TOKEN, TOKEN) / "1" / "acqus", "NS", "32")
        texts = await hand.differs(handle)
        assert texts[-1] == "accept.txt: is older than DIFFERS.txt; read what differs, then save it again"

    assisted(tmp_path, story, role="spectrometer")


def test_after_a_restart_a_request_is_found_and_one_that_was_never_made_is_not(tmp_path: Path, acquired: Path) -> None:
    async def story(hand: Assistant) -> None:
        assert await hand.driver.find(TOKEN) is None
        handle = await hand.driver.start(TOKEN, ASKED)
        await asyncio.sleep(2 * 3600)
        hand.driver = hand.another()
        await hand.driver.connect()
        found = await hand.driver.find(TOKEN)
        assert found == Handle.from_json(json.loads(json.dumps(handle.to_json())))
        assert await hand.driver.start(TOKEN, ASKED) == found
        hand.put(acquired / TOKEN, TOKEN)
        assert (await hand.take(found)).summary["scans"] == 64

    assisted(tmp_path, story, role="spectrometer")


def test_a_token_is_never_asked_for_two_things(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        await hand.driver.start(TOKEN, ASKED)
        with pytest.raises(Refused, match="asked before"):
            await hand.driver.start(TOKEN, request(scans=128))

    assisted(tmp_path, story, role="spectrometer")


def test_a_withdrawn_request_says_so_to_the_person_and_stays_withdrawn(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        await hand.driver.abort(handle)
        await hand.driver.abort(handle)
        assert not (hand.drop / TOKEN / "REQUEST.txt").exists()
        assert "WITHDRAWN by labctl" in (hand.drop / TOKEN / "WITHDRAWN.txt").read_text(encoding="utf-8")
        assert (await hand.driver.poll(handle)).state is State.FAILED
        assert len(hand.hiccups) == 1

    assisted(tmp_path, story, role="spectrometer")


def test_a_sheet_that_was_tidied_away_is_laid_down_again(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, ASKED)
        for name in ("REQUEST.txt", "request.json"):
            (hand.drop / TOKEN / name).unlink()
        await hand.driver.poll(handle)
        assert "NS" in (hand.drop / TOKEN / "REQUEST.txt").read_text(encoding="utf-8")
        assert await hand.driver.find(TOKEN) == Handle.from_json(handle.to_json())

    assisted(tmp_path, story, role="spectrometer")


def test_the_session_is_named_by_a_person(tmp_path: Path) -> None:
    async def story(hand: Assistant) -> None:
        assert hand.driver.session() == "1"
        (hand.drop / "session.txt").write_text("july shim\n")
        identity = await hand.driver.connect()
        assert hand.driver.session() == identity.details["session"] == "july-shim"

    assisted(tmp_path, story, role="spectrometer")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["P 1", "D 1", "PLW 1", "RG"]), factor=st.floats(0.9, 1.1))
def test_a_value_is_taken_just_if_it_lies_within_its_width(
    tmp_path_factory: pytest.TempPathFactory, acquired: Path, name: str, factor: float
) -> None:
    asked = {"P 1": 7.0, "D 1": 0.5, "PLW 1": 80.0, "RG": 101.0}[name]
    width = NMR[name].relative
    assume(abs(abs(factor - 1) - width) > 1e-6 and abs(factor - 1) > 1e-6)
    folder = tmp_path_factory.mktemp("dropped")
    shutil.copytree(acquired / TOKEN, folder / TOKEN)
    edit(folder / TOKEN / "1" / "acqus", name, format(asked * factor, ".10g"))
    assert judged(folder).fits == (abs(factor - 1) < width)


@settings(max_examples=30)
@given(size=st.integers(0, 131071))
def test_a_dataset_that_is_cut_short_anywhere_is_never_taken(
    tmp_path_factory: pytest.TempPathFactory, acquired: Path, size: int
) -> None:
    folder = tmp_path_factory.mktemp("short")
    shutil.copytree(acquired / TOKEN, folder / TOKEN)
    fid = folder / TOKEN / "1" / "fid"
    fid.write_bytes(fid.read_bytes()[:size])
    assert judged(folder).final


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scans=st.integers(1, 4096),
    delay=st.floats(0.05, 100),
    pulse=st.floats(1e-6, 50e-6),
    points=st.integers(1024, 65536),
)
def test_whatever_is_asked_the_same_is_asked_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory, scans: int, delay: float, pulse: float, points: int
) -> None:
    wanted = request(scans=scans, recycle_delay=delay, pulse_lengths=(pulse,), points=points, receiver_gain=None)

    async def story(hand: Assistant) -> None:
        handle = await hand.driver.start(TOKEN, wanted)
        before = (await hand.driver.poll(handle)).request
        after = (await hand.driver.poll(await hand.driver.find(TOKEN))).request
        assert before == after
        assert await hand.driver.start(TOKEN, wanted) == handle

    assisted(tmp_path_factory.mktemp("asked"), story, role="spectrometer")
