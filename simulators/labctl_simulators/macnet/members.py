"""Members of requests and replies: read, checked and put into the tester's number format."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from labctl_simulators.macnet.steering import SteeredChannel
from labctl_simulators.macnet.tester import Tester

Params = Mapping[str, Any]
Answer = dict[str, Any]

INVALID_PARAMS: Final = -32602
ALL_SELECTED: Final = 65535

_SINGLE: Final = struct.Struct("<f")
_LARGEST: Final = 3.4e38


class RpcError(Exception):
    """An error object instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def single(value: float) -> float:
    """Real numbers are single precision on the tester and are widened for JSON."""
    widened: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return widened


def illegal() -> RpcError:
    """What a value gets that its member cannot have."""
    return RpcError(INVALID_PARAMS, "Illegal value")


def text(params: Params, key: str) -> str:
    """Read a text. Raises :class:`RpcError`."""
    if key not in params:
        raise RpcError(INVALID_PARAMS, "Missing object")
    if not isinstance(params[key], str):
        raise illegal()
    return str(params[key])


def number(params: Params, key: str, default: float | None = None) -> float:
    """Read a number that single precision can hold. Raises :class:`RpcError`."""
    if key not in params:
        if default is not None:
            return default
        raise RpcError(INVALID_PARAMS, "Missing object")
    value = params[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_LARGEST <= value <= _LARGEST:
        raise illegal()
    return float(value)


def whole(params: Params, key: str, default: int | None = None) -> int:
    """Read a whole number. Raises :class:`RpcError`."""
    value = number(params, key, default)
    if not math.isfinite(value) or value != int(value):
        raise illegal()
    return int(value)


def channel(tester: Tester, params: Params) -> SteeredChannel:
    """Give the one channel that a message is about. Raises :class:`RpcError`."""
    index = whole(params, "Chan")
    if not 0 <= index < len(tester.channels):
        raise illegal()
    return tester.channels[index]


def several(tester: Tester, params: Params) -> tuple[Answer, list[SteeredChannel]]:
    """Give the head of the answer and the channels of a reading of several, brought to the present."""
    first, count = whole(params, "Chan"), whole(params, "Len")
    if first == -1:
        # A published client counts one too few here; what a real tester answers is unknown.
        tester.laboratory.record(tester.name, "channel -1 taken for 0")
        first = 0
    if not (first >= 0 and 1 <= count <= 128 and first + count <= len(tester.channels)):
        raise illegal()
    channels = tester.channels[first : first + count]
    now = tester.laboratory.time()
    for one in channels:
        one.advance(now)
    return {"Chan": first, "Len": count}, channels
