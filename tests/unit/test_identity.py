"""A swapped cell is noticed; a relaxing one is not taken for another."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.safety.identity import LastSeen, band, mismatch
from labctl_simulators.cell import Course, Current, Rest, VirtualCell, Voltage

AREA_M2 = 1e-4
ROOM_K, WARM_K = 293.15, 313.15
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
WAITS = [1.0, MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY]
WINDOW = (3.0, 4.3)


def end_of(course: Course, reached: np.ndarray) -> float:
    return float(course.t[int(np.argmax(reached))])


class Bench:
    """A virtual cell driven as a cycler would, and what was last seen of it."""

    def __init__(self, seed: int, substrate: str) -> None:
        self.cell = VirtualCell(f"cell-{seed}", AREA_M2, seed, {"substrate": substrate})
        self.at = 0.0

    def _follow(self, course: Course, until: float, doing: str, rested: float | None = None) -> LastSeen:
        self.cell.follow(course, until)
        self.at = until
        voltage, current, _ = course.at(until)
        return LastSeen(voltage, doing, current, 0.0, rested)

    def charge(self, milliampere: float, until: float = 4.3) -> LastSeen:
        course = self.cell.project(Current(milliampere / 1e3), self.at, 30 * HOUR, ROOM_K)
        return self._follow(course, end_of(course, course.voltage >= until), "charge")

    def discharge(self, milliampere: float, until: float = 3.0) -> LastSeen:
        course = self.cell.project(Current(-milliampere / 1e3), self.at, 30 * HOUR, ROOM_K)
        return self._follow(course, end_of(course, course.voltage <= until), "discharge")

    def strip(self) -> LastSeen:
        course = self.cell.project(Voltage(3.0, 3e-3), self.at, DAY, WARM_K)
        below = np.abs(course.current) < 1e-6
        return self._follow(course, end_of(course, below) if below.any() else float(course.t[-1]), "hold")

    def rest(self, seconds: float) -> LastSeen:
        course = self.cell.project(Rest(), self.at, seconds, ROOM_K)
        return self._follow(course, self.at + seconds, "rest", rested=seconds)

    def later(self, last: LastSeen, seconds: float) -> tuple[LastSeen, float]:
        """What is known, and what a meter would show, so much later."""
        seen = LastSeen(last.voltage, last.doing, last.current, seconds, last.rested)
        return seen, self.cell.voltage(self.at + seconds)


def life(seed: int, substrate: str, cycles: int) -> list[tuple[Bench, LastSeen]]:
    """A cell's whole life, each stop with the cell as it stood then."""
    stops: list[tuple[Bench, LastSeen]] = []

    def stop(bench: Bench, last: LastSeen) -> None:
        copy = Bench(seed, substrate)
        copy.cell.restore(bench.cell.save())
        copy.at = bench.at
        stops.append((copy, last))

    bench = Bench(seed, substrate)
    stop(bench, bench.rest(12 * HOUR))
    for cycle in range(1, cycles + 1):
        stop(bench, bench.charge(0.2 if cycle <= 2 else 0.4, until=3.9))
        stop(bench, bench.charge(0.2 if cycle <= 2 else 0.4))
        stop(bench, bench.rest(MINUTE))
        stop(bench, bench.rest(DAY))
        stop(bench, bench.discharge(0.6, until=3.8))
        stop(bench, bench.discharge(0.6))
        if cycle % 15 == 1:
            stop(bench, bench.rest(10 * MINUTE))
            stop(bench, bench.strip())
            stop(bench, bench.rest(MINUTE))
            stop(bench, bench.rest(3 * DAY))
    return stops


@pytest.mark.parametrize(("seed", "substrate"), [(0, "bare"), (1, "coated"), (2, "bare"), (3, "coated")])
def test_no_cell_is_taken_for_another_however_it_was_left_and_however_long_it_waits(seed, substrate):
    for bench, last in life(seed, substrate, 32):
        for wait in WAITS:
            seen, voltage = bench.later(last, wait)
            assert mismatch(seen, voltage, window=WINDOW) is None


