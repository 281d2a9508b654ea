"""Commit boundaries: their names, the plan of those at which to die, and those that are done. Data and files, no run.

A boundary is the instant right before or right after one commit: ``charge running before``, ``transfer done after``.
Commits that change no operation are named by what they do to which table: ``insert confirmations``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

KINDS = ("rest", "charge", "discharge", "hold", "nmr", "nutation", "reference", "eis", "transfer")
#: Of the other campaigns.
TOGETHER = {
    "operando": ("rest", "operando", "spectrum", "discharge", "reference", "transfer"),
    "deis": ("rest", "charge", "discharge", "deis"),
    "decisions": ("rest", "charge", "discharge", "pause", "mark", "measure", "disassemble", "assemble"),
}
STATUSES = ("requested", "leased", "intent", "running", "fetched", "done")
OTHERS = ("insert laboratory", "insert campaigns", "insert confirmations", "update campaigns")
SIDES = ("before", "after")


def boundaries(kinds: Iterable[str] = KINDS, statuses: Iterable[str] = STATUSES) -> list[str]:
    """Every boundary of these kinds and statuses."""
    return [f"{kind} {status} {side}" for kind in kinds for status in statuses for side in SIDES]


#: Every boundary of every kind of operation, and those of the commits beside.
ALL = (*boundaries(), *(f"{other} {side}" for other in OTHERS for side in SIDES))


def boundaries_of(campaign: str) -> tuple[str, ...]:
    """Every boundary of the kinds of operation that a campaign has."""
    others = [f"insert commands {side}" for side in SIDES] if campaign == "decisions" else []
    return (*boundaries(TOGETHER[campaign]), *others) if campaign in TOGETHER else ALL


class Plan:
    """A plan in a file, and beside it the file of those that are done; both outlive the process that dies by them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = path.with_suffix(".done")

    def make(self, wanted: Iterable[str]) -> None:
        """Write a new plan."""
        self._path.write_text("".join(f"{one}\n" for one in wanted), encoding="utf-8")
        self._done.write_text("", encoding="utf-8")

    def left(self) -> set[str]:
        """Boundaries at which nobody has died yet."""
        return set(self._path.read_text(encoding="utf-8").splitlines()) - set(self.done())

    def done(self) -> list[str]:
        """Boundaries at which somebody died, in that order."""
        return self._done.read_text(encoding="utf-8").splitlines()

    def note(self, boundary: str) -> None:
        """Note that this one is done. What was written survives the death of the process that wrote it."""
        with self._done.open("a", encoding="utf-8") as file:
            file.write(f"{boundary}\n")
