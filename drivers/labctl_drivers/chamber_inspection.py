"""What ``labctl instruments check`` says of a chamber beyond its identity. By the driver's own methods alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from labctl.instruments import ChamberReading, Inspection, VendorAlarm
from labctl.units import show


class Readable(Protocol):
    """The part of the driver that is used here."""

    async def read(self) -> ChamberReading:
        """Look once."""


async def inspect(
    chamber: Readable,
    unverified: Sequence[str],
    *,
    by_panel: Callable[[str], bool] = lambda status: False,
    rewrite: Callable[[float], Awaitable[None]] | None = None,
) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`.

    Parameters
    ----------
    unverified : sequence of str
        Of this kind of chamber.
    by_panel : callable
        Whether a status says that the chamber obeys its panel, not labctl.
    rewrite : callable, optional
        Writes a set-point (K) without starting anything, and reads it back: the exercise.
    """
    try:
        reading = await chamber.read()
    except VendorAlarm as alarm:
        message = f"it reports '{alarm.message}'; see to it at the instrument"
        return Inspection({"status": alarm.message}, {}, None, (message,), tuple(unverified))
    panel = by_panel(reading.status)
    facts = {
        "temperature": show(reading.temperature, "degC"),
        "set-point": show(reading.set_point, "degC"),
        "regulates": "yes" if reading.running else "no",
        "status": reading.status,
    }
    unsafe = ("it obeys its panel, not labctl; switch it to remote control at the panel",) if panel else ()
    if rewrite is not None and panel:
        facts["exercised"] = "nothing: the panel has control"
    elif rewrite is not None:
        await rewrite(reading.set_point)
        facts["exercised"] = f"set-point {facts['set-point']} written as it was, and read back"
    return Inspection(facts, {"control": "panel" if panel else "remote"}, None, unsafe, tuple(unverified))
