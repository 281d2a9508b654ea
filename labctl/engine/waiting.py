"""What a cell waits for, and who holds it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labctl.engine.routing import BY_HAND, ROLE_OF, RouteBook
from labctl.engine.situation import HELD, UNDER_WAY, Situation, Word
from labctl.engine.wording import degrees
from labctl.journal import OperationRow, Status
from labctl.protocol import PlannedOperation
from labctl.station import Station


def waits(now: Situation, told: str | None, request: Mapping[str, Any] | None, roles: Mapping[str, str]) -> str | None:
    """Say what a cell waits for, None where it waits for nothing; ``told`` is the orchestrator's own word."""
    if now.state not in (UNDER_WAY, HELD):
        return None
    if now.state == HELD:
        return "a person's decision"
    if now.transfer is not None:
        moved = now.transfer.status is Status.RUNNING
        return "a person who moves it and confirms with its barcode" if moved else "a person who has time to move it"
    if told is not None:
        return told
    if now.status is Status.NEEDS_OPERATOR:
        return "a person who says what became of its step"
    if now.assisted and now.status is Status.RUNNING and request is not None:
        return "a person who runs the instrument and drops its file"
    if now.planned is not None and now.planned.kind in BY_HAND and now.status is Status.RUNNING:
        return "a person who does it and confirms"
    if now.status is Status.REQUESTED and now.planned is not None:
        return _named(now.planned, roles)
    return None if now.running else "an orchestrator"


def _named(planned: PlannedOperation, roles: Mapping[str, str]) -> str:
    role = ROLE_OF[planned.kind]
    names = [name for name, one in roles.items() if one == role]
    what = "a channel of " if role == "cycler" else ""
    warm = f" at {degrees(planned.temperature)}" if planned.temperature is not None else ""
    return what + (" or ".join(names) or f"the {role}") + warm


def holders(
    journal: Word,
    now: Situation,
    told: Sequence[tuple[str, str]] | None,
    station: Station | None,
    roles: Mapping[str, str],
) -> list[dict[str, Any]]:
    """List who holds what the cell waits for: as told, or worked out from the ways of the station."""
    held = {row.operation: row for row in journal.held()}
    pairs = told
    if pairs is None:
        pairs = list(_conflicts(now, held, station, roles))
    return [
        {
            "operation": operation,
            "cell": held[operation].cell,
            "resource": resource,
            "since": held[operation].times.get(Status.LEASED),
        }
        for operation, resource in dict.fromkeys(pairs)
        if operation in held
    ]


def _conflicts(
    now: Situation, held: Mapping[str, OperationRow], station: Station | None, roles: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Find who holds something without which no way of the station is free."""
    if station is None or now.planned is None:
        return
    ways = RouteBook(station, roles).ways(now.planned, now.place, None)
    wanted = {one for route in ways for one in route.resources}
    for operation, row in held.items():
        for resource in row.resources:
            name, _, value = resource.partition("=")
            for other in wanted:
                other_name, _, other_value = other.partition("=")
                if name == other_name and not (value and value == other_value):
                    yield operation, resource
