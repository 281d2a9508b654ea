"""What ``labctl instruments check`` says of a relay multiplexer beyond its identity, and how one relay is exercised.

By the driver's own methods alone, so that it holds for every dialect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from labctl.instruments import DriverContext, Inspection
from labctl_drivers import device_clock

#: Operations after which a relay has had its life at the full load, by the vendor's data sheet of the 34903A.
_WORN: Final = 100_000

UNVERIFIED: Final = (
    "relays are read back from the firmware's memory, not from their contacts; the cell's voltage is looked at after "
    "every change",
    "what the contacts do on a loss of mains (latching coils: they probably stay); keep the unit on the "
    "uninterruptible supply",
    "the numbering of matrix modules and the names of modules; close one relay by hand and see which it is",
)
_NO_CLOCK: Final = "its clock is not told; compare it with this PC's at its panel, if it has one"


class Switch(Protocol):
    """The part of the driver that is used here."""

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed."""

    async def wear(self, relays: Collection[int]) -> dict[int, int]:
        """How often each has moved; empty where the unit does not tell."""

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, then close one."""


async def inspect(
    switch: Switch, context: DriverContext, recall: str, clock_offset: float | None, *, exercise: bool
) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`. ``recall`` is what connecting found of it."""
    wired = sorted(context.wired)
    closed = await switch.closed(wired)
    wear = await switch.wear(wired)
    facts = {
        "relays wired": f"{len(wired)}, {len(context.free)} of them at no cell",
        "closed": ", ".join(map(str, sorted(closed))) or "none of those wired",
        "wear": _worst(wear),
    }
    unsafe = []
    if recall.lower().startswith("on"):
        unsafe.append(
            "power-fail recall is on: relays can close by themselves when power returns; send MEM:STAT:REC:AUTO OFF"
        )
    worn = [relay for relay, count in wear.items() if count > _WORN]
    if worn:
        unsafe.append(f"relays {', '.join(map(str, worn))} have moved more than {_WORN:,} times; renew the module")
    unsafe += device_clock.findings(clock_offset)
    doubts = UNVERIFIED if clock_offset is not None else (*UNVERIFIED, _NO_CLOCK)
    if exercise:
        facts["exercised"] = await _exercised(switch, closed, context.free)
    return Inspection(facts, {"power-fail recall": recall}, clock_offset, tuple(unsafe), doubts)


async def _exercised(switch: Switch, closed: Collection[int], free: Collection[int]) -> str:
    """Open, close and open one free relay, each read back; only where no other is closed, which it could join.

    Raises
    ------
    Refused, VendorAlarm
        It does not move, or is not open in the end.
    """
    if closed:
        return f"nothing: relays {', '.join(map(str, sorted(closed)))} are closed, and another could join them"
    if not free:
        return "nothing: no relay is known to have no cell at its end (the cells file tells)"
    relay = max(free)
    await switch.switch(None, [relay])
    try:
        await switch.switch(relay, [relay])
    finally:
        await switch.switch(None, [relay])
    return f"relay {relay} opened, closed and opened, each read back"


def _worst(wear: Mapping[int, int]) -> str:
    if not wear:
        return "not told"
    relay, count = max(wear.items(), key=lambda item: item[1])
    return f"at most {count:,} operations (relay {relay})"
