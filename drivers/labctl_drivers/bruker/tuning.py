"""Automatic tuning and matching by ``atma``, for probes that have the motors for it.

That ``atma`` may be given on a dataset whose nucleus is set, what it leaves there and how long it takes is unverified.
TopSpin does not say how it came out: the next spectrum does.
"""

from __future__ import annotations

import asyncio
from typing import Final

from labctl_drivers.bruker.dataset import ABSENT
from labctl_drivers.bruker.link import GatewayLink
from labctl_drivers.bruker.preparing import make, write

#: Ends the name of the dataset that tells TopSpin the nucleus.
_NAME: Final = "-tm"


async def tune(link: GatewayLink, token: str, nucleus: str, parameter_set: str, seconds: float) -> None:
    """Tune and match, and wait until that must be over.

    Raises
    ------
    Busy
        Something is being acquired.
    """
    name = token + _NAME
    states = (await link.request("status", name=name))["expnos"]
    known = states.get("1", {"state": ABSENT})["state"]
    await make(link, name, 1, f"tuning and matching\ntoken {token}", parameter_set, known)
    await write(link, name, 1, {"NUC1": nucleus})
    await link.request("process", name=name, expno=1, cmds=["atma"])
    await asyncio.sleep(seconds)
