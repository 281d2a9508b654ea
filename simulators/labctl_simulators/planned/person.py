"""The scripted person of a plan: the habits of :class:`labctl_simulators.person.ScriptedPerson`, without the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from labctl_simulators.person import LOOKS_EVERY, TAKES


class PlannedPerson:
    """Works off transfer requests, one after the other.

    Parameters
    ----------
    laboratory
        Where cells are moved.
    desk
        ``requests()`` gives what is asked, each with ``cell``, ``barcode`` and ``target``; ``began(request, t)`` and
        ``confirm(request, name)`` take notice.
    on_duty : callable
        Gives the name under which to confirm at a UTC instant, None where nobody is there.
    """

    def __init__(self, laboratory: Any, desk: Any, on_duty: Callable[[datetime], str | None]) -> None:
        self._laboratory = laboratory
        self._desk = desk
        self._on_duty = on_duty

    async def work(self) -> None:
        """Work until cancelled."""
        while True:
            done = 0
            name = self._on_duty(self._laboratory.now())
            if name is not None:
                for request in self._desk.requests():
                    self._desk.began(request)
                    await asyncio.sleep(TAKES)
                    self._laboratory.move(request.cell, request.target)
                    self._desk.confirm(request, name)
                    done += 1
            if not done:
                await asyncio.sleep(LOOKS_EVERY)
