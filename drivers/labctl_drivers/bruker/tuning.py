"""Automatic tuning and matching by ``atma``, for probes that have the motors for it, and how it came out.

The vendor documents ``atma storeWobb <PROCNO>``: after tuning it stores the wobble curve, as processed data (``1r``).
The curve shows what the probe reflects around SFO1, its centre: far from resonance everything, at the resonance of a
matched probe nothing. Unverified: whether it is the reflected voltage or power, its vertical scale (held against its
own edges here), what else ``atma`` leaves in the dataset, how long it takes, and whether an older TopSpin knows the
option.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import Tuned
from labctl_drivers.bruker.dataset import ABSENT, Value, parse_parameters, scalar
from labctl_drivers.bruker.fetching import fetch_file
from labctl_drivers.bruker.link import GatewayLink
from labctl_drivers.bruker.preparing import make, write

#: Ends the name of the dataset that tells TopSpin the nucleus and takes up the curve.
_NAME: Final = "-tm"
#: Far from the PROCNOs that people process into; public scripts store the curve of the first channel here.
_PROCNO: Final = 100
_CURVE: Final = f"pdata/{_PROCNO}/1r"
_PROCS: Final = f"pdata/{_PROCNO}/procs"
#: Seconds between two looks for the curve.
_LOOK: Final = 5.0
#: DTYPP: int32 or float64; BYTORDP: little or big.
_KINDS: Final = {"0": "i", "2": "d"}
_ORDERS: Final = {"0": "<", "1": ">"}
#: Points without which it is no curve, and the part at each end that counts as far from resonance.
_FEWEST: Final = 32
_EDGE: Final = 8


async def tune(
    link: GatewayLink, token: str, nucleus: str, parameter_set: str, seconds: float, at_most: float
) -> Tuned | None:
    """Tune and match, and say what the probe reflects afterwards.

    What was tuned for this token before, and has left its curve, is not tuned again.

    Parameters
    ----------
    seconds : float
        Until when the curve must be there; nobody says otherwise that tuning is over.
    at_most : float
        The share that it may reflect.

    Returns
    -------
    Tuned or None
        None where TopSpin stored no curve: then tuning is over, and unchecked.

    Raises
    ------
    Busy
        Something is being acquired.
    """
    name = token + _NAME
    states = (await link.request("status", name=name))["expnos"]
    known = states.get("1", {"state": ABSENT})["state"]
    if known != ABSENT and (before := await tuned(link, token, at_most)) is not None:
        return before
    await make(link, name, 1, f"tuning and matching\ntoken {token}", parameter_set, known)
    await write(link, name, 1, {"NUC1": nucleus})
    await link.request("process", name=name, expno=1, cmds=[f"atma storeWobb {_PROCNO}"])
    waited = 0.0
    while waited < seconds:
        pause = min(_LOOK, seconds - waited)
        await asyncio.sleep(pause)
        waited += pause
        if (found := await tuned(link, token, at_most)) is not None:
            return found
    return None


async def tuned(link: GatewayLink, token: str, at_most: float) -> Tuned | None:
    """Read the curve that tuning for ``token`` has left; None where there is none that is whole."""
    name = token + _NAME
    if "1" not in (await link.request("status", name=name))["expnos"]:
        return None
    listed = {str(entry["file"]): entry for entry in (await link.request("list", name=name, expno=1))["files"]}
    if not {_CURVE, _PROCS} <= listed.keys():
        return None
    try:
        texts = (await fetch_file(link, name, 1, listed[_PROCS])).decode("utf-8", "replace")
        content = await fetch_file(link, name, 1, listed[_CURVE])
    except DataError:
        return None  # it is being written: the next look reads it
    values = curve(parse_parameters(texts.replace("\r\n", "\n")), content)
    if values is None:
        return None
    width = _number(parse_parameters(texts), "SW_p")
    middle = len(values) // 2
    level = max(fmean(_outer(values, first=True)), fmean(_outer(values, first=False)))
    if level <= 0.0:
        return None
    dip = min(range(len(values)), key=lambda index: abs(values[index]))
    beside = abs(dip - middle) * width / len(values) if width else None
    return Tuned(abs(median(values[middle - 1 : middle + 2])) / level, at_most, beside)


def curve(parameters: Mapping[str, Value], content: bytes) -> list[float] | None:
    """Read processed data; None where they are not as long as their parameters say, or no numbers."""
    kind = _KINDS.get(scalar(dict(parameters), "DTYPP") or "0")
    order = _ORDERS.get(scalar(dict(parameters), "BYTORDP") or "0")
    size = int(_number(parameters, "SI") or 0)
    if kind is None or order is None or size < _FEWEST or len(content) != size * struct.calcsize(f"<{kind}"):
        return None
    values: list[Any] = [float(value) for value in struct.unpack(f"{order}{size}{kind}", content)]
    return values if all(abs(value) < float("inf") for value in values) and any(values) else None


def _outer(values: Sequence[float], *, first: bool) -> Sequence[float]:
    count = len(values) // _EDGE
    return values[:count] if first else values[-count:]


def _number(parameters: Mapping[str, Value], name: str) -> float | None:
    try:
        value = float(scalar(dict(parameters), name) or "")
    except ValueError:
        return None
    return value if 0.0 < value < float("inf") else None
