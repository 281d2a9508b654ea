"""What ``labctl instruments check`` says of a BioLogic instrument beyond its identity. Nothing is moved."""

from __future__ import annotations

from typing import Final

from labctl.instruments import Inspection
from labctl_drivers.biologic.backend import Backend, Doing
from labctl_drivers.biologic.runs import Runs
from labctl_drivers.biologic.station import Settings

_LIMITS: Final = {
    "eclib": "in every driving technique, watched by the channel; read back only as a number of techniques",
    "olecom": "in every driving technique and of the whole experiment, watched by the channel; not read back",
}


async def inspect(backend: Backend, settings: Settings, runs: Runs) -> Inspection:
    """Look at every channel of the station: what it is, what it does, and whether that is ours."""
    told, against, unverified = await backend.inspect()
    facts = {"way in": settings.backend, "electrodes": str(settings.electrodes), **told}
    safety, unsafe = {}, list(against)
    for channel in settings.channels:
        status = await backend.status(channel)
        token = runs.newest(channel)
        ours = token is not None and "verdict" not in runs.facts(token)
        safety[f"channel {channel}"] = f"{status.doing.value}, {status.voltage:.4f} V, {status.current:.3g} A"
        if status.doing is not Doing.STOPPED and not ours:
            unsafe.append(f"channel {channel} is {status.doing.value}, and labctl did not start it; look at it")
        if status.message:
            unsafe.append(f"channel {channel} says: {status.message}; look at its leads")
    safety["limits"] = _LIMITS[settings.backend]
    return Inspection(facts, safety, None, tuple(unsafe), unverified)
