"""EC-Lab's files: what labctl writes is what EC-Lab would read, and what EC-Lab writes is what labctl reads."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import DataError
from labctl.instruments import OutOfRange
from labctl_drivers.biologic import mpr, mpt
from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    ConstantVoltage,
    GalvanostaticImpedance,
    Limit,
    Loop,
    OpenCircuit,
    Point,
    PotentiostaticImpedance,
    Sample,
    Technique,
    TriggerOut,
)
from labctl_drivers.biologic.mps import Safety, document, parse
from labctl_drivers.biologic.mps_techniques import Writer, safety_of
from labctl_drivers.biologic.olecom_records import records_of
from labctl_simulators.biologic import mps_reader
from labctl_simulators.biologic.channel_steps import Step
from labctl_simulators.biologic.mpr_writer import DataFile, Row, binary, text

RANGE = (0.0, 5.0)


def written(techniques: Sequence[Technique], mark: str = ".", template: bytes | None = None) -> bytes:
    form = None if template is None else parse(template, "template.mps")
    return document(
        Writer(mark, RANGE, 5, form).blocks(techniques),
        path="C:\\labctl\\run.mps",
        device="VMP-3e",
        voltage_range=RANGE,
        safety=Safety(2.7, 4.5, 1e-3),
        record_counter=True,
        mark=mark,
        template=form,
    )


def to_six_digits(low: float, high: float) -> Any:
    return st.floats(low, high).map(lambda value: float(f"{value:.4g}"))


currents = st.builds(math.copysign, to_six_digits(1e-7, 0.9), st.sampled_from((1, -1)))
durations = to_six_digits(1.0, 1.2e6)
voltages = to_six_digits(0.1, 4.9)
flows = st.builds(
    ConstantCurrent,
    currents,
    durations,
    st.tuples(
        st.builds(Limit, st.just("voltage"), st.just(True), voltages),
        st.builds(Limit, st.just("voltage"), st.just(False), voltages),
    ),
    to_six_digits(0.1, 3600.0),
    to_six_digits(1e-3, 0.5),
)
holds = st.builds(
    ConstantVoltage,
    voltages,
    durations,
    st.tuples(st.builds(Limit, st.just("current"), st.booleans(), currents)),
    to_six_digits(1e-5, 0.9),
)
rests = st.builds(OpenCircuit, durations, to_six_digits(0.1, 3600.0), to_six_digits(1e-3, 0.5))


def stand_for_the_same(technique: Technique, step: Step) -> None:
    level = step.levels[0]
    if isinstance(technique, OpenCircuit):
        assert step.kind == "open"
        assert level.duration == pytest.approx(technique.duration, abs=1e-4)
        assert step.voltage_step == pytest.approx(technique.record_voltage_step, rel=1e-3)
    elif isinstance(technique, ConstantCurrent):
        assert step.kind == "current"
        assert level.value == pytest.approx(technique.current, rel=1e-9)
        assert level.duration == pytest.approx(technique.duration, rel=1e-9)
        told = {(test.what, test.above): test.value for test in level.tests}
        assert told == {("voltage", one.above): pytest.approx(one.value, rel=1e-9) for one in technique.limits}
        assert step.every == pytest.approx(technique.record_every, rel=1e-5)
    elif isinstance(technique, ConstantVoltage):
        assert (step.kind, level.value) == ("voltage", pytest.approx(technique.voltage, rel=1e-9))
        limit, test = technique.limits[0], level.tests[0]
        # Met by the same currents: those of the limit's own sign.
        for current in (0.5 * limit.value, 2.0 * limit.value):
            met = current >= limit.value if limit.above else current <= limit.value
            size = abs(current)
            assert (test.what, size >= test.value if test.above else size <= test.value) == ("magnitude", met)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(flows, holds, rests), min_size=1, max_size=6), st.sampled_from((".", ",")))
def test_a_settings_file_says_what_was_meant_with_either_decimal_mark(techniques: list[Any], mark: str) -> None:
    content = written(techniques, mark)
    found = mps_reader.read(content, mark)
    assert len(found.steps) == len(techniques)
    for technique, step in zip(techniques, found.steps, strict=True):
        stand_for_the_same(technique, step)
    assert found.record_counter
    assert found.safety == {"Ewe min": 2.7, "Ewe max": 4.5, "|I|": pytest.approx(1e-3)}
    # Its own template says the same again.
    assert mps_reader.read(written(techniques, mark, content), mark).steps == found.steps


@pytest.mark.parametrize(("ends", "per_decade"), [((2e5, 0.1), 7), ((1e6, 0.01), 10), ((3e4, 7.0), 6)])
def test_a_sweep_has_its_points_and_its_ends(ends: tuple[float, float], per_decade: int) -> None:
    points = math.ceil(math.log10(ends[0] / ends[1]) * per_decade) + 1
    sweep = PotentiostaticImpedance(0.05, 0.01, *ends, points, 3, 12.5, 0.2, against_open_circuit=False)
    galvano = GalvanostaticImpedance(-2e-4, 5e-5, *ends, points)
    for step, technique in zip(mps_reader.read(written((sweep, galvano))).steps, (sweep, galvano), strict=True):
        spectrum = step.spectrum
        assert spectrum is not None
        assert (spectrum.points, spectrum.start, spectrum.end) == (points, *(pytest.approx(end) for end in ends))
        assert (spectrum.amplitude, spectrum.averages) == (pytest.approx(technique.amplitude), technique.periods)
        assert step.levels[0].value == pytest.approx(technique.bias)
        assert step.levels[0].duration == pytest.approx(technique.settle)


def test_a_loop_goes_back_to_the_technique_it_names() -> None:
    found = mps_reader.read(written((OpenCircuit(1.0), OpenCircuit(2.0), Loop(1, 5))))
    assert (found.steps[2].loop_to, found.steps[2].passes, found.names) == (1, 5, ["OCV", "OCV", "LOOP"])


def test_a_template_keeps_what_eclab_has_written_and_labctl_does_not_set() -> None:
    ours = written((OpenCircuit(1.0),))
    template = (
        ours.replace(b"Device : VMP-3e", b"Device : SP-150e")
        .replace(b"Comments : ", b"Comments : cell holder 4")
        .replace(b"dER/dt (mV/h)       0.000", b"dER/dt (mV/h)       1.500")
    )
    found = written((OpenCircuit(7.0),), template=template)
    assert b"Device : SP-150e" in found
    assert b"Comments : cell holder 4" in found
    assert b"dER/dt (mV/h)       1.500" in found
    assert b"tR (h:m:s)          0:00:7.0000" in found
    assert found.count(b"Safety Limits :") == found.count(b"Record Ece") == 1
    with pytest.raises(DataError, match=r"no row 'tR \(h:m:s\)'"):
        written((OpenCircuit(7.0),), template=template.replace(b"tR (h:m:s)", b"tR (s)    "))


def test_what_eclab_has_no_words_for_is_refused_with_the_techniques_number() -> None:
    three = tuple(Limit("voltage", above, 4.0) for above in (True, False))
    for technique, why in (
        (TriggerOut(1.0), "trigger"),
        (ConstantCurrent(1.5, 10.0), "largest range"),
        (ConstantCurrent(1e-3, 10.0, (*three, Limit("current", True, 1e-3))), "4 limits"),
        (PotentiostaticImpedance(0.0, 0.01, 1e3, 1.0, 3), "no whole number"),
    ):
        with pytest.raises(OutOfRange, match=f"technique 2.*{why}"):
            written((OpenCircuit(1.0), technique))


#: Files tell the PC's local time.
START = datetime.fromisoformat("2026-03-01T12:00:00")
numbers = st.floats(-5.0, 5.0, width=32)
samples = st.lists(st.tuples(st.floats(0.0, 1e6), numbers, numbers, numbers), min_size=0, max_size=30)


def data_file(rows: Sequence[Row], kind: str = "driven", *, counter: bool = True) -> DataFile:
    return DataFile(127, "Modulo Bat", kind, 0, 1042, counter, START, rows)


def direct(values: Sequence[tuple[float, ...]]) -> list[Row]:
    return [Row(at, 0, False, (ewe, ece, current * 1e-3, 0.0)) for at, ewe, ece, current in sorted(values)]


@settings(max_examples=60, deadline=None)
@given(samples, st.booleans())
def test_a_data_file_gives_back_what_was_recorded(values: list[Any], counter: bool) -> None:
    rows = direct(values)
    found = mpr.read(binary(data_file(rows, counter=counter), closed=True), "run.mpr")
    assert (found.rows, found.technique, found.complete) == (len(rows), 127, True)
    assert found.started is not None
    assert abs(found.started - START) < timedelta(milliseconds=1)
    records = records_of({0: found})
    assert [record.at for record in records] == [row.at for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert isinstance(record, Sample)
        assert (record.voltage, record.counter) == (row.values[0], row.values[1] if counter else None)
        assert record.current == pytest.approx(row.values[2], rel=1e-6, abs=1e-12)
    exported = records_of({0: mpt.read(text(data_file(rows, counter=counter), ","), "run.mpt")})
    assert [record.voltage for record in exported] == pytest.approx([record.voltage for record in records], abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12000), st.integers(1, 40))
def test_a_file_that_was_cut_anywhere_is_refused_as_a_whole_and_gives_whole_rows_else(cut: int, count: int) -> None:
    rows = direct([(float(n), 3.0 + n, 0.1, 1.0) for n in range(count)])
    content = binary(data_file(rows), closed=True)[: -1 - cut]
    with pytest.raises(DataError):
        mpr.read(content, "run.mpr")
    found = mpr.read(content, "run.mpr", whole=False)
    assert list(found.columns.get("Ewe/V", ())) == [3.0 + n for n in range(found.rows)]
    assert not found.complete


def test_a_damaged_list_of_columns_is_refused_as_what_it_is() -> None:
    content = binary(data_file(direct([(0.0, 3.0, 0.0, 1.0)])), closed=True)
    listed = struct.pack("<IB", 1, 9)
    for count in (0, 255):
        with pytest.raises(DataError, match="column"):
            mpr.read(content.replace(listed, struct.pack("<IB", 1, count), 1), "run.mpr")
    assert mpr.read(content.replace(listed, struct.pack("<IB", 0, 0), 1), "run.mpr", whole=False).rows == 0


def test_a_hold_whose_range_is_the_instruments_choice_says_so_and_has_limits_all_the_same() -> None:
    hold = ConstantVoltage(3.0, 60.0, (Limit("current", True, 5e-3), Limit("current", False, -5e-3)))
    lines = written((hold,)).decode("latin-1").splitlines()
    assert [line.split() for line in lines if line.startswith("I Range  ")] == [["I", "Range", "Auto"]]
    assert safety_of((hold,), 0.05) == Safety(2.95, 3.05, pytest.approx(6e-3))


def test_an_unknown_column_is_refused_by_its_number() -> None:
    content = binary(data_file(direct([(0.0, 3.0, 0.0, 1.0)])), closed=True)
    strange = content.replace(struct.pack(">HH", 13, 39), struct.pack(">HH", 13, 777))
    assert strange != content
    with pytest.raises(DataError, match="column 777 is not known"):
        mpr.read(strange, "run.mpr")


def test_a_file_of_an_older_eclab_is_read_too() -> None:
    """Heads without a mark, and rows at 405 in data of version 2, as EC-Lab wrote before 11.50."""

    def module(title: bytes, content: bytes, version: int) -> bytes:
        return (
            b"MODULE" + struct.pack("<10s25sII8s", title.ljust(10), b"", len(content), version, b"03/01/26") + content
        )

    columns = (1, 3, 4, 6)
    head = struct.pack("<IB4H", 2, 4, *columns).ljust(405, b"\0")
    body = b"".join(struct.pack("<Bdf", 2, at, volts) for at, volts in ((0.0, 3.5), (1.0, 3.25)))
    log = struct.pack("<465xd", 45000.5)
    content = (
        mpr.MAGIC + module(b"VMP Set", b"\x0b", 0) + module(b"VMP data", head + body, 2) + module(b"VMP LOG", log, 0)
    )
    found = mpr.read(content, "old.mpr")
    assert list(found.columns["Ewe/V"]) == [3.5, 3.25]
    assert (found.technique, found.started) == (11, datetime.fromisoformat("2023-03-15T12:00:00"))


def test_passes_of_a_loop_are_put_in_order_while_it_runs_and_afterwards() -> None:
    first = [Row(float(at), passed, False, (3.0, 0.0, 0.0, 0.0)) for passed, at in ((0, 0), (0, 10), (1, 20), (1, 30))]
    second = [
        Row(float(at), passed, False, (4.0, 0.0, 0.0, 0.0)) for passed, at in ((0, 10), (0, 20), (1, 30), (1, 40))
    ]
    orders = []
    for closed in (False, True):
        files = {
            number: mpr.read(binary(data_file(rows), closed=closed), "run.mpr", whole=closed)
            for number, rows in enumerate((first, second))
        }
        orders.append([(one.technique, one.at, one.passed) for one in records_of(files) if isinstance(one, Sample)])
    assert orders[0] == orders[1]
    assert orders[1] == [
        *((0, 0.0, 0), (0, 10.0, 0), (1, 10.0, 0), (1, 20.0, 0)),
        *((0, 20.0, 1), (0, 30.0, 1), (1, 30.0, 1), (1, 40.0, 1)),
    ]


def test_files_that_count_from_their_own_start_are_put_behind_each_other() -> None:
    rows = direct([(0.0, 3.0, 0.0, 1.0), (5.0, 3.1, 0.0, 1.0)])
    later = DataFile(11, "Open Circuit Voltage", "open", 0, 1042, False, START + timedelta(seconds=60), rows)
    files = {n: mpr.read(binary(file, closed=True), "run.mpr") for n, file in enumerate((data_file(rows), later))}
    assert [one.at for one in records_of(files, own_times=True)] == pytest.approx([0.0, 5.0, 60.0, 65.0], abs=1e-3)


def test_a_spectrum_gives_both_electrodes_with_the_cell_as_their_sum() -> None:
    near, far = 40 - 30j, 10 - 5j
    sizes = abs(near) * 1e-3, 1e-3, float(np.angle(near))
    far_sizes = abs(far) * 1e-3, 1e-3, float(np.angle(far))
    point = Row(2.0, 0, True, (1e3, *sizes, 3.7, 1e-4, *far_sizes, -0.1))
    settling = Row(1.0, 0, False, (3.69, -0.1, 1e-4, 0.0))
    content = binary(data_file([settling, point], "spectrum"), closed=True)
    before, found = records_of({0: mpr.read(content, "eis.mpr")})
    assert isinstance(before, Sample)
    assert isinstance(found, Point)
    assert (found.frequency, found.working, found.counter) == (
        1e3,
        pytest.approx(near, rel=1e-6),
        pytest.approx(far, rel=1e-5),
    )
    both = {name: column for name, column in mpr.read(content, "eis.mpr").columns.items() if "Zwe-ce" not in name}
    alone = records_of({0: mpr.Measured(both, 2)})[1]
    assert isinstance(alone, Point)
    assert alone.counter == pytest.approx(far, rel=1e-6)


def test_a_settings_file_that_ends_with_a_nameless_technique_is_refused_at_its_line() -> None:
    content = b"EC-LAB SETTING FILE\r\n\r\nNumber of linked techniques : 1\r\n\r\nTechnique : 1"
    with pytest.raises(DataError, match=r"run\.mps:5: a technique without a name"):
        parse(content, "run.mps")


def test_a_text_export_whose_head_is_no_length_is_refused() -> None:
    with pytest.raises(DataError, match="no text export"):
        mpt.read(b"EC-Lab ASCII FILE\r\nNb header lines : " + b"9" * 5000 + b"\r\n\r\n", "run.mpt")
