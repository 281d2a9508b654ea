"""Whether a journal can be believed: asked once, when it is opened."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.errors import JournalError
from labctl.journal.rows import OperationRow
from labctl.journal.store import Store

_HINT = "start nothing from it; copy the whole laboratory folder before anything else is tried"


def check_file(store: Store) -> None:
    """Have SQLite check its pages.

    Raises
    ------
    JournalError
        With what SQLite found first.
    """
    found = store.pragma("quick_check(1)")
    if found != [("ok",)]:
        raise JournalError(f"{store.path}: the file is damaged ({found[0][0] if found else 'no answer'})", hint=_HINT)


def check_leases(held: Iterable[OperationRow], path: str) -> None:
    """Check that no resource is held twice; one with a value (``oven=313.15 K``) is shared by who wants that value.

    Raises
    ------
    JournalError
        Names the resource and both operations.
    """
    holders: dict[str, tuple[str, str]] = {}
    for row in held:
        for resource in row.resources:
            name, _, value = resource.partition("=")
            other, other_value = holders.setdefault(name, (row.operation, value))
            if other != row.operation and not (value and value == other_value):
                raise JournalError(f"{path}: {other} and {row.operation} both hold {name}", hint=_HINT)
