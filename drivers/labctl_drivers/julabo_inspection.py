"""What ``labctl instruments check`` asks a Julabo beyond its identity. Commands as in the vendor's manuals."""

from __future__ import annotations

import re
from typing import Final

from labctl.instruments import Garbled, Inspection, NotReachable, Refused, TimedOut
from labctl_drivers.link import Link

_STATUS: Final = re.compile(r"(-?\d\d) ?(\S.*)")
_NUMBER: Final = re.compile(r"-?\d{1,3}\.\d{1,2}|-{2,}\.-{1,2}")
_SWITCH: Final = re.compile(r"[01]")
#: How far a set-point that is read back may lie from the one that was written, in K; two decimals are sent.
_TOLERANCE: Final = 0.01 + 1e-6

UNVERIFIED: Final = (
    "what the code numbers of this model mean; alarms are told by their words, so read the status text after one",
    "how long a refusal stands in the status; it is read after every write",
    "the switch on the device that stops it when too hot can't be read; set it by hand above the protocol's limit",
)


async def inspect(link: Link, actual: str, *, exercise: bool) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`. ``actual`` is the query of the sensor that counts."""
    temperature = (await link.ask(actual, _NUMBER))[0]
    set_point = (await link.ask("in_sp_00", _NUMBER))[0]
    running = (await link.ask("in_mode_05", _SWITCH))[0] == "1"
    # Not every model has them, and one that has not is silent.
    limits = [await _if_told(link, query) for query in ("in_sp_04", "in_sp_03")]
    status = (await link.ask("status", _STATUS))[0]
    panel = "MANUAL" in status.upper()
    facts = {
        "temperature": f"{temperature} °C",
        "set-point": f"{set_point} °C",
        "regulates": "yes" if running else "no",
        "status": status,
    }
    known = None not in limits
    safety = {
        "warning limits": f"{limits[0]} °C to {limits[1]} °C" if known else "this model does not tell",
        "control": "panel" if panel else "remote",
        "after a loss of mains": "stands until it is started again",
    }
    unsafe = []
    if panel:
        unsafe.append("it obeys its panel, not labctl; switch it to remote control at the panel")
    if status.startswith("-"):
        unsafe.append(f"it reports '{status}'; see to it at the instrument")
    if temperature.startswith("--"):
        unsafe.append(f"no sensor answers '{actual}'; connect it, or name the other with 'probe' in the station file")
    if exercise:
        facts["exercised"] = "nothing: the panel has control" if panel else await _rewrite(link, set_point)
    return Inspection(facts, safety, None, tuple(unsafe), UNVERIFIED)


async def _if_told(link: Link, query: str) -> str | None:
    try:
        return (await link.ask(query, _NUMBER, repeat=False))[0]
    except (TimedOut, Garbled, NotReachable):
        return None


async def _rewrite(link: Link, set_point: str) -> str:
    """Write the set-point as it is. Raises ``Refused`` where another is read back."""
    await link.tell(f"out_sp_00 {float(set_point):.2f}")
    back = (await link.ask("in_sp_00", _NUMBER))[0]
    if abs(float(back) - float(set_point)) > _TOLERANCE:
        raise link.fault(Refused, f"the set-point was written as {set_point} °C and reads back as {back} °C")
    return f"set-point {set_point} °C written as it was, and read back"
