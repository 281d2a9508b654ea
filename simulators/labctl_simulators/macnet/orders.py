"""Classes 5, 6 and 8: what changes something. Every one is answered by a code and its words.

Guessed: that (6,1) selects the channels it lists and no others, that global flags are the tester's and outlive a reset,
and which names a start takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from labctl_simulators.macnet import codes
from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.codes import outcome
from labctl_simulators.macnet.information import SAFETY
from labctl_simulators.macnet.members import (
    ALL_SELECTED,
    Answer,
    Params,
    channel,
    illegal,
    number,
    single,
    text,
    whole,
)
from labctl_simulators.macnet.steering import SteeredChannel
from labctl_simulators.macnet.tester import Tester

Handler = Callable[[Tester, Params], Answer]

#: Members of a start that only have a range here: smallest and largest.
_RANGES: Final = {
    "StartCycle": (0, 65535),
    "TotCycles": (0, 65535),
    "VGain": (0, 7),
    "AbsTRepAlign": (0, 1),
    "CANpos": (-1, 32767),
}


def set_flags(tester: Tester, params: Params) -> Answer:
    """Answer (5,1)."""
    try:
        flags = int(text(params, "GlobFlags"), 16)
    except ValueError as error:
        raise illegal() from error
    if not 0 <= flags <= 0xFFFFFFFF:
        raise illegal()
    tester.flags = flags
    return {"New GlobFlags": f"0x{flags:08X}"}


def select(tester: Tester, params: Params) -> Answer:
    """Answer (6,1)."""
    wanted = params.get("Chans")
    if not isinstance(wanted, list):
        raise illegal()
    channels = [channel(tester, {"Chan": index}) for index in wanted]
    return {"Result": outcome(tester.select(channels), codes.REFUSALS)}


def _addressed(tester: Tester, params: Params) -> Sequence[SteeredChannel]:
    """Channels that a start is for: one, or all that are selected."""
    if whole(params, "Chan") == ALL_SELECTED:
        return tester.selected()
    return [channel(tester, params)]


def _in_range(params: Params) -> bool:
    return all(low <= whole(params, key, low) <= high for key, (low, high) in _RANGES.items())


def one_c(params: Params) -> float:
    """Read what a start calls 1C, A."""
    return single(number(params, "Crate", 1.0))


def start(tester: Tester, params: Params) -> Answer:
    """Answer (6,2)."""
    channels = _addressed(tester, params)
    test, procedure, comment = text(params, "TestName"), text(params, "ProcName"), str(params.get("Comment", ""))
    if number(params, "Crate", 1.0) < 0 or number(params, "Mass", 1.0) < 0 or not _in_range(params):
        code = codes.INVALID
    elif str(params.get("RegimeName", "")).strip():
        # There are none on this tester.
        code = codes.NO_PROCEDURE
    else:
        code = tester.start_together(channels, test, procedure, comment, whole(params, "ChamberNum", 0), one_c(params))
    return {"Chan": whole(params, "Chan"), "Result": outcome(code, codes.REFUSALS)}


def check(tester: Tester, params: Params) -> Answer:
    """Answer (6,11)."""
    channels = _addressed(tester, params)
    chamber = whole(params, "ChamberNum", 0)
    code = tester.check(channels, text(params, "TestName"), text(params, "ProcName"), chamber, one_c(params))
    return {"Chan": whole(params, "Chan"), "Result": outcome(code, codes.CHECKS)}


def order(do: Callable[[Tester, SteeredChannel], int]) -> Handler:
    """Make the answer to a command on a running test, (6,3) to (6,6)."""

    def handler(tester: Tester, params: Params) -> Answer:
        one = channel(tester, params)
        return {"Chan": one.number - 1, "Result": outcome(do(tester, one), codes.REFUSALS)}

    return handler


def set_variable(tester: Tester, params: Params) -> Answer:
    """Answer (6,9)."""
    one = channel(tester, params)
    which = whole(params, "VarNum")
    if not 1 <= which <= 15:
        raise illegal()
    one.variables[which - 1] = number(params, "Value")
    return {"Chan": one.number - 1, "Result": codes.OK}


def set_safety(tester: Tester, params: Params) -> Answer:
    """Answer (6,10): an echo, and no result."""
    one = channel(tester, params)
    limits = {key: single(number(params, key)) for key in SAFETY}
    one.advance(tester.laboratory.time())
    one.limit(limits)
    return {"Chan": one.number - 1, **limits}


def start_direct(tester: Tester, params: Params, client: Client) -> Answer:
    """Answer (6,7)."""
    one = channel(tester, params)
    wanted = {**_output(params), **{key: number(params, key, 0.0) for key in ("DataTime", "DataV", "DataI")}}
    if any(wanted[key] < 0 for key in ("DataTime", "DataV", "DataI")):
        raise illegal()
    code = tester.direct.refusal(one)
    if not code:
        name = tester.fresh(text(params, "TestName"))
        # Of a name that is taken the codes of this message say nothing; the third is the nearest.
        code = 3 if isinstance(name, int) else tester.direct.start(one, client, name, wanted)
    return {"Chan": one.number - 1, "Result": outcome(code, codes.DIRECT_START)}


def set_direct(tester: Tester, params: Params, client: Client) -> Answer:
    """Answer (6,8). On the JSON port mode R is not what it is on the binary one."""
    one = channel(tester, params)
    wanted = _output(params)
    if wanted["ChMode"] == "R" and client.kind == "json" and tester.settings.json_rest != "obey":
        tester.laboratory.record(tester.name, "rest over JSON", channel=one.number)
        if tester.settings.json_rest == "refuse":
            raise illegal()
        return {"Chan": one.number - 1, "Result": codes.OK}
    code = tester.direct.set(one, client, wanted)
    return {"Chan": one.number - 1, "Result": outcome(code, codes.DIRECT_OUTPUT)}


def _output(params: Params) -> dict[str, Any]:
    mode, scale = text(params, "ChMode"), whole(params, "CurrentRange")
    if mode not in ("C", "D", "R") or not 1 <= scale <= 4:
        raise illegal()
    points = {key: number(params, key) for key in ("Current", "Voltage", "Power", "Resistance")}
    return {**points, "CurrentRange": scale, "ChMode": mode}


def log_in(tester: Tester, params: Params, client: Client) -> Answer:
    """Answer (8,1); without authentication everybody passes."""
    given = text(params, "UserID"), text(params, "Password")
    if tester.settings.login is not None and given != tester.settings.login:
        client.logged_in = False
        tester.laboratory.record(tester.name, "login failed", user=given[0])
        return {"Result": codes.FAILED}
    client.logged_in = True
    return {"Result": codes.PASSED}


def log_out(tester: Tester, params: Params, client: Client) -> Answer:
    """Answer (8,2)."""
    del params
    tester.clients.log_out(client.host)
    return {"Result": codes.LOGGED_OUT}
