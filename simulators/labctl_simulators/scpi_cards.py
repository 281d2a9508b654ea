"""The cards in a switch unit's slots: contacts, what the firmware believes of them, and how they break. No language.

The firmware's memory and the contact are two things, as in the instrument: a welded contact reads back as open. Relays
latch: without power they stay where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

_MATRIX: Final = frozenset(10 * row + column for row in range(1, 5) for column in range(1, 9))
CARDS: Final[Mapping[str, frozenset[int]]] = {
    "34901A": frozenset(range(1, 23)),
    "34903A": frozenset(range(1, 21)),
    "34904A": _MATRIX,
    "DAQM903A": frozenset(range(1, 21)),
    "DAQM904A": _MATRIX,
    "7700": frozenset(range(1, 23)),
    "7705": frozenset(range(1, 41)),
    "7709": frozenset(range(1, 49)),
}
"""Channels of a card by its name; 34901A and 7700 measure, and are here for those who put the wrong one in."""


class Cards:
    """All relays of one unit.

    Parameters
    ----------
    name : str
        The station's name of the instrument; the laboratory keeps under it which cells are reached.
    slots : mapping of int to str
        The card in each slot that has one.
    also : sequence of int
        Channels that a cell takes besides the one the station names, counted from it; it is reached when all are
        closed.
    laboratory : Laboratory
        Whose cells they are.
    """

    def __init__(self, name: str, slots: Mapping[int, str], also: Sequence[int], laboratory: Any) -> None:
        self._name = name
        self._laboratory = laboratory
        self._also = (0, *also)
        self._reached: set[int] = laboratory.relays(name)
        self.slots = slots
        self.channels = frozenset(100 * slot + number for slot, card in slots.items() for number in CARDS[card])
        self.memory: set[int] = set()
        self.contacts: set[int] = set()
        self.cycles: dict[int, int] = {}
        self._stuck: set[int] = set()
        self._deaf: set[int] = set()

    def move(self, channels: Iterable[int], *, close: bool) -> None:
        """Do as commanded, one after the other, as far as the relays are whole."""
        for channel in sorted(channels):
            if channel in self._deaf or (channel in self.memory) == close:
                continue
            self.cycles[channel] = self.cycles.get(channel, 0) + close
            (self.memory.add if close else self.memory.discard)(channel)
            if channel not in self._stuck:
                self._contact(channel, close=close)

    def break_relay(self, kind: str, options: Mapping[str, Any]) -> None:
        """Break the relay ``relay``, or mend it.

        ``stuck``: its contact stays as it is, whatever the firmware believes. ``welded``: the same, and it closes now.
        ``deaf``: it does not move, and the firmware knows. ``whole``: it follows the firmware again.
        """
        channel = int(options["relay"])
        if channel not in self.channels:
            raise ValueError(f"{self._name} has no relay {channel}")
        if kind not in ("stuck", "welded", "deaf", "whole"):
            raise ValueError(f"a relay can be stuck, welded, deaf or whole, not {kind!r}")
        self._stuck.discard(channel)
        self._deaf.discard(channel)
        if kind == "deaf":
            self._deaf.add(channel)
        elif kind in ("stuck", "welded"):
            self._stuck.add(channel)
        if kind == "welded":
            self._contact(channel, close=True)
        elif kind == "whole":
            self._contact(channel, close=channel in self.memory)

    def _contact(self, channel: int, *, close: bool) -> None:
        if (channel in self.contacts) == close:
            return
        self._watch(channel)
        (self.contacts.add if close else self.contacts.discard)(channel)
        self._laboratory.record(self._name, "closed" if close else "opened", relay=channel)
        self.reach()

    def reach(self) -> None:
        """Tell the laboratory which relays lead through: those of which all channels are closed."""
        through = {one for one in self.contacts if all(one + more in self.contacts for more in self._also)}
        self._reached.clear()
        self._reached.update(through)
        cells: dict[str, int] = {}
        for relay in sorted(through):
            for cell in self._laboratory.routes(self._name, relay):
                other = cells.setdefault(cell.id, relay)
                if other != relay:
                    self._laboratory.note_violation("two relays on one cell", cell=cell.id, relays=[other, relay])

    def _watch(self, channel: int) -> None:
        """Note it where a relay moves at a cell that is being driven, by whichever instrument."""
        for cell in {cell.id: cell for more in self._also for cell in self._routes(channel - more)}.values():
            self._laboratory.bring_up_to_date(cell)
            if sources := self._laboratory.sources_on(cell):
                self._laboratory.note_violation(
                    "relay moved under current", relay=channel, cell=cell.id, sources=list(sources)
                )

    def _routes(self, relay: int) -> Collection[Any]:
        found: list[Any] = self._laboratory.routes(self._name, relay)
        return found

    def save(self) -> dict[str, Any]:
        """Give where everything stands."""
        return {
            "memory": sorted(self.memory),
            "contacts": sorted(self.contacts),
            "stuck": sorted(self._stuck),
            "deaf": sorted(self._deaf),
            "cycles": {str(channel): count for channel, count in self.cycles.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave; one that kept no contacts has them where the laboratory saw them."""
        self.memory = set(state.get("memory", self._reached))
        self.contacts = set(state.get("contacts", self._reached))
        self._stuck = set(state.get("stuck", ()))
        self._deaf = set(state.get("deaf", ()))
        self.cycles = {int(channel): int(count) for channel, count in state["cycles"].items()}
        self.reach()
