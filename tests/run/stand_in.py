"""A stand-in for a running orchestrator: the real endpoint and lock, with answers that a test has written."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labctl.engine.endpoint import Endpoint
from labctl.engine.lock import LaboratoryLock


class StandIn:
    """Serves what it is told to in a laboratory folder and keeps what it was asked.

    ``answers`` maps an op to its answer or to a function of the request. The first ``breaks`` requests are heard, and
    then the connection is closed without an answer.
    """

    def __init__(self, folder: Path, answers: Mapping[str, Any], *, breaks: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        self._breaks = breaks
        self._lock = LaboratoryLock(folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._endpoint = Endpoint("secret", dict.fromkeys(answers, self._handle))
        self._front: asyncio.Server | None = None

    def __enter__(self) -> StandIn:
        self._thread.start()
        self._lock.take()
        self._lock.publish(port=self._do(self._start()), token="secret")
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._lock.release()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> int:
        self._back = await self._endpoint.start()
        self._front = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._front.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._front.close()
        await self._front.wait_closed()
        # A connection that was accepted a moment ago is served to its end too.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._endpoint.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if self._breaks:
                self._breaks -= 1
                self.asked.append(json.loads(line))
            elif line:
                back, to = await asyncio.open_connection("127.0.0.1", self._back)
                to.write(line)
                writer.write(await back.readline())
                to.close()
                await to.wait_closed()
        finally:
            writer.close()
            await writer.wait_closed()

    async def _handle(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(dict(request))
        answer: Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] = self._answers[request["op"]]
        return answer(request) if callable(answer) else answer
