"""Requests wait for people, whose hours are those of the clock on the wall."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.shifts import on_duty
from labctl.station import Hours, Operator
from labctl.station import parse_hours as parse

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = parse("Mo-Fr 08:00-19:00; Sa 09:00-12:00")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("2026-07-06 07:59:59", False),  # a Monday
        ("2026-07-06 08:00", True),
        ("2026-07-06 18:59:59", True),
        ("2026-07-06 19:00", False),
        ("2026-07-11 09:30", True),
        ("2026-07-11 14:00", False),
        ("2026-07-12 10:00", False),
    ],
)
def test_people_are_there_when_their_hours_say_so(moment, there):
    assert OFFICE.at(local(moment)) is there


@pytest.mark.parametrize(
    ("moment", "change"),
    [
        ("2026-07-06 03:00", "2026-07-06 08:00"),
        ("2026-07-06 08:00", "2026-07-06 19:00"),
        ("2026-07-10 19:00", "2026-07-11 09:00"),
        ("2026-07-11 12:00", "2026-07-13 08:00"),
    ],
)
def test_the_next_change_is_when_a_shift_begins_or_ends(moment, change):
    assert OFFICE.next_change(local(moment)) == local(change)


def test_always_never_changes():
    always = parse("always")
    assert always.at(local("2026-12-25 03:00"))
    assert always.next_change(local("2026-12-25 03:00")) is None
    assert parse("Mo-Su 00:00-24:00").next_change(local("2026-03-29 01:00")) is None


def test_a_night_shift_runs_into_the_next_day_and_the_week():
    night = parse("Su 22:00-06:00")
    assert night.at(local("2026-07-05 23:00"))
    assert night.at(local("2026-07-06 05:59"))
    assert not night.at(local("2026-07-05 05:00"))
    assert night.next_change(local("2026-07-05 23:00")) == local("2026-07-06 06:00")


def test_days_and_times_can_be_listed():
    hours = parse("Mo,We 08:00-12:00, 13:00-17:00; Fr-Su 10:00-11:00")
    assert hours.at(local("2026-07-08 13:30"))
    assert not hours.at(local("2026-07-08 12:30"))
    assert not hours.at(local("2026-07-07 09:00"))
    assert hours.at(local("2026-07-12 10:30"))
    assert parse("08:00-09:00").at(local("2026-07-12 08:30"))


def test_on_the_days_the_clocks_change_shifts_follow_the_wall_clock():
    night = parse("Su 00:00-06:00")
    spring, autumn = local("2026-03-29 00:00"), local("2026-10-25 00:00")
    in_spring, in_autumn = night.next_change(spring), night.next_change(autumn)
    assert in_spring is not None
    assert in_autumn is not None
    assert in_spring.astimezone(UTC) - spring.astimezone(UTC) == timedelta(hours=5)
    assert in_autumn.astimezone(UTC) - autumn.astimezone(UTC) == timedelta(hours=7)


def test_a_shift_that_begins_in_the_hour_that_is_left_out_begins_when_the_clock_is_put_forward():
    early = parse("Su 02:30-05:00")
    change = early.next_change(local("2026-03-29 00:00"))
    assert change is not None
    assert change.astimezone(UTC) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert early.at(change)


@pytest.fixture
def pc_in_berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("pc_in_berlin")
def test_utc_stamps_are_taken_to_this_pcs_own_clock_across_a_clock_change():
    friday = datetime(2026, 10, 23, 18, 0, tzinfo=UTC)  # 20:00 summer time
    assert not OFFICE.at(friday)
    assert OFFICE.at(friday - timedelta(hours=2))
    sunday = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    change = OFFICE.next_change(sunday)
    assert change is not None
    assert change == datetime(2026, 10, 26, 7, 0, tzinfo=UTC)  # 08:00 winter time
    assert OFFICE.next_change(sunday.astimezone()) == change


STARTS = st.datetimes(datetime(2026, 3, 20), datetime(2026, 11, 5), timezones=st.just(BERLIN)).map(  # noqa: DTZ001
    lambda moment: moment.replace(second=0, microsecond=0)
)


@given(
    STARTS,
    st.sampled_from(
        [
            "Mo-Fr 08:00-19:00",
            "Su 01:00-02:30",
            "Sa-Su 22:00-03:00",
            "We 00:00-24:00; Su 02:15-02:45",
            "Mo-Fr 08:00-19:00; not 2026-04-01 - 2026-10-25 02:30; 2026-06-14 10:00 - 2026-06-21 11:00",
        ]
    ),
    st.integers(0, 99).map(lambda percent: percent / 100),
)
def test_nothing_changes_before_the_next_change_and_it_does_then(start, text, share):
    hours = parse(text)
    change = hours.next_change(start)
    assert change is not None
    begin, end = start.astimezone(UTC), change.astimezone(UTC)
    between = (begin + (end - begin) * share).astimezone(BERLIN)
    assert hours.at(between) == hours.at(start)
    assert hours.at(change) != hours.at(start)


@pytest.mark.usefixtures("pc_in_berlin")
def test_whoever_stands_in_for_people_keeps_the_hours_of_the_clock_on_the_wall():
    early, late = Operator(name="anna", hours="Mo-Fr 08:00-12:00"), Operator(name="ben", hours="Mo-Fr 12:00-19:00")
    who = on_duty([early, late])
    seen = [who(datetime(2026, 7, 6, hour, 30, tzinfo=UTC)) for hour in (5, 6, 9, 10, 16, 17)]
    assert seen == [None, "anna", "anna", "ben", "ben", None]
    assert on_duty([])(datetime(2026, 7, 5, 3, tzinfo=UTC)) is not None, "nobody is named: somebody is always there"


BOOKED = parse("2026-12-03 08:00 - 2026-12-05 12:00; 2026-12-09; 2026-12-11 22:00-06:00")


@pytest.mark.parametrize(
    ("moment", "ours"),
    [
        ("2026-12-03 07:59", False),
        ("2026-12-03 08:00", True),
        ("2026-12-04 03:00", True),
        ("2026-12-05 12:00", False),
        ("2026-12-09 00:00", True),
        ("2026-12-09 23:59", True),
        ("2026-12-10 00:00", False),
        ("2026-12-12 05:59", True),
        ("2026-12-12 06:00", False),
    ],
)
def test_what_is_booked_by_date_is_ours_from_the_first_minute_to_the_last(moment, ours):
    assert BOOKED.at(local(moment)) is ours


def test_bookings_by_date_begin_and_end_however_far_ahead_they_are():
    assert BOOKED.next_change(local("2026-08-01 10:00")) == local("2026-12-03 08:00")
    assert BOOKED.next_change(local("2026-12-11 23:00")) == local("2026-12-12 06:00")
    assert BOOKED.next_change(local("2026-12-12 06:00")) is None
    assert BOOKED.next_date(local("2026-12-03 08:00")) == local("2026-12-09 00:00")
    assert BOOKED.next_date(local("2026-12-12 00:00")) is None


def test_somebody_on_leave_comes_back_when_the_next_shift_begins():
    hours = parse("Mo-Fr 08:00-19:00; not 2026-12-01 - 2027-01-03; not 2027-01-05 12:00-19:00")
    assert not hours.at(local("2026-12-02 10:00"))
    assert hours.next_change(local("2026-12-01 00:00")) == local("2027-01-04 08:00")
    assert hours.next_change(local("2027-01-05 09:00")) == local("2027-01-05 12:00")
    assert hours.next_date(local("2026-11-01 00:00")) == local("2027-01-04 00:00")
    assert parse("always; not 2026-12-24").next_change(local("2026-12-01 00:00")) == local("2026-12-24 00:00")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "'' are no working hours; write for example"),
        ("Mo-Fr", "'Mo-Fr' are no working hours"),
        ("Mo-Fr 8-19", "'Mo-Fr 8-19' are no working hours"),
        ("Xx 08:00-19:00", "'Xx 08:00-19:00' are no working hours"),
        ("Mo-We-Fr 08:00-19:00", "are no working hours"),
        ("Mo 08:00-25:00", "are no working hours"),
        ("Mo 08:75-19:00", "are no working hours"),
        ("Mo 08:00-08:00", "the hours '08:00-08:00' never come"),
        ("Mo-Fr 08:00-19:00;", "'' are no working hours"),
        (
            "Mo-Fr 08:00-19:00; 3.12.2026",
            "'3.12.2026' are no working hours; .*2026-12-03 08:00 -",
        ),
        ("2026-02-30", "there is no day '2026-02-30'"),
        ("2026-12-05 08:00 - 2026-12-03 12:00", "ends before it begins; write the earlier date first"),
        ("2026-12-03 08:00-08:00", "the hours '08:00-08:00' never come"),
        ("not 2026-12-24", "says only when not; write 'always; not 2026-12-24'"),
        ("not Mo 08:00-12:00", "are no working hours"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_what_would_be_right(text, found):
    with pytest.raises(ValueError, match=found):
        parse(text)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        Hours(((),) * 7).at(datetime(2026, 7, 6, 8))  # noqa: DTZ001
