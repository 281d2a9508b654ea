"""Steps of a start that change something on the spectrometer, each safe against a connection that breaks half-way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from labctl.instruments import Refused
from labctl_drivers.bruker.dataset import ABSENT, PREPARED
from labctl_drivers.bruker.fetching import fetch_file
from labctl_drivers.bruker.link import ATTEMPTS, SURVIVABLE, GatewayLink
from labctl_drivers.bruker.parameters import disagreement, taken_step

_TITLE = "pdata/1/title"


async def make(link: GatewayLink, token: str, expno: int, title: str, parameter_set: str, state: str) -> None:
    """Make an EXPNO, or take over a fresh one that an interrupted start of ours has left.

    Raises
    ------
    Refused
        It exists, and is not ours or not fresh.
    """
    for attempt in range(1, ATTEMPTS + 1):
        if state == PREPARED and await _is_ours(link, token, expno, title):
            return
        if state != ABSENT:
            raise link.fault(Refused, f"EXISTS: {token}/{expno} is there already ({state})")
        try:
            await link.request("create", repeat=False, name=token, expno=expno, title=title, parset=parameter_set)
        except SURVIVABLE as fault:
            if attempt == ATTEMPTS:
                raise
            state = await state_of(link, token, expno)
            link.survived(fault)
        else:
            return


async def write(link: GatewayLink, token: str, expno: int, sent: Mapping[str, str]) -> dict[str, str]:
    """Write parameters and compare what reads back.

    Returns
    -------
    dict of str
        What was sent, with the receiver's step in place of the gain that was asked for.

    Raises
    ------
    Refused
        One did not take; the message names it, with both values.
    """
    reply = await link.request("setpar", name=token, expno=expno, pars=dict(sent))
    told = taken_step(sent, reply["read_back"])
    difference = disagreement(told, reply["read_back"])
    if difference is not None:
        name, wanted, found = difference
        raise link.fault(Refused, f"PAR_REJECTED: {name} was set to {wanted} and reads back as {found}")
    return told


async def acquire(link: GatewayLink, token: str, expno: int, expected: float = 0.0) -> None:
    """Start one EXPNO that takes ``expected`` s; after a fault find out by the dataset whether it started.

    Far beyond that time the gateway halts it by itself; never where it is 0.

    Raises
    ------
    Busy
        Something else is being acquired.
    Refused
        It was acquired before.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            seconds = math.ceil(expected)
            await link.request("start", repeat=False, name=token, expno=expno, cmd="zg", expected_s=seconds)
        except SURVIVABLE as fault:
            if attempt == ATTEMPTS:
                raise
            state = await state_of(link, token, expno)
            link.survived(fault)
            if state != PREPARED:
                return
        else:
            return


async def state_of(link: GatewayLink, token: str, expno: int) -> str:
    """Give the state word of one EXPNO, judged from its files."""
    found: dict[str, Any] = (await link.request("status", name=token, expno=expno))["expnos"][str(expno)]
    return str(found["state"])


async def _is_ours(link: GatewayLink, token: str, expno: int, title: str) -> bool:
    """Whether a dataset carries our title; its name alone could be anybody's name for a sample."""
    listing = (await link.request("list", name=token, expno=expno))["files"]
    for entry in listing:
        if entry["file"] == _TITLE:
            content = await fetch_file(link, token, expno, entry)
            return content.decode("utf-8", "replace").rstrip("\r\n") == title
    return False
