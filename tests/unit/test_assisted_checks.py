"""How close is close enough, and what counts as a person's word: the pure parts of assisted operations."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.station.instruments import ASSISTED_VENDORS
from labctl_drivers.assisted.desk import Acceptance, Desk
from labctl_drivers.assisted.findings import Window
from labctl_drivers.assisted.settings import VENDORS
from labctl_drivers.assisted.tolerances import NMR, Tolerance

SINCE = datetime(2026, 7, 3, 8, 0, tzinfo=UTC)
positive = st.floats(1e-9, 1e9)


def window(hours: float = 10.0) -> Window:
    return Window(SINCE, SINCE + timedelta(hours=hours), timedelta(minutes=5), timedelta(0))


@given(asked=positive, relative=st.floats(1e-4, 0.5), share=st.floats(-0.999, 0.999))
def test_what_lies_inside_the_width_is_as_good_as_asked(asked: float, relative: float, share: float) -> None:
    assert Tolerance("", relative=relative).allows(asked, asked * (1 + relative * share))


@given(asked=positive, relative=st.floats(1e-4, 0.5), beyond=st.floats(1.01, 10))
def test_what_lies_outside_is_not(asked: float, relative: float, beyond: float) -> None:
    assert not Tolerance("", relative=relative).allows(asked, asked * (1 - min(1.0, relative * beyond)))
    assert not Tolerance("", relative=relative).allows(asked, math.nan)
    assert not Tolerance("", relative=relative).allows(asked, math.inf)


@given(scans=st.integers(1, 100_000), other=st.integers(1, 100_000))
def test_the_number_of_scans_is_exact(scans: int, other: int) -> None:
    assert NMR["NS"].allows(scans, other) == (scans == other)


@given(began=st.floats(-100, 100), lasts=st.floats(0.01, 50))
def test_a_measurement_counts_just_if_it_lies_between_request_and_now(began: float, lasts: float) -> None:
    start = SINCE + timedelta(hours=began)
    end = start + timedelta(hours=lasts)
    slack = timedelta(minutes=5)
    good = start >= SINCE - slack and end <= SINCE + timedelta(hours=10) + slack
    assert (window().check(start, end, "the file") == []) == good


def test_a_file_that_tells_no_time_is_told() -> None:
    (difference,) = window().check(None, None, "the file")
    assert difference.text == "start and end: the file does not tell when it was measured"
    assert not difference.final


def test_the_station_file_knows_the_vendors_that_the_driver_reads() -> None:
    assert set(ASSISTED_VENDORS) == set(VENDORS)
    for role, vendors in ASSISTED_VENDORS.items():
        assert set(vendors) <= set(VENDORS[role])


@pytest.mark.parametrize(
    "text",
    [
        "name: Ada\nreason: long enough",
        "\ufeffName : Ada\r\nREASON:long enough\r\n",
        "reason: long enough\n\nname: Ada",
    ],
)
def test_a_persons_word_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    desk = Desk(tmp_path)
    desk.tell("NS differs\n")
    (tmp_path / "accept.txt").write_bytes(text.encode())
    assert desk.acceptance() == Acceptance("Ada", "long enough")


@pytest.mark.parametrize("text", ["", "yes", "name: Ada", "name: Ada\nreason:", "reason: x", "\x00\xff"])
def test_a_word_without_name_or_reason_is_none(tmp_path: Path, text: str) -> None:
    desk = Desk(tmp_path)
    desk.tell("NS differs\n")
    (tmp_path / "accept.txt").write_text(text, encoding="latin-1")
    assert "needs two lines" in str(desk.acceptance())


def test_a_word_about_earlier_differences_is_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "accept.txt").write_text("name: Ada\nreason: x")
    os.utime(tmp_path / "accept.txt", (1, 1))
    desk.tell("RG differs\n")
    assert "is older than DIFFERS.txt" in str(desk.acceptance())


def test_a_request_that_was_half_written_was_never_made(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "request.json.partial").write_text('{"schema": "labctl.ass')
    assert desk.request() is None
    desk.ask({"token": "t"}, {"t.000": b"procedure"})
    assert desk.request() == {"schema": "labctl.assisted/1", "token": "t"}
    assert desk.dropped(["t.000"]) == []


@given(
    names=st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12), max_size=8)
)
def test_what_people_drop_is_seen_whatever_its_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("drop")
    for name in names:
        (folder / f"{name}.dat").write_bytes(b"1")
    found = Desk(folder).dropped([])
    assert {file.name for file in found} == {file.name for file in folder.iterdir()}
