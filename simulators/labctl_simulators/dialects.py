"""What a fault must know of a wire's language: a wrong number, the wrong channel, a refusal that looks like one.

The proxy of :mod:`labctl_simulators.faults` puts them on the wire, so that no simulator knows of them. A dialect
changes one reply, or answers one request in the instrument's place; the request then never reaches the instrument,
which is what a refusal means. Each method gives None where the bytes at hand are not what the fault needs, such as a
reply without a number; the fault then waits for the next.

What "busy" is, differs: the cycler, the gateway, ESPEC and Modbus say so, the circulator does not see the command, the
relay unit and Thales answer late. The texts are those that the simulators use; which of them are guessed, is said
there.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from labctl_simulators.chamber_dialects import Espec, Julabo, Modbus, ModbusRtu
from labctl_simulators.dialect import HELD, NUMBER, Dialect, Instead, other_in, other_number


def _is_number(key: Any, value: Any) -> bool:
    if isinstance(value, str):
        return key == "data" or re.fullmatch(NUMBER, value.encode()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spoil_leaf(node: Any, random: Random, skip: frozenset[str]) -> bool:
    """Change one number, number in a text, or letter of encoded content in a JSON value, in place."""
    leaves: list[tuple[Any, Any]] = []

    def collect(inner: Any) -> None:
        pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
        for key, value in pairs:
            if key in skip:
                continue
            if isinstance(value, dict | list):
                collect(value)
            elif _is_number(key, value):
                leaves.append((inner, key))

    collect(node)
    if not leaves:
        return False
    holder, key = random.choice(leaves)
    value = holder[key]
    if key == "data" and value:
        place = random.randrange(len(value))
        letter = random.choice([one for one in "ABCDabcd0123" if one != value[place]])
        holder[key] = value[:place] + letter + value[place + 1 :]
    elif isinstance(value, str) and value:
        holder[key] = other_number(value, random)
    elif not isinstance(value, str):
        text = other_number(repr(value), random)
        holder[key] = int(text) if isinstance(value, int) else float(text)
    return True


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class MacnetJson(Dialect):
    """JSON-RPC of a MACCOR tester. Commands are refused by ``Result``, questions by an error object."""

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Refuse in the tester's texts."""
        asked = _object(request)
        params = None if asked is None else asked.get("params")
        if asked is None or not isinstance(params, dict):
            return None
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.get("id")}
        if params.get("FClass") == 6 and busy:
            members = {key: params[key] for key in ("FClass", "FNum", "Chan") if key in params}
            reply["result"] = {**members, "Result": "Channel in use"}
        else:
            reply["error"] = {"code": -32603, "message": "MacNet error" if busy else "Illegal value"}
        return Instead(back=self._line(reply))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Name the next channel."""
        del random
        found = _object(reply)
        result = None if found is None else found.get("result")
        if found is None or not isinstance(result, dict) or not isinstance(result.get("Chan"), int):
            return None
        result["Chan"] += 1
        return self._line(found)

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number of the result."""
        found = _object(reply)
        result = None if found is None else found.get("result")
        if not isinstance(result, dict) or not _spoil_leaf(result, random, frozenset(("FClass", "FNum", "Chan"))):
            return None
        return self._line(found)

    @staticmethod
    def _line(value: Any) -> bytes:
        return json.dumps(value, separators=(",\n", ":")).encode() + b"\r\n"


class MacnetBinary(Dialect):
    """Binary messages of a MACCOR tester: eight bytes of header, then what they say."""

    _HEADER: Final = struct.Struct("<HHHH")

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Refuse a block of a file in the tester's form."""
        if len(request) < 12 or request[:4] not in (b"\1\0\6\0", b"\1\0\7\0"):
            return None
        text = b"File is in use\0" if busy else b"Access denied\0"
        block = struct.pack("<BBH", request[8], 5, 32 if busy else 5) + text
        fclass, fnum, channel, _ = self._HEADER.unpack_from(request)
        return Instead(back=self._HEADER.pack(fclass, fnum, channel, len(block)) + block)

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Name the next channel in the header."""
        del random
        if len(reply) < self._HEADER.size:
            return None
        return reply[:4] + bytes(((reply[4] + 1) & 0xFF,)) + reply[5:]

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Flip one bit of what follows the header."""
        if len(reply) <= self._HEADER.size:
            return None
        place = random.randrange(self._HEADER.size, len(reply))
        return reply[:place] + bytes((reply[place] ^ 1 << random.randrange(8),)) + reply[place + 1 :]


