"""What ``labctl instruments check`` asks the gateway beyond who it is: what goes on, and its PC's clock. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from labctl.instruments import DriverContext, Garbled, Inspection
from labctl_drivers.bruker.link import GatewayLink

#: A difference of clocks, s, beyond which an acquisition's times can't be told from another's.
_CLOCK_WITHIN: Final = 30.0

UNVERIFIED: Final = (
    "the names of TopSpin's Python interface are from public code; acquire one spectrum of a standard and look at it",
    "array parameters as 'P 1' and 'PLW 1'; compare pulse and power of that spectrum with TopSpin's own screen",
    "what a halted acquisition leaves in the audit trail; halt one by hand and see that it is reported as failed",
    "whether this console acquires under TopSpin 4 at all; ask who services it",
)


async def inspect(context: DriverContext, link: GatewayLink) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`. Nothing here is harmless enough to be moved."""
    offset, unsafe, unverified = None, [], list(UNVERIFIED)
    try:
        offset = await _clock_offset(context, link)
        if abs(offset) > _CLOCK_WITHIN:
            unsafe.append(f"the clock of the spectrometer's PC is {offset:+.0f} s off; set it")
    except Garbled:
        unverified.append("this gateway is older and does not tell its clock; put the present one on its PC")
    facts = {"acquiring": "nothing seen by the gateway"}
    status = await link.request("status")
    if (busy := status.get("busy")) is not None:
        facts["acquiring"] = f"{busy['name']}/{busy['expno']}"
    return Inspection(facts, {}, offset, tuple(unsafe), tuple(unverified))


async def _clock_offset(context: DriverContext, link: GatewayLink) -> float:
    before = context.clock.now()
    told = (await link.request("time", repeat=False)).get("time")
    middle = before + (context.clock.now() - before) / 2
    try:
        return (datetime.fromisoformat(str(told)) - middle).total_seconds()
    except (ValueError, TypeError) as error:
        raise link.fault(Garbled, f"'{told}' is no time with a zone") from error
