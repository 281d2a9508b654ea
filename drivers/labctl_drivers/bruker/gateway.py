"""``labctl-topspin-gateway``: the program on the spectrometer PC that lets labctl measure through TopSpin.

JSON lines over TCP, UTF-8, one answer for each request, with the request's ``id``. A connection must say
``{"id": 1, "op": "hello", "token": "..."}`` first; before that nothing else is answered. Several connections may be
open: a ``ping`` on a second one is answered even while TopSpin keeps the first one waiting. The wire is our own and
described in ``docs/drivers/bruker.md``. Standard library only, so that the package can be put on the spectrometer PC
without anything that it depends on elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import importlib
import json
import os
import secrets
import socket
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from importlib import resources
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from labctl_drivers.bruker.backend import TopspinApi
from labctl_drivers.bruker.operations import GRACE, PATIENCE, GatewayError, Operations, Reply

PROGRAM: Final = "labctl-topspin-gateway"
WIRE: Final = 1
_SCRIPT: Final = "labctl_gateway.py"
#: Longest request in bytes.
_LINE: Final = 65536
#: Real seconds that a new connection has to say hello.
_HELLO: Final = 10.0


class Marks(Protocol):
    """The part of a clock that the gateway uses."""

    def now(self) -> datetime:
        """Give the present instant in UTC."""

    def exchange(self) -> AbstractContextManager[None]:
        """Mark that the worker thread is in TopSpin."""

    def patience(self, seconds: float) -> float:
        """Give the running loop's seconds that pass during ``seconds`` of real waiting."""


