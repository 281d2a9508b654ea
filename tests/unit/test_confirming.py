"""At a terminal ``labctl confirm`` asks for what it needs, and asks again where the answer can't be right."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from labctl.cli import confirming
from labctl.cli.app import run_app


class Terminal(io.StringIO):
    """Somebody types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch, capsys):
    """Type lines at the prompt for a request; gives the exit code, what was told on, and what was shown."""

    def types(request: dict | None, *lines: str) -> tuple[int, dict, str]:
        told: dict = {}

        def tell(lab: Path, op: str, cell: str, **said: str) -> dict:
            told.update(said)
            return {"will": f"{cell}: done"}

        monkeypatch.setattr(confirming, "ask", lambda lab, op: {"requests": [request] if request else []})
        monkeypatch.setattr(confirming, "tell", tell)
        monkeypatch.setattr(confirming, "login", lambda: "lab")
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))
        return run_app(["confirm", "bare-01"]), told, capsys.readouterr().err

    return types


QUESTION = {"cell": "bare-01", "question": "Is it back?", "answers": {"yes": "continue", "no": "end"}}
READING = {"cell": "bare-01", "asked": "measuring the mass", "quantity": "mass"}
TRANSFER = {"cell": "bare-01", "barcode": "B0001", "from": "cabinet/1", "to": "probe/1", "checklist": ["unclamp"]}


def test_a_question_is_shown_with_its_answers_and_asked_again(typed):
    code, told, shown = typed(QUESTION, "maybe", "Yes", "ana")
    assert (code, told) == (0, {"answer": "yes", "user": "ana"})
    assert "bare-01: Is it back?\n  yes  the cell goes on\n  no   the cell comes to its end\n" in shown
    assert "'maybe' is none of the answers: yes, no\n" in shown


def test_a_measured_quantity_needs_its_unit(typed):
    code, told, shown = typed(READING, "12", "12 V", "12.3 mg", "")
    assert (code, told) == (0, {"value": "12.3 mg", "user": "lab"})
    assert shown.count("write a number with its unit, such as '12.3 mg'") == 2


def test_a_transfer_is_confirmed_by_the_barcode_of_its_cell(typed):
    code, told, shown = typed(TRANSFER, "B0002", "B0001", "ana")
    assert (code, told) == (0, {"barcode": "B0001", "user": "ana"})
    assert "bare-01: from cabinet/1 to probe/1\n  · unclamp\n" in shown
    assert "'B0002' is not the barcode of bare-01\n" in shown


@pytest.mark.parametrize("lines", [("a", "b", "c"), (), ("yes",)])
def test_what_is_not_said_confirms_nothing(typed, lines):
    code, told, shown = typed(QUESTION, *lines)
    assert (code, told) == (8, {})
    assert shown.endswith("nothing was confirmed\n")


def test_a_cell_for_which_nobody_is_asked_is_told_so(typed):
    code, told, shown = typed(None)
    assert (code, told) == (2, {})
    assert shown == "nothing of cell bare-01 waits for a person; 'labctl status' shows what does\n"
