"""What the engine sees in the looks at a running step: limits broken, guard times missed, data that stop coming."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.engine.watch import GRACE, Bounds, Watch

BOUNDS = Bounds(voltage=(2.8, 4.4), current=5e-3, temperature=(283.15, 333.15), at_most=3600.0)
GOOD = {"voltage_V": 3.7, "current_A": 1e-3, "temperature_K": 298.15, "step_time_s": 10.0, "test_time_s": 10.0}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("voltage_V", 4.41, "4.41 V at the cell, outside 2.8 V to 4.4 V"),
        ("voltage_V", 2.79, "2.79 V at the cell"),
        ("voltage_V", math.nan, "at the cell"),
        ("current_A", 5.1e-3, "5.1 mA through the cell, above 5 mA"),
        ("current_A", -5.1e-3, "through the cell"),
        ("current_A", math.nan, "through the cell"),
        ("temperature_K", 334.0, "at the cell, outside 10 °C to 60 °C"),
        ("step_time_s", 3600.0 * 1.01 + GRACE + 1.0, "although its guard time is 1 h"),
    ],
)
def test_a_value_beyond_its_bound_is_told_with_value_and_limit(key, value, words):
    wrong = Watch(BOUNDS).judge(0.0, {**GOOD, key: value})
    assert wrong is not None
    assert words.replace("°C", "degC") in wrong.replace("°C", "degC")


@given(
    st.floats(2.8, 4.4),
    st.floats(-5e-3, 5e-3),
    st.floats(283.15, 333.15),
    st.floats(0.0, 3600.0),
)
def test_nothing_inside_the_bounds_is_ever_wrong(voltage, current, temperature, step_time):
    values = {"voltage_V": voltage, "current_A": current, "temperature_K": temperature, "step_time_s": step_time}
    assert Watch(BOUNDS).judge(0.0, values) is None


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.floats(allow_nan=True, allow_infinity=True)))
def test_without_bounds_only_a_standing_clock_counts(values):
    assert Watch(Bounds()).judge(0.0, values) is None


@given(st.lists(st.floats(0.1, 2000.0), min_size=1, max_size=30), st.floats(0.5, 2.0))
def test_a_clock_that_goes_is_never_taken_to_stand(pauses, pace):
    watch, now = Watch(Bounds()), 0.0
    for pause in pauses:
        now += pause
        assert watch.judge(now, {"test_time_s": now * pace}) is None


@given(st.lists(st.floats(0.1, 20.0), max_size=20), st.lists(st.floats(10.0, 600.0), min_size=12, max_size=20))
@settings(deadline=None)
def test_a_clock_that_stands_is_always_noticed_within_a_dozen_looks(before, after):
    watch, now = Watch(Bounds()), 0.0
    for pause in before:
        now += pause
        watch.judge(now, {"test_time_s": now})
    stopped, found = now, None
    for pause in after:
        now += pause
        found = watch.judge(now, {"test_time_s": stopped})
        if found is not None:
            break
    assert found is not None


def test_a_suspended_test_may_stand_and_is_watched_again_when_it_goes_on():
    watch = Watch(Bounds())
    assert watch.judge(0.0, {"test_time_s": 0.0}) is None
    for now in range(60, 6000, 60):
        assert watch.judge(float(now), {"test_time_s": 50.0}, suspended=True) is None
    assert watch.judge(6000.0, {"test_time_s": 50.0}) is None
    assert watch.judge(6100.0, {"test_time_s": 150.0}) is None
    assert watch.judge(6200.0, {"test_time_s": 150.0}) is not None


def test_looks_in_quick_succession_say_nothing_of_a_clock():
    watch = Watch(Bounds())
    watch.judge(0.0, {"test_time_s": 0.0})
    assert watch.judge(1.0, {"test_time_s": 0.0}) is None
    assert watch.judge(29.0, {"test_time_s": 0.0}) is None
