"""Who may have what: a step takes all its resources or none, and who is next is decided by a pure function.

A resource is a name: ``maccor:3`` (a channel), ``topspin``, ``probe/1`` (a place for one cell), ``operator``. A name
with a value, ``oven=313.15 K``, is shared by everyone who wants the same value and by nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation asks for.

    Attributes
    ----------
    operation : str
        Its id.
    cell : str
        For whom.
    order : int
        When it was requested, as the journal counts.
    options : tuple of tuple of str
        Any one of these sets of resources is enough; the first that is free is taken.
    priority : int
        Higher goes first.
    """

    operation: str
    cell: str
    order: int
    options: tuple[tuple[str, ...], ...]
    priority: int = 0


def compatible(resource: str, held: Iterable[str]) -> bool:
    """Whether ``resource`` can be given while ``held`` are given to others."""
    name, _, value = resource.partition("=")
    for other in held:
        other_name, _, other_value = other.partition("=")
        if name == other_name and not (value and value == other_value):
            return False
    return True


def choose(need: Need, held: Iterable[str], blocked: Iterable[str] = ()) -> tuple[str, ...] | None:
    """Choose the first option of ``need`` that is free, or None."""
    taken = [*held, *blocked]
    for option in need.options:
        if all(compatible(resource, taken) for resource in option):
            return option
    return None


def next_grant(
    waiting: Sequence[Need], held: Mapping[str, Sequence[str]], blocked: Callable[[Need], Iterable[str]]
) -> tuple[Need, tuple[str, ...]] | None:
    """Choose who gets its resources next, or nobody.

    Pure: the same arguments give the same answer after a restart as before it. Higher priority first, then the older
    request.
    """
    taken = [resource for resources in held.values() for resource in resources]
    for need in sorted(waiting, key=lambda one: (-one.priority, one.order)):
        option = choose(need, taken, blocked(need))
        if option is not None:
            return need, option
    return None


class Arbiter:
    """Keeps what is held and lets waiting operations in, one grant at a time.

    Parameters
    ----------
    blocked : callable
        Resources that a need can't have for other reasons than leases: places where another cell sits or lives.
    """

    def __init__(self, blocked: Callable[[Need], Iterable[str]]) -> None:
        self._blocked = blocked
        self._held: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, tuple[Need, asyncio.Future[tuple[str, ...]]]] = {}

    @property
    def held(self) -> Mapping[str, tuple[str, ...]]:
        """Operation id to what it holds."""
        return dict(self._held)

    @property
    def waiting(self) -> Sequence[Need]:
        """Who waits, in no order."""
        return [need for need, _ in self._waiting.values()]

    def restore(self, operation: str, resources: Sequence[str]) -> None:
        """Take over a lease from the journal, before anything is granted."""
        self._held[operation] = tuple(resources)

    async def acquire(self, need: Need) -> tuple[str, ...]:
        """Wait until one option of ``need`` is free, and hold it."""
        if need.operation in self._held:
            return self._held[need.operation]
        future: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[need.operation] = (need, future)
        self.pump()
        try:
            return await future
        except asyncio.CancelledError:
            self._waiting.pop(need.operation, None)
            if future.done() and not future.cancelled():
                self.release(need.operation)
            raise

    def release(self, operation: str) -> None:
        """Give back whatever ``operation`` holds; giving back twice is harmless."""
        self._held.pop(operation, None)
        self.pump()

    def pump(self) -> None:
        """Grant what can be granted; called whenever something became free or a cell moved."""
        while True:
            grant = next_grant(self.waiting, self._held, self._blocked)
            if grant is None:
                return
            need, option = grant
            _, future = self._waiting.pop(need.operation)
            if not future.done():
                self._held[need.operation] = option
                future.set_result(option)

    def holders(self, need: Need) -> list[str]:
        """Say which operations hold something that ``need`` waits for."""
        wanted = {resource.partition("=")[0] for option in need.options for resource in option}
        return [
            operation
            for operation, resources in self._held.items()
            if any(resource.partition("=")[0] in wanted for resource in resources)
        ]
