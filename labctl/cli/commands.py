"""Commands to a running orchestrator."""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.cli.output import login, say
from labctl.engine.endpoint import ask
from labctl.errors import NotConfirmed


def confirm_transfer(lab: Path, cell: str, barcode: str | None, user: str | None) -> None:
    """Confirm a transfer; without a barcode it is asked for, which needs a terminal.

    Raises
    ------
    NotConfirmed
        No barcode and nobody to ask, or the wrong one.
    """
    if barcode is None:
        if not sys.stdin.isatty():
            raise NotConfirmed("no barcode was given and there is no terminal to ask at", hint="add --barcode")
        for request in ask(lab, "requests")["requests"]:
            if request["cell"] == cell:
                say(f"{cell}: from {request['from']} to {request['to']}")
                for item in request["checklist"]:
                    say(f"  · {item}")
        sys.stderr.write(f"barcode of {cell}: ")
        sys.stderr.flush()
        barcode = sys.stdin.readline().strip()
    moved = ask(lab, "confirm", cell=cell, barcode=barcode, user=user or login())
    say(f"{cell} is now at {moved['to']}")


def abort_cell(lab: Path, cell: str, reason: str, user: str | None) -> None:
    """End a cell now."""
    answer = ask(lab, "abort", cell=cell, reason=reason, user=user or login())
    say(f"{cell}: {answer['state']}; its instrument goes to open circuit and it takes no further step")
