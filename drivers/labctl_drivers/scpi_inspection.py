"""What ``labctl instruments check`` asks a relay multiplexer beyond its identity, and how one relay is exercised."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import Final, Protocol

from labctl.instruments import DriverContext, Garbled, Inspection, NotReachable, Refused, TimedOut
from labctl_drivers.link import Link

_MODULE: Final = re.compile(r"[^,]*,([^,]*),.*")
_ERROR: Final = re.compile(r"[+-]?(\d+),.*")
#: Operations after which a relay of these modules has had its life at the full load, by the vendor's data sheets.
_WORN: Final = 100_000
_SLOTS: Final = (1, 2, 3)
_EMPTY: Final = "empty"
_NOT_TOLD: Final = (TimedOut, Garbled, NotReachable)

UNVERIFIED: Final = (
    "relays are read back from the firmware's memory, not from their contacts; the cell's voltage is looked at after "
    "every change",
    "what the contacts do on a loss of mains (latching coils: they probably stay); keep the unit on the "
    "uninterruptible supply",
    "the numbering of matrix modules and SYST:CTYP?; close one relay by hand and see which it is",
)


class Switch(Protocol):
    """The part of the driver that is exercised."""

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed."""

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, then close one."""


async def inspect(context: DriverContext, link: Link, turn: asyncio.Lock, recall: str) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`. ``recall`` is what connecting found of it."""
    wired = sorted(context.wired)
    async with turn:
        modules = {slot: await _module(link, 100 * slot) for slot in _SLOTS}
        # Of an empty slot the unit would decline to tell anything.
        there = [relay for relay in wired if modules.get(relay // 100, _EMPTY) != _EMPTY]
        closed = await _closed(link, there)
        wear = await _wear(link, there)
    facts = {
        "modules": ", ".join(f"slot {slot} {name}" for slot, name in modules.items()),
        "relays wired": f"{len(wired)}, {len(context.free)} of them at no cell",
        "closed now": ", ".join(str(relay) for relay in closed) or "none of those wired",
        "wear": "the unit does not tell" if wear is None else _worst(wear),
    }
    unsafe = []
    if recall.startswith("on"):
        unsafe.append(
            "power-fail recall is on: relays can close by themselves when power returns; send MEM:STAT:REC:AUTO OFF"
        )
    worn = [relay for relay, count in (wear or {}).items() if count > _WORN]
    if worn:
        unsafe.append(f"relays {', '.join(map(str, worn))} have moved more than {_WORN:,} times; renew the module")
    missing = sorted({relay // 100 for relay in wired} - {relay // 100 for relay in there})
    unsafe += [f"the station names relays of slot {slot}, which is empty; put the module in" for slot in missing]
    return Inspection(facts, {"power-fail recall": recall}, None, tuple(unsafe), UNVERIFIED)


async def exercised(switch: Switch, context: DriverContext, found: Inspection) -> Inspection:
    """Open, close and open one free relay, each read back; only where it is open to begin with.

    Raises
    ------
    Refused, VendorAlarm
        It does not move, or is not open in the end.
    """
    still = sorted(context.free - await switch.closed(context.free)) if context.free else []
    if not still:
        said = "nothing: no open relay is known to have no cell at its end (the cells file tells)"
    else:
        relay = still[-1]
        await switch.switch(None, [relay])
        try:
            await switch.switch(relay, [relay])
        finally:
            await switch.switch(None, [relay])
        said = f"relay {relay} opened, closed and opened, each read back"
    return Inspection({**found.facts, "exercised": said}, found.safety, None, found.unsafe, found.unverified)


async def _module(link: Link, slot: int) -> str:
    try:
        name = (await link.ask(f"SYST:CTYP? {slot}", _MODULE, repeat=False))[1].strip()
    except _NOT_TOLD:
        return "unknown"
    return _EMPTY if name == "0" else name


async def _closed(link: Link, wired: Collection[int]) -> list[int]:
    if not wired:
        return []
    form = re.compile(rf"(?:[01], ?){{{len(wired) - 1}}}[01]")
    try:
        states = (await link.ask(f"ROUT:CLOS? {_channels(wired)}", form, repeat=False))[0].split(",")
    except TimedOut as silence:
        # A refused query is silent; why, stands in the error queue.
        why = await link.ask("SYST:ERR?", _ERROR)
        raise link.fault(Refused, f"does not tell the state of its relays: {why[0]}") from silence
    return [relay for relay, state in zip(wired, states, strict=True) if state.strip() == "1"]


async def _wear(link: Link, wired: Collection[int]) -> dict[int, int] | None:
    if not wired:
        return {}
    form = re.compile(rf"(?:[+-]?\d+, ?){{{len(wired) - 1}}}[+-]?\d+")
    try:
        counts = (await link.ask(f"DIAG:REL:CYCL? {_channels(wired)}", form, repeat=False))[0].split(",")
    except _NOT_TOLD:
        return None
    return {relay: int(count) for relay, count in zip(wired, counts, strict=True)}


def _worst(wear: dict[int, int]) -> str:
    if not wear:
        return "no relay is wired"
    relay, count = max(wear.items(), key=lambda item: item[1])
    return f"at most {count:,} operations (relay {relay})"


def _channels(relays: Collection[int]) -> str:
    return f"(@{','.join(map(str, relays))})"
