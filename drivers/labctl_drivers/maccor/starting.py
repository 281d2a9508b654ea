"""The start of a program: the procedure into the tester, the limits into the channel, a dry start, and then the order.

Whatever the line loses on the way, a test of one name starts once or not at all.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments.common import DriverContext
from labctl.instruments.cycler import SafetyLimits
from labctl.instruments.faults import Busy, Refused, TimedOut
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.channels import ARCHIVE, LOOKS, Channels
from labctl_drivers.maccor.readings import truth
from labctl_drivers.maccor.session import ATTEMPTS, LINE_FAULTS, Session
from labctl_drivers.maccor.station import ChannelSpec


async def make_ready(context: DriverContext, channels: Channels, channel: int, token: str) -> bool:
    """Make the channel ready for a start; True where the test ``token`` already runs there.

    A completed test is archived.

    Raises
    ------
    Busy
        Another test runs.
    Refused
        The channel is in a state that a person must clear.
    """
    state = await channels.sure_state(channel)
    if (name := await channels.name(channel)) != token:
        # Twice, as a name that arrived mangled must not pass for another test's.
        name = await channels.name(channel)
    if name == token and state.status not in codes.IDLE:
        return True
    if state.status == codes.COMPLETED:
        context.log.info("archiving a completed test", channel=channel, test=name)
        await channels.act(channel, name, ARCHIVE, codes.IDLE, "be archived", looked=True)
        return False
    if state.status in codes.IDLE:
        return False
    word = codes.status_word(state.status)
    if state.status in codes.RUNNING or state.status == codes.SUSPENDED:
        raise channels.fault(Busy, f"channel {channel} is {word} with test '{name}'")
    reason = codes.reason(state.reason)
    raise channels.fault(
        Refused, f"channel {channel} is {word}, {reason}", hint="clear it at the tester, then try again"
    )


async def upload(session: Session, token: str, content: bytes) -> None:
    """Write a procedure into the tester's folder. Raises ``Refused`` where it does not read back byte by byte."""
    await session.put_file(f"{token}.000", content)
    if await session.get_file(f"{token}.000") != content:
        raise session.fault(Refused, f"procedure {token} did not read back as it was sent")
    # The tester spells the member without the e.
    if not await session.ask_as(lambda reply: truth(reply, "ProcedurExists"), 1, 3, ProcName=token):
        raise session.fault(Refused, f"the tester does not list procedure {token} after its upload")


def limits(safety: SafetyLimits, spec: ChannelSpec) -> dict[str, float]:
    """Give the limits of a program in the tester's members; the powers are the channel's own."""
    return {
        "VSafeMax": safety.voltage_max,
        "VSafeMin": safety.voltage_min,
        "ISafeChg": safety.charge_current,
        "ISafeDis": safety.discharge_current,
        "PBatSafeChg": spec.charge_power,
        "PBatSafeDis": spec.discharge_power,
    }


def order(wire: int, token: str, comment: str, one_c: float = 1.0) -> dict[str, Any]:
    """What a start and its dry run are told: procedure and test have one name; ``one_c`` in A is what 1C means."""
    return {
        "Chan": wire,
        "TestName": token,
        "ProcName": token,
        "Comment": comment[:80],
        "Crate": one_c,
        "ChamberNum": 0,
    }


async def dry_start(session: Session, channel: int, told: dict[str, Any]) -> None:
    """Have the tester check a start, (6,11). Raises ``Refused`` with the compiler's words, (6,12)."""
    reply = await session.ask(6, 11, **told)
    words = codes.refusal(reply.get("Result"), codes.CHECK_START)
    if words is None:
        return
    try:
        detail = await session.compiler_words(told["Chan"])
    except (*LINE_FAULTS, Refused):
        # The refusal counts; what the compiler would have added is lost.
        detail = ""
    said = f" ({detail})" if detail else ""
    raise session.fault(Refused, f"channel {channel}: dry start declined: {words}{said}")


async def launch(
    context: DriverContext,
    session: Session,
    channels: Channels,
    token: str,
    channel: int,
    told: dict[str, Any],
    *,
    number: int = 2,
    texts: dict[int, str] = codes.COMMAND,
    restart: bool = False,
) -> None:
    """Give the order to start, (6,``number``), and make sure that it was followed exactly once.

    Parameters
    ----------
    number : int
        2, or 7 for direct mode, or 13 for an advanced start.
    texts : dict
        Words for the numbers in which the tester may refuse.
    restart : bool
        The test is one from the archive: that it is known there proves nothing.

    Raises
    ------
    Busy, Refused
        In the tester's words.
    """
    last: InstrumentError | None = None
    for _ in range(ATTEMPTS):
        words = None
        try:
            reply = await session.command(6, number, **told)
            words = codes.refusal(reply.get("Result"), texts)
        except LINE_FAULTS as fault:
            last = fault
            session.survived(fault)
        # Whether the order arrived is for the channel to say, whatever the answer was; one that is still on its way
        # gets time to arrive, and the tester itself refuses a second test of this name. An archive that has the name
        # proves nothing where the tester declines it for that, or where the test is to go on from there.
        archive_tells = not restart and (words is None or last is not None)
        for pause in LOOKS:
            await asyncio.sleep(context.clock.patience(pause))
            if await (channels.knows(token, channel) if archive_tells else channels.owns(channel, token)):
                return
            if words is not None:
                raise channels.fault(Busy if "in use" in words.lower() else Refused, f"start declined: {words}")
        if last is None:
            raise channels.fault(Refused, "the tester agreed to start, but does not run the test")
    raise last or channels.fault(TimedOut, "no answer to the start")


START_DEFAULTS: Final[dict[str, Any]] = {
    "StartCycle": 0,
    "TotCycles": 0,
    "Mass": 1,
    "VGain": 0,
    "AbsTRepAlign": 0,
    "ParallelR": 0,
    "VDivHiR": 0,
    "VDivLoR": 0,
    "CANpos": -1,
    "CANprof": "",
    "RegimeName": "",
}
