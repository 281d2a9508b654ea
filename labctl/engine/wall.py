"""Watches the wall clock in a real-time run: durations come from the monotonic clock, so a jump harms none of them.

But stamps are UTC by the monotonic clock since the start, so whoever compares them with other clocks must know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from labctl.journal import Journal

#: Seconds between two looks.
EVERY: Final = 10.0
#: A difference that changed by no more than this (s) between two looks is drift or a busy machine.
JUMP: Final = 2.0


class WallWatch:
    """Compares the wall clock with the loop's.

    Parameters
    ----------
    journal : Journal
        Gets an event of category ``clock`` for each jump.
    ahead : callable
        Gives how many seconds the wall clock is ahead of the loop's clock; None where that means nothing, as in
        simulated time.
    now : callable
        Gives the instant by the loop's clock, for the words.
    """

    def __init__(self, journal: Journal, ahead: Callable[[], float | None], now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._ahead = ahead
        self._now = now
        self._before = ahead()

    def look(self) -> float | None:
        """Compare once; gives the size of a jump in s, positive where the wall clock went forward."""
        ahead = self._ahead()
        if ahead is None or self._before is None:
            return None
        jump = ahead - self._before
        if abs(jump) <= JUMP:
            # What crept in so far is kept, so that a slow drift is told too once it has come to something.
            return None
        self._before = ahead
        way = "forward" if jump > 0 else "back"
        self._journal.note(
            "clock",
            f"the wall clock went {way} by {abs(jump):.1f} s; durations and the order of events are not touched, "
            f"times go on by the steady clock, at {self._now():%Y-%m-%d %H:%M:%S} UTC",
        )
        return jump

    async def keep(self) -> None:
        """Look again and again, until cancelled; at once done where there is nothing to compare."""
        while self._before is not None:
            await asyncio.sleep(EVERY)
            self.look()
