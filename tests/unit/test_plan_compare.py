"""Two plans side by side."""

from __future__ import annotations

from datetime import UTC, datetime

from labctl.planning import Action, Equipment, Schedule, Task
from labctl.planning.compare import compare, figures

HOUR = 3600.0


def plan(delay: float, station: str, spectrometer: str = "topspin") -> Schedule:
    charge = Task("bare-01", "c001/01-charge", "charge", 1, None, ("maccor/1",), "cabinet/1",
                  0.0, 0.0, 0.0, 10 * HOUR, 10 * HOUR)  # fmt: skip
    ready, start = 10 * HOUR, (10 + delay) * HOUR
    seen = Task("bare-01", "c001/02-nmr-charged", "nmr", 1, "charged", (spectrometer,), "probe/1",
                ready, start, start, start + HOUR, start + HOUR, ready, 2 * HOUR)  # fmt: skip
    walk = Action(start - 600, start - 600, start, "bare-01", "transfer", "cabinet/1", "probe/1", path=seen.path)
    return Schedule(
        datetime(2026, 11, 23, 8, tzinfo=UTC), "dead-lithium", station, 0, (charge, seen), (walk,),
        {"bare-01": seen.freed_s}, {}, {spectrometer: Equipment("spectrometer", "bruker")}, {"bare-01": 0.0},
    )  # fmt: skip


def test_a_comparison_says_what_becomes_longer_and_who_comes_too_late() -> None:
    rows = {row.what: row for row in compare(figures("one", plan(1.0, "one")), figures("other", plan(5.0, "other")))}
    assert rows["makespan"].difference == 4 * HOUR
    assert rows["end of bare-01"].other == 16 * HOUR
    assert rows["fresh cells wait, together"].difference == 4 * HOUR
    assert rows["later than the protocol asks"].difference == 1
    assert rows["cells moved by people"].one == 1


def test_an_instrument_that_only_one_station_has_is_shown_without_a_difference() -> None:
    other = figures("other", plan(1.0, "other", "xwin"))
    rows = {row.what: row for row in compare(figures("one", plan(1.0, "one")), other)}
    assert rows["load topspin"].other is None
    assert rows["load xwin"].one is None
    assert rows["load xwin"].difference is None
