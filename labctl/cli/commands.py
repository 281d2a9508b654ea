"""What people tell cells: one message to the running orchestrator, what it will do, and the state after.

Every command carries an id that is made here. Where the connection breaks before the answer is there, the same command
is told once more under the same id: the orchestrator does it once and answers alike.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from labctl.cli.output import login, put_json, say
from labctl.engine.clock import pause
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator, NotConfirmed

SCHEMA = "labctl.command/1"
# Seconds before a command whose answer was lost is told again.
_AGAIN = 0.5


def tell(lab: Path, op: str, cell: str, **fields: Any) -> dict[str, Any]:
    """Tell the orchestrator something about a cell, once, however often it must be said.

    Raises
    ------
    NoOrchestrator
        None runs, or it went away before it answered.
    RefusedByOrchestrator
        It declined.
    """
    command = {"cell": cell, "id": uuid4().hex, **fields}
    try:
        return ask(lab, op, **command)
    except NoOrchestrator as nobody:
        if nobody.__cause__ is None or isinstance(nobody.__cause__, ConnectionRefusedError):
            # Nobody listens, so nobody has heard.
            raise
    pause(_AGAIN)
    try:
        return ask(lab, op, **command)
    except NoOrchestrator as nobody:
        raise NoOrchestrator(
            f"{lab}: the orchestrator went away before it answered; whether it took '{op} {cell}' is in 'labctl log'",
            hint="saying it again does no harm",
        ) from nobody


def command_cell(lab: Path, op: str, cell: str, *, reason: str, user: str | None, as_json: bool, **more: Any) -> None:
    """Tell a cell to ``hold``, ``resume``, ``stop``, ``abort``, ``skip`` or ``retry`` and print what will happen."""
    answer = tell(lab, op, cell, user=user or login(), reason=reason, **more)
    if as_json:
        put_json({"schema": SCHEMA, "op": op, **answer})
        return
    say(str(answer.get("will") or f"{cell}: {op}"))
    say(f"now: {answer['state']}")


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
    """
    said = {name: one for name, one in (("barcode", barcode), ("answer", answer), ("value", value)) if one is not None}
    if not said:
        if not sys.stdin.isatty():
            raise NotConfirmed(
                "no barcode was given and there is no terminal to ask at",
                hint="add --barcode; --answer or --value where the protocol asks for one",
            )
        said = _asked(lab, cell)
    done = tell(lab, "confirm", cell, **said, user=user or login())
    if as_json:
        put_json({"schema": SCHEMA, "op": "confirm", **done})
    elif "will" in done:
        say(str(done["will"]))
    else:
        say(f"{cell} was at {done['from']} and is now at {done['to']}; it goes on once its voltage has been checked")


def _asked(lab: Path, cell: str) -> dict[str, str]:
    """Ask at the terminal for what confirms the cell's request."""
    name, shown = "barcode", f"barcode of {cell}"
    for request in ask(lab, "requests")["requests"]:
        if request["cell"] != cell:
            continue
        if "to" in request:
            _show(request)
        elif "asked" in request:
            say(f"{cell}: {request['asked']}")
        if "answers" in request:
            name, shown = "answer", " or ".join(f"'{one}'" for one in request["answers"])
        elif "quantity" in request:
            name, shown = "value", f"{request['quantity']} with its unit"
    sys.stderr.write(f"{shown}: ")
    sys.stderr.flush()
    return {name: sys.stdin.readline().strip()}


def _show(request: Mapping[str, Any]) -> None:
    say(f"{request['cell']}: from {request['from']} to {request['to']}")
    for item in request.get("checklist") or ():
        say(f"  · {item}")
