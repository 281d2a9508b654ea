"""A door to the virtual spectrometer for stand-ins that live in processes of their own, Jython's among them.

Neither a wire of the vendor's nor of labctl's: it stands where TopSpin's own inside would be. JSON lines on loopback,
one answer for each call, ``{"result": ...}`` or ``{"error": "..."}``. While a dialog is open on TopSpin's screen, no
call is answered. An answer may carry ``"clicked"``: somebody clicked another window before this call, which therefore
took effect there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from labctl_simulators.topspin.api import ApiException

#: Environment variable that holds the door's ``host:port``.
VARIABLE: Final = "LABCTL_VIRTUAL_TOPSPIN"
_LINE: Final = 65536


class Room(Protocol):
    """What is behind the door."""

    version: str
    folder: Path

    def create(self, folder: Path) -> bool:
        """Make an EXPNO."""

    def known(self, folder: Path) -> bool:
        """Whether there is such an EXPNO."""

    def set_parameter(self, folder: Path, name: str, value: str) -> None:
        """Offer a value."""

    def get_parameter(self, folder: Path, name: str) -> str:
        """Give a value."""

    def command(self, folder: Path | None, command: str) -> None:
        """Take a command."""

    def dialog(self, text: str) -> None:
        """Open a dialog."""

    async def screen_free(self) -> None:
        """Wait until no dialog is open."""


class Door:
    """The server in front of a virtual spectrometer; runs on the laboratory's loop."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._server: asyncio.Server | None = None
        self._guests: set[asyncio.Task[None]] = set()
        self._click: tuple[int, str] | None = None
        self._hanging: dict[str, asyncio.Event] = {}
        #: Every call so far, by name.
        self.calls: list[str] = []

    async def start(self) -> str:
        """Open; give what the environment variable must hold."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LINE)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close."""
        if self._server is not None:
            self._server.close()
            for guest in self._guests:
                guest.cancel()
            await asyncio.gather(*self._guests, return_exceptions=True)

    def click(self, folder: Path, after: int) -> None:
        """Let somebody click the window of another EXPNO before the call that follows the next ``after`` ones."""
        self._click = (len(self.calls) + after, str(folder))

    def hang(self, call: str) -> Callable[[], None]:
        """Let the next call of this name wait until what is given back is called; others are answered."""
        event = self._hanging[call] = asyncio.Event()
        return event.set

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._guests.add(task)
        try:
            while line := await reader.readline():
                answer = await self._answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the stand-in ended, or the laboratory does
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            if task is not None:
                self._guests.discard(task)

    async def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        await self._room.screen_free()
        answer: dict[str, Any] = {}
        if self._click is not None and len(self.calls) >= self._click[0]:
            answer["clicked"] = call["folder"] = self._click[1]
            self._click = None
        self.calls.append(str(call["call"]))
        if (event := self._hanging.pop(call["call"], None)) is not None:
            await event.wait()
        try:
            answer["result"] = self._calls()[call["call"]](call)
        except (OSError, ValueError, KeyError) as error:
            answer["error"] = str(error)
        # Whoever made a dialog open waits for it too.
        await self._room.screen_free()
        return answer

    def _calls(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
        room = self._room
        return {
            "version": lambda call: room.version,
            "folder": lambda call: str(room.folder),
            "curdata": lambda call: call["folder"],
            "create": lambda call: room.create(Path(call["folder"])),
            "known": lambda call: room.known(Path(call["folder"])),
            "set": lambda call: room.set_parameter(Path(call["folder"]), call["name"], call["value"]),
            "get": lambda call: room.get_parameter(Path(call["folder"]), call["name"]),
            "command": lambda call: room.command(Path(call["folder"]) if call["folder"] else None, call["command"]),
            "dialog": lambda call: room.dialog(call["text"]),
        }


class Outside:
    """The virtual spectrometer as seen from another process; what :mod:`labctl_simulators.topspin.api` needs."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))

    @classmethod
    def from_environment(cls) -> Outside:
        """Find the door by the environment variable."""
        return cls(os.environ[VARIABLE])

    @property
    def version(self) -> str:
        """TopSpin's version."""
        return str(self._call("version"))

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(str(self._call("folder")))

    def create(self, folder: Path) -> bool:
        """Make an EXPNO; False where it exists."""
        return bool(self._call("create", folder=str(folder)))

    def known(self, folder: Path) -> bool:
        """Whether there is such an EXPNO."""
        return bool(self._call("known", folder=str(folder)))

    def set_parameter(self, folder: Path, name: str, value: str) -> None:
        """Offer a value."""
        self._call("set", folder=str(folder), name=name, value=value)

    def get_parameter(self, folder: Path, name: str) -> str:
        """Give a value."""
        return str(self._call("get", folder=str(folder), name=name))

    def command(self, folder: Path | None, command: str) -> None:
        """Take a command as typed into TopSpin."""
        self._call("command", folder=None if folder is None else str(folder), command=command)

    def dialog(self, text: str) -> None:
        """Open a dialog, and wait until somebody closes it."""
        self._call("dialog", text=text)

    def _call(self, call: str, **fields: Any) -> Any:
        # A connection of its own for each call: one that waits keeps no other waiting.
        with socket.create_connection(self._address) as link, link.makefile("rwb") as stream:
            stream.write(json.dumps({"call": call, "folder": None, **fields}).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline() or b'{"error": "TopSpin ended"}')
        if "error" in answer:
            raise ApiException(answer["error"])
        return answer["result"]
