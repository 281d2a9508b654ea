"""A person at one channel of a cycler: orders by the keyboard, limits in the channel, and open circuit at the end.

The laboratory is locked meanwhile, so that no campaign begins; what a campaign uses or was let go of is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labctl.cli import plugins
from labctl.cli.instruments_check import simulated, survived
from labctl.cli.instruments_list import wiring
from labctl.cli.instruments_use import free_slots, held_by_campaigns
from labctl.cli.logs import open_log
from labctl.cli.output import login, say
from labctl.cli.secrets import resolve
from labctl.engine.clock import LoopClock, run_real, run_scaled
from labctl.engine.lock import LaboratoryLock
from labctl.errors import NotConfirmed, UsageError
from labctl.instruments import DriverContext, Log, Mode, OutOfRange, SafetyLimits
from labctl.instruments.steering import Steerable, Steered
from labctl.station import Station, load_station
from labctl.units import UnitError, parse

#: Seconds without an order after which the channel is looked at, so that its end is noticed.
LOOK_EVERY: Final = 10.0
_ORDER: Final = re.compile(r"(charge|discharge)\s+(.+?)\s+to\s+(.+)\Z", re.IGNORECASE)
_HELP: Final = "orders: charge CURRENT to VOLTAGE, discharge CURRENT to VOLTAGE, rest, look, end"


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants the channel to do; current in A, voltage in V."""

    mode: Mode
    current: float
    voltage: float


def read_order(text: str, limits: SafetyLimits) -> Order:
    """Read ``charge 0.2 mA to 4.2 V``. Raises ``UsageError`` where it is none, or beyond the limits."""
    found = _ORDER.match(text)
    if found is None:
        raise UsageError(f"'{text}' is no order", hint=_HELP)
    try:
        order = Order(Mode(found[1].lower()), parse(found[2], "current"), parse(found[3], "voltage"))
    except UnitError as error:
        raise UsageError(str(error)) from error
    most = limits.charge_current
    if not 0 < order.current <= most:
        raise UsageError(f"{found[2]} is not between zero and the limit of {most:g} A; the word gives the direction")
    if not limits.voltage_min <= order.voltage <= limits.voltage_max:
        raise UsageError(f"{found[3]} is beyond the limits, {limits.voltage_min:g} to {limits.voltage_max:g} V")
    return order


def manual(
    station: Path, cells: Path, lab: Path, *, name: str, channel: int, voltage: tuple[str, str], current: str
) -> None:
    """Let a person steer a channel.

    Raises
    ------
    UsageError
        No such instrument or channel, its driver can't do it, or the limits are none.
    Locked
        A campaign uses it.
    NotConfirmed
        The person did not repeat the channel's number.
    InstrumentError
        The instrument declines or ended it; the channel is open, or the message says that it could not be seen to be.
    """
    loaded = load_station(station, drivers=plugins.driver_names())
    if name not in loaded.instruments:
        raise UsageError(f"{station}: no instrument is called '{name}'")
    try:
        low, high = (parse(one, "voltage") for one in voltage)
        most = parse(current, "current")
    except UnitError as error:
        raise UsageError(str(error)) from error
    if not (low < high and most > 0):
        raise UsageError(f"limits of {low:g} to {high:g} V and {most:g} A exclude everything")
    limits = SafetyLimits(low, high, most, most)
    lines = _typed()
    lab.mkdir(parents=True, exist_ok=True)
    lock = LaboratoryLock(lab)
    try:
        lock.take()
        lock.publish(what="labctl instruments manual")
        if (held := held_by_campaigns(lab).get(name)) is not None:
            raise held
        _confirm(lines, name, channel, limits, _at_its_end(loaded, cells, lab, name, channel))
        attached = simulated(loaded, lab)
        entries = loaded.entries() if attached is None else attached.entries

        async def main(clock: LoopClock) -> None:
            if attached is not None:
                await attached.align(clock)
            log, file = open_log(lab, clock)
            context = DriverContext(name, entries[name], clock, log, survived, resolve, lab)
            try:
                await session(context, channel, limits, _queued(lines))
            finally:
                file.close()

        run_real(main) if attached is None else run_scaled(main, attached.speed)
    finally:
        lock.release()


