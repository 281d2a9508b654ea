"""Text exports of every known layout and spelling, and what can be foretold from a reading."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maccor_bench import charge, discharge, hold, rest
from maccor_exports import NOTE, ROWS, Row, Spelling, spellings

from labctl.errors import DataError
from labctl.instruments import Garbled, OutOfRange
from labctl_drivers.maccor.export import Records, begun_at, check_gaps, how_ended, parse, program_view
from labctl_drivers.maccor.procedure import compile_program
from labctl_drivers.maccor.readings import ChannelState, continues, remaining
from labctl_drivers.maccor.station import ChannelSpec, channel_list

SPELLINGS = list(spellings())
SECONDS, CLOCKS = (next(one for one in SPELLINGS if one.signed and one.clock is clock) for clock in (False, True))
UNSIGNED = replace(SECONDS, signed=False)


def read(text: str) -> Records:
    return parse(text.encode("latin-1"), "x.001")


def assert_reads(text: str, rows: tuple[Row, ...] | list[Row]) -> None:
    records = read(text)
    check_gaps(records, "x.001", rows[-1][0])
    assert records.number.tolist() == [row[0] for row in rows]
    assert records.step.tolist() == [row[1] for row in rows]
    assert records.time.tolist() == pytest.approx([row[2] for row in rows], abs=1e-4)
    assert records.capacity.tolist() == pytest.approx([3600 * row[3] for row in rows], abs=1e-6)
    assert records.current.tolist() == pytest.approx([row[4] for row in rows], abs=1e-9)
    assert records.voltage.tolist() == pytest.approx([row[5] for row in rows], abs=1e-6)
    assert (records.state, records.end.tolist()) == ([row[6] for row in rows], [row[7] for row in rows])


def test_every_known_layout_and_spelling_reads_alike() -> None:
    assert len({(one.heading, one.clock, one.decimal, one.grouped, one.signed) for one in SPELLINGS}) == 64
    for spelling in SPELLINGS:
        for text in (
            spelling.text(),
            replace(spelling, ends="\n").text(),
            spelling.text() + spelling.line((7, 3, 86494.0, 0.0, 0.0, 3.1, "O", 1))[:-2],
            spelling.text() + "\r\n",
        ):
            assert_reads(text, list(ROWS))
        assert read(spelling.text()).closed()
        begun = begun_at(spelling.text().encode("latin-1"))
        assert begun is not None
        assert begun.isoformat() == "2026-11-21T10:00:00+00:00"


@st.composite
def courses(draw: st.DrawFn) -> list[Row]:
    """Draw the records of a test: steps of charge, rest and discharge, each with its own current and length."""
    rows: list[Row] = []
    clock = 0.0
    for step in range(1, draw(st.integers(1, 4)) + 1):
        letter, way = draw(st.sampled_from([("C", 1), ("D", -1), ("R", 0)]))
        current = way * draw(st.integers(1_000, 5_000_000)) * 1e-6
        for index in range(draw(st.integers(2, 4))):
            clock += draw(st.integers(0, 2_000_000)) * 1e-1 if index else 0.0
            capacity = draw(st.integers(0, 10**9)) * 1e-9
            voltage = draw(st.integers(0, 5_000_000)) * 1e-6
            rows.append((len(rows) + 1, step, clock, capacity, current, voltage, letter, min(index, 1)))
    return rows


@given(rows=courses(), spelling=st.sampled_from(SPELLINGS))
def test_whatever_a_test_did_every_spelling_of_it_reads_alike(rows: list[Row], spelling: Spelling) -> None:
    assert_reads(spelling.text(rows), rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no heading yet"),
        (NOTE + "a\tb\tc\r\n", "no heading yet"),
        (NOTE * 50, r"x.001: no heading within 40 lines"),
        (
            SECONDS.text().replace("Amps", "mAmps"),
            r"x.001:2: unknown heading 'Rec#, Cyc#, Step, .*': as text export it would need Amps",
        ),
        (SECONDS.text().replace("Rec#", "Record"), r"unknown heading 'Record, Cyc#, .*it would need Rec#"),
        (
            SECONDS.text().replace("Step (Sec)", "TestTime"),
            r"x.001:2: the heading has Test \(Sec\) and TestTime, which contradict",
        ),
        (SECONDS.text().replace("Test (Sec)", "TestTime"), r"TestTime does not tell the unit of '0.0000'"),
        (SECONDS.text().replace("\tC\t133", ""), r"x.001:5: '11/21/2026 10:00:00' is no state"),
        (SECONDS.text().replace("4.300000\tC", "4.x\tC"), r"x.001:5: '4.x' is no number"),
        (SECONDS.text().replace("4.300000\tC", "nan\tC"), r"x.001:5: 'nan' is no number"),
        (SECONDS.text().replace("4.300000\tC", "1e999\tC"), r"x.001:5: '1e999' is no finite number"),
        (SECONDS.text().replace("4.300000\tC", "-1e308\tC"), r"x.001:5: '-1e308' is beyond anything a tester measures"),
        (SECONDS.text().replace("4.300000\tC", "4_3.0\tC"), r"x.001:5: '4_3.0' is no number"),
        (SECONDS.text().replace("4.300000\tC", "4,300000\tC"), r"x.001:5: decimal points and decimal commas"),
        (SECONDS.text().replace("2\t0\t1", "2.5\t0\t1"), r"x.001:4: '2.5' is no whole number"),
        (CLOCKS.text().replace("0d 00:01:00", "0d 00:01"), r"x.001:4: '  0d 00:01.0000' is no time of a test"),
        (
            SECONDS.text([*ROWS[:5], (6, 2, 86500.0, 0.0, 6e-4, 3.0, "D", 1)]),
            r"x.001:8: record 6 says D at 0.0006 A, in an export in which discharges are negative",
        ),
        (
            UNSIGNED.text(ROWS[:5]) + SECONDS.line((6, 2, 86500.0, 0.0, -6e-4, 3.0, "D", 1)),
            r"x.001:8: record 6 says D at -0.0006 A, in an export in which currents have no sign",
        ),
        (
            SECONDS.text([*ROWS[:2], (3, 1, 93.5, 0.0, -2e-4, 3.5, "C", 1)]),
            r"x.001:5: record 3 says C at -0.0002 A, in an export in which no discharge came yet",
        ),
    ],
)
def test_what_is_not_known_or_contradicts_itself_is_refused_by_line_and_name(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(text)


def test_a_garbled_export_is_refused_or_read_and_never_anything_else() -> None:
    spoil = random.Random(11)
    refused = 0
    for _ in range(500):
        data = bytearray(spoil.choice(SPELLINGS).text().encode("latin-1"))
        for _ in range(spoil.randint(1, 4)):
            at = spoil.randrange(len(data))
            choice = spoil.randrange(4)
            if choice == 0:
                data[at] = spoil.randrange(256)
            elif choice == 1:
                del data[at : at + spoil.randint(1, 80)]
            elif choice == 2:
                data[at:at] = spoil.choice([b"9" * 30, b"\n", b"\t", b"e999", b"nan", b"-", b",", b"\x00"])
            else:
                data[at:at] = data[: spoil.randint(1, 400)]
        try:
            records = parse(bytes(data), "x.001")
            check_gaps(records, "x.001", 6)
        except DataError as error:
            assert str(error).startswith("x.001")
            refused += 1
            continue
        assert records.number.tolist() == [1, 2, 3, 4, 5, 6]
        assert np.isfinite([records.time, records.voltage, records.current, records.capacity]).all()
    assert 250 < refused < 500


def test_noise_around_zero_at_the_end_of_a_hold_keeps_its_sign() -> None:
    rows = [
        (1, 1, 0.0, 0.0, 0.0, 3.1, "D", 0),
        (2, 1, 60.0, 1e-6, -6e-4, 3.0, "D", 1),
        (3, 1, 120.0, 1e-6, 2e-8, 3.0, "D", 1),
    ]
    assert read(SECONDS.text(rows)).current.tolist() == pytest.approx([0.0, -6e-4, 2e-8])


def test_noise_before_a_current_flows_neither_contradicts_nor_tells_the_sign_of_others() -> None:
    charging = [
        (1, 1, 0.0, 0.0, 1e-8, 3.1, "R", 0),
        (2, 2, 1.0, 0.0, -4e-8, 3.1, "C", 0),
        (3, 2, 2.0, 0.0, 2e-4, 3.1, "C", 1),
    ]
    assert read(SECONDS.text(charging)).current.tolist() == pytest.approx([1e-8, -4e-8, 2e-4])
    # A step's first record may still have the current of the step before.
    turning = [*charging, (4, 3, 2.0, 0.0, 2e-4, 3.1, "D", 0), (5, 3, 3.0, 0.0, -6e-4, 3.0, "D", 1)]
    assert read(SECONDS.text(turning)).current.tolist()[3:] == pytest.approx([2e-4, -6e-4])
    holding = [
        (1, 1, 0.0, 0.0, 0.0, 3.0, "D", 0),
        (2, 1, 1.0, 0.0, 3e-8, 3.0, "D", 1),
        (3, 2, 2.0, 0.0, -6e-4, 2.9, "D", 1),
    ]
    assert read(SECONDS.text(holding)).current.tolist() == pytest.approx([0.0, 3e-8, -6e-4])


def test_a_clock_that_goes_back_is_refused() -> None:
    rows = [*ROWS[:2], (3, 1, 20.0, 5.2e-6, 2e-4, 4.3, "C", 133)]
    with pytest.raises(DataError, match="at record 3 the test's clock goes back from 60 to 20 s"):
        check_gaps(read(SECONDS.text(rows)), "x.001", None)


def test_gaps_at_the_end_and_repeated_records_are_found() -> None:
    records = read(SECONDS.text())
    with pytest.raises(DataError, match="record 7 to 9 of 1 to 9 is missing"):
        check_gaps(records, "x.001", 9)
    twice = replace(records, number=np.array([1, 2, 2, 3, 4, 5]))
    with pytest.raises(DataError, match="do not rise one by one"):
        check_gaps(twice, "x.001", None)
    none = read(SECONDS.head)
    with pytest.raises(DataError, match="no records"):
        check_gaps(none, "x.001", 0)


def test_how_a_test_ended_is_told_from_its_codes() -> None:
    records = read(SECONDS.text())
    plan = compile_program(replace(charge(), steps=charge().steps + discharge().steps), lambda current: "2")
    assert how_ended(records, plan) == ("voltage", False)
    for code, end in ((192, "aborted"), (197, "fault"), (254, "fault")):
        assert how_ended(replace(records, end=np.array([0, 1, 133, 0, 1, code])), plan)[0] == end
    assert how_ended(replace(records, end=np.array([0, 1, 133, 0, 129, 193])), plan) == ("time", True)
    # Where the tester makes a record of a loop's last pass too, the step before it still is what ended.
    assert how_ended(replace(records, end=np.array([0, 1, 133, 0, 147, 193])), plan) == ("voltage", False)
    seen = program_view(records, plan)
    assert seen.step.tolist() == [1, 1, 1, 2, 2, 2]
    assert seen.capacity.tolist() == pytest.approx([0, 0.01188, 0.01872, 0, 0.036, 0.036])
    assert program_view(records, ()).step.tolist() == [1, 1, 1, 2, 2, 3]


STATE = ChannelState(2, 1, 0, 5, 1, 3600.0, 3600.0, 4.0, 2e-4, 0.72)


def test_remaining_is_exact_for_times_and_cautious_for_the_rest() -> None:
    resting = compile_program(rest(60 * 3600), lambda current: "2")
    assert remaining(STATE, None, resting) == pytest.approx(59 * 3600)
    assert remaining(replace(STATE, step=3), None, resting) == pytest.approx(11 * 3600)
    charging = compile_program(charge(), lambda current: "2")
    # 0.1 V in the last 600 s and 0.3 V to go: half of 1800 s.
    before = replace(STATE, voltage=3.9, step_time=3000.0)
    assert remaining(STATE, before, charging) == pytest.approx(900)
    # Never longer than half of what the step took so far, nor than its guard.
    assert remaining(STATE, replace(before, voltage=3.999), charging) == pytest.approx(1800)
    late = replace(STATE, step_time=16 * 3600 - 100.0)
    assert remaining(late, replace(late, step_time=late.step_time - 600, voltage=3.99), charging) == pytest.approx(100)
    holding = compile_program(hold(), lambda current: "2")
    falling = replace(STATE, doing=2, current=-1e-5)
    left = remaining(falling, replace(falling, current=-1e-4, step_time=3000.0), holding)
    assert left == pytest.approx(300)
    assert remaining(replace(STATE, step=2, step_time=20.0), None, holding) == pytest.approx(40)
    assert remaining(replace(STATE, step=9), None, holding) is None
    assert remaining(STATE, None, ()) is None


def test_a_look_at_another_test_cannot_pass_for_ours() -> None:
    assert continues(replace(STATE, test_time=4200.0), STATE, 600.0)
    assert not continues(replace(STATE, test_time=590.0), STATE, 600.0)
    assert not continues(replace(STATE, test_time=8.0), replace(STATE, test_time=5.0), 3.0)


def test_an_answer_with_holes_is_garbled() -> None:
    result = {"Stat": 2, "RF1": 2, "RF2": 0, "LastRecNum": 1, "Step": 1, "TestTime": 1.0, "StepTime": 1.0}
    result |= {"Voltage": 3.5, "Current": 6e-4, "Capacity": 1e-5}
    assert ChannelState.read(result).current == -6e-4
    assert ChannelState.read(result | {"RF1": 1, "Current": -6e-4}).current == 6e-4
    for wrong in ({"Voltage": None}, {"Voltage": float("nan")}, {"Stat": "x"}):
        with pytest.raises(Garbled):
            ChannelState.read(result | wrong)
    result.pop("Step")
    with pytest.raises(Garbled, match="Step"):
        ChannelState.read(result)


def test_ranges_are_the_smallest_that_hold_the_current() -> None:
    spec = ChannelSpec(0.0, 5.0, (("1", 150e-6), ("2", 5e-3), ("3", 0.15), ("4", 5.0)), 25.0, 25.0)
    assert [spec.scale(current) for current in (0.0, 1e-6, 150e-6, 2e-4, 6e-4, 5e-3, 0.1, 5.0)] == list("11122234")
    with pytest.raises(OutOfRange):
        spec.scale(5.1)


def test_channels_are_read_in_every_spelling() -> None:
    assert channel_list("1-4") == channel_list([1, 2, "3-4"]) == channel_list("4, 1-3") == (1, 2, 3, 4)
    assert channel_list(7) == (7,)
    for wrong in ("0-3", "5-4", "x", ""):
        with pytest.raises(ValueError, match=r"none|invalid literal"):
            channel_list(wrong)
