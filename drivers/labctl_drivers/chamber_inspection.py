"""What ``labctl instruments check`` says of a chamber beyond its identity. By the driver's own methods alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from labctl.instruments import ChamberReading, Inspection, VendorAlarm
from labctl.units import show
from labctl_drivers import device_clock


class Readable(Protocol):
    """The part of the driver that is used here."""

    async def read(self) -> ChamberReading:
        """Look once."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one kind of chamber tells beyond what all of them do.

    Attributes
    ----------
    facts, safety : mapping of str to str
        As in :class:`labctl.instruments.Inspection`.
    clock_offset : float or None
        Seconds by which its clock is ahead; None where it tells no time.
    unsafe : tuple of str
        What is wrong now, each with what to do.
    program : bool
        Whether it follows a program of its own: then it is not labctl's to command.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    safety: Mapping[str, str] = field(default_factory=dict)
    clock_offset: float | None = None
    unsafe: tuple[str, ...] = ()
    program: bool = False


NOTHING_MORE: Final = Seen()
_PANEL: Final = "it obeys its panel, not labctl; switch it to remote control at the panel"
_PROGRAM: Final = "it runs a program, and labctl would not get its temperature; end the program at its panel"


async def inspect(
    chamber: Readable,
    unverified: Sequence[str],
    *,
    seen: Seen = NOTHING_MORE,
    by_panel: Callable[[str], bool] = lambda status: False,
    rewrite: Callable[[float], Awaitable[None]] | None = None,
) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`.

    Parameters
    ----------
    unverified : sequence of str
        Of this kind of chamber.
    seen : Seen
        What its driver has found out in ways of its own.
    by_panel : callable
        Whether a status says that the chamber obeys its panel, not labctl.
    rewrite : callable, optional
        Writes a set-point (K) without starting anything, and reads it back: the exercise.
    """
    unsafe = (*seen.unsafe, *device_clock.findings(seen.clock_offset), *((_PROGRAM,) if seen.program else ()))
    try:
        reading = await chamber.read()
    except VendorAlarm as alarm:
        unsafe = (f"it reports '{alarm.message}'; see to it at the instrument", *unsafe)
        facts = {"status": alarm.message, **seen.facts}
        return Inspection(facts, seen.safety, seen.clock_offset, unsafe, tuple(unverified))
    panel = by_panel(reading.status)
    facts = {
        "temperature": show(reading.temperature, "degC"),
        "set-point": show(reading.set_point, "degC"),
        "regulates": "yes" if reading.running else "no",
        "status": reading.status,
        **seen.facts,
    }
    if rewrite is not None:
        facts["exercised"] = await _exercised(rewrite, reading, panel=panel, program=seen.program)
    control = "program" if seen.program else "panel" if panel else "remote"
    unsafe = ((_PANEL,) if panel else ()) + unsafe
    return Inspection(facts, {"control": control, **seen.safety}, seen.clock_offset, unsafe, tuple(unverified))


async def _exercised(
    rewrite: Callable[[float], Awaitable[None]], reading: ChamberReading, *, panel: bool, program: bool
) -> str:
    if panel or program:
        return f"nothing: {'the panel' if panel else 'a program'} has control"
    await rewrite(reading.set_point)
    return f"set-point {show(reading.set_point, 'degC')} written as it was, and read back"
