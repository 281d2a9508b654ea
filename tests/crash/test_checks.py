"""The judge must be able to say no: each check against instruments' logs in which something went wrong."""

import polars
import pytest
from kill_harness import checks, evidence, together
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


def test_a_second_attempt_at_what_has_failed_is_none_too_many_and_a_third_is():
    log = test_log(*((10.0 * n + end, event, name) for n, name in enumerate("xyz") for end, event in
                     ((0.0, "started"), (9.0, "completed"))))  # fmt: skip
    rows = [operation("x", status="failed"), operation("y", attempt=2), operation("z", attempt=3)]
    work = evidence.of_cycler("maccor", log)
    assert checks.double_starts(work[:2], rows) == []
    assert len(checks.double_starts(work, rows)) == 1


def test_a_spectrum_beside_its_own_current_is_no_overlap_and_any_other_is():
    charge = evidence.of_cycler("maccor", test_log((0.0, "started", "x"), (9.0, "completed", "x")))
    entry = {"dataset": "/data/y/1", "sample": "a"}
    spectrum = evidence.of_spectrometer(
        "topspin", [{"t": 1.0, "event": "acquiring", **entry}, {"t": 2.0, "event": "acquired", **entry}]
    )
    within = [operation("x", kind="operando"), operation("y", kind="spectrum", step="c001/02-operando-p/a1/s001")]
    alone = [operation("x"), operation("y", kind="nmr", step="c001/03-nmr-p")]
    assert checks.overlaps([*charge, *spectrum], within) == []
    assert len(checks.overlaps([*charge, *spectrum], alone)) == 1


def test_a_spectrum_that_is_missing_or_wrongly_stamped_is_seen(tmp_path):
    step = operation("x", kind="operando", step="c001/02-operando-p")
    one = Operation(f"{step.operation}/s001/a1", "a", "s001", "spectrum", "y", "done", {"of": step.operation})
    folder = tmp_path / step.operation
    (folder / "s001" / "a1" / "y" / "1").mkdir(parents=True)
    (folder / "s001" / "a1" / "y" / "1" / "fid").write_bytes(b"")
    table = {"Test Time / s": [0.0, 100.0], "Current / A": [1e-3, 1e-3]}
    polars.DataFrame(table).write_parquet(folder / "records.parquet")
    heading = "token,folder,sort,charge_start_C,charge_middle_C,charge_end_C\n"
    (folder / "stamps.csv").write_text(heading + "y,s001/a1,during,0.01,0.02,0.03\n")
    work, flowing = [evidence.Work("y", "1", "topspin", "a", 10.0, 30.0)], {"x": [(0.0, 100.0)]}
    assert list(together.spectra(work, [step, one], tmp_path)) == []
    assert list(together.wrong_stamps(work, flowing, [step, one], tmp_path, 0.01)) == []
    assert len(list(together.wrong_stamps(work, {"x": [(0.0, 20.0)]}, [step, one], tmp_path, 0.01))) == 1
    (folder / "stamps.csv").write_text(heading)
    assert len(list(together.spectra(work, [step, one], tmp_path))) == 1


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
