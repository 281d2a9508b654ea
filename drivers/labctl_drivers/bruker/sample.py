"""The sample's temperature, as the console writes it with every acquisition: one scan is taken, and TE read from it.

No public interface of TopSpin reads a thermometer; that ``acqus`` carries the temperature as measured, and not as
wanted, is unverified. A console without a sensor writes the same number for ever, or 0.
"""

from __future__ import annotations

import asyncio
from typing import Final

from labctl.instruments import Busy, CannotSay, TimedOut
from labctl_drivers.bruker.dataset import DONE, RUNNING
from labctl_drivers.bruker.link import GatewayLink
from labctl_drivers.bruker.parameters import duration
from labctl_drivers.bruker.preparing import acquire, make, write

#: Ends the name of the dataset.
_NAME: Final = "-te"
#: One short scan without power: whatever nucleus the parameter set is for, nothing goes into the probe.
_SCAN: Final = {"PULPROG": "zg", "NS": "1", "DS": "0", "TD": "1024", "D 1": "0.1", "P 1": "0.5", "SWH": "250000"} | {
    "PLW 1": "0"
}
#: Seconds in which it is over, and between two looks.
_WITHIN: Final = 60.0
_LOOK: Final = 3.0


async def sample_temperature(link: GatewayLink, token: str, parameter_set: str) -> float:
    """Measure the sample's temperature in K.

    Raises
    ------
    Busy
        Something is being acquired.
    CannotSay
        The console tells none.
    TimedOut
        The scan does not end.
    """
    name = token + _NAME
    status = await link.request("status", name=name)
    if status["busy"] is not None:
        raise link.fault(Busy, f"{status['busy']['name']}/{status['busy']['expno']} is being acquired")
    expno = 1 + max((int(number) for number in status["expnos"]), default=0)
    await make(link, name, expno, f"sample temperature\ntoken {token}", parameter_set, "absent")
    await write(link, name, expno, _SCAN)
    await acquire(link, name, expno, duration(_SCAN))
    for _ in range(int(_WITHIN / _LOOK)):
        await asyncio.sleep(_LOOK)
        found = (await link.request("status", name=name, expno=expno))["expnos"][str(expno)]["state"]
        if found == DONE:
            return await _told(link, name, expno)
        if found != RUNNING:
            raise link.fault(CannotSay, f"the scan for the sample's temperature ended as '{found}'")
    raise link.fault(TimedOut, f"the scan for the sample's temperature is not over after {_WITHIN:.0f} s")


async def _told(link: GatewayLink, name: str, expno: int) -> float:
    answer = await link.request("getpar", name=name, expno=expno, names=["TE"], status=True)
    try:
        kelvin = float(answer["pars"]["TE"] or 0.0)
    except ValueError:
        kelvin = 0.0
    if kelvin <= 0.0:
        raise link.fault(CannotSay, f"the console tells no sample temperature (TE reads '{answer['pars']['TE']}')")
    return kelvin
