"""The driver's side of the gateway's wire: one connection, requests with ids, rebuilt when it can't be trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    Busy,
    DriverContext,
    Garbled,
    Hiccup,
    NotIdentified,
    NotReachable,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.bruker.shapes import misshapen

#: Failures in a row after which a fault is raised.
ATTEMPTS: Final = 3
#: Faults after which the session is rebuilt and, where that is safe, the question repeated.
SURVIVABLE: Final = (NotReachable, TimedOut, Garbled)
#: Real seconds for one answer; more than the gateway gives TopSpin.
_ANSWER: Final = 30.0
_OPEN: Final = 1.5
_HELLO: Final = 3.0
_CONNECT: Final = 4.8
# A chunk of a file in base64, with room to spare.
_LINE: Final = 1 << 20
_PROGRAM: Final = "labctl-topspin-gateway"
_WIRE: Final = 1

_KINDS: Final[Mapping[str, type[InstrumentError]]] = {
    "BUSY": Busy,
    "NODATA": Refused,
    "EXISTS": Refused,
    "PAR_REJECTED": Refused,
    "TIMEOUT": TimedOut,
    "TOPSPIN": VendorAlarm,
    "AUTH": NotIdentified,
    "REQUEST": Garbled,
}

Reply = dict[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class GatewayLink:
    """A connection to the gateway that is closed, opened and identified anew whenever it can't be trusted.

    Parameters
    ----------
    context : DriverContext
        For messages, and to report what was survived.
    address : str
        ``host:port``.
    token : str
        The gateway's token.

    Raises
    ------
    NotReachable
        The address is no ``host:port``.
    """

    def __init__(self, context: DriverContext, address: str, token: str) -> None:
        self._context = context
        self.address = address
        self._token = token
        self._streams: Streams | None = None
        self._id = 0
        self._lock = asyncio.Lock()
        #: The gateway's last hello: ``session``, ``topspin``, ``backend``, ``data_folder``.
        self.hello: Reply = {}
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise self.fault(NotReachable, "the address must read 'host:port'")
        self._host, self._port = host.strip("[]"), int(port)

    async def connect(self) -> None:
        """Connect and say hello, within 5 s.

        Raises
        ------
        NotReachable
            Nobody is there, or nobody says a word.
        NotIdentified
            The token is wrong, or somebody else answers.
        """
        try:
            async with self._lock, asyncio.timeout(self._context.clock.patience(_CONNECT)):
                await self._persist("ping", {}, repeat=True)
        except TimeoutError as late:
            raise self.fault(NotReachable, f"no gateway within {_CONNECT:.0f} s") from late
        except TimedOut as silence:
            raise self.fault(NotReachable, f"the port is open, but no gateway answers ({silence.message})") from silence
        except Garbled as nonsense:
            raise self.fault(NotIdentified, nonsense.message) from nonsense

    async def request(self, op: str, *, repeat: bool = True, **fields: Any) -> Reply:
        """Carry out one operation.

        Parameters
        ----------
        op : str
            The operation.
        repeat : bool
            Whether it may be sent again after a fault. Where not, the fault is raised, and whoever asked finds out
            whether it took effect.
        **fields
            The operation's arguments.

        Raises
        ------
        Busy, Refused, VendorAlarm
            As the gateway answered.
        NotReachable, TimedOut, Garbled
            After three failures in a row.
        NotIdentified
            The gateway is another one than before.
        """
        async with self._lock:
            return await self._persist(op, fields, repeat=repeat)

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        streams, self._streams = self._streams, None
        if streams is not None:
            await _shut(streams)

    def survived(self, fault: InstrumentError) -> None:
        """Report a fault that did no harm."""
        kind = "connection lost" if isinstance(fault, NotReachable) else fault.category
        self._context.report(Hiccup(self._context.name, kind, f"{fault.message}; reconnected and asked again"))

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        return kind(message, instrument=self._context.name, address=self.address, hint=hint)

    async def _persist(self, op: str, fields: Mapping[str, Any], *, repeat: bool) -> Reply:
        survived: list[InstrumentError] = []
        while True:
            try:
                if self._streams is None:
                    self._streams = await self._open()
                reply = await self._exchange(self._streams, op, fields, _ANSWER)
            except SURVIVABLE as fault:
                await self.close()
                survived.append(fault)
                if len(survived) == ATTEMPTS or not repeat:
                    raise
            else:
                break
        for harmless in survived:
            self.survived(harmless)
        return self._judged(reply)

    async def _open(self) -> Streams:
        """Connect and say hello."""
        try:
            async with asyncio.timeout(self._context.clock.patience(_OPEN)):
                streams = await asyncio.open_connection(self._host, self._port, limit=_LINE)
        except TimeoutError as late:
            raise self.fault(NotReachable, f"no connection within {_OPEN:g} s") from late
        except OSError as error:
            raise self.fault(NotReachable, f"no connection ({error.strerror or error})") from error
        welcome = False
        try:
            reply = await self._exchange(streams, "hello", {"token": self._token}, _HELLO)
            if reply.get("gateway") != _PROGRAM:
                raise self.fault(NotIdentified, f"somebody answers, but not {_PROGRAM}")
            hello = self._judged(reply)
            if hello.get("wire") != _WIRE:
                raise self.fault(
                    NotIdentified, f"the gateway speaks wire {hello.get('wire')}, this driver speaks {_WIRE}"
                )
            self.hello = hello
            welcome = True
        finally:
            if not welcome:
                await _shut(streams)
        return streams

    async def _exchange(self, streams: Streams, op: str, fields: Mapping[str, Any], patience: float) -> Reply:
        """Send one request and give the answer that carries its id."""
        reader, writer = streams
        self._id += 1
        request = {"id": self._id, "op": op, **fields}
        answered = False
        try:
            async with asyncio.timeout(self._context.clock.patience(patience)):
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                line = await reader.readuntil(b"\n")
            answered = True
        except TimeoutError as late:
            raise self.fault(TimedOut, f"no answer to '{op}' within {patience:g} s; {await self._pulse(op)}") from late
        except asyncio.LimitOverrunError as long:
            raise self.fault(Garbled, f"the answer to '{op}' has no end") from long
        except (OSError, asyncio.IncompleteReadError) as error:
            raise self.fault(NotReachable, f"the connection ended during '{op}'") from error
        finally:
            # Cancelled half-way: the answer that is still to come must never be taken for the next one.
            if not answered and self._streams is streams:
                self._streams = None
                writer.close()
        try:
            reply = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise self.fault(Garbled, f"the answer to '{op}' is no JSON line") from error
        if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
            raise self.fault(Garbled, f"the answer to '{op}' is no answer of a gateway")
        if reply.get("code") == "REQUEST":
            raise self.fault(Garbled, f"the gateway could not read '{op}': {reply.get('msg')}")
        if reply.get("id") != self._id:
            raise self.fault(Garbled, f"the answer to '{op}' carries id {reply.get('id')} instead of {self._id}")
        if reply["ok"] and (lacking := misshapen(op, fields, reply)) is not None:
            raise self.fault(Garbled, f"the answer to '{op}' has no {lacking} that could be read")
        return reply

    async def _pulse(self, op: str) -> str:
        """Ask on a second connection whether the gateway lives, and say so in words."""
        if op in ("hello", "ping"):
            return "nothing is heard of the gateway"
        try:
            streams = await self._open()
        except InstrumentError:
            return "the gateway does not answer on a second connection either"
        try:
            await self._exchange(streams, "ping", {}, _HELLO)
        except InstrumentError:
            return "the gateway does not answer on a second connection either"
        finally:
            await _shut(streams)
        return "the gateway lives, TopSpin keeps it waiting: look for a dialog on the spectrometer's screen"

    def _judged(self, reply: Reply) -> Reply:
        if reply["ok"]:
            return reply
        code, message = str(reply.get("code")), str(reply.get("msg"))
        raise self.fault(_KINDS.get(code, VendorAlarm), f"{code}: {message}")


async def _shut(streams: Streams) -> None:
    writer = streams[1]
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        return  # it was gone before
