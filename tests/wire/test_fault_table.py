"""Single cases of the fault table that were wrong once, or guard what hurts most. All of it is in ``benchmarks``."""

from __future__ import annotations

import pytest

from benchmarks.faults import run


def outcomes(driver: str, phase: str, kind: str, replies: range, seeds: int = 1) -> set[str]:
    """What became of one fault at each of these replies; those that it did not suit are left out."""
    found = {run(driver, phase, kind, nth, seed)[0] for nth in replies for seed in range(seeds)}
    return found - {""}


@pytest.mark.parametrize("driver", ["binder", "binder-rtu"])
def test_a_chamber_is_never_told_operation_lines_that_were_misread(driver: str) -> None:
    assert outcomes(driver, "command", "wrong-value", range(3, 5), seeds=2) == {"recovered"}


def test_limits_and_set_point_of_an_espec_are_as_told_whatever_one_answer_says() -> None:
    assert outcomes("espec", "command", "wrong-value", range(1, 10)) == {"recovered"}


def test_a_slot_that_was_misread_once_does_not_keep_a_multiplexer_from_work() -> None:
    assert outcomes("scpi-keithley", "connect", "wrong-value", range(3, 4), seeds=6) == {"recovered"}


@pytest.mark.parametrize("driver", ["scpi-multiplexer", "scpi-keithley"])
def test_connecting_tells_the_relays_that_are_closed_whatever_one_answer_says(driver: str) -> None:
    for kind in ("wrong-value", "wrong-channel"):
        results = [run(driver, "connect", kind, nth, 0) for nth in range(3, 9)]
        assert {outcome for outcome, *_ in results} - {""} == {"recovered"}
        assert not any(shown for _, shown, *_ in results)


@pytest.mark.parametrize("driver", ["binder", "espec"])
@pytest.mark.parametrize("kind", ["busy", "refuse"])
def test_a_chamber_that_declines_is_regulated_by_nobody_and_found_afterwards(driver: str, kind: str) -> None:
    assert outcomes(driver, "command", kind, range(1, 4)) == {"refused"}


@pytest.mark.parametrize("driver", ["eclib-cycler", "eclab-eis"])
def test_a_stop_is_not_believed_for_one_look_that_arrived_wrong(driver: str) -> None:
    assert outcomes(driver, "abort", "wrong-value", range(1, 3), seeds=3) == {"recovered"}


def test_a_start_whose_look_is_declined_is_found_and_not_given_again() -> None:
    assert outcomes("eclib-cycler", "command", "refuse", range(4, 8)) == {"recovered", "refused"}


@pytest.mark.parametrize("driver", ["eclib-cycler", "eclab-cycler", "zahner-series"])
@pytest.mark.parametrize("kind", ["drop-before", "refuse"])
def test_whoever_is_told_that_it_is_broken_off_finds_the_source_off(driver: str, kind: str) -> None:
    assert outcomes(driver, "abort", kind, range(1, 3)) == {"recovered"}
