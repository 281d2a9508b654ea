"""A wall clock that is set, by a person or by the network, changes no duration and is told."""

from datetime import UTC, datetime, timedelta

import pytest

from labctl.engine import clock as clocks
from labctl.engine.clock import LoopClock, WallClock, run_real, run_scaled, run_virtual
from labctl.engine.wall import WallWatch
from labctl.journal import Journal


class SetClock:
    """A wall clock beside a steady one; ``ahead`` is how far somebody has set it forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.ahead


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "labctl.sqlite", WallClock())
    yield made
    made.close()


def watch(journal, ahead):
    return WallWatch(journal, ahead, lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("size", "words"), [(3600.0, "forward by 3600.0 s"), (-7200.0, "back by 7200.0 s")])
def test_a_jump_is_an_event_with_its_size_and_told_once(journal, size, words):
    wall = SetClock()
    watching = watch(journal, wall)
    wall.ahead = size
    assert watching.look() == size
    assert watching.look() is None
    (event,) = journal.events(category="clock")
    assert words in event.message


def test_small_differences_are_no_jump_but_a_drift_that_adds_up_is_told(journal):
    wall = SetClock()
    watching = watch(journal, wall)
    told = []
    for _ in range(14):
        wall.ahead += 0.3
        told.append(watching.look())
    assert [size for size in told if size is not None] == [pytest.approx(2.1), pytest.approx(2.1)]
    assert len(journal.events(category="clock")) == 2


def test_simulated_time_has_no_wall_clock_to_compare_with(journal):
    async def main(clock: LoopClock) -> float | None:
        watching = WallWatch(journal, clock.wall_ahead, clock.now)
        await watching.keep()
        return clock.wall_ahead()

    assert run_virtual(main) is None
    assert run_scaled(main, 1000.0) is None
    assert journal.events(category="clock") == []


def test_durations_and_stamps_stay_steady_when_the_wall_clock_is_set_back(journal, monkeypatch):
    async def main(clock: LoopClock) -> tuple[timedelta, float | None, str]:
        watching = WallWatch(journal, clock.wall_ahead, clock.now)
        before = clock.now()
        real = clocks.real_now
        monkeypatch.setattr(clocks, "real_now", lambda: real() - timedelta(hours=2))
        return clock.now() - before, watching.look(), clock.now().isoformat()

    passed, jump, stamp = run_real(main)
    assert timedelta(0) <= passed < timedelta(minutes=1)
    assert jump == pytest.approx(-7200.0, abs=60.0)
    assert stamp.endswith("+00:00")


def test_the_time_zone_of_this_machine_changes_no_stamp(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    journal = Journal(tmp_path / "labctl.sqlite", WallClock())
    try:
        assert journal.now().endswith("+00:00")
        stamped = datetime.fromisoformat(journal.now())
        assert abs(stamped - clocks.real_now()) < timedelta(minutes=1)
    finally:
        journal.close()
