"""A stand-in for the vendor's library: the same calls, loaded where ``ctypes.WinDLL`` would load ``EClib64.dll``.

It takes what ctypes clients hand over (ctypes instances, ``byref`` objects, pointers, plain numbers and bytes), fills
in their structures byte by byte as the vendor's library does, and gives back what ``restype`` makes of the code. What
the vendor's library would ask the instrument, this asks the simulated one at ``host:port``, and waits for the answer
as the vendor's does. :class:`Find` stands in for the second library, which looks for instruments: it finds none.
"""

from __future__ import annotations

import ctypes
import json
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from labctl_simulators.biologic import structures as wire

VERSION: Final = b"6.8.1.0"
#: Seconds after which an instrument that keeps silent counts as lost: a guess.
ANSWER_WITHIN: Final = 1.5
_NO_ANSWER: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
_WHOLE: Final = range(-(2**31), 2**31)


def _value(argument: Any) -> Any:
    """A number or text, however it was handed over."""
    held = _held(argument)
    return getattr(held, "value", held)


def _held(argument: Any) -> Any:
    """What a reference or a pointer leads to; other arguments as they are."""
    if hasattr(argument, "_obj"):
        return argument._obj
    if hasattr(argument, "contents"):
        return argument.contents
    return argument


def _fill(argument: Any, content: bytes) -> None:
    target = _held(argument)
    ctypes.memmove(ctypes.addressof(target), content, min(len(content), ctypes.sizeof(target)))


def _text(argument: Any) -> str:
    value = _value(argument)
    raw = value if isinstance(value, bytes) else bytes(value)
    return raw.split(b"\0", 1)[0].decode("latin-1")


def _selection(argument: Any, length: int) -> str:
    held = _held(argument)
    return bytes(int(bool(held[index])) for index in range(length)).hex()