class TopspinGateway(Dialect):
    """JSON lines of the gateway on the spectrometer PC. Its channels are the EXPNOs of a dataset."""

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Refuse in the gateway's codes; the hello is never refused, as that would be another token."""
        asked = _object(request)
        if asked is None or asked.get("op") in (None, "hello"):
            return None
        code, message = ("BUSY", "another acquisition runs") if busy else ("PAR_REJECTED", "declined")
        reply = {"id": asked.get("id"), "ok": False, "code": code, "msg": message}
        return Instead(back=self._line(reply))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Tell every EXPNO as the next one; where none is named, answer the question before."""
        del random
        found = _object(reply)
        if found is None:
            return None
        expnos = found.get("expnos")
        if isinstance(expnos, dict) and expnos:
            found["expnos"] = {str(int(number) + 1): state for number, state in expnos.items()}
        elif isinstance(found.get("id"), int):
            found["id"] -= 1
        else:
            return None
        return self._line(found)

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number, or one letter of a file's content."""
        found = _object(reply)
        if found is None or not _spoil_leaf(found, random, frozenset(("id", "session", "wire"))):
            return None
        return self._line(found)

    @staticmethod
    def _line(value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


class Thales(Dialect):
    """Telegrams of Term: length (little-endian), channel, payload. A busy Thales is silent on its script channel."""

    _SCRIPT: Final = 2
    _DEVCLI: Final = 128

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Answer a script command with an error, or hold it back."""
        telegrams = self._telegrams(request)
        if telegrams is None or [channel for channel, _ in telegrams] != [self._SCRIPT]:
            return None
        return Instead(back=HELD) if busy else Instead(back=self._pack(self._SCRIPT, b"ERROR;101;1\r"))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Send the answer on the other channel: a script's as Term's own, or the reverse."""
        del random
        telegrams = self._telegrams(reply)
        if telegrams is None or not {channel for channel, _ in telegrams} & {self._SCRIPT, self._DEVCLI}:
            return None
        other = {self._SCRIPT: self._DEVCLI, self._DEVCLI: self._SCRIPT}
        return b"".join(self._pack(other.get(channel, channel), payload) for channel, payload in telegrams)

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number of a text, or one byte of a file."""
        telegrams = self._telegrams(reply)
        if telegrams is None:
            return None
        ways: list[tuple[int, bytes]] = []
        for index, (channel, payload) in enumerate(telegrams):
            if channel in (self._SCRIPT, self._DEVCLI, 129):
                changed = other_in(payload, random)
                if changed is not None:
                    ways.append((index, changed))
            elif channel == 131 and payload:
                place = random.randrange(len(payload))
                ways.append((index, payload[:place] + bytes((payload[place] ^ 1,)) + payload[place + 1 :]))
        if not ways:
            return None
        chosen, changed = random.choice(ways)
        telegrams[chosen] = (telegrams[chosen][0], changed)
        return b"".join(self._pack(channel, payload) for channel, payload in telegrams)

    @staticmethod
    def _pack(channel: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(2, "little") + bytes((channel,)) + payload

    @staticmethod
    def _telegrams(data: bytes) -> list[tuple[int, bytes]] | None:
        found = []
        while data:
            length = int.from_bytes(data[:2], "little")
            if len(data) < 3 + length:
                return None
            found.append((data[2], data[3 : 3 + length]))
            data = data[3 + length :]
        return found or None


class Scpi(Dialect):
    """Lines of a relay unit. A refused command does nothing and leaves an entry in the error queue."""

    _STATES: Final = re.compile(rb"(.*;)?([01](?:, ?[01])+)\r?\n", re.DOTALL)
    _MOVES: Final = re.compile(rb"ROUT\w*:(?:MULT\w*:)?(?:OPEN|CLOS)\w* ")
    _ASKED: Final = re.compile(rb"(SYST:ERR\?|\*OPC\?);:")
    _NO_ERROR: Final = re.compile(rb'\+?0,"No error"')

    def __init__(self) -> None:
        self._complains = False

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Not move relays and complain, leave out the refused part of an answer and complain, or answer late."""
        if busy:
            return Instead(back=HELD)
        if asked := self._ASKED.match(request):
            self._complains = True
            return Instead(onward=asked[1] + b"\n")
        if not self._MOVES.match(request):
            return None
        self._complains = True
        return Instead(onward=b"*OPC?\n" if b"*OPC?" in request else b"")

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Tell the state of each relay as that of the next."""
        del random
        match = self._STATES.fullmatch(reply)
        if match is None:
            return None
        between = self._between(match[2])
        states = match[2].split(between)
        rotated = between.join([states[-1], *states[:-1]])
        return None if rotated == match[2] else (match[1] or b"") + rotated + b"\n"

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Tell one relay as the opposite, or change a number."""
        match = self._STATES.fullmatch(reply)
        if match is None:
            return other_in(reply, random)
        between = self._between(match[2])
        states = match[2].split(between)
        place = random.randrange(len(states))
        states[place] = b"0" if states[place] == b"1" else b"1"
        return (match[1] or b"") + between.join(states) + b"\n"

    def passing(self, reply: bytes) -> bytes:
        """Complain once, in the next reply that tells of errors."""
        if self._complains and self._NO_ERROR.search(reply):
            self._complains = False
            return self._NO_ERROR.sub(b'-221,"Settings conflict"', reply, count=1)
        return reply

    @staticmethod
    def _between(states: bytes) -> bytes:
        """Give what parts states: the Keithley sets a space after each comma."""
        return b", " if b", " in states else b","


class Eclib(Dialect):
    """Lines between the stand-in for BioLogic's library and its instrument; what they mean is the library's codes.

    A wrong value is one among what a look tells: of the instrument, of a channel, or the values of the moment. Records
    are given once, so that nobody could tell a wrong one among them: those stay as they are.
    """

    #: By the structure's bytes: the places of its whole numbers and of its reals that clients look at.
    _DEVICE: Final = (44, (0, 12, 20), ())
    _CHANNEL: Final = (76, (12, 48, 52, 56, 60, 64, 72), ())
    _VALUES: Final = (76, (0, 4, 68), (12, 40, 52))
    _VOLTAGE_RANGE: Final = struct.Struct("<16xff")

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Answer "another function is in progress", or "the function failed"."""
        asked = _object(request)
        if asked is None or "n" not in asked:
            return None
        return Instead(back=self._line({"n": asked["n"], "code": -12 if busy else -6, "out": []}))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Answer the question before."""
        del random
        found = _object(reply)
        if found is None or not isinstance(found.get("n"), int):
            return None
        found["n"] -= 1
        return self._line(found)

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number of a structure."""
        found = _object(reply)
        outputs = [] if found is None else [bytearray.fromhex(one) for one in found.get("out", ())]
        known = [(one, kind) for one in outputs if (kind := self._kind(one)) is not None]
        if found is None or not known:
            return None
        content, (_, whole, real) = random.choice(known)
        place = random.choice(whole + real)
        form = struct.Struct("<f" if place in real else "<i")
        (value,) = form.unpack_from(content, place)
        changed = float(other_number(f"{value:.4f}" if place in real else str(value), random))
        form.pack_into(content, place, changed if place in real else int(max(-(2**31), min(changed, 2**31 - 1))))
        return self._line({**found, "out": [one.hex() for one in outputs]})

    def _kind(self, content: bytes | bytearray) -> tuple[int, tuple[int, ...], tuple[int, ...]] | None:
        if len(content) == self._DEVICE[0]:
            return self._DEVICE
        if len(content) != self._VALUES[0]:
            return None
        low, high = self._VOLTAGE_RANGE.unpack_from(content)
        return self._VALUES if -20 < low < -1e-3 and 1e-3 < high < 20 else self._CHANNEL

    @staticmethod
    def _line(value: Any) -> bytes:
        return json.dumps(value).encode() + b"\n"


class EcLabCom(Dialect):
    """Lines between the stand-in for EC-Lab's object and EC-Lab, which never says why it declines.

    A wrong value is one of a status.
    """

    _STATUS: Final = 33
    #: State, technique, elapsed time, both electrodes, current, safety limit, connection.
    _LOOKED_AT: Final = (0, 4, 15, 16, 17, 19, 30, 31)

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Answer that the call was not carried out."""
        del busy
        asked = _object(request)
        if asked is None or "n" not in asked:
            return None
        return Instead(back=self._line({"n": asked["n"], "out": []}))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Answer the question before."""
        del random
        found = _object(reply)
        if found is None or not isinstance(found.get("n"), int):
            return None
        return self._line({**found, "n": found["n"] - 1})

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number of a status."""
        found = _object(reply)
        values = None if found is None else found.get("out")
        if found is None or not isinstance(values, list) or len(values) != self._STATUS:
            return None
        place = random.choice(self._LOOKED_AT)
        values[place] = float(other_number(f"{values[place]:.4f}", random))
        return self._line(found)

    @staticmethod
    def _line(value: Any) -> bytes:
        return json.dumps(value).encode() + b"\n"


DIALECTS: Final[Mapping[str, Callable[[], Dialect]]] = {
    "macnet-json": MacnetJson,
    "macnet-binary": MacnetBinary,
    "topspin-gateway": TopspinGateway,
    "thales": Thales,
    "julabo": Julabo,
    "espec": Espec,
    "modbus-tcp": Modbus,
    "modbus-rtu": ModbusRtu,
    "scpi": Scpi,
    "eclib": Eclib,
    "eclabcom": EcLabCom,
    "": Dialect,
}
"""By the name under which a simulator exposes its port."""
