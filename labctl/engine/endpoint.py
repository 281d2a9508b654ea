"""The orchestrator's endpoint: one loopback port, one JSON object per line, and the client for it.

A request is ``{"token": …, "op": …, …}``; the answer ``{"ok": true, …}`` or ``{"ok": false, "error": …, "exit": …}``.
The token stands in the lock file, which only its owner can read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from labctl.engine import lock
from labctl.errors import LabctlError, NoOrchestrator

Answer = Mapping[str, Any]
_TIMEOUT = 10.0


class Endpoint:
    """Serves requests to a running orchestrator.

    Parameters
    ----------
    token : str
        Every request must carry it.
    handlers : mapping of str to callable
        By ``op``; each takes the request and returns the answer.
    """

    def __init__(self, token: str, handlers: Mapping[str, Callable[[Answer], Awaitable[Answer]]]) -> None:
        self._token = token
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and let go of every client."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, allow_nan=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            # The client went away, sent a line beyond all bounds, or the endpoint stops; nothing depends on it.
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            given, name = str(request["token"]), str(request["op"])
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": "not a request", "exit": 2}
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return {"ok": False, "error": "wrong token", "exit": 8}
        handler = self._handlers.get(name)
        if handler is None:
            return {"ok": False, "error": f"unknown request '{name}'", "exit": 2}
        try:
            return {"ok": True, **await handler(request)}
        except LabctlError as error:
            return {"ok": False, "error": str(error), "exit": error.exit_code}


class RefusedByOrchestrator(LabctlError):
    """The running orchestrator declined; carries its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def ask(folder: Path, op: str, **request: Any) -> dict[str, Any]:
    """Ask the orchestrator of a laboratory folder, from another process.

    Raises
    ------
    NoOrchestrator
        None is running there.
    RefusedByOrchestrator
        It declined.
    """
    found = lock.read(folder)
    nobody = NoOrchestrator(f"{folder}: no orchestrator is running here", hint="start one with 'labctl run'")
    if not found or "port" not in found:
        raise nobody
    try:
        with socket.create_connection(("127.0.0.1", int(found["port"])), timeout=_TIMEOUT) as connection:
            connection.sendall(json.dumps({"token": found["token"], "op": op, **request}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
    except OSError as error:
        raise nobody from error
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise nobody from error
    if not answer.pop("ok", False):
        raise RefusedByOrchestrator(str(answer.get("error")), int(answer.get("exit", 1)))
    return answer
