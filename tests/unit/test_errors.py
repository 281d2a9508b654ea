"""The tree of errors is part of the command line's contract: exit codes, categories, words."""

from __future__ import annotations

import pytest

from labctl import errors
from labctl.errors import InstrumentError, InvalidFile, LabctlError, Mistake
from labctl.instruments import faults

EXIT_CODES = {
    "LabctlError": 1,
    "UsageError": 2,
    "NoOrchestrator": 3,
    "InstrumentError": 4,
    "Locked": 5,
    "InvalidFile": 6,
    "InterlockTripped": 7,
    "NotConfirmed": 8,
    "JournalError": 1,
    "NoRoom": 1,
    "DataError": 1,
    "AnalysisError": 1,
}
KINDS = {
    "NotReachable": "not reachable",
    "NotIdentified": "not identified",
    "TimedOut": "timed out",
    "Garbled": "garbled",
    "Refused": "refused",
    "Busy": "busy",
    "OutOfRange": "out of range",
    "VendorAlarm": "vendor alarm",
    "CannotSay": "cannot say",
}


def classes(module: object) -> dict[str, type[LabctlError]]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, LabctlError) and value.__module__ == module.__name__
    }


def test_every_class_has_its_exit_code() -> None:
    assert {name: kind.exit_code for name, kind in classes(errors).items()} == EXIT_CODES


def test_faults_of_instruments_are_kinds_of_one_and_exit_with_four() -> None:
    assert {name: kind.category for name, kind in classes(faults).items()} == KINDS
    for kind in classes(faults).values():
        assert issubclass(kind, InstrumentError)
        assert kind.exit_code == 4


def test_categories_tell_classes_apart() -> None:
    every = [*classes(errors).values(), *classes(faults).values()]
    assert len({kind.category for kind in every}) == len(every)


@pytest.mark.parametrize("name", [*EXIT_CODES, *KINDS])
def test_the_trees_drawn_at_the_head_of_the_modules_are_complete(name: str) -> None:
    drawn = (errors.__doc__ or "") + (faults.__doc__ or "")
    assert f"``{name}``" in drawn
    if name in EXIT_CODES:
        line = next(line for line in (errors.__doc__ or "").splitlines() if f"``{name}``" in line)
        assert f"({EXIT_CODES[name]})" in line or f"exit {EXIT_CODES[name]}" in line


def test_an_error_says_what_to_do_where_it_knows() -> None:
    assert str(LabctlError("it is so")) == "it is so"
    assert str(LabctlError("it is so", hint="do this")) == "it is so; do this"


def test_an_instruments_error_says_which_and_where() -> None:
    error = faults.NotReachable("nobody answers", instrument="mux", address="192.0.2.13:5025", hint="is it on?")
    assert str(error) == "mux at 192.0.2.13:5025: nobody answers; is it on?"
    assert str(faults.Busy("it charges", instrument="maccor")) == "maccor: it charges"
    assert str(faults.Busy("it charges")) == "it charges"


def test_all_mistakes_of_a_file_come_at_once_and_in_order() -> None:
    mistakes = [
        Mistake("p.yaml", 3, 5, "'chrge' is unknown", "did you mean 'charge'?"),
        Mistake("p.yaml", 9, 1, "'4.3' has no unit", "write it like '4.3 V'"),
    ]
    error = InvalidFile(mistakes)
    assert error.mistakes == mistakes
    assert str(error).splitlines() == [
        "p.yaml:3:5: 'chrge' is unknown; did you mean 'charge'?",
        "p.yaml:9:1: '4.3' has no unit; write it like '4.3 V'",
    ]
