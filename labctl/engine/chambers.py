"""Bringing a chamber to its temperature, keeping it there while anybody needs it, and noticing when it is not.

A chamber that stands although somebody needs it has lost its mains or was stopped by a person. It is never started
again from here: cells at an unknown temperature are for a person to judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    Chamber,
    ChamberReading,
    Clock,
    Garbled,
    NotIdentified,
    NotReachable,
    TimedOut,
    VendorAlarm,
)
from labctl.units import show

# Seconds between looks at a chamber on its way, and at most between looks at one that others rely on.
LOOK: Final = 60.0
#: How far (K) a set-point may be from what was asked: chambers know one decimal or two.
SAME: Final = 0.051
#: How far (K) a chamber that had settled may stray, and for how many of its settling times. A door that was opened for
#: a minute must not end a step: what strays less is for the results to say.
STRAY: Final = 2.0
STRAY_TIMES: Final = 3.0

_WIRE: Final = (NotReachable, TimedOut, Garbled, NotIdentified)

Limits = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Settled:
    """When a chamber counts as settled.

    Attributes
    ----------
    tolerance : float
        K around the set-point.
    duration : float
        Seconds that it must stay inside without a break.
    at_most : float
        Seconds after which the attempt has failed.
    """

    tolerance: float = 0.3
    duration: float = 600.0
    at_most: float = 7200.0


class Oven:
    """One chamber and those who need it at one temperature."""

    def __init__(self, name: str, chamber: Chamber, settled: Settled, clock: Clock) -> None:
        self.name = name
        self._chamber = chamber
        self._settled = settled
        self._clock = clock
        self._members: dict[str, Limits | None] = {}
        self._relying: set[str] = set()
        self._claims: set[str] = set()
        self._heard = asyncio.Event()
        self._wanted: float | None = None
        self._told: Limits | None = None
        self._lock = asyncio.Lock()
        self._began = clock.now()
        self._seen = self._next_look = 0.0
        self._missed = False
        self._astray: float | None = None
        self.live: Mapping[str, Any] = {}

    def restore(self, operation: str, relied_on: float | None = None) -> None:
        """Know, after a restart, of an operation that needs the chamber.

        ``relied_on`` is the temperature (K) at which it had settled for it; None where it had not yet. Whether it
        still relies on that is known with its first look: it may have ended, and the chamber have been stopped for
        that, with nobody left to write it down.
        """
        self._members.setdefault(operation, None)
        if relied_on is not None:
            self._claims.add(operation)
            self._wanted = relied_on

    async def join(self, operation: str, temperature: float, limits: Limits | None = None) -> None:
        """Set ``temperature`` (K) if it is not set, and wait until it has settled.

        Parameters
        ----------
        operation : str
            Who needs it.
        temperature : float
            In K.
        limits : tuple of float, optional
            Lowest and highest K that the operation allows. The chamber itself is given the narrowest of all who are
            in it, before it starts.

        Raises
        ------
        InstrumentError
            It did not settle before its deadline, or it stands although others rely on it.
        """
        self._members[operation] = limits
        self._settle_claim(operation)
        await self._hear_claims()
        async with self._lock:
            reading = await self._read()
            self._judge(reading, others_than=operation)
            together = self._together()
            if not self._set_to(reading, temperature) or together != self._told:
                await self._chamber.regulate(temperature, together)
                self._told = together
            self._wanted = temperature
            await self._settle(temperature)
            self._relying.add(operation)
            self._astray = None

    async def look(self, operation: str = "", limits: Limits | None = None) -> None:
        """Look at the chamber, at most once a minute, for those who rely on it.

        ``operation`` says which ``limits`` it has, as :meth:`join` did before a restart.

        A chamber that can't be reached for a while goes on by itself: that is said once, and it is asked again.

        Raises
        ------
        TimedOut
            The first look that it does not answer; whoever looks goes on.
        VendorAlarm
            It reports an alarm, stands, has another set-point, or has been far from it for long.
        InstrumentError
            It could not be asked for as long as it may take to settle.
        """
        if operation in self._members:
            self._members[operation] = limits
        if self._settle_claim(operation):
            self._relying.add(operation)
            self._next_look = 0.0
        now = self._seconds()
        if not self._relying or self._lock.locked() or now < self._next_look:
            return
        async with self._lock:
            self._next_look = now + LOOK
            try:
                reading = await self._read()
            except _WIRE as fault:
                if now - self._seen > self._settled.at_most:
                    message = f"could not be asked for {show(now - self._seen, 'h')}: {fault.message}"
                    raise InstrumentError(message, instrument=self.name) from fault
                if self._missed:
                    return
                self._missed = True
                message = f"does not answer, and is asked again every minute: {fault.message}"
                raise TimedOut(message, instrument=self.name) from fault
            self._judge(reading)
            self._stray(reading, now)

    async def leave(self, operation: str) -> None:
        """Stop regulating when nobody needs it any more. Where it can't be stopped, leaving can be repeated."""
        self._relying.discard(operation)
        self._settle_claim(operation)
        if set(self._members) == {operation}:
            async with self._lock:
                if set(self._members) == {operation}:
                    await self._chamber.stop()
                    self._wanted = self._told = self._astray = None
        self._members.pop(operation, None)

    def _settle_claim(self, operation: str) -> bool:
        if operation not in self._claims:
            return False
        self._claims.discard(operation)
        self._heard.set()
        return True

    async def _hear_claims(self) -> None:
        """Wait until all who relied on the chamber before a restart have shown whether they still do.

        Who has not by the time that settling may take can't be asked, and counts as relying on it.
        """
        try:
            async with asyncio.timeout(self._settled.at_most):
                while self._claims:
                    async with self._lock:
                        if (await self._read()).running:
                            return
                    self._heard.clear()
                    if self._claims:
                        await self._heard.wait()
        except TimeoutError:
            self._relying |= self._claims
            self._claims.clear()

    def _seconds(self) -> float:
        return (self._clock.now() - self._began).total_seconds()

    async def _read(self) -> ChamberReading:
        reading = await self._chamber.read()
        self._seen, self._missed = self._seconds(), False
        self._next_look = self._seen + LOOK
        self.live = {"temperature_K": reading.temperature, "set_point_K": reading.set_point}
        return reading

    def _together(self) -> Limits | None:
        """Give the narrowest limits of all who are in it."""
        spans = [span for span in self._members.values() if span is not None]
        return (max(low for low, _ in spans), min(high for _, high in spans)) if spans else None

    def _set_to(self, reading: ChamberReading, temperature: float) -> bool:
        return reading.running and abs(reading.set_point - temperature) <= SAME

    def _judge(self, reading: ChamberReading, others_than: str | None = None) -> None:
        """Raise where the chamber does not do what somebody relies on."""
        if not self._relying - {others_than}:
            return
        if not reading.running:
            raise self._fault(
                f"stands although it is needed ('{reading.status}'): it was without power or was stopped by hand",
                "it is not started again by itself; look at its cells, then resume them",
            )
        if self._wanted is not None and not abs(reading.set_point - self._wanted) <= SAME:
            found, wanted = show(reading.set_point, "degC"), show(self._wanted, "degC")
            raise self._fault(
                f"is set to {found}, although {wanted} was asked and is needed", "somebody changed it at its panel"
            )

    def _stray(self, reading: ChamberReading, now: float) -> None:
        if self._wanted is None or abs(reading.temperature - self._wanted) <= max(STRAY, self._settled.tolerance):
            self._astray = None
            return
        if self._astray is None:
            self._astray = now
        elif now - self._astray > STRAY_TIMES * self._settled.duration:
            away = show(now - self._astray, "min")
            raise self._fault(
                f"has been away from {show(self._wanted, 'degC')} for {away}, it is at "
                f"{show(reading.temperature, 'degC')}",
                "see whether its door is closed",
            )

    def _fault(self, message: str, hint: str) -> VendorAlarm:
        return VendorAlarm(message, instrument=self.name, hint=hint)

    async def _settle(self, temperature: float) -> None:
        """Wait until it has been inside its tolerance for the whole time, before the deadline."""
        inside_since: float | None = None
        began = self._seconds()
        while True:
            reading = await self._read()
            passed = self._seconds() - began
            if not reading.running:
                raise self._fault(
                    f"stands on its way to {show(temperature, 'degC')} ('{reading.status}')", "see what stopped it"
                )
            if not abs(reading.temperature - temperature) <= self._settled.tolerance:
                inside_since = None
            elif inside_since is None:
                inside_since = passed
            if inside_since is not None and passed - inside_since >= self._settled.duration:
                return
            if passed > self._settled.at_most:
                raise InstrumentError(
                    f"did not settle at {show(temperature, 'degC')} within {show(self._settled.at_most, 'h')}, "
                    f"it is at {show(reading.temperature, 'degC')}",
                    instrument=self.name,
                )
            await asyncio.sleep(LOOK)
