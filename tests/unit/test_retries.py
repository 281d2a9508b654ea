"""Every class of fault has its policy: bounded, patient where waiting costs nothing, never where it was refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.retries import POLICIES, policy_for, worth_a_line
from labctl.errors import DataError, InterlockTripped, JournalError, LabctlError
from labctl.instruments import (
    Busy,
    CannotSay,
    Garbled,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)

DAY = 86_400.0


@pytest.mark.parametrize("fault", [Refused, OutOfRange, VendorAlarm, CannotSay])
def test_what_was_refused_or_is_in_doubt_is_never_simply_tried_again(fault):
    assert policy_for(fault("no", instrument="maccor")) is None


@pytest.mark.parametrize("fault", [LabctlError, DataError, JournalError, InterlockTripped])
def test_what_is_no_fault_of_an_instrument_is_never_tried_again(fault):
    assert policy_for(fault("no")) is None


@pytest.mark.parametrize("fault", [NotReachable, TimedOut, Garbled])
def test_a_lost_connection_is_tried_again_at_once_and_for_a_day(fault):
    policy = policy_for(fault("lost", instrument="maccor"))
    assert policy.wait(0) <= 1.0
    assert sum(policy.wait(retry) for retry in range(policy.attempts)) >= DAY * 0.9


def test_a_busy_instrument_is_waited_for_without_hurry():
    policy = policy_for(Busy("running", instrument="maccor"))
    assert policy.wait(0) >= 30.0


@given(st.sampled_from(sorted(POLICIES.values(), key=repr)), st.integers(0, 100_000))
def test_waiting_is_bounded_and_never_gets_shorter(policy, retry):
    assert 0.0 < policy.wait(retry) <= policy.wait(retry + 1) <= 300.0
    assert 0 < policy.attempts < 10_000


@given(st.integers(1, 10_000))
def test_the_history_of_any_number_of_retries_stays_readable(retries):
    lines = sum(worth_a_line(retry) for retry in range(retries))
    assert min(retries, 3) <= lines <= 3 + retries // 100
    assert worth_a_line(0)
