"""Text exports of every known spelling, and what can be foretold from a reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from maccor_bench import charge, discharge, hold, rest

from labctl.errors import DataError
from labctl.instruments import Garbled, OutOfRange
from labctl_drivers.maccor.export import begun_at, check_gaps, how_ended, parse, program_view
from labctl_drivers.maccor.procedure import compile_program
from labctl_drivers.maccor.readings import ChannelState, continues, remaining
from labctl_drivers.maccor.station import ChannelSpec, channel_list

HEAD = "Today's Date 11/21/2026  Date of Test:\t11/21/2026\t Filename:\tx.001 Procedure: x.000\tBarcode: \x85\r\n"
SECONDS = "Rec#\tCyc#\tStep\tTest (Sec)\tStep (Sec)\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tES\tDPt Time\r\n"
CLOCKS = SECONDS.replace("Test (Sec)", "TestTime").replace("Step (Sec)", "StepTime")
DATE = "11/21/2026 10:00:00"
ROWS = [
    (1, 1, 0.0, 0.0, 2e-4, 3.1, "C", 0),
    (2, 1, 60.0, 3.3e-6, 2e-4, 3.5, "C", 1),
    (3, 1, 93.5, 5.2e-6, 2e-4, 4.3, "C", 133),
    (4, 2, 93.5, 0.0, -6e-4, 4.2, "D", 0),
    (5, 2, 86493.5, 1.0e-5, -6e-4, 3.0, "D", 133),
    (6, 3, 86493.5, 0.0, 0.0, 3.1, "O", 193),
]


def seconds(unsigned: bool = False) -> str:
    lines = [
        f"{n}\t0\t{step}\t{t:.4f}\t0\t{q:.7f}\t0\t{abs(i) if unsigned else i:.7f}\t{v}\t{state}\t{es}\t{DATE}"
        for n, step, t, q, i, v, state, es in ROWS
    ]
    return HEAD + SECONDS + "\r\n".join(lines) + "\r\n"


def clocks() -> str:
    lines = []
    for n, step, t, q, i, v, state, es in ROWS:
        clock = f"{int(t // 86400):3d}d {int(t // 3600 % 24):02d}:{int(t // 60 % 60):02d}:{t % 60:07.4f}"
        lines.append(f"{n}\t0\t{step}\t{clock}\t{clock}\t{q:.7f}\t0\t{i:.7f}\t{v}\t{state}\t{es}\t{DATE}")
    return HEAD + CLOCKS + "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize(
    "text",
    [
        seconds(),
        seconds(unsigned=True),
        clocks(),
        seconds().replace(HEAD, "").replace(".", ",").join([HEAD, ""]),
        clocks().replace(HEAD, "").replace(".", ",").join([HEAD, ""]),
        seconds() + "7\t0\t3\t86494.0\t0\t0.00",
    ],
    ids=["seconds", "unsigned", "clock times", "decimal comma", "clock times, decimal comma", "unfinished last line"],
)
def test_every_known_spelling_reads_alike(text: str) -> None:
    records = parse(text.encode("latin-1"), "x.001")
    check_gaps(records, "x.001", 6)
    assert records.number.tolist() == [1, 2, 3, 4, 5, 6]
    assert records.time.tolist() == pytest.approx([row[2] for row in ROWS])
    assert records.current.tolist() == pytest.approx([row[4] for row in ROWS])
    assert records.voltage.tolist() == pytest.approx([row[5] for row in ROWS])
    assert records.capacity.tolist() == pytest.approx([3600 * row[3] for row in ROWS])
    assert records.closed()
    begun = begun_at(text.encode("latin-1"))
    assert begun is not None
    assert begun.isoformat() == "2026-11-21T10:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no heading yet"),
        (HEAD + "a\tb\tc\r\n", "no column for capacity, current, end"),
        (seconds().replace("\tC\t133", ""), r"x.001:5: 10 columns where 11 are needed"),
        (seconds().replace("4.3\tC", "4.x\tC"), "4.x"),
        (clocks().replace("0d 00:01:00", "soon"), r"soon\.0000' is no time of a test"),
    ],
)
def test_what_is_no_export_is_named(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse(text.encode("latin-1"), "x.001")


def test_gaps_at_the_end_and_repeated_records_are_found() -> None:
    records = parse(seconds().encode(), "x.001")
    with pytest.raises(DataError, match="record 7 to 9 of 1 to 9 is missing"):
        check_gaps(records, "x.001", 9)
    twice = replace(records, number=np.array([1, 2, 2, 3, 4, 5]))
    with pytest.raises(DataError, match="do not rise one by one"):
        check_gaps(twice, "x.001", None)
    none = parse((HEAD + SECONDS).encode(), "x.001")
    with pytest.raises(DataError, match="no records"):
        check_gaps(none, "x.001", 0)


def test_how_a_test_ended_is_told_from_its_codes() -> None:
    records = parse(seconds().encode(), "x.001")
    plan = compile_program(replace(charge(), steps=charge().steps + discharge().steps), lambda current: "2")
    assert how_ended(records, plan) == ("voltage", False)
    for code, end in ((192, "aborted"), (197, "fault"), (254, "fault")):
        assert how_ended(replace(records, end=np.array([0, 1, 133, 0, 1, code])), plan)[0] == end
    assert how_ended(replace(records, end=np.array([0, 1, 133, 0, 129, 193])), plan) == ("time", True)
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
