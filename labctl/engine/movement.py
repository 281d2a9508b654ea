"""Cells change places: a person is asked, confirms with the barcode, and only then the cell counts as moved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

from labctl.engine.campaign import BENCH, REFERENCE, Campaign
from labctl.engine.leases import Arbiter, Need
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.tokens import token_for
from labctl.engine.transfers import TransferJob, confirmation
from labctl.errors import LabctlError, UsageError
from labctl.instruments import TransferRequest
from labctl.journal import ENDED, CommandRow, Journal, OperationRow, Status
from labctl.station import Station

#: Who moves cells where the station names nobody.
SOMEBODY: Final = "operator"


def people_of(station: Station) -> tuple[str, ...]:
    """Give the resources that are people's attention: one request at a time for each."""
    return tuple(f"operator:{one.name}" for one in station.operators) or (SOMEBODY,)


class Owners(Mapping[str, str]):
    """Whose each slot is: who sits there, or else who will come back. A view, so that a look costs no list of all.

    Parameters
    ----------
    journal : Journal
        Knows who sits where.
    keepers : mapping of str to str
        Slot to the cell that it is kept for.
    """

    def __init__(self, journal: Journal, keepers: Mapping[str, str]) -> None:
        self._journal = journal
        self._keepers = keepers

    def __getitem__(self, slot: str) -> str:
        owner = self._journal.occupant(slot) if slot != BENCH else None
        return owner if owner is not None else self._keepers[slot]

    def __iter__(self) -> Iterator[str]:
        taken = dict.fromkeys(place for place in self._journal.places().values() if place != BENCH)
        return iter(taken | dict.fromkeys(self._keepers))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Movement:
    """Moves cells and knows where each belongs.

    Parameters
    ----------
    station : Station
        Places, checklists and people.
    campaign_of : callable
        The campaign of a cell that is under way.
    """

    def __init__(
        self,
        station: Station,
        journal: Journal,
        arbiter: Arbiter,
        life: LifeCycle,
        laboratory: str,
        campaign_of: Callable[[str], Campaign | None],
    ) -> None:
        self._station = station
        self._journal = journal
        self._arbiter = arbiter
        self._life = life
        self._laboratory = laboratory
        self._campaign_of = campaign_of
        self._people = tuple((person,) for person in people_of(station))
        self._homes: dict[str, str] = {}
        self._keepers: dict[str, str] = {}
        self._owners = Owners(journal, self._keepers)

    # -- whose places are whose --------------------------------------------------------------------------------------
    def keep(self, cell: str, home: str) -> None:
        """Keep a cell's home for it while it is elsewhere."""
        self._homes[cell] = home
        self._keepers[home] = cell

    def let_go(self, cell: str) -> None:
        """Keep a home no longer: the cell has come to its end, and only the slot where it sits is taken."""
        home = self._homes.pop(cell, None)
        if home is not None and self._keepers.get(home) == cell:
            del self._keepers[home]

    def kept(self) -> Collection[str]:
        """Homes that are kept for their cells, so that there is no use for another cell in waiting for them."""
        return self._keepers.keys()

    def is_free_for(self, cell: str, slot: str) -> bool:
        """Whether nobody else sits in a slot or comes back to it."""
        return self.owners().get(slot, cell) == cell

    def owners(self) -> Mapping[str, str]:
        """Say whose each slot is: who sits there, or else who will come back. It follows what happens later."""
        return self._owners

    # -- moving --------------------------------------------------------------------------------------------------------
    async def move(self, operation: str, cell: str, target: str) -> None:
        """Have a person bring ``cell`` to ``target``; nothing happens where it sits there already.

        Raises
        ------
        LabctlError
            The request was withdrawn or failed.
        """
        source = self._journal.place(cell) or BENCH
        if source == target:
            return
        row = self._request(operation, cell, source, target)
        row = await self._life.run(row.operation, self.job_of(row))
        self._arbiter.pump()
        if row.status is not Status.DONE:
            raise LabctlError(f"{cell} was not moved to {target}: {row.error or row.status}")

    def _request(self, operation: str, cell: str, source: str, target: str) -> OperationRow:
        """Ask for the transfer that this operation has not had yet."""
        parent, _, attempt = operation.rpartition("/")
        campaign = operation.split("/")[0]
        number = 0
        while True:
            again = f"-{number + 1}" if number else ""
            name = f"{parent}/to-{target.replace('/', '-')}{again}/{attempt}"
            known = self._journal.known(name)
            if known is None or known.status not in ENDED:
                break
            number += 1
        return self._journal.request(
            name,
            campaign=campaign,
            cell=cell,
            step="/".join(name.split("/")[2:-1]),
            kind="transfer",
            attempt=int(attempt[1:]),
            token=token_for(self._laboratory, name, cell),
            result={
                "request": {"source": source, "target": target, "checklist": self._checklist(source, target)},
            },
        )

    def job_of(self, row: OperationRow) -> TransferJob:
        """Make the job of a transfer anew from its row."""
        return TransferJob(self._journal, self.request_of(row), self._need(row))

    def _need(self, row: OperationRow) -> Need:
        campaign = self._campaign_of(row.cell)
        if campaign is None:
            # The reference goes before every cell: the spectrometer is nobody's without it.
            return Need(row.operation, row.cell, row.order, self._people, 1_000, since=row.since)
        cell = campaign.cell(row.cell)
        return Need(row.operation, row.cell, row.order, self._people, cell.priority, cell.user or "", row.since)

    def request_of(self, row: OperationRow) -> TransferRequest:
        """Rebuild what a person is asked from the transfer's row."""
        asked = row.result["request"]
        campaign = self._campaign_of(row.cell)
        barcode = REFERENCE if campaign is None else campaign.cell(row.cell).barcode
        checklist = asked.get("checklist", self._checklist(asked["source"], asked["target"]))
        since = row.times.get(Status.RUNNING) or row.times[Status.REQUESTED]
        return TransferRequest(row.token, row.cell, barcode, asked["source"], asked["target"], tuple(checklist), since)

    def _checklist(self, *slots: str) -> list[str]:
        """Give what is done on the way out of the one place and into the other."""
        places = (self._station.places.get(slot.split("/")[0]) for slot in slots)
        return [item for place in places if place is not None for item in place.checklist]

    # -- what people are asked ---------------------------------------------------------------------------------------
    def requests(self) -> list[TransferRequest]:
        """Transfers that a person is asked for and has not confirmed."""
        running = [row for row in self._journal.held() if row.kind == "transfer" and row.status is Status.RUNNING]
        return [self.request_of(row) for row in running if self._journal.confirmation(row.token) is None]

    def confirm(self, cell: str, barcode: str, user: str, command: str | None = None) -> Mapping[str, Any]:
        """Take a person's confirmation; repeating it changes nothing, and the same ``command`` gets the same answer.

        Raises
        ------
        NotConfirmed
            The barcode is that of another cell.
        UsageError
            Nothing of that cell waits for a confirmation.
        """
        known = self._journal.command(command) if command is not None else None
        if known is not None:
            return known.answer
        running = [row for row in self._journal.held() if row.kind == "transfer" and row.status is Status.RUNNING]
        for row, asked in zip(running, map(self.request_of, running), strict=True):
            if asked.cell == cell:
                given = confirmation(asked, barcode, user, self._journal.now())
                answer = {"cell": cell, "from": asked.source, "to": asked.target}
                told = {"barcode": barcode}
                said = CommandRow(
                    command or uuid4().hex, given.at, "confirm", row.campaign, cell, user, "", told, answer
                )
                self._journal.confirm(asked.token, given, said)
                self._life.wake(row.operation)
                return answer
        raise UsageError(f"nothing of cell {cell} waits for a confirmation", hint="'labctl status' shows what does")
