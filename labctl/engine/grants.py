"""Who gets what next: the grant policy, the same before and after a restart. Nothing here waits.

Granted is whole options only. The most urgent need that can have one of its options gets it. Who has waited longer than
:data:`~labctl.engine.needs.PATIENCE` keeps what it waits for from all who are less urgent, so that many small needs
never starve a large one, nor one temperature of a chamber the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from labctl.engine.needs import CLOSED_PATIENCE, PATIENCE, Need, Option, Standing, is_place, names, split, standing


@dataclass(frozen=True, slots=True)
class Around:
    """What else a grant depends on, at one instant.

    Attributes
    ----------
    now : float
        s, on the axis of :attr:`Need.since`.
    owners : mapping of str to str
        Place to the cell that sits there or will come back there: no other cell may have it.
    used : mapping of str to float
        Seconds of scarce instrument time that each user has had; see :mod:`labctl.engine.shares`.
    closed : collection of str
        Names of resources that can't be had now, such as a person off duty.
    """

    now: float
    owners: Mapping[str, str]
    used: Mapping[str, float]
    closed: Collection[str]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a need does not get an option.

    Attributes
    ----------
    resource : str
        What it can't have.
    why : str
        ``held`` by an operation, ``reserved`` for an operation that has waited long, ``kept`` for a cell, ``closed``,
        or ``busy``: its own cell is still in another operation.
    by : str
        The operation or the cell; empty for ``closed``.
    """

    resource: str
    why: str
    by: str


#: Name to value to the standing and id of the first operation that keeps it from those who come later.
Reservations = dict[str, dict[str, tuple[Standing, str]]]


class Table:
    """Who holds what and who waits for what, indexed by name, so that a look costs what it looks at and no more."""

    def __init__(self) -> None:
        self.held: dict[str, Option] = {}
        self.waiting: dict[str, Need] = {}
        self._cell_of: dict[str, str] = {}
        self._holders: dict[str, dict[str, str]] = {}
        self._waiters: dict[str, set[str]] = {}
        self._holding: dict[str, set[str]] = {}
        self._placed: dict[str, set[str]] = {}
        self._waiting_of: dict[str, set[str]] = {}
        self._asked: dict[str, dict[str, dict[str, list[Option]]]] = {}

    # -- what is held, who waits -----------------------------------------------------------------------------------
    def take(self, operation: str, cell: str, resources: Sequence[str]) -> None:
        """Enter that ``operation`` of ``cell`` holds ``resources``."""
        self.held[operation] = tuple(resources)
        for resource in resources:
            name, value = split(resource)
            self._holders.setdefault(name, {})[operation] = value
        if cell:
            self._cell_of[operation] = cell
            self._holding.setdefault(cell, set()).add(operation)
            if any(is_place(resource) for resource in resources):
                self._placed.setdefault(cell, set()).add(operation)

    def give_back(self, operation: str) -> set[str]:
        """Strike out what ``operation`` holds; the names of that are returned."""
        freed = names([self.held.pop(operation, ())])
        for name in freed:
            _drop(self._holders, name, operation)
        cell = self._cell_of.pop(operation, "")
        if cell:
            _drop(self._holding, cell, operation)
            _drop(self._placed, cell, operation)
        return freed

    def cell_of(self, operation: str) -> str:
        """For which cell ``operation`` holds something; empty if nobody said."""
        return self._cell_of.get(operation, "")

    def wait(self, need: Need) -> None:
        """Enter a waiting need."""
        self.waiting[need.operation] = need
        self._waiting_of.setdefault(need.cell, set()).add(need.operation)
        asked = self._asked[need.operation] = {}
        for option in need.options:
            for name, value in map(split, option):
                asked.setdefault(name, {}).setdefault(value, []).append(option)
        for name in asked:
            self._waiters.setdefault(name, set()).add(need.operation)

    def stop_waiting(self, operation: str) -> None:
        """Strike out a waiting need, if there is one."""
        need = self.waiting.pop(operation, None)
        if need is not None:
            _drop(self._waiting_of, need.cell, operation)
            for name in self._asked.pop(operation):
                _drop(self._waiters, name, operation)

    def waiters(self, of: Iterable[str]) -> set[str]:
        """Operations that wait for any of these names."""
        return set().union(*(self._waiters.get(name, ()) for name in of))

    def touched_by(self, cell: str) -> set[str]:
        """Operations that may profit when ``cell`` gets or gives back something: its own, and those behind its own."""
        own = self._waiting_of.get(cell)
        if not own:
            return set()
        return own.union(*(self.waiters(self._asked[operation]) for operation in own))

    def names_of(self, operation: str) -> set[str]:
        """Names that a waiting operation asks for and somebody could have."""
        return {name for name in self._asked[operation] if not self.shut(name)}

    def shut(self, name: str) -> bool:
        """Whether nobody else can have ``name`` now."""
        return "" in self._holders.get(name, {}).values()

    # -- what can be had -------------------------------------------------------------------------------------------
    def option_for(self, need: Need, around: Around, reservations: Reservations) -> Option | None:
        """Give the first option that ``need`` can have now, or None.

        Parameters
        ----------
        reservations : dict
            Filled on the way; may be handed in again while nothing in this table changes.
        """
        for option in need.options:
            # Whatever is held and can't be shared has its own name as key: most looks end here.
            if not self._holders.keys().isdisjoint(option):
                continue
            if any(self._plain_obstacle(need, resource, around) for resource in option):
                continue
            if not any(self._reserved(need, resource, around, reservations) for resource in option):
                return option
        return None

    def may_fit(self, need: Need) -> bool:
        """Whether it is worth while to look closely: some option is not held as it stands."""
        held = self._holders.keys()
        return any(held.isdisjoint(option) for option in need.options)

    def obstacles(self, need: Need, option: Option, around: Around) -> list[Obstacle]:
        """All that stands between ``need`` and one of its options."""
        reservations: Reservations = {}
        found = [
            self._plain_obstacle(need, resource, around) or self._reserved(need, resource, around, reservations)
            for resource in option
        ]
        return [one for one in found if one is not None]

    def in_the_way(self, resource: str) -> list[str]:
        """Operations that hold ``resource`` in a way that nobody else can."""
        name, value = split(resource)
        return [holder for holder, other in self._holders.get(name, {}).items() if not value or other != value]

    def _plain_obstacle(self, need: Need, resource: str, around: Around) -> Obstacle | None:
        """What keeps a resource from ``need``, were it alone in the queue."""
        name, value = split(resource)
        for holder, other in self._holders.get(name, {}).items():
            if not value or other != value:
                return Obstacle(resource, "held", holder)
        if is_place(resource):
            owner = around.owners.get(resource, need.cell)
            if owner != need.cell:
                return Obstacle(resource, "kept", owner)
            for operation in self._placed.get(need.cell, ()):
                return Obstacle(resource, "busy", operation)
        if name in around.closed:
            return Obstacle(resource, "closed", "")
        return None

    def _reserved(self, need: Need, resource: str, around: Around, reservations: Reservations) -> Obstacle | None:
        """Who keeps a resource from ``need`` by having waited long."""
        name, value = split(resource)
        # A cell that holds something is not kept from what ends its operation: that would be a deadlock.
        if name not in self._waiters or need.cell in self._holding:
            return None
        mine = standing(need, around.used)
        for other, (theirs, operation) in self._reservations(name, around, reservations).items():
            if theirs < mine and not (value and other == value):
                return Obstacle(resource, "reserved", operation)
        return None

    def _reservations(self, name: str, around: Around, known: Reservations) -> Mapping[str, tuple[Standing, str]]:
        """For each value that is asked of ``name``: the first of those who have waited longer than they should."""
        if name in known:
            return known[name]
        first = known[name] = {}
        for operation in self._waiters.get(name, ()):
            need = self.waiting[operation]
            waited = around.now - need.since
            if waited <= PATIENCE or need.cell in self._placed:
                continue
            entry = (standing(need, around.used), operation)
            for value, options in self._asked[operation][name].items():
                best = first.get(value)
                if best is not None and best < entry:
                    continue
                if any(_may_reserve(need, option, waited, around) for option in options):
                    first[value] = entry
        return first


