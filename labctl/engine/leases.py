"""The arbiter: keeps what is held and lets waiting operations in, one grant at a time.

Who is next is decided by the pure functions of :mod:`labctl.engine.grants`; here is only what waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from labctl.engine.grants import Around, Obstacle, Reservations, Table, next_grant
from labctl.engine.needs import PATIENCE, Need, Option, names, split, standing
from labctl.engine.shares import Account, Interval, scarce
from labctl.errors import LabctlError

__all__ = ["Arbiter", "Need", "Obstacle", "Withdrawn", "next_grant"]


class Withdrawn(LabctlError):
    """A waiting need was taken back before it got anything."""

    category = "withdrawn"


class Arbiter:
    """Grants resources to operations; all or none, the most urgent first.

    It never looks at time by itself: what has become possible otherwise than by a release (a cell was moved, a person
    came on duty) is told by :meth:`pump`.

    Parameters
    ----------
    now : callable
        Gives s UTC, on the axis of ``Need.since``.
    owners : callable
        Gives a mapping of place to the cell that it is kept for; only looked up in, so it may be large.
    closed : callable
        Gives the names of what can't be had now, such as a person off duty.
    """

    def __init__(
        self,
        now: Callable[[], float],
        owners: Callable[[], Mapping[str, str]] = dict,
        closed: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._now = now
        self._owners = owners
        self._closed = closed
        self._table = Table()
        self._account = Account()
        self._futures: dict[str, asyncio.Future[Option]] = {}
        self._granted: dict[str, tuple[str, float]] = {}

    # -- what is known ---------------------------------------------------------------------------------------------
    @property
    def held(self) -> Mapping[str, Option]:
        """Operation id to what it holds."""
        return dict(self._table.held)

    @property
    def waiting(self) -> Sequence[Need]:
        """Who waits, in no order."""
        return list(self._table.waiting.values())

    @property
    def used(self) -> Mapping[str, float]:
        """Seconds of scarce instruments that each user has had, as they count now."""
        return dict(self._account.used(self._now()))

    def holders(self, need: Need) -> list[tuple[str, str]]:
        """Say which operation holds which resource that ``need`` could use, its best option first."""
        found = [
            (operation, resource)
            for option in need.options
            for resource in option
            for operation in self._table.in_the_way(resource)
        ]
        return list(dict.fromkeys(found))

    def obstacles(self, need: Need) -> list[Obstacle]:
        """Say all that keeps ``need`` from the option that is nearest; empty if nothing does."""
        around = self._around()
        found = [self._table.obstacles(need, option, around) for option in need.options]
        return min(found, key=len, default=[])

    # -- from the journal, before anything is granted ----------------------------------------------------------------
    def restore(
        self, operation: str, resources: Sequence[str], *, cell: str = "", user: str = "", since: float | None = None
    ) -> None:
        """Take over a lease: of which cell and user, and when it was granted (s UTC)."""
        self._table.take(operation, cell, resources)
        self._granted[operation] = (user, self._now() if since is None else since)

    def restore_waiting(self, need: Need) -> None:
        """Take over a need that waited; nothing is granted before :meth:`pump`, and ``acquire`` finds its place."""
        if need.operation not in self._table.held and need.operation not in self._futures:
            self._enter(need)

    def restore_usage(self, intervals: Iterable[Interval]) -> None:
        """Take over the leases that have ended; those without a scarce resource are not to be given."""
        self._account = Account(intervals)

    # -- asking and giving back ------------------------------------------------------------------------------------
    async def acquire(self, need: Need) -> Option:
        """Wait until one option of ``need`` can be had, and hold it.

        Raises
        ------
        Withdrawn
            The need was taken back by :meth:`withdraw`.
        """
        operation = need.operation
        if operation in self._table.held:
            return self._table.held[operation]
        future = self._futures.get(operation)
        if future is None:
            option = self._table.option_for(need, self._around(), {})
            if option is not None:
                self._take(need, option)
                self._settle(self._table.touched_by(need.cell))
                return option
            future = self._enter(need)
        try:
            return await future
        except asyncio.CancelledError:
            if self._futures.get(operation) is future:
                self._leave(operation)
            elif not future.cancelled() and future.exception() is None:
                self.release(operation)
            raise

    def withdraw(self, operation: str) -> bool:
        """Take back a need that waits: its ``acquire`` raises :class:`Withdrawn`.

        Returns
        -------
        bool
            False where it does not wait, for instance because it has just been granted: then it is to be released.
        """
        future = self._futures.get(operation)
        if future is None:
            return False
        if not future.done():
            future.set_exception(Withdrawn(f"{operation} no longer waits for its turn"))
            # Nobody may be listening: a need from the journal whose operation has not been taken up yet.
            future.exception()
        self._leave(operation)
        return True

    def release(self, operation: str) -> None:
        """Give back whatever ``operation`` holds; giving back twice is harmless."""
        if operation not in self._table.held:
            return
        resources, cell = self._table.held[operation], self._table.cell_of(operation)
        freed = self._table.give_back(operation)
        user, since = self._granted.pop(operation)
        if scarce(resources):
            freed |= self._count(Interval(user, since, self._now()))
        touched = self._table.touched_by(cell)
        self._settle(self._table.waiters(freed) | touched, () if touched else freed)

    def pump(self, resources: Iterable[str] | None = None) -> None:
        """Grant what can be granted since something changed that the arbiter can't see.

        Parameters
        ----------
        resources : iterable of str, optional
            What has become free, such as the place that a cell was taken from. Without it everybody who waits is
            looked at.
        """
        if resources is None:
            self._settle(set(self._table.waiting))
        else:
            self._settle(self._table.waiters(split(resource)[0] for resource in resources))

    # -- how it is done ----------------------------------------------------------------------------------------------
    def _around(self) -> Around:
        now = self._now()
        return Around(now, self._owners(), self._account.used(now), self._closed())

    def _enter(self, need: Need) -> asyncio.Future[Option]:
        future: asyncio.Future[Option] = asyncio.get_running_loop().create_future()
        self._futures[need.operation] = future
        self._table.wait(need)
        return future

    def _leave(self, operation: str) -> None:
        """Strike out a need; what it had reserved may go to others."""
        need = self._table.waiting[operation]
        self._table.stop_waiting(operation)
        self._futures.pop(operation, None)
        self._settle(self._table.waiters(names(need.options)))

    def _take(self, need: Need, option: Option) -> None:
        self._table.take(need.operation, need.cell, option)
        self._granted[need.operation] = (need.user, self._now())

    def _count(self, interval: Interval) -> set[str]:
        """Count a lease for its user; what was kept for that user and may now go to another's needs is returned."""
        before = self._account.used(interval.until).get(interval.user, 0.0)
        self._account.add(interval)
        used = self._account.used(interval.until)
        after = used.get(interval.user, 0.0)
        others = {need.user for need in self._table.waiting.values()} - {interval.user}
        if not any(before <= used.get(user, 0.0) <= after for user in others):
            return set()
        return {
            name
            for need in self._table.waiting.values()
            if need.user == interval.user and interval.until - need.since > PATIENCE
            for name in self._table.names_of(need.operation)
        }

    def _settle(self, doubtful: set[str], freed: Collection[str] = ()) -> None:
        """Look at the operations that may have become grantable, the most urgent first, until none can have anything.

        Nobody else has to be looked at: what is not among them could not be granted before and nothing of it changed.
        """
        if not doubtful:
            return
        around = self._around()
        while doubtful:
            doubtful = self._round(doubtful, around, freed)
            freed = ()

    def _round(self, doubtful: set[str], around: Around, freed: Collection[str]) -> set[str]:
        """Grant in order until a grant makes others doubtful anew; who is still to be looked at is returned."""
        waiting = self._table.waiting
        order = sorted(
            (operation for operation in doubtful if operation in waiting and self._table.may_fit(waiting[operation])),
            key=lambda operation: standing(waiting[operation], around.used),
        )
        reservations: Reservations = {}
        for position, operation in enumerate(order):
            need = waiting[operation]
            option = self._table.option_for(need, around, reservations)
            if option is None:
                continue
            future = self._futures.pop(operation)
            self._table.stop_waiting(operation)
            if not future.done():
                self._take(need, option)
                future.set_result(option)
            again = self._table.touched_by(need.cell)
            if around.now - need.since > PATIENCE:
                # What was kept for its other options is so no longer.
                again |= self._table.waiters(names(need.options) - names([option]))
            if again:
                return again.union(order[position + 1 :])
            if freed and all(self._table.shut(name) for name in freed):
                return set()
            reservations = {}
        return set()
