"""What people tell cells: one message to the running orchestrator, what it will do, and the state after.

Every command carries an id that is made here. Where the connection breaks before the answer is there, the same command
is told once more under the same id: the orchestrator does it once and answers alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from labctl.cli.output import login, put_json, say
from labctl.engine.clock import pause
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator

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