class Gateway:
    """The server in front of TopSpin.

    Parameters
    ----------
    api : object
        Offers ``Topspin`` as ``bruker.api.topspin`` does.
    token : str
        What a client must know; not empty.
    host : str
        Address to listen on; loopback unless told otherwise.
    port : int
        0 takes a free one.
    clock : Marks, optional
        Told while the worker thread is in TopSpin, so that a clock that jumps waits for it.
    data_folder : str or Path
        Where datasets are made, as TopSpin sees it.
    session : str, optional
        Name of this spectrometer session; a new one by default.
    patience : float
        Real seconds after which TopSpin counts as stuck.
    grace : float
        Seconds beyond 1.5 times the expected duration after which an acquisition is halted.

    Raises
    ------
    ValueError
        The token is empty, or the address stands for all addresses of the PC.
    """

    def __init__(
        self,
        api: Any,
        *,
        token: str,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Marks | None = None,
        data_folder: str | Path,
        session: str | None = None,
        patience: float = PATIENCE,
        grace: float = GRACE,
    ) -> None:
        if not token:
            raise ValueError("the gateway's token is empty")
        if _is_everywhere(host):
            raise ValueError(f"'{host}' is every address of this PC; name one")
        self._token = token.encode()
        self._host, self._port = host, port
        self._folder = Path(data_folder)
        self.session = session or secrets.token_hex(4)
        exchange = nullcontext if clock is None else clock.exchange
        self._loop_seconds = float if clock is None else clock.patience
        self._now = _wall if clock is None else clock.now
        self._operations = Operations(TopspinApi(api), self._folder, exchange, patience, self._loop_seconds, grace)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> int:
        """Listen; give the port.

        Raises
        ------
        ValueError
            The name of the address stands for all addresses of the PC.
        OSError
            The address is not this PC's, or the port is taken.
        """
        self._operations.open()
        server = await asyncio.start_server(self._serve, self._host, self._port, limit=_LINE, start_serving=False)
        addresses = [one.getsockname() for one in server.sockets]
        if any(_is_everywhere(str(address[0])) for address in addresses):
            server.close()
            self._operations.close()
            raise ValueError(f"'{self._host}' is every address of this PC; name one")
        self._server = server
        await server.start_serving()
        return int(addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and the port; an acquisition goes on. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()
        self._operations.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections[task] = writer
        if (link := writer.get_extra_info("socket")) is not None:
            # A client whose PC was switched off ends like one that says goodbye, some hours later.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            if await self._welcome(reader, writer):
                while await self._answer(reader, writer):
                    pass
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone or talks nonsense: the connection ends, nothing else
        except asyncio.CancelledError:
            # The gateway stops; to raise it here would only be reported as an error of the server. Whatever the client
            # has not read it will not read any more.
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            if task is not None:
                self._connections.pop(task, None)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Wait for the hello; True where the token was right."""
        async with asyncio.timeout(self._loop_seconds(_HELLO)):
            request = _parse(await reader.readuntil(b"\n"))
        token = None if request is None else request.get("token")
        known = isinstance(token, str) and hmac.compare_digest(token.encode(), self._token)
        identity = None if request is None else request.get("id")
        if request is None or request.get("op") != "hello" or not known:
            code, message = ("REQUEST", "no hello") if request is None else ("AUTH", "wrong token, or no hello")
            await _send(writer, {"id": identity, "ok": False, "code": code, "msg": message, "gateway": PROGRAM})
            return False
        version = await self._operations.version()
        reply = {"id": identity, "ok": True, "gateway": PROGRAM, "wire": WIRE, "backend": "cpython"}
        reply |= {"topspin": version, "session": self.session, "data_folder": str(self._folder)}
        await _send(writer, reply)
        return True

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False at the end of the connection."""
        line = await reader.readuntil(b"\n")
        request = _parse(line)
        identity = None if request is None else request.get("id")
        reply: Reply
        try:
            if request is None:
                raise GatewayError("REQUEST", "not a line of JSON with an object")
            op = request.get("op")
            reply = await self._reply(str(op), request)
        except GatewayError as error:
            await _send(writer, {"id": identity, "ok": False, "code": error.code, "msg": error.message})
        else:
            await _send(writer, {"id": identity, "ok": True, **reply})
        # After a line that can't be read nobody knows where the next one begins.
        return request is not None

    async def _reply(self, op: str, request: dict[str, Any]) -> Reply:
        # These two are answered at once, whatever TopSpin does.
        if op == "ping":
            return {}
        if op == "time":
            return {"time": self._now().isoformat()}
        return await self._operations.run(op, request)


def _is_everywhere(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return address.is_unspecified or (inner is not None and inner.is_unspecified)
    try:
        # Short forms such as '0' mean the same to the system.
        return not host or not any(socket.inet_aton(host))
    except OSError:
        return False  # a name: what it stands for is seen once it is bound


def _wall() -> datetime:
    # The gateway runs alone on the spectrometer's PC: no clock is handed to it there.
    return datetime.now(UTC)  # noqa: TID251


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        request = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Lets labctl measure through TopSpin. Runs on the spectrometer PC beside TopSpin."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this PC only)")
    parser.add_argument("--port", type=int, default=5410, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--token-env",
        default="LABCTL_TOPSPIN_TOKEN",
        metavar="NAME",
        help="environment variable that holds the token (default: %(default)s)",
    )
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help="seconds until TopSpin counts as stuck (default: %(default)g)"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=GRACE,
        help="seconds beyond 1.5 times the expected duration; then an acquisition is halted (default: %(default)g)",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data-folder", type=Path, help="where datasets are made, as TopSpin sees it")
    what.add_argument(
        "--write-jython",
        type=Path,
        metavar="FOLDER",
        help=f"for TopSpin 2 and 3: only write {_SCRIPT}, the gateway that TopSpin itself runs, into this folder",
    )
    return parser


def _write_script(folder: Path) -> int:
    """Put the gateway for TopSpin 2 and 3 where a person wants it; 1 where it can't be written."""
    target = folder / _SCRIPT
    script = resources.files("labctl_drivers.bruker").joinpath("jython", _SCRIPT).read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(script)
    except OSError as error:
        sys.stderr.write(f"{PROGRAM}: cannot write {target}: {error}\n")
        return 1
    sys.stdout.write(
        f"{target}\nCopy it to <TopSpin>/exp/stan/nmr/py/user/ on the spectrometer PC and type into TopSpin:\n"
        "xpy labctl_gateway --data-folder D:/labctl --token-file D:/labctl-token.txt --host <address of that PC>\n"
    )
    return 0


async def _listen(gateway: Gateway, host: str) -> None:
    port = await gateway.start()
    sys.stderr.write(f"{PROGRAM}: listening on {host}:{port}, session {gateway.session}\n")
    try:
        await asyncio.Event().wait()
    finally:
        await gateway.stop()


def main(arguments: list[str] | None = None) -> int:
    """Run the gateway until it is interrupted; the console program.

    Returns
    -------
    int
        0 interrupted, or the script is written; 1 TopSpin's Python interface or the port is missing; 2 usage.
    """
    chosen = _arguments().parse_args(arguments)
    if chosen.write_jython is not None:
        return _write_script(chosen.write_jython)
    token = os.environ.get(chosen.token_env, "").strip()
    if not token:
        sys.stderr.write(f"{PROGRAM}: the environment variable {chosen.token_env} holds no token; set it first\n")
        return 2
    try:
        api = importlib.import_module("bruker.api.topspin")
    except ImportError as error:
        sys.stderr.write(
            f"{PROGRAM}: TopSpin's Python interface is not installed here ({error}); install the wheels that "
            "come with TopSpin 4.1.4 or later under <TopSpin>/python/examples\n"
        )
        return 1
    if _is_everywhere(chosen.host):
        sys.stderr.write(f"{PROGRAM}: --host must name one address of this PC, not all of them\n")
        return 2
    gateway = Gateway(
        api,
        token=token,
        host=chosen.host,
        port=chosen.port,
        data_folder=chosen.data_folder.resolve(),
        patience=chosen.patience,
        grace=chosen.grace,
    )
    try:
        asyncio.run(_listen(gateway, chosen.host))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        sys.stderr.write(f"{PROGRAM}: cannot listen on {chosen.host}:{chosen.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