def _at_its_end(station: Station, cells: Path, lab: Path, name: str, channel: int) -> str:
    slot = wiring(station, name).get(channel)
    if slot is None:
        return "the station wires it to nothing"
    known = "no cell is known to sit there" if slot in free_slots(station, cells, lab) else "a cell may sit there"
    return f"wired to {slot}: {known}"


def _confirm(lines: Iterator[str], name: str, channel: int, limits: SafetyLimits, where: str) -> None:
    say(f"{name}, channel {channel}, {where}")
    say(f"limits: {limits.voltage_min:g} to {limits.voltage_max:g} V, {limits.charge_current:g} A either way")
    sys.stderr.write("the channel's number once more, to take it: ")
    sys.stderr.flush()
    if next(lines, "") != str(channel):
        raise NotConfirmed(f"{name}, channel {channel}: not confirmed, nothing was done")


async def session(context: DriverContext, channel: int, limits: SafetyLimits, lines: asyncio.Queue[str | None]) -> None:
    """Follow a person's lines, None after the last; raises as :func:`manual`."""
    cycler = plugins.driver(context.settings["driver"])(context)
    if not isinstance(cycler, Steerable):
        raise UsageError(f"{context.name}: its driver has no channels that can be steered by hand")
    say(_HELP)
    first = await _first_order(lines, limits)
    if first is None:
        return
    token = f"manual-{context.clock.now():%y%m%d-%H%M%S}"
    context.log.info("manual", instrument=context.name, channel=channel, test=token, order=str(first), by=login())
    begun = cycler.steer(channel, token, first.mode, first.current, first.voltage, limits)
    try:
        async with begun as steered:
            say(f"channel {channel} is yours, as test '{token}'")
            await _obey(steered, lines, limits, context.log)
    finally:
        context.log.info("manual ended", instrument=context.name, channel=channel, test=token)
    say(f"channel {channel} is open")


def _typed() -> Iterator[str]:
    """Give each line that a person types, once its end is there."""
    # Not by sys.stdin: a thread that waits in there can't be left behind when the program ends.
    rest = b""
    while chunk := os.read(sys.stdin.fileno(), 1024):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace").strip() for line in whole)


def _queued(lines: Iterator[str]) -> asyncio.Queue[str | None]:
    """Give lines to the running loop, None after the last; by a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        # The loop may have ended while the person was thinking.
        with contextlib.suppress(RuntimeError):
            for line in lines:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return queue


async def _first_order(lines: asyncio.Queue[str | None], limits: SafetyLimits) -> Order | None:
    while (line := await lines.get()) not in (None, "end"):
        try:
            return read_order(line or "", limits)
        except UsageError as error:
            say(str(error))
    return None


async def _obey(steered: Steered, lines: asyncio.Queue[str | None], limits: SafetyLimits, log: Log) -> None:
    """Follow orders until there are no more; a slip of the keyboard changes nothing."""
    async for line in _until_end(lines):
        try:
            if line == "rest":
                await steered.rest()
            elif line not in ("", "look"):
                order = read_order(line, limits)
                await steered.output(order.mode, order.current, order.voltage)
        except (UsageError, OutOfRange) as error:
            say(str(error))
            continue
        if line not in ("", "look"):
            log.info("manual", order=line)
        seen = await steered.reading()
        say(f"{seen.at:8.1f} s  {seen.voltage:.4f} V  {seen.current * 1e3:+.6g} mA")


async def _until_end(lines: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    """Give each line, and an empty one where nothing was typed for a while."""
    while True:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                line = await lines.get()
        except TimeoutError:
            line = ""
        if line is None or line == "end":
            return
        yield line
