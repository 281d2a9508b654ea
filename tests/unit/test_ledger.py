"""A cell gives back no more than it got; ordinary cells always balance, and what can't be known is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.safety.ledger import Entry, balance, integral
from labctl_simulators.cell import Course, Current, VirtualCell, Voltage

AREA_M2 = 1e-4
ROOM_K, WARM_K = 293.15, 313.15
HOUR, DAY, MAH = 3600.0, 86_400.0, 3.6
ACCURACY = 0.001
CAPACITY = 2.62 * MAH


class Books:
    """Cycles a virtual cell as a cycler would, and keeps the books that its records give."""

    def __init__(self, seed: int, substrate: str) -> None:
        self.cell = VirtualCell(f"cell-{seed}", AREA_M2, seed, {"substrate": substrate})
        self.entries: list[Entry] = []
        self.at = 600.0

    def _book(self, doing: str, course: Course, end: float) -> None:
        """Records once a minute; two instruments, each wrong by as much as it may be, one this way, one that."""
        wrong = 1 + (ACCURACY if len(self.entries) % 2 else -ACCURACY)
        times = np.append(np.arange(course.t[0], end, 60.0), end)
        _, currents, _ = course.at(times)
        _, _, charge = course.at(end)
        name = f"dead/c1/{doing}-{len(self.entries)}/a1"
        added = integral(times.tolist(), currents.tolist()) * wrong
        self.entries.append(Entry(name, "maccor", doing, charge * wrong, added))
        self.cell.follow(course, end)
        self.at = end + 600.0

    def charge(self, milliampere: float) -> None:
        course = self.cell.project(Current(milliampere / 1e3), self.at, 30 * HOUR, ROOM_K)
        self._book("charge", course, float(course.t[int(np.argmax(course.voltage >= 4.3))]))

    def discharge(self) -> None:
        course = self.cell.project(Current(-0.6e-3), self.at, 30 * HOUR, ROOM_K)
        self._book("discharge", course, float(course.t[int(np.argmax(course.voltage <= 3.0))]))

    def strip(self) -> None:
        course = self.cell.project(Voltage(3.0, 3e-3), self.at, DAY, WARM_K)
        below = np.abs(course.current) < 1e-6
        self._book("hold", course, float(course.t[int(np.argmax(below))]) if below.any() else float(course.t[-1]))


def life(seed: int, substrate: str, cycles: int, stripped: range | tuple[int, ...]) -> list[Entry]:
    tester = Books(seed, substrate)
    for cycle in range(1, cycles + 1):
        tester.charge(0.2 if cycle <= 2 else 0.4)
        tester.discharge()
        if cycle in stripped:
            tester.strip()
    return tester.entries


@pytest.mark.parametrize("substrate", ["bare", "coated"])
@pytest.mark.parametrize("stripped", [(), (1, 15, 30), range(1, 41)])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_ordinary_cell_balances_all_its_life_whatever_is_stripped_from_it(seed, substrate, stripped):
    entries = life(seed, substrate, 40, stripped)
    for length in range(1, len(entries) + 1):
        assert balance(entries[:length], ACCURACY, CAPACITY).mismatch is None
    whole = balance(entries, ACCURACY, CAPACITY)
    assert whole.net == pytest.approx(sum(entry.charge or 0.0 for entry in entries))
    assert balance(entries, ACCURACY).mismatch is None
    assert not whole.gaps


def charge(milliampere_hours: float | None, **more: float | None) -> Entry:
    return entry("charge", milliampere_hours, **more)


def entry(doing: str, milliampere_hours: float | None, integrated: float | None = None) -> Entry:
    moved = None if milliampere_hours is None else milliampere_hours * MAH
    return Entry(f"dead/c1/{doing}/a1", "maccor", doing, moved, None if integrated is None else integrated * MAH)


def test_the_books_of_another_cell_are_noticed():
    """The booked cell was charged a little; the one that was discharged was full."""
    found = balance([charge(0.4), entry("discharge", -2.3)], ACCURACY, CAPACITY)
    assert found.mismatch is not None
    for part in ("dead/c1/discharge/a1", "-1.9 mAh", "105%", "more has come out"):
        assert part in found.mismatch


@pytest.mark.parametrize(("out", "balances"), [(-2.62, True), (-2.74, True), (-2.80, False)])
def test_no_charge_gives_back_more_than_105_percent(out, balances):
    assert (balance([charge(2.62), entry("discharge", out)], ACCURACY, CAPACITY).mismatch is None) is balances


def test_a_hold_may_take_what_earlier_discharges_left():
    entries = [charge(2.62), entry("discharge", -2.3), charge(2.3), entry("discharge", -2.3), entry("hold", -0.23)]
    assert balance(entries, ACCURACY, CAPACITY).mismatch is None
    assert balance([*entries, entry("hold", -0.6)], ACCURACY, CAPACITY).mismatch is not None


def test_a_cell_that_swallows_more_than_it_can_hold_is_noticed():
    entries = [charge(2.62), entry("discharge", -0.5), charge(2.0)]
    found = balance(entries, ACCURACY, CAPACITY)
    assert found.mismatch is not None
    for part in ("4.12 mAh", "110%", "2.62 mAh", "short"):
        assert part in found.mismatch
    assert balance(entries, ACCURACY).mismatch is None


def test_a_capacity_that_its_own_records_do_not_carry_is_noticed():
    found = balance([charge(2.62, integrated=1.31)], ACCURACY, CAPACITY)
    assert found.mismatch is not None
    for part in ("maccor reports 2.62 mAh", "1.31 mAh", "0.0393 mAh"):
        assert part in found.mismatch


@pytest.mark.parametrize(("doing", "moved"), [("charge", -1.0), ("discharge", 1.0), ("rest", 0.2), ("rest", -0.2)])
def test_current_the_wrong_way_is_noticed(doing, moved):
    assert "wrong way" in str(balance([charge(2.0), entry(doing, moved)], ACCURACY, CAPACITY).mismatch)


def test_the_first_thing_that_is_wrong_is_told():
    entries = [charge(2.62), Entry("first", "maccor", "discharge", 1.0), Entry("second", "maccor", "charge", -1.0)]
    assert str(balance(entries, ACCURACY, CAPACITY).mismatch).startswith("first")


def test_an_aborted_charge_leaves_a_gap_and_no_judgement_on_what_comes_out():
    entries = [charge(None), entry("discharge", -2.3)]
    found = balance(entries, ACCURACY, CAPACITY)
    assert found.mismatch is None
    assert found.gaps == ("dead/c1/charge/a1",)
    assert "dead/c1/charge/a1" in found.words
    assert "can't be closed" in found.words


def test_an_aborted_discharge_leaves_a_gap_and_what_came_out_for_certain_still_counts():
    entries = [charge(1.0), entry("discharge", None), entry("discharge", -2.3)]
    found = balance(entries, ACCURACY, CAPACITY)
    assert found.gaps
    assert "more has come out" in str(found.mismatch)
    swallowed = balance([charge(2.62), entry("discharge", None), charge(2.62)], ACCURACY, CAPACITY)
    assert swallowed.mismatch is None


def test_the_records_of_an_aborted_step_count_as_far_as_they_go():
    found = balance([charge(None, integrated=1.5), entry("discharge", -1.0)], ACCURACY, CAPACITY)
    assert found.net == pytest.approx(0.5 * MAH)
    assert found.gaps


def test_a_cell_that_was_built_charged_may_be_discharged_first_but_not_twice():
    assert balance([entry("discharge", -2.5)], ACCURACY, CAPACITY).mismatch is None
    assert balance([entry("discharge", -2.5), entry("discharge", -2.5)], ACCURACY, CAPACITY).mismatch is not None


def test_a_cell_that_never_moved_charge_balances():
    found = balance([entry("rest", 0.0)], ACCURACY)
    assert (found.net, found.throughput, found.mismatch) == (0.0, 0.0, None)
    assert balance([], ACCURACY).mismatch is None


@given(st.lists(st.tuples(st.floats(0.1, 2.6), st.floats(0.5, 1.0)), min_size=1, max_size=40))
def test_losses_never_trip_and_the_net_is_what_was_lost(cycles):
    entries = []
    for into, efficiency in cycles:
        entries += [charge(into), entry("discharge", -into * efficiency)]
    found = balance(entries, ACCURACY)
    assert found.mismatch is None
    assert found.net == pytest.approx(sum(into * (1 - share) for into, share in cycles) * MAH, abs=1e-9)
    assert found.throughput == pytest.approx(sum(into * (1 + share) for into, share in cycles) * MAH)
