"""A scripted person: sees what the orchestrator asks for, moves the cell in the virtual laboratory, and confirms.

Uses nothing but what a real person has: the orchestrator's endpoint (JSON lines with a token) to see and to confirm,
and the laboratory's control port in place of hands. How long a person takes is invented.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

LOOKS_EVERY = 300.0
"""Seconds between looks at the list of requests, when nothing was to be done."""

TAKES = 300.0
"""Seconds for walking over, the checklist and putting the cell in."""

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


class Hours:
    """When a person works: ``"Mo-Fr 08:00-19:00"`` in UTC, or always.

    Raises
    ------
    ValueError
        The text is not of that form.
    """

    def __init__(self, text: str | None) -> None:
        self._days = range(7)
        self._from, self._to = time.min, time.max
        if text is None:
            return
        try:
            days, hours = text.split()
            first, _, last = days.partition("-")
            begin, _, end = hours.partition("-")
            self._days = range(_DAYS.index(first), _DAYS.index(last or first) + 1)
            self._from, self._to = time.fromisoformat(begin), time.fromisoformat(end)
        except ValueError as error:
            raise ValueError(f"working hours {text!r} are not of the form 'Mo-Fr 08:00-19:00'") from error

    def at_work(self, instant: datetime) -> bool:
        """Whether the person is there."""
        return instant.weekday() in self._days and self._from <= instant.time() < self._to


class ScriptedPerson:
    """Works off transfer requests, one after the other.

    Parameters
    ----------
    name : str
        Under which to confirm.
    laboratory
        Gives the time and the control port.
    endpoint : tuple of int and str
        The orchestrator's port and token.
    hours : str or None
        Working hours; None for always.
    """

    def __init__(self, name: str, laboratory: Any, endpoint: tuple[int, str], hours: str | None = None) -> None:
        self._name = name
        self._laboratory = laboratory
        self._port, self._token = endpoint
        self._hours = Hours(hours)

    async def work(self) -> None:
        """Work until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                asked = await self._ask(reader, writer, {"op": "requests"})
                requests = asked.get("requests", []) if self._hours.at_work(self._laboratory.now()) else []
                for request in requests:
                    await asyncio.sleep(TAKES)
                    if await self._move(request["cell"], request["to"]):
                        confirm = {"op": "confirm", "cell": request["cell"], "barcode": request["barcode"]}
                        await self._ask(reader, writer, {**confirm, "user": self._name})
                if not requests:
                    await asyncio.sleep(LOOKS_EVERY)
        finally:
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        writer.write(json.dumps({"token": self._token, **request}).encode() + b"\n")
        await writer.drain()
        answer: dict[str, Any] = json.loads(await reader.readline())
        return answer

    async def _move(self, cell: str, place: str) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._laboratory.control_port)
        try:
            writer.write(json.dumps({"id": 1, "op": "move", "cell": cell, "to": place}).encode() + b"\n")
            await writer.drain()
            return bool(json.loads(await reader.readline())["ok"])
        finally:
            writer.close()
