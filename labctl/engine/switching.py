"""Takes an instrument's leads to a cell and off it again: no current, break, make, and what the voltages say of it.

A multiplexer reads back what its firmware believes, not where its contacts are. So the instrument's own voltage is
asked: with all relays open it must not be that of a cell, with one closed it must be that of this cell. The cycler,
whose leads stay at the cell, says at the same moment what that is; where nobody can, the cell's last voltage decides,
within the band of :mod:`labctl.safety.identity`.

An input at rest floats: it may keep for a while what it last saw. It is given some looks before it counts as
connected. A cell without a voltage (alike electrodes, a short) can't be told from an open lead by these means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from labctl.engine.routing import Route
from labctl.errors import LabctlError
from labctl.instruments import Busy, CannotSay, Cycler, Multiplexer, NotReachable, TimedOut
from labctl.safety.identity import NO_CELL, LastSeen, mismatch
from labctl.units import show

#: Above this magnitude in A a channel that should be open is not (safety rule I2).
OPEN_CIRCUIT_CURRENT: Final = 10e-6
#: How far two instruments at the same cell at rest may differ, V (safety rule V4).
SAME_CELL: Final = 0.020
#: A voltage this far outside the step's limits is still taken for that of some cell, V.
BESIDE_LIMITS: Final = 0.5
#: Looks at open leads, and seconds between them, before what they show counts as a cell's voltage.
LOOKS: Final = 4
LOOK_AGAIN: Final = 3.0


class NotSafe(LabctlError):
    """A cell was to be left at open circuit, and that could not be read back."""

    category = "safety"


class NotConnected(LabctlError):
    """The relay read back as closed, but the leads do not show the cell that it should reach."""

    category = "safety"


async def still(cycler: Cycler, channel: int, slot: str) -> float:
    """Make sure that a channel keeps still, and give what it sees, in V.

    Raises
    ------
    NotSafe
        A current flows.
    CannotSay
        Nobody reads it.
    """
    reading = await cycler.reading(channel)
    if not abs(reading.current) <= OPEN_CIRCUIT_CURRENT:
        raise NotSafe(
            f"channel {channel} of the cycler shows {show(reading.current, 'mA')} at {slot}; "
            "no relay is moved under current"
        )
    return reading.voltage


class Switching:
    """The leads of one operation.

    Parameters
    ----------
    route : Route
        Which relay, and which others may never be closed together with it.
    look : callable
        Gives the voltage at the leads in V, with nothing flowing; raises ``CannotSay`` where nobody reads it.
    multiplexer : Multiplexer or None
        What switches them; None where they are always at the cell.
    beside : tuple of Cycler and int, or None
        The cycler whose leads stay at the cell, and its channel.
    limits : tuple of float
        Between which voltages (V) cells of this kind are kept.
    last_seen : callable
        How the cell was left; None where a person vouches for it, or nobody knows.
    """

    def __init__(
        self,
        route: Route,
        look: Callable[[], Awaitable[float]],
        multiplexer: Multiplexer | None,
        beside: tuple[Cycler, int] | None,
        limits: tuple[float, float],
        last_seen: Callable[[], LastSeen | None],
    ) -> None:
        self._route = route
        self._look = look
        self._multiplexer = multiplexer
        self._beside = beside
        self._limits = limits
        self._last_seen = last_seen

    async def connect(self) -> str | None:
        """Take the leads to the cell.

        Returns
        -------
        str or None
            Why the cell at the leads can't be the booked one, if so; the leads are off it again then.

        Raises
        ------
        NotSafe
            A current flows, or the leads show a voltage although all relays are open. Nothing was closed.
        NotConnected
            The leads do not show what the cycler shows at the same cell; all was opened again.
        """
        if self._multiplexer is None:
            return None
        expected = await self._at_rest()
        # Asking for it also switches the source off, before any relay moves.
        await self._leads_show()
        await self._multiplexer.switch(None, self._route.relays)
        await self._prove_floating(expected)
        await self._multiplexer.switch(self._route.lead, self._route.relays)
        wrong = await self._compare(expected)
        if wrong is None:
            return None
        await self._multiplexer.switch(None, self._route.relays)
        if isinstance(wrong, NotConnected):
            raise wrong
        return wrong

    async def isolate(self) -> None:
        """Take the leads off all cells; the source is off by then.

        Raises
        ------
        NotSafe
            They still show a cell's voltage: a contact is stuck.
        """
        if self._multiplexer is None:
            return
        await self._multiplexer.switch(None, self._route.relays)
        try:
            await self._prove_floating(None)
        except (NotReachable, TimedOut, Busy):
            # Who can't be asked is no evidence of a stuck contact; before a relay closes again it is looked at anew.
            return

    async def _at_rest(self) -> float | None:
        """Make sure that the cycler keeps still, and give what it sees at the cell in V; None where nobody can say."""
        if self._beside is None:
            return None
        try:
            return await still(*self._beside, self._route.slot)
        except CannotSay:
            return None

    async def _leads_show(self) -> float | None:
        try:
            return await self._look()
        except CannotSay:
            return None

    async def _prove_floating(self, expected: float | None) -> None:
        voltage = await self._leads_show()
        looks = 1
        while voltage is not None and self._like_a_cell(voltage, expected):
            if looks == LOOKS:
                raise NotSafe(
                    f"{self._route.instrument} shows {show(voltage, 'V', 5)} although all relays of "
                    f"{self._route.through} that reach a cell for it read back as open: a contact is stuck closed; "
                    "take the leads off by hand and have the relays checked"
                )
            await asyncio.sleep(LOOK_AGAIN)
            voltage = await self._leads_show()
            looks += 1

    def _like_a_cell(self, voltage: float, expected: float | None) -> bool:
        if abs(voltage) < NO_CELL:
            return False
        if expected is not None and abs(voltage - expected) <= SAME_CELL:
            return True
        low, high = self._limits
        return low - BESIDE_LIMITS <= abs(voltage) <= high + BESIDE_LIMITS

    async def _compare(self, before: float | None) -> NotConnected | str | None:
        voltage = await self._leads_show()
        if voltage is None:
            return None
        expected = await self._at_rest() if before is not None else None
        if expected is not None and not abs(voltage - expected) <= SAME_CELL:
            relay = f"relay {self._route.lead} of {self._route.through}"
            return NotConnected(
                f"{relay} reads back as closed, but {self._route.instrument} shows {show(voltage, 'V', 5)} where the "
                f"cycler sees {show(expected, 'V', 5)} at {self._route.slot} (at most {show(SAME_CELL, 'mV')} apart): "
                "a contact is stuck open, or the relay reaches another cell; check the leads"
            )
        return mismatch(self._last_seen(), voltage, symmetric=self._limits[0] < 0)