class _Link:
    """The connection to one instrument."""

    def __init__(self, address: str, timeout: float) -> None:
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout)
        self._socket.settimeout(ANSWER_WITHIN)
        self._rest = b""
        self._number = 0

    def ask(self, call: str, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        """Ask the instrument. Raises ``OSError`` where it is lost, ``ValueError`` where its answer is none."""
        self._number += 1
        question = json.dumps({"n": self._number, "call": call, "with": list(arguments)})
        self._socket.sendall(question.encode() + b"\n")
        while True:
            line, found, rest = self._rest.partition(b"\n")
            if not found:
                chunk = self._socket.recv(65536)
                if not chunk:
                    raise ConnectionError("the instrument has closed the connection")
                self._rest += chunk
                continue
            self._rest = rest
            answer = json.loads(line.decode("ascii"))
            if answer["n"] == self._number:
                code = int(answer["code"])
                if code not in _WHOLE:
                    raise ValueError(f"{code} is no code")
                return code, [bytes.fromhex(one) for one in answer["out"]]

    def close(self) -> None:
        self._socket.close()


class _Function:
    """One exported function, with the attributes that ctypes clients set on such."""

    def __init__(self, name: str, body: Callable[..., int]) -> None:
        self.__name__ = name
        self.restype: Any = ctypes.c_int32
        self.argtypes: Any = None
        self._body = body

    def __call__(self, *arguments: Any) -> Any:
        code = self._body(*arguments)
        if self.restype is None:
            return None
        if isinstance(self.restype, type) and issubclass(self.restype, ctypes._SimpleCData):
            return self.restype(code).value
        return self.restype(code)


class EClib:
    """The library, by name of its file as ``ctypes.WinDLL`` takes it; the name is not looked at."""

    def __init__(self, name: str = "EClib64.dll") -> None:
        self._name = name
        self._links: dict[int, _Link] = {}
        # Instruments of several stand-ins number their connections alike.
        self._numbers: dict[int, int] = {}
        self._next = 0
        self._lock = threading.RLock()
        self._functions: dict[str, _Function] = {}

    def __getitem__(self, name: str) -> _Function:
        """Give a function by its name, always the same object."""
        if name not in self._functions:
            body = _LOCAL.get(name) or _REMOTE.get(name)
            if body is None:
                raise AttributeError(f"function '{name}' not found")
            self._functions[name] = _Function(name, lambda *arguments: body(self, *arguments))
        return self._functions[name]

    def __getattr__(self, name: str) -> _Function:
        """Give a function as an attribute, as ctypes does."""
        if name.startswith("BL_"):
            return self[name]
        raise AttributeError(name)

    def close(self) -> None:
        """Cut all connections, as when the process ends."""
        with self._lock:
            for link in self._links.values():
                link.close()
            self._links.clear()

    def _ask(self, call: str, identifier: Any, *arguments: Any) -> tuple[int, list[bytes]]:
        with self._lock:
            number = int(_value(identifier))
            link = self._links.get(number)
            if link is None:
                return wire.NOT_CONNECTED, []
            try:
                return link.ask(call, [self._numbers[number], *arguments])
            except OSError:
                link.close()
                del self._links[number]
                return wire.COMMUNICATION_FAILED, []
            except _NO_ANSWER:
                return wire.RESPONSE_ERROR, []

    def _fetch(self, targets: Sequence[Any], call: str, identifier: Any, *arguments: Any) -> int:
        code, outputs = self._ask(call, identifier, *arguments)
        for target, output in zip(targets, outputs, strict=False):
            _fill(target, output)
        return code

    def _version(self, buffer: Any, size: Any) -> int:
        _fill(buffer, VERSION + b"\0")
        _fill(size, len(VERSION).to_bytes(4, "little"))
        return wire.OK

    def _connect(self, address: Any, timeout: Any, identifier: Any, infos: Any) -> int:
        with self._lock:
            try:
                link = _Link(_text(address), float(_value(timeout)))
            except (OSError, ValueError):
                return wire.CONNECTION_FAILED
            try:
                number, outputs = link.ask("BL_Connect", [])
            except (OSError, *_NO_ANSWER):
                link.close()
                return wire.CONNECTION_FAILED
            if number < 0 or not outputs:
                link.close()
                return min(number, wire.CONNECTION_FAILED)
            self._next += 1
            self._links[self._next], self._numbers[self._next] = link, number
            _fill(identifier, self._next.to_bytes(4, "little"))
            _fill(infos, outputs[0])
            return wire.OK

    def _disconnect(self, identifier: Any) -> int:
        with self._lock:
            code, _ = self._ask("BL_Disconnect", identifier)
            link = self._links.pop(int(_value(identifier)), None)
            if link is not None:
                link.close()
            return code

    def _test(self, identifier: Any) -> int:
        return self._ask("BL_TestConnection", identifier)[0]

    def _speed(self, identifier: Any, channel: Any, reception: Any, kernel: Any) -> int:
        return self._fetch((reception, kernel), "BL_TestCommSpeed", identifier, int(_value(channel)))

    def _firmware(
        self,
        identifier: Any,
        channels: Any,
        results: Any,
        length: Any,
        gauge: Any,
        force: Any,
        *files: Any,
    ) -> int:
        del gauge, files
        chosen = _selection(channels, int(_value(length)))
        return self._fetch((results,), "BL_LoadFirmware", identifier, chosen, bool(_value(force)))

    def _plugged(self, identifier: Any, channels: Any, size: Any) -> int:
        return self._fetch((channels,), "BL_GetChannelsPlugged", identifier, int(_value(size)))

    def _is_plugged(self, identifier: Any, channel: Any) -> int:
        return int(self._ask("BL_IsChannelPlugged", identifier, int(_value(channel)))[0] > 0)

    def _message(self, identifier: Any, channel: Any, text: Any, size: Any) -> int:
        code, outputs = self._ask("BL_GetMessage", identifier, int(_value(channel)))
        message = outputs[0] if outputs else b""
        _fill(text, message + b"\0")
        _fill(size, len(message).to_bytes(4, "little"))
        return code

    def _load(
        self, identifier: Any, channel: Any, file: Any, parameters: Any, first: Any, last: Any, display: Any
    ) -> int:
        del display
        blob = _parameters(parameters)
        flags = bool(_value(first)), bool(_value(last))
        return self._ask("BL_LoadTechnique", identifier, int(_value(channel)), _text(file), blob.hex(), *flags)[0]

    def _update(self, identifier: Any, channel: Any, index: Any, parameters: Any, file: Any) -> int:
        told = int(_value(index)), _text(file), _parameters(parameters).hex()
        return self._ask("BL_UpdateParameters", identifier, int(_value(channel)), *told)[0]

    def _several(self, call: str, identifier: Any, channels: Any, results: Any, length: Any) -> int:
        return self._fetch((results,), call, identifier, _selection(channels, int(_value(length))))

    def _data(self, identifier: Any, channel: Any, buffer: Any, infos: Any, values: Any) -> int:
        code, outputs = self._ask("BL_GetData", identifier, int(_value(channel)))
        if len(outputs) == 3:
            for target, output in zip((infos, values, buffer), outputs, strict=True):
                _fill(target, output)
        return code

    def _of_channel(self, call: str, identifier: Any, channel: Any, *targets: Any) -> int:
        return self._fetch(targets, call, identifier, int(_value(channel)))


def _parameters(parameters: Any) -> bytes:
    """Read the parameters that a list points to, as bytes."""
    held = _held(parameters)
    size = int(held.len) * wire.ECC_PARAMETER.size
    return ctypes.string_at(ctypes.cast(held.pParams, ctypes.c_void_p), size) if size else b""


def _define(kind: int, bits: Callable[[Any], int]) -> Callable[..., int]:
    def define(library: EClib, label: Any, value: Any, index: Any, target: Any) -> int:
        del library
        raw = _text(label).encode("latin-1")
        _fill(target, wire.parameter(raw, kind, bits(_value(value)), int(_value(index))))
        return wire.OK

    return define


def _as_single(library: EClib, number: Any, target: Any, board: Any = 0) -> int:
    del library, board
    _fill(target, (int(_value(number)) & 0xFFFFFFFF).to_bytes(4, "little"))
    return wire.OK


def _as_seconds(library: EClib, clock: Any, target: Any, timebase: Any, board: Any) -> int:
    del library, board
    held = _held(clock)
    ctypes.cast(ctypes.addressof(_held(target)), ctypes.POINTER(ctypes.c_double))[0] = float(_value(timebase)) * (
        (int(held[0]) << 32) + int(held[1])
    )
    return wire.OK


def _channel_call(name: str) -> Callable[..., int]:
    return lambda library, identifier, channel, *targets: library._of_channel(name, identifier, channel, *targets)


def _group_call(name: str) -> Callable[..., int]:
    return lambda library, identifier, channels, results, length: library._several(
        name, identifier, channels, results, length
    )


_LOCAL: Final[dict[str, Callable[..., int]]] = {
    "BL_GetLibVersion": EClib._version,
    "BL_DefineBoolParameter": _define(wire.BOOLEAN, lambda value: int(bool(value))),
    "BL_DefineIntParameter": _define(wire.INTEGER, lambda value: int(value) & 0xFFFFFFFF),
    "BL_DefineSglParameter": _define(wire.SINGLE, wire.single_bits),
    "BL_ConvertNumericIntoSingle": _as_single,
    "BL_ConvertChannelNumericIntoSingle": _as_single,
    "BL_ConvertTimeChannelNumericIntoSeconds": _as_seconds,
}
_REMOTE: Final[dict[str, Callable[..., int]]] = {
    "BL_Connect": EClib._connect,
    "BL_Disconnect": EClib._disconnect,
    "BL_TestConnection": EClib._test,
    "BL_TestCommSpeed": EClib._speed,
    "BL_LoadFirmware": EClib._firmware,
    "BL_GetChannelsPlugged": EClib._plugged,
    "BL_IsChannelPlugged": EClib._is_plugged,
    "BL_GetMessage": EClib._message,
    "BL_LoadTechnique": EClib._load,
    "BL_UpdateParameters": EClib._update,
    "BL_GetData": EClib._data,
    **{
        name: _channel_call(name)
        for name in (
            "BL_GetChannelBoardType",
            "BL_GetChannelInfos",
            "BL_GetOptErr",
            "BL_GetHardConf",
            "BL_SetHardConf",
            "BL_StartChannel",
            "BL_StopChannel",
            "BL_GetCurrentValues",
        )
    },
    **{name: _group_call(name) for name in ("BL_StartChannels", "BL_StopChannels")},
}


class Find:
    """The library that looks for instruments, as ``blfind64.dll``: there are none to be found."""

    def __init__(self, name: str = "blfind64.dll") -> None:
        self._name = name
        self._functions: dict[str, _Function] = {}

    def __getitem__(self, name: str) -> _Function:
        """Give a function by its name."""
        return self._functions.setdefault(name, _Function(name, _none_found))


def _none_found(*arguments: Any) -> int:
    for argument in arguments[1:]:
        _fill(argument, b"\0\0\0\0")
    return wire.OK
