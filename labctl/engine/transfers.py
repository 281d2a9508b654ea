"""A person moves a cell: the request, the confirmation with its barcode, and the operation around both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.engine.leases import Need
from labctl.engine.watch import Bounds
from labctl.errors import NotConfirmed
from labctl.instruments import Confirmation, Fetched, Handle, Progress, State, TransferRequest
from labctl.journal import Journal, OperationRow


class TransferAction:
    """A transfer as an action: started by asking, done when confirmed."""

    def __init__(self, journal: Journal, request: TransferRequest) -> None:
        self._journal = journal
        self._request = request

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the request."""
        return asdict(self._request)

    async def prepare(self) -> None:
        """Nothing: the person prepares."""

    async def start(self, token: str) -> Handle:
        """Ask. The request is the operation itself, so nothing can get lost."""
        return Handle(token, self._request.target, self._journal.now())

    async def poll(self, handle: Handle) -> Progress:
        """See whether the person has confirmed."""
        confirmed = self._journal.confirmation(handle.token) is not None
        return Progress(State.DONE if confirmed else State.RUNNING, remaining=None if confirmed else 60.0)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Give who confirmed, when."""
        confirmation = self._journal.confirmation(handle.token)
        return Fetched((), summary=asdict(confirmation) if confirmation is not None else {})

    async def abort(self, handle: Handle) -> None:
        """Withdraw the request."""

    async def find(self, token: str) -> Handle | None:
        """A request is where its operation is: asking again is the same request."""
        return None

    async def finish(self) -> None:
        """Nothing to undo."""

    async def prove_safe(self) -> None:
        """A cell on its way has no leads."""


class TransferJob:
    """Moves one cell from where it sits to a slot."""

    has_files = False
    skips_when_late = False

    def __init__(self, journal: Journal, request: TransferRequest, need: Need) -> None:
        self._journal = journal
        self._request = request
        self._need = need

    def need(self, row: OperationRow) -> Need:
        """The attention of one person: one request at a time for each."""
        return self._need

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """Nothing comes before a transfer."""

    def latest(self, row: OperationRow) -> datetime | None:
        """Whether it is too late is for the step that needs the cell to say."""
        return None

    async def ready(self, row: OperationRow) -> TransferAction:
        """Nothing has to be arranged."""
        return self.action(row)

    def action(self, row: OperationRow) -> TransferAction:
        """Give the action."""
        return TransferAction(self._journal, self._request)

    def bounds(self, row: OperationRow) -> Bounds:
        """Nothing flows."""
        return Bounds()

    async def look_around(self, row: OperationRow) -> None:
        """It relies on nothing but its instrument."""

    def seen(self, row: OperationRow, progress: Progress) -> None:
        """A look at a person leaves nothing to keep."""

    async def leave(self, row: OperationRow) -> None:
        """Nothing was arranged."""

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Remember who moved it; a transfer has no files."""
        return dict(fetched.summary)

    def place_after(self) -> str | None:
        """Where the cell sits now."""
        return self._request.target


def check_confirmation(request: TransferRequest, barcode: str) -> None:
    """Refuse a confirmation that names another cell.

    Raises
    ------
    NotConfirmed
        The barcode read is not that of the cell that is to be moved.
    """
    if barcode != request.barcode:
        raise NotConfirmed(
            f"barcode {barcode} is not that of cell {request.cell} ({request.barcode})",
            hint=f"nothing was confirmed; take cell {request.cell} from {request.source} to {request.target}",
        )


def confirmation(request: TransferRequest, barcode: str, user: str, at: str) -> Confirmation:
    """Make the confirmation of a request after checking it."""
    check_confirmation(request, barcode)
    return Confirmation(request.cell, barcode, user, at)
