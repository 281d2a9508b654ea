"""Spectra are stamped with the charge that the cycler's own records have at their instants."""

import csv

import pytest

from labctl.errors import DataError
from labctl.results import ElapsedClock, Look, Taken, add_look, read_looks, stamp_charges, write_stamps

START = 1_750_000_000.0


def charged(folder):
    """A charge at 1 mA for 200 s with a pause of 1000 s after 100 s, looked at every 50 s."""
    for at in (0, 50, 99):
        add_look(folder, Look(START + at, float(at), False))
    for at in (100, 600, 1099):
        add_look(folder, Look(START + at, 100.0, True))
    for at in (1101, 1150):
        add_look(folder, Look(START + at, at - 1000.0, False))
    add_look(folder, Look(START + 1300, 200.0, True))
    times = [0.0, 60.0, 100.0, 100.0, 160.0, 200.0]
    return {
        "record": [1, 2, 3, 4, 5, 6],
        "time_s": times,
        "capacity_C": [1e-3 * time for time in times],
        "voltage_V": [3.0 + time / 1000 for time in times],
    }


def taken(began, over, sort="during"):
    return Taken(1, sort, "s001/a1", "token-1", START + began, START + over, 0.0)


def stamp(folder, records, one, *, discharging=False):
    write_stamps(folder, [one], records, discharging=discharging)
    with (folder / "stamps.csv").open() as file:
        return next(csv.DictReader(file))


@pytest.mark.parametrize(
    ("began", "over", "charges", "flowing"),
    [
        (10, 50, (0.010, 0.030, 0.050), 1.0),
        (110, 1090, (0.100, 0.100, 0.100), 0.0),
        (1110, 1150, (0.110, 0.130, 0.150), 1.0),
        (1180, 1220, (0.180, 0.200, 0.200), 0.5),
        (-20, 20, (0.0, 0.0, 0.020), 0.5),
    ],
)
def test_a_pause_passes_no_charge_and_shifts_nothing_after_it(tmp_path, began, over, charges, flowing):
    row = stamp(tmp_path, charged(tmp_path), taken(began, over))
    found = [float(row[f"charge_{when}_C"]) for when in ("start", "middle", "end")]
    assert found == pytest.approx(charges, abs=1e-9)
    assert float(row["flowing"]) == pytest.approx(flowing)


def test_a_discharge_is_stamped_with_negative_charge(tmp_path):
    row = stamp(tmp_path, charged(tmp_path), taken(10, 50), discharging=True)
    assert float(row["charge_end_C"]) == pytest.approx(-0.050)


def test_nothing_is_stamped_by_records_with_a_gap(tmp_path):
    records = charged(tmp_path)
    records["record"] = [1, 2, 3, 5, 6, 7]
    with pytest.raises(DataError, match="gap"):
        stamp(tmp_path, records, taken(10, 50))


def test_a_look_that_a_kill_tore_is_left_out_and_the_next_one_is_kept(tmp_path):
    add_look(tmp_path, Look(START, 0.0, False))
    path = tmp_path / "looks.csv"
    path.write_text(path.read_text() + "\n17500000")
    add_look(tmp_path, Look(START + 5, 5.0, False))
    assert read_looks(tmp_path) == [Look(START, 0.0, False), Look(START + 5, 5.0, False)]


def test_a_clock_that_stood_unseen_is_told():
    clock = ElapsedClock([Look(START, 0.0, False), Look(START + 10, 10.0, False), Look(START + 500, 20.0, False)])
    assert clock.gaps == 1
    assert clock.at(START + 300) == 10.0
    assert clock.at(START + 510) == pytest.approx(30.0)


def test_a_test_that_was_never_seen_running_stamps_nothing():
    with pytest.raises(DataError, match="never seen running"):
        ElapsedClock([Look(START, 0.0, True)])


SERIES = """spectrum,started_s,charge_start_C,charge_middle_C,charge_end_C,table
1,0,0,-0.1,-0.2,impedance-001.csv
2,10,-0.2,-0.3,-0.4,impedance-002.csv
3,20,-0.4,-0.5,-0.6,impedance-003.csv
"""


@pytest.mark.parametrize(("last", "wanted"), [(True, "011"), (False, "110")])
def test_the_wanted_spectra_of_a_series_are_marked_and_all_know_their_state_of_charge(tmp_path, last, wanted):
    (tmp_path / "spectra.csv").write_text(SERIES)
    stamp_charges(tmp_path, 1.0, 2.0, count=2, last=last)
    with (tmp_path / "stamps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "".join(row["wanted"] for row in rows) == wanted
    assert [float(row["soc_middle"]) for row in rows] == pytest.approx([0.45, 0.35, 0.25])


def test_without_a_capacity_a_series_has_charges_and_no_state_of_charge(tmp_path):
    (tmp_path / "spectra.csv").write_text(SERIES)
    assert stamp_charges(tmp_path, 1.0, None, count=2, last=True)["soc_first"] is None
    with (tmp_path / "stamps.csv").open() as file:
        assert {row["soc_end"] for row in csv.DictReader(file)} == {""}
