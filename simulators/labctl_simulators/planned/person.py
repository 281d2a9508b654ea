"""The scripted person of a plan: the habits of :class:`labctl_simulators.person.ScriptedPerson`, without the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from labctl_simulators.glovebox import rework
from labctl_simulators.person import LOOKS_EVERY, TAKES, answer_to


class PlannedPerson:
    """Works off what is asked, one after the other.

    Parameters
    ----------
    laboratory
        Where cells are moved.
    desk
        ``requests()`` gives what is asked, each with ``cell``, ``barcode`` and ``target``; ``began(request, t)`` and
        ``confirm(request, name)`` take notice. ``by_hand()`` gives what is asked besides, ``say(request, said, name)``
        answers it.
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
                for asked in self._desk.by_hand():
                    done += await self._by_hand(asked, name)
            if not done:
                await asyncio.sleep(LOOKS_EVERY)

    async def _by_hand(self, asked: Mapping[str, Any], name: str) -> bool:
        """Take apart, put together, measure or answer; False for what this person can't do."""
        said = answer_to(asked)
        if said is None:
            return False
        await asyncio.sleep(TAKES)
        try:
            if "gives" in asked or "takes" in asked:
                rework(self._laboratory, asked["cell"], gives=asked.get("gives", ()), takes=asked.get("takes", ()))
        except ValueError:
            # A part of another cell is not there yet.
            return False
        self._desk.say(asked, said, name)
        return True