def _may_reserve(need: Need, option: Option, waited: float, around: Around) -> bool:
    """Whether keeping ``option`` free can lead anywhere.

    A place with another cell in it is not waited for in this way: that cell may need the very things to leave it.
    """
    if any(is_place(resource) and around.owners.get(resource, need.cell) != need.cell for resource in option):
        return False
    return waited > CLOSED_PATIENCE or not any(split(resource)[0] in around.closed for resource in option)


def _drop(index: dict[str, set[str]] | dict[str, dict[str, str]], key: str, entry: str) -> None:
    """Take ``entry`` out of an index without leaving empty sets behind."""
    entries = index.get(key)
    if entries is None:
        return
    if isinstance(entries, dict):
        entries.pop(entry, None)
    else:
        entries.discard(entry)
    if not entries:
        del index[key]


def next_grant(
    waiting: Sequence[Need],
    held: Mapping[str, Sequence[str]],
    *,
    owners: Mapping[str, str],
    now: float,
    used: Mapping[str, float],
    closed: Collection[str],
    cells: Mapping[str, str] | None = None,
) -> tuple[Need, Option] | None:
    """Choose who gets its resources next, or nobody.

    Pure: the same arguments give the same answer after a restart as before it.

    Parameters
    ----------
    waiting : sequence of Need
        In any order.
    held : mapping of str to sequence of str
        Operation to what it holds.
    owners, now, used, closed
        See :class:`Around`.
    cells : mapping of str to str, optional
        Cell of each operation that holds something; with it no cell is ever in two places.
    """
    table = Table()
    for operation, resources in held.items():
        table.take(operation, (cells or {}).get(operation, ""), resources)
    for need in waiting:
        table.wait(need)
    around = Around(now, owners, used, closed)
    reservations: Reservations = {}
    for need in sorted(waiting, key=lambda one: standing(one, used)):
        option = table.option_for(need, around, reservations)
        if option is not None:
            return need, option
    return None
