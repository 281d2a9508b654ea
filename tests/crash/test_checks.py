"""The judge must be able to say no: each check against instruments' logs in which something went wrong."""

import polars
import pytest
from kill_harness import checks, evidence
from kill_harness.journal import Operation


def operation(token, kind="charge", cell="a", step="c001/02-charge", status="done", attempt=1):
    return Operation(f"kill-1/{cell}/{step}/a{attempt}", cell, step, kind, token, status)


def test_log(*events):
    return [{"t": t, "event": event, "channel": 1, "test": test, "cell": "a"} for t, event, test in events]


test_log.__test__ = False


def test_one_start_each_is_well():
    log = test_log((0.0, "started", "x"), (9.0, "completed", "x"), (10.0, "started", "y"), (19.0, "completed", "y"))
    work = evidence.of_cycler("maccor", log)
    rows = [operation("x"), operation("y", step="c001/03-discharge")]
    assert checks.double_starts(work, rows) == []
    assert checks.overlaps(work) == []
    assert checks.never_started(work, rows) == []


def test_the_same_name_started_twice_is_seen():
    log = test_log((0.0, "started", "x"), (9.0, "completed", "x"), (10.0, "started", "x"), (19.0, "completed", "x"))
    assert len(checks.double_starts(evidence.of_cycler("maccor", log), [operation("x")])) == 1


def test_a_second_attempt_under_another_name_is_seen():
    log = test_log((0.0, "started", "x"), (9.0, "completed", "x"), (10.0, "started", "y"), (19.0, "completed", "y"))
    rows = [operation("x"), operation("y", attempt=2)]
    assert len(checks.double_starts(evidence.of_cycler("maccor", log), rows)) == 1


def test_a_series_of_spectra_is_no_double_start_and_a_repeated_one_is():
    def acquired(*expnos):
        for t, expno in enumerate(expnos):
            entry = {"dataset": f"/data/x/{expno}", "sample": "a"}
            yield {"t": 10.0 * t, "event": "acquiring", **entry}
            yield {"t": 10.0 * t + 9.0, "event": "acquired", **entry}

    rows = [operation("x", kind="nutation", step="c001/03-nutation")]
    assert checks.double_starts(evidence.of_spectrometer("topspin", acquired(1, 2, 3)), rows) == []
    assert len(checks.double_starts(evidence.of_spectrometer("topspin", acquired(1, 2, 2)), rows)) == 1


def test_two_things_at_once_on_a_cell_are_seen():
    cycling = evidence.of_cycler("maccor", test_log((0.0, "started", "x"), (9.0, "completed", "x")))
    sweep = [
        {"t": 8.0, "event": "sweep", "file": "c:\\thales\\labctl\\y.ism", "cell": "a"},
        {"t": 12.0, "event": "swept"},
    ]
    work = [*cycling, *evidence.of_potentiostat("zahner", sweep)]
    assert [one.name for one in work] == ["x", "y"]
    assert len(checks.overlaps(work)) == 1


def test_what_goes_on_for_ever_overlaps_with_what_comes_later_on_its_channel():
    log = test_log((0.0, "started", "x"), (50.0, "started", "y"), (59.0, "completed", "y"))
    assert any(found.startswith("maccor:1") for found in checks.overlaps(evidence.of_cycler("maccor", log)))


def test_what_nobody_did_and_what_nobody_asked_for_are_seen():
    work = evidence.of_cycler("maccor", test_log((0.0, "started", "x"), (9.0, "completed", "x")))
    assert len(checks.never_started(work, [operation("x"), operation("z")])) == 1
    assert len(checks.never_started(work, [])) == 1


def test_a_cell_carried_more_often_than_asked_is_seen():
    rows = [operation("t", kind="transfer", step="c001/03-nmr/to-probe-1")]
    assert checks.double_moves([("a", "probe/1")], rows) == []
    assert len(checks.double_moves([("a", "probe/1"), ("a", "cabinet/1")], rows)) == 1


@pytest.mark.parametrize(
    ("ours", "lost"), [([1, 2, 3, 4], 0), ([1, 2, 4], 1), ([1, 2, 2, 3, 4], 1), ([1, 2, 3, 4, 5], 1), ([], 4)]
)
def test_records_that_are_missing_doubled_or_invented_are_counted(tmp_path, ours, lost):
    row = operation("x")
    folder = tmp_path / row.operation
    folder.mkdir(parents=True)
    polars.DataFrame({"Record Number / 1": ours}).write_parquet(folder / "records.parquet")
    assert checks.lost_records([{"test": "x", "records": 4}], [row], tmp_path) == (4, lost)


def test_records_of_a_test_without_a_bundle_are_all_lost(tmp_path):
    assert checks.lost_records([{"test": "x", "records": 7}], [operation("x")], tmp_path) == (7, 7)


def test_analyses_are_equal_but_for_instants_and_last_digits():
    one = {"cells": [{"started": "now", "charge_capacity_mAh": 1.0, "flags": []}]}
    other = {"cells": [{"started": "later", "charge_capacity_mAh": 1.0 + 1e-9, "flags": []}]}
    assert list(checks.differences(one, other)) == []
    other["cells"][0]["charge_capacity_mAh"] = 1.00001
    assert len(list(checks.differences(one, other))) == 1
    other["cells"][0] |= {"charge_capacity_mAh": 1.0, "flags": ["two attempts"]}
    assert len(list(checks.differences(one, other))) == 1
