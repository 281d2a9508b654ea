"""The charge ledger of every cell, kept from the journal: a cell whose account does not balance goes no further."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from labctl.errors import LabctlError
from labctl.journal import ENDED, Journal, OperationRow, Status
from labctl.safety.ledger import Balance, Entry, balance

#: Kinds that move charge.
MOVING: Final = frozenset({"charge", "discharge", "hold", "operando", "deis"})


class LedgerDoubt(LabctlError):
    """A cell's charges don't add up over its instruments."""

    category = "ledger"


class Ledgers:
    """Accounts of cells; an account is made from the journal when it is first looked at.

    Parameters
    ----------
    journal : Journal
        Keeps what every operation moved.
    accuracy : float
        Relative accuracy of the station's capacities.
    """

    def __init__(self, journal: Journal, accuracy: float) -> None:
        self._journal = journal
        self._accuracy = accuracy
        self._entries: dict[tuple[str, str], dict[str, Entry]] = {}

    def balance(self, campaign: str, cell: str) -> Balance:
        """Balance what is known of a cell."""
        entries = self._entries.setdefault((campaign, cell), {})
        for row in self._journal.backwards(campaign, cell):
            if row.operation in entries:
                break
            if row.kind in MOVING and row.status in ENDED:
                entries[row.operation] = _entry(row)
            if row.attempt > 1:
                # A person has looked at the cell and tried again: the account begins anew.
                break
        in_order = sorted(entries.values(), key=lambda entry: self._journal.operation(entry.operation).order)
        return balance(in_order, self._accuracy)

    def check(self, campaign: str, cell: str) -> None:
        """Refuse to go on with a cell whose account does not balance.

        Raises
        ------
        LedgerDoubt
            With the operation, values and limits.
        """
        mismatch = self.balance(campaign, cell).mismatch
        if mismatch is not None:
            raise LedgerDoubt(mismatch, hint="look at the records and at the cell; 'labctl retry' goes on all the same")


def _entry(row: OperationRow) -> Entry:
    result = row.result
    instrument = next((name.partition(":")[0] for name in row.resources if ":" in name), "")
    begun = Status.RUNNING in row.times
    charge = signed(row.kind, result)
    if charge is None and not begun:
        charge = 0.0
    doing = str(result.get("direction") or row.kind)
    return Entry(row.operation, instrument, doing, charge, result.get("integrated_C"))


def signed(kind: str, result: Mapping[str, Any]) -> float | None:
    """Give the charge in C that a step moved, charging positive; None where nobody knows."""
    if kind == "deis":
        passed = result.get("charge_C")
        return float(passed) if passed is not None else None
    capacity = result.get("capacity_C")
    if capacity is None:
        return None
    if kind == "hold":
        return math.copysign(float(capacity), float(result.get("integrated_C") or -1.0))
    kind = str(result.get("direction") or kind)
    return float(capacity) if kind == "charge" else -float(capacity)