def left(state: str, cycles: int) -> tuple[Bench, LastSeen]:
    """A cell of its own, left charged, discharged or stripped in that cycle."""
    bench = Bench(["charged", "discharged", "stripped"].index(state), "bare")
    for _ in range(cycles - 1):
        bench.charge(0.4)
        bench.discharge(0.6)
    last = bench.charge(0.4)
    if state != "charged":
        last = bench.discharge(0.6)
    if state == "stripped":
        last = bench.strip()
    return bench, last


@pytest.mark.parametrize("other", ["discharged", "stripped"])
@pytest.mark.parametrize("cycles", [1, 30])
def test_a_charged_cell_in_place_of_an_empty_one_is_noticed_and_the_other_way_round(other, cycles):
    (full, last_full), (empty, last_empty) = left("charged", cycles), left(other, cycles)
    for wait in WAITS:
        booked_full, charged = full.later(last_full, wait)
        booked_empty, discharged = empty.later(last_empty, wait)
        assert mismatch(booked_full, charged) is None
        assert mismatch(booked_empty, discharged) is None
        for message in (mismatch(booked_full, discharged), mismatch(booked_empty, charged)):
            assert message is not None
            assert "not that of the booked cell" in message


def test_a_cell_that_has_rested_for_a_day_hardly_moves_and_one_that_just_stopped_may():
    rested = band(LastSeen(3.6, "rest", 0.0, HOUR, rested=DAY))
    fresh = band(LastSeen(3.6, "rest", 0.0, HOUR, rested=MINUTE))
    stopped = band(LastSeen(3.0, "discharge", -6e-4, DAY))
    assert rested == pytest.approx((3.5, 3.7), abs=0.005)
    assert fresh[0] < rested[0]
    assert fresh[1] > rested[1]
    assert stopped[1] - 3.0 > 0.85
    assert stopped[0] > 2.85


def test_a_band_opens_with_time():
    widths = [band(LastSeen(3.0, "discharge", -6e-4, wait))[1] for wait in WAITS]
    assert widths == sorted(widths)
    assert widths[0] < 3.65
    assert band(LastSeen(3.0, "discharge", -6e-4))[1] == pytest.approx(3.9)


def test_a_hold_is_judged_by_the_way_its_current_went():
    charging, stripping = LastSeen(4.3, "hold", 1e-5, HOUR), LastSeen(4.3, "hold", -1e-5, HOUR)
    assert mismatch(charging, 4.1) is None
    assert mismatch(stripping, 4.1) is not None


def test_a_stop_in_the_middle_of_the_window_is_judged_more_narrowly():
    last = LastSeen(3.7, "discharge", -6e-4, HOUR)
    assert mismatch(last, 4.25) is None
    assert mismatch(last, 4.25, window=WINDOW) is not None
    assert mismatch(last, 3.85, window=WINDOW) is None


@pytest.mark.parametrize("last", [None, LastSeen(0.02, "discharge"), LastSeen(3.0, "rest")])
@pytest.mark.parametrize(
    ("voltage", "said"), [(0.0, "no cell"), (0.049, "no cell"), (-0.03, "no cell"), (-3.6, "reversed")]
)
def test_no_cell_and_a_reversed_cell_are_refused_whatever_was_seen_before(last, voltage, said):
    message = mismatch(last, voltage)
    assert message is not None
    assert said in message


def test_a_symmetric_cell_may_show_nothing_and_either_sign():
    assert mismatch(LastSeen(0.01, "rest", rested=DAY), -0.01, symmetric=True) is None
    assert mismatch(None, 0.0, symmetric=True) is None
    assert mismatch(LastSeen(1.4, "charge", 1e-3, 10.0), 0.0, symmetric=True) is None, "at rest it shows nothing"


def test_another_cell_is_named_with_what_was_expected():
    message = mismatch(LastSeen(4.3, "charge", 4e-4, 2 * HOUR), 3.4)
    assert message is not None
    for part in ("3.4 V", "charge", "4.3 V", "0.4 mA", "2 h", "3.8983 V", "4.4017 V"):
        assert part in message


def test_a_reading_that_is_no_number_is_refused():
    assert "no voltage" in str(mismatch(None, float("nan")))


def test_a_cell_that_was_never_seen_passes():
    assert mismatch(None, 3.2) is None
