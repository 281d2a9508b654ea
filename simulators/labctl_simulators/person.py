"""A scripted person: sees what the orchestrator asks for, moves the cell in the virtual laboratory, and confirms.

Uses nothing but what a real person has: the orchestrator's endpoint (JSON lines with a token) to see and to confirm,
and the laboratory's control port in place of hands. How long a person takes is invented, and so is what is read from a
balance or a ruler. A question gets the answer that lets the cell go on. Cells are taken apart and put together in the
virtual laboratory; where that is impossible, nothing is confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

LOOKS_EVERY = 300.0
"""Seconds between looks at the list of requests, when nothing was to be done."""

TAKES = 300.0
"""Seconds for walking over, the checklist and putting the cell in."""

ANSWERS_WITHIN = 10.0
"""Real seconds after which an orchestrator that does not answer is looked for anew."""

READINGS = {
    "mass": "12.3 mg",
    "length": "50 um",
    "area": "1.0 cm2",
    "voltage": "3.2 V",
    "current": "0.1 mA",
    "resistance": "25 ohm",
    "temperature": "22 degC",
    "capacity": "2.6 mAh",
    "duration": "1 h",
    "ratio": "50 %",
}
"""What this person reads, by the kind of quantity."""


def answer_to(request: Mapping[str, Any]) -> dict[str, str] | None:
    """Give what this person says to a request; None where it is none of theirs."""
    if {"cell", "to", "barcode"} <= request.keys() or request.get("kind") in ("disassemble", "assemble"):
        return {"barcode": str(request["barcode"])}
    if request.get("answers"):
        answers: Mapping[str, str] = request["answers"]
        goes_on = (answer for answer, effect in answers.items() if effect == "continue")
        return {"answer": next(goes_on, next(iter(answers)))}
    reading = READINGS.get(str(request.get("quantity")))
    return {"value": reading} if reading is not None else None


class ScriptedPerson:
    """Works off transfer requests, one after the other, for an orchestrator that may come and go.

    Parameters
    ----------
    on_duty : callable
        Gives the name under which to confirm at a UTC instant, None where nobody is there.
    laboratory
        Gives the time and the control port, and by ``clock.patience`` how long a wire may take.
    endpoint : callable
        Gives the orchestrator's port and token, or None where there is none. What it gives may be out of date.
    """

    def __init__(
        self,
        on_duty: Callable[[datetime], str | None],
        laboratory: Any,
        endpoint: Callable[[], tuple[int, str] | None],
    ) -> None:
        self._on_duty = on_duty
        self._laboratory = laboratory
        self._endpoint = endpoint
        #: What was taken apart or put together: nobody does it again where the confirmation did not arrive.
        self._reworked: set[str] = set()

    async def work(self) -> None:
        """Work until cancelled."""
        while True:
            found = self._endpoint()
            if found is not None:
                # Killed, hung or replaced in the middle of an answer: whatever it was, it is looked for again.
                with contextlib.suppress(OSError, ValueError, TimeoutError):
                    await self._work_for(*found)
            await asyncio.sleep(LOOKS_EVERY)

    async def _work_for(self, port: int, token: str) -> None:
        """Work for one orchestrator as long as it answers; raises what connections raise when it no longer does."""
        reader, writer = await self._connect(port)
        try:
            while True:
                done = 0
                name = self._on_duty(self._laboratory.now())
                if name is not None:
                    asked = await self._ask(reader, writer, {"op": "requests", "token": token})
                    if not asked.get("ok"):
                        return
                    for request in asked["requests"]:
                        done += await self._carry_out(name, request, reader, writer, token)
                if not done:
                    await asyncio.sleep(LOOKS_EVERY)
        finally:
            writer.close()

    async def _carry_out(
        self,
        name: str,
        request: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        token: str,
    ) -> bool:
        """Move what is asked to be moved or answer, and say so; False for what this person can't do."""
        said = answer_to(request)
        if said is None:
            return False
        await asyncio.sleep(TAKES)
        if not await self._by_hand(request):
            return False
        confirm = {"op": "confirm", "cell": request["cell"], **said, "user": name}
        answer = await self._ask(reader, writer, {**confirm, "token": token, "id": uuid.uuid4().hex})
        return bool(answer.get("ok"))

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._laboratory.clock.patience(ANSWERS_WITHIN)):
            return await asyncio.open_connection("127.0.0.1", port)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        async with asyncio.timeout(self._laboratory.clock.patience(ANSWERS_WITHIN)):
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        if not line:
            raise ConnectionError("closed by the other side")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _by_hand(self, request: Mapping[str, Any]) -> bool:
        """Do with the cell what is asked; True too where nothing has to be done with it."""
        cell = request["cell"]
        if "to" in request:
            wanted = {"op": "move", "cell": cell, "to": request["to"]}
        elif request.get("token") in self._reworked:
            return True
        elif "gives" in request or "takes" in request:
            operation, parts = ("disassemble", "gives") if "gives" in request else ("assemble", "takes")
            wanted = {"op": operation, "cell": cell, "parts": request[parts]}
        else:
            return True
        reader, writer = await self._connect(self._laboratory.control_port)
        try:
            done = bool((await self._ask(reader, writer, {"id": 1, **wanted}))["ok"])
        finally:
            writer.close()
        if done and "to" not in request:
            self._reworked.add(str(request.get("token")))
        return done
