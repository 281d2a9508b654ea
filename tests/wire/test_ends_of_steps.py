"""A step ends by the first of several ends, or by all of them, on the instrument itself; the result says by which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import biologic_bench
import maccor_bench
import pytest
from biologic_bench import on_bench

from labctl.engine.actions import cycler_program
from labctl.instruments import CyclerProgram, End, Fetched, OutOfRange
from labctl.protocol import expand, read_protocol
from labctl_drivers.assisted.cycling import CyclerTask
from labctl_drivers.biologic.plan import compile_program as techniques_of
from labctl_drivers.maccor.procedure import compile_program, read, write

MAH = 3.6
PROTOCOL = """\
labctl: 1
protocol: ends
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - %s
"""


class Cell:
    id, area, capacity, mass, measure_at = "one", 1e-4, 2.6 * MAH, 12e-6, ()


def program(step: str) -> CyclerProgram:
    """What a channel is told of a step as it stands in a protocol."""
    (planned,) = expand(read_protocol(PROTOCOL % step, "ends.yaml"), Cell())
    return cycler_program("c/ends", planned)


CAPACITY_FIRST = "charge: {current: 1 mA, until: {any: [{voltage: upper}, {capacity: 0.5 mAh/cm2}]}, at_most: 9 h}"
VOLTAGE_FIRST = "charge: {current: 1 mA, until: {any: [{voltage: 3.8 V}, {capacity: 90 %}]}, at_most: 9 h}"
DURATION = "charge: {current: 1 mA, until: {any: [{voltage: upper}, {duration: 30 min}]}}"
BOTH = "charge: {current: 1 mA, until: {all: [{voltage: 3.6 V}, {capacity: 0.5 mAh}]}, at_most: 9 h}"
FILLED_HOLD = "hold: {voltage: 3.9 V, limit: {current: 1 mA}, until: {capacity: 0.2 mAh}, at_most: 9 h}"


def on_maccor(folder: Path, step: str) -> Fetched:
    found: list[Fetched] = []

    async def story(made: maccor_bench.Bench) -> None:
        driver = await made.connected()
        handle = await made.run(driver, "k3x-a1", program(step))
        found.append(await driver.fetch(handle, folder / "bundle"))

    maccor_bench.tell(folder, story)
    return found[0]


def on_biologic(folder: Path, step: str) -> Fetched:
    found: list[Fetched] = []

    async def story(made: biologic_bench.Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(biologic_bench.TOKEN, 1, program(step))
        await biologic_bench.ended(driver, handle)
        found.append(await driver.fetch(handle, folder / "bundle"))

    on_bench(folder, story)
    return found[0]


@pytest.mark.parametrize("instrument", [on_maccor, on_biologic])
@pytest.mark.parametrize(
    ("step", "end", "charge"),
    [(CAPACITY_FIRST, "capacity", 0.5), (VOLTAGE_FIRST, "voltage", None), (DURATION, "time", 0.5)],
    ids=["by charge", "by voltage", "by time"],
)
def test_the_first_of_several_ends_is_the_end_and_is_told(
    tmp_path: Path, instrument: Any, step: str, end: str, charge: float | None
) -> None:
    summary = instrument(tmp_path, step).summary
    assert summary["end"] == end
    if charge is not None:
        assert summary["capacity_C"] == pytest.approx(charge * MAH, rel=3e-3)
    else:
        assert summary["capacity_C"] < 0.9 * Cell.capacity


@pytest.mark.parametrize("instrument", [on_maccor, on_biologic])
def test_where_all_must_be_true_the_charge_goes_on_beyond_the_first(tmp_path: Path, instrument: Any) -> None:
    fetched = instrument(tmp_path, BOTH)
    assert fetched.summary["end"] == "voltage"
    assert fetched.summary["voltage_V"] >= 3.6 - 1e-3
    # The charge of both parts, as one step.
    assert fetched.summary["capacity_C"] >= 0.5 * MAH * 0.997


def test_a_hold_ends_by_the_charge_that_the_tester_counts(tmp_path: Path) -> None:
    fetched = on_maccor(tmp_path, FILLED_HOLD)
    assert fetched.summary["end"] == "capacity"
    assert fetched.summary["capacity_C"] == pytest.approx(0.2 * MAH, rel=3e-3)


def test_a_potentiostat_counts_no_charge_in_a_hold() -> None:
    with pytest.raises(OutOfRange, match="counts no charge"):
        techniques_of(program(FILLED_HOLD))


def test_the_procedure_says_the_end_in_ampere_hours_and_as_the_station_spells_it() -> None:
    steps = compile_program(program(CAPACITY_FIRST), lambda amperes: "2")
    content = write(steps, "Amp-hr")
    assert b"<EndType>Amp-hr  </EndType><SpecialType> </SpecialType><Oper>&gt;= </Oper>" in content
    assert b"<Value>0.0005</Value>" in content
    assert read(content, "Amp-hr") == steps


def test_a_person_is_asked_for_the_same_ends_before_and_after_a_restart() -> None:
    for step, said in ((CAPACITY_FIRST, "0.5 mAh have passed"), (BOTH, "not before")):
        task = CyclerTask("k3x-a1", 1, program(step))
        again = CyclerTask.again("k3x-a1", json.loads(json.dumps(task.asked)))
        assert [*again.settings] == [*task.settings]
        assert again.attachments == task.attachments
        assert any(said in f"{one.name} {one.value}" for one in task.settings)


def test_a_time_that_ends_a_step_needs_no_guard_and_is_none() -> None:
    assert program(DURATION).steps[0].ends == (End("voltage", True, 4.3), End("time", True, 1800.0))
