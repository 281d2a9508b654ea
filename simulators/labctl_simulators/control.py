"""The laboratory's own port: JSON lines over loopback TCP, for the simulated person, tests, and the curious.

Requests ``{"id", "op", ...}``, replies ``{"id", "ok": true, ...}`` or ``{"id", "ok": false, "error"}``. Operations:
``where``, ``move`` (cell, to), ``disassemble`` and ``assemble`` (cell, parts), ``truth``, ``violations``, ``fault``
(instrument, kind, count, seconds), ``break`` (instrument, kind, options), ``log`` (instrument, since, most), ``tests``
(instrument), ``time``. Not part of any instrument. ``fault`` spoils a wire (kinds:
:data:`labctl_simulators.faults.KINDS`), ``break`` the instrument behind it.

``log`` gives the entries of an instrument after the first ``since`` (0), ``most`` of them (all), and ``next``, the
``since`` to ask with next; ``laboratory`` as instrument gives the moves of cells and the violations, ``wires`` how
many clients each server has had since when. ``tests`` gives every test that a cycler ever had: ``test``,
``channel``, ``state`` and ``records``, the number of its last record; the first is 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labctl_simulators.glovebox import rework

if TYPE_CHECKING:
    from labctl_simulators.laboratory import Laboratory

LONGEST = 65536
"""Bytes that one request may have."""


class ControlPort:
    """Serves one laboratory's control port."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LONGEST)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and its connections."""
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
            with contextlib.suppress(OSError, asyncio.CancelledError):
                while True:
                    try:
                        line = await reader.readline()
                    except ValueError:
                        # Longer than any request: the rest of it cannot be told from the next one.
                        writer.write(_encoded({"id": None, "ok": False, "error": f"request over {LONGEST} bytes"}))
                        await writer.drain()
                        return
                    if not line:
                        return
                    if line.strip():
                        writer.write(_encoded(self.answer(line)))
                        await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Answer one request line; never raises for what a client sent."""
        try:
            request = json.loads(line)
        except ValueError:
            return {"id": None, "ok": False, "error": "not a line of JSON"}
        if not isinstance(request, dict):
            return {"id": None, "ok": False, "error": "a request is a JSON object"}
        name = request.get("op")
        operation = _OPERATIONS.get(name) if isinstance(name, str) else None
        base = {"id": request.get("id")}
        if operation is None:
            return {**base, "ok": False, "error": f"unknown op {name!r}; known are {', '.join(_OPERATIONS)}"}
        try:
            return {**base, "ok": True, **operation(self._laboratory, request)}
        except KeyError as missing:
            return {**base, "ok": False, "error": f"{name} needs {missing.args[0]!r}"}
        except (ValueError, TypeError) as error:
            return {**base, "ok": False, "error": str(error)}


def _where(laboratory: Laboratory, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"where": laboratory.where()}


def _move(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    cell, to = _text(request, "cell"), _text(request, "to")
    laboratory.move(cell, to)
    return {"cell": cell, "at": to}


def _rework(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    cell, names = _text(request, "cell"), request["parts"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"parts is a list of names, not {names!r}")
    if request["op"] == "disassemble":
        return {"cell": cell, "parts": rework(laboratory, cell, gives=names)}
    return {"cell": cell, "parts": rework(laboratory, cell, takes=names)}


def _truth(laboratory: Laboratory, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"truth": laboratory.truth()}


def _violations(laboratory: Laboratory, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"violations": laboratory.violations}


def _fault(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    instrument, kind = _text(request, "instrument"), _text(request, "kind")
    count, seconds = request.get("count", 1), request.get("seconds", 5.0)
    if isinstance(count, bool) or not isinstance(count, int):
        raise ValueError(f"count is a whole number, not {count!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError(f"seconds is a number, not {seconds!r}")
    laboratory.inject(instrument, kind, count, float(seconds))
    return {"instrument": instrument, "kind": kind}


def _break(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    instrument, kind, options = _text(request, "instrument"), _text(request, "kind"), request.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"options are a JSON object, not {options!r}")
    laboratory.break_down(instrument, kind, **options)
    return {"instrument": instrument, "kind": kind}


def _log(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    since = request.get("since", 0)
    if isinstance(since, bool) or not isinstance(since, int) or since < 0:
        raise ValueError(f"since is a count of entries, not {since!r}")
    most = request.get("most")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise ValueError(f"most is a count of entries, not {most!r}")
    entries = laboratory.records(_text(request, "instrument"), since, most)
    return {"log": entries, "next": since + len(entries)}


def _tests(laboratory: Laboratory, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"tests": laboratory.tests(_text(request, "instrument"))}


def _time(laboratory: Laboratory, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": laboratory.time(), "now": laboratory.now().isoformat()}


def _text(request: Mapping[str, Any], key: str) -> str:
    value = request[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is a text, not {value!r}")
    return value


_OPERATIONS: dict[str, Callable[[Laboratory, Mapping[str, Any]], dict[str, Any]]] = {
    "where": _where,
    "move": _move,
    "disassemble": _rework,
    "assemble": _rework,
    "truth": _truth,
    "violations": _violations,
    "fault": _fault,
    "break": _break,
    "log": _log,
    "tests": _tests,
    "time": _time,
}


def _encoded(reply: Mapping[str, Any]) -> bytes:
    return json.dumps(reply).encode() + b"\n"
