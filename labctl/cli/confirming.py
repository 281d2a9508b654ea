"""``labctl confirm``: a transfer or a step by hand, said in the command line or asked for at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labctl.cli.commands import SCHEMA, tell
from labctl.cli.output import login, put_json, say
from labctl.engine.endpoint import ask
from labctl.errors import NotConfirmed, UsageError
from labctl.units import UnitError, example_unit, parse

#: So often is a wrong answer asked for again.
_TRIES: Final = 3
_EFFECTS: Final = {"continue": "the cell goes on", "end": "the cell comes to its end", "hold": "the cell is held"}


def confirm_cell(
    lab: Path,
    cell: str,
    barcode: str | None,
    user: str | None,
    *,
    answer: str | None = None,
    value: str | None = None,
    as_json: bool,
) -> None:
    """Confirm a transfer or a step by hand; what is not given is asked for, which needs a terminal.

    Raises
    ------
    NotConfirmed
        Nothing was given and there is nobody to ask, or it is wrong.
    UsageError
        Nothing was given, and nothing of the cell waits for a person.
    """
    said = {name: one for name, one in (("barcode", barcode), ("answer", answer), ("value", value)) if one is not None}
    if not said:
        if not sys.stdin.isatty():
            raise NotConfirmed(
                "no barcode was given and there is no terminal to ask at",
                hint="add --barcode; --answer or --value where the protocol asks for one",
            )
        said = _asked(lab, cell)
        user = user or _line(f"who says so [{login()}]")
    done = tell(lab, "confirm", cell, **said, user=user or login())
    if as_json:
        put_json({"schema": SCHEMA, "op": "confirm", **done})
    elif "will" in done:
        say(str(done["will"]))
    else:
        say(f"{cell} was at {done['from']} and is now at {done['to']}; it goes on once its voltage has been checked")


def _asked(lab: Path, cell: str) -> dict[str, str]:
    """Ask at the terminal for what confirms the cell's request, again where it can't be right."""
    request = next((one for one in ask(lab, "requests")["requests"] if one["cell"] == cell), None)
    if request is None:
        raise UsageError(f"nothing of cell {cell} waits for a person", hint="'labctl status' shows what does")
    name, prompt = _show(request)
    for _ in range(_TRIES):
        written = _line(prompt)
        answers = request.get("answers", {})
        written = next((one for one in answers if one.lower() == written.lower()), written)
        wrong = _wrong(request, name, written)
        if wrong is None:
            return {name: written}
        say(wrong)
    raise NotConfirmed("nothing was confirmed")


def _show(request: Mapping[str, Any]) -> tuple[str, str]:
    """Say what is asked; gives what is to be said of it, and the prompt."""
    cell = request["cell"]
    if "to" in request:
        say(f"{cell}: from {request['from']} to {request['to']}")
    else:
        say(f"{cell}: {request.get('question') or request.get('asked') or 'confirm it'}")
    for item in request.get("checklist") or ():
        say(f"  · {item}")
    if "answers" in request:
        width = max(map(len, request["answers"]))
        for answer, effect in request["answers"].items():
            say(f"  {answer:<{width}}  {_EFFECTS[effect]}")
        return "answer", "answer"
    if "quantity" in request:
        return "value", f"{request['quantity']} in {example_unit(request['quantity'])} or the like"
    return "barcode", f"barcode of {cell}"


def _wrong(request: Mapping[str, Any], name: str, written: str) -> str | None:
    """Say in one line why this can't be it."""
    if name == "answer" and written not in request["answers"]:
        return f"'{written}' is none of the answers: {', '.join(request['answers'])}"
    if name == "value":
        try:
            parse(written, request["quantity"])
        except UnitError as error:
            return f"{error}; write a number with its unit, such as '12.3 {example_unit(request['quantity'])}'"
    if name == "barcode" and written != request.get("barcode", written):
        return f"'{written}' is not the barcode of {request['cell']}"
    return None if written else "nothing was written"


def _line(prompt: str) -> str:
    """Read a line at the terminal; its end, without one, confirms nothing."""
    sys.stderr.write(f"{prompt}: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise NotConfirmed("nothing was confirmed")
    return line.strip()
