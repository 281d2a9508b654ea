"""An instrument's own clock against this PC's: how far it is off, and what to do then. The asking is its driver's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext
from labctl.units import UnitError, parse

#: A difference, in s, that nobody can take for the time of an exchange.
WITHIN: Final = 30.0
_KEY: Final = "instrument_clock"


def ahead_of_utc(context: DriverContext) -> timedelta:
    """Give how far the instrument's clock runs ahead of UTC by the station's ``instrument_clock``, 0 by default.

    Raises
    ------
    InstrumentError
        It is no duration.
    """
    try:
        return timedelta(seconds=parse(context.settings.get(_KEY, "0 s"), "duration"))
    except UnitError as error:
        raise InstrumentError(f"{_KEY}: {error}", instrument=context.name) from error


async def offset(
    context: DriverContext, ask: Callable[[], Awaitable[datetime | None]], *, cut_off: float = 0.0
) -> float | None:
    """Give the seconds by which the instrument's clock is ahead of where it should be.

    Parameters
    ----------
    ask : callable
        Gives what the instrument shows, without a time zone; None where it tells no time.
    cut_off : float
        What its last digit stands for, in s, where the rest is cut off: on average it is half of that further.
    """
    before = context.clock.now()
    told = await ask()
    if told is None:
        return None
    middle = before + (context.clock.now() - before) / 2
    return (told.replace(tzinfo=UTC) - ahead_of_utc(context) - middle).total_seconds() + cut_off / 2


def findings(offset: float | None) -> tuple[str, ...]:
    """Say what is wrong with a clock that is so far (s) off, and what to do; nothing where it is right or not told."""
    if offset is None or abs(offset) <= WITHIN:
        return ()
    return (f"its clock is {offset:+.0f} s off; set it, or say '{_KEY}' in the station file as its time zone is",)
