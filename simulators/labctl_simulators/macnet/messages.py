"""JSON messages by class and number, as the manual's catalogue names their members. Data in, data out.

Left out: calibration (3,2), selection (6,1), direct mode (6,7), (6,8), advanced start (6,13), smart batteries, login.
Guessed: codes and shape of error objects, and that refusals are the texts of the binary table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from labctl_simulators.macnet.channel import Channel
from labctl_simulators.macnet.procedure import SCALES
from labctl_simulators.macnet.tester import CHECKS, REFUSALS, SYSTEM_ID, VERSION, Tester

Params = Mapping[str, Any]
Answer = dict[str, Any]

_SINGLE: Final = struct.Struct("<f")
_SAFETY: Final = ("VSafeMax", "VSafeMin", "ISafeChg", "ISafeDis", "PBatSafeChg", "PBatSafeDis")


class RpcError(Exception):
    """An error object instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def single(value: float) -> float:
    """Real numbers are single precision on the tester and are widened for JSON."""
    widened: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return widened


def answer(tester: Tester, request: Any) -> Answer:
    """Answer one JSON-RPC request; ``None`` for one that is no JSON."""
    number = request.get("id") if isinstance(request, dict) else None
    try:
        if request is None:
            raise RpcError(-32700, "Parse error")
        if (
            not isinstance(request, dict)
            or number is None
            or request.get("jsonrpc") != "2.0"
            or request.get("method") != "MacNet"
        ):
            raise RpcError(-32600, "Method MacNet, jsonrpc 2.0 or id not found")
        result = _result(tester, request, request.get("params"))
    except RpcError as error:
        return {"jsonrpc": "2.0", "error": {"code": error.code, "message": str(error)}, "id": number}
    if result is request:
        return request
    return {"jsonrpc": "2.0", "result": result, "id": number}


def _result(tester: Tester, request: Answer, params: Any) -> Answer:
    if not isinstance(params, dict):
        raise RpcError(-32602, "Invalid params")
    for key in ("FClass", "FNum"):
        if not isinstance(params.get(key), int) or isinstance(params[key], bool):
            raise RpcError(-32602, f'"{key}" key does not exist or value syntax error')
    fclass, fnum = params["FClass"], params["FNum"]
    if (fclass, fnum) == (0, 0):
        return request
    handler = MESSAGES.get((fclass, fnum))
    if handler is None:
        known = any(fclass == one for one, _ in MESSAGES)
        raise RpcError(-32602, "Invalid FNum" if known else "Invalid FClass")
    return {"FClass": fclass, "FNum": fnum, **handler(tester, params)}


def _text(params: Params, key: str) -> str:
    if key not in params:
        raise RpcError(-32602, "Missing object")
    if not isinstance(params[key], str):
        raise RpcError(-32602, "Illegal value")
    return str(params[key])


def _number(params: Params, key: str) -> float:
    if key not in params:
        raise RpcError(-32602, "Missing object")
    if isinstance(params[key], bool) or not isinstance(params[key], (int, float)):
        raise RpcError(-32602, "Illegal value")
    return float(params[key])


def _channel(tester: Tester, params: Params) -> Channel:
    index = int(_number(params, "Chan"))
    if not 0 <= index < len(tester.channels):
        raise RpcError(-32602, "Illegal value")
    return tester.channels[index]


def _several(tester: Tester, params: Params) -> tuple[Answer, list[Channel]]:
    first, count = int(_number(params, "Chan")), int(_number(params, "Len"))
    if first == -1:
        # A published client counts one too few here; what a real tester answers is unknown.
        tester.laboratory.record(tester.name, "channel -1 taken for 0")
        first = 0
    if not (first >= 0 and 1 <= count <= 128 and first + count <= len(tester.channels)):
        raise RpcError(-32602, "Illegal value")
    channels = tester.channels[first : first + count]
    now = tester.laboratory.time()
    for channel in channels:
        channel.advance(now)
    return {"Chan": first, "Len": count}, channels


def _version(tester: Tester, params: Params) -> Answer:
    parts = ("Major", "Minor", "Build")
    versions = {
        f"MacTest32{kind}version{part}": number
        for kind in ("EXE", "DLL")
        for part, number in zip(parts, VERSION, strict=True)
    }
    return {
        "APIVersion": 5,
        **versions,
        "MacTest32ExeDT": "2024-03-01T09:00:00",
        "MacTest32DLLDT": "2024-03-01T09:00:00",
    }


def _general(tester: Tester, params: Params) -> Answer:
    return {
        "SystemID": SYSTEM_ID,
        "SystemType": 0,
        "ControllerBoards": 1,
        "TestChannels": len(tester.channels),
        "AuxBoards": 0,
        "AuxChannels": 0,
        "SMB1Pos": 0,
        "SMB3Pos": 0,
    }


def _procedure_exists(tester: Tester, params: Params) -> Answer:
    found = tester.procedure(_text(params, "ProcName")) is not None
    return {"ProcedurExists": "TRUE" if found else "FALSE"}


def _test_exists(tester: Tester, params: Params) -> Answer:
    name = _text(params, "TestName").casefold()
    tester.update(tester.laboratory.time())
    return {"TestNameExists": "TRUE" if any(name == old.casefold() for old in tester.archive) else "FALSE"}


def _listing(tester: Tester, params: Params) -> Answer:
    kind, command = int(_number(params, "FileType")), int(_number(params, "Command"))
    if kind not in (1, 2, 3) or command not in (0, 1):
        raise RpcError(-32602, "Illegal value")
    if command == 0:
        if kind == 3:
            files = sorted(tester.procedures.glob("*.000"))
        else:
            names = tester.archive if kind == 2 else {c.test.name: c.number for c in tester.channels if c.test}
            files = [tester.exports / f"{name}.{number:03d}" for name, number in names.items()]
        tester.listing = list(enumerate(file for file in files if file.is_file()))
        return {"NumberOfFiles": len(tester.listing)}
    left = len(tester.listing)
    if not left:
        return {"NumberOfFiles": 0}
    index, file = tester.listing.pop(0)
    facts = file.stat()
    date = datetime.fromtimestamp(facts.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"NumberOfFiles": left, "Index": index, "FileDate": date, "Size": facts.st_size, "FileName": file.name}


def _specification(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    scales = {f"IR{number}{way}": single(SCALES[str(number)]) for way in ("Chg", "Dis") for number in (4, 3, 2, 1)}
    safety = {key: single(channel.safety[key]) for key in _SAFETY}
    return {
        "Chan": channel.number - 1,
        "TickSpeed": single(0.01),
        "Vmax": 5.0,
        "Vmin": 0.0,
        **safety,
        **scales,
        "PChanSafeChg": single(27.5),
        "PChanSafeDis": single(27.5),
        "PSVChg": 9.0,
        "PSVDis": -4.0,
    }


def _statuses(tester: Tester, params: Params) -> Answer:
    head, channels = _several(tester, params)
    return {**head, "Status": [{"RF1": c.doing, "RF2": c.reason, "Stat": c.stat} for c in channels]}


def _listed(name: str, key: str) -> Callable[[Tester, Params], Answer]:
    def handler(tester: Tester, params: Params) -> Answer:
        head, channels = _several(tester, params)
        return {**head, name: [single(channel.reading()[key]) for channel in channels]}

    return handler


def _auxiliary(name: str) -> Callable[[Tester, Params], Answer]:
    def handler(tester: Tester, params: Params) -> Answer:
        return {"Chan": _channel(tester, params).number - 1, "Len": 0, name: []}

    return handler


def _names(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    channel.advance(tester.laboratory.time())
    test = channel.test
    return {
        "Chan": channel.number - 1,
        "TestName": "" if test is None else test.name,
        "ProcName": "" if test is None else test.procedure,
    }


def _status(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    now = channel.reading()
    test = channel.test
    return {
        "Chan": channel.number - 1,
        "RF1": channel.doing,
        "RF2": channel.reason,
        "Stat": channel.stat,
        "LastRecNum": 0 if test is None else test.records,
        "Cycle": 0 if test is None else test.cycle,
        "Step": 0 if test is None else test.step,
        "TestTime": single(now["test"]),
        "StepTime": single(now["step"]),
        "Capacity": single(now["Q"]),
        "Energy": single(now["E"]),
        "Current": single(now["I"]),
        "Voltage": single(now["V"]),
        "TesterTime": tester.laboratory.now().isoformat(timespec="seconds")[:19],
    }


def _flags(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    return {
        "Chan": channel.number - 1,
        "GlobFlags": f"0x{channel.flags:08X}",
        "VARs": [single(value) for value in channel.variables],
    }


def _set_flags(tester: Tester, params: Params) -> Answer:
    try:
        flags = int(_text(params, "GlobFlags"), 16) & 0xFFFFFFFF
    except ValueError as error:
        raise RpcError(-32602, "Illegal value") from error
    for channel in tester.channels:
        channel.flags = flags
    return {"New GlobFlags": f"0x{flags:08X}"}


def _end_status(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    channel.advance(tester.laboratory.time())
    return {"Chan": channel.number - 1, "NumOfEnds": 1, "EndNum": 1 if channel.stat == 4 else 0}


def _one_c(params: Params) -> float:
    return single(_number(params, "Crate")) if "Crate" in params else 1.0


def _start(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    names = _text(params, "TestName"), _text(params, "ProcName"), str(params.get("Comment", ""))
    code = tester.start(channel, *names, one_c=_one_c(params))
    return {"Chan": channel.number - 1, "Result": REFUSALS[code] if code else "OK"}


def _check(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    code = tester.check(channel, _text(params, "TestName"), _text(params, "ProcName"), _one_c(params))
    return {"Chan": channel.number - 1, "Result": CHECKS[code] if code else "OK"}


def _order(do: Callable[[Tester, Channel], int]) -> Callable[[Tester, Params], Answer]:
    def handler(tester: Tester, params: Params) -> Answer:
        channel = _channel(tester, params)
        code = do(tester, channel)
        return {"Chan": channel.number - 1, "Result": REFUSALS[code] if code else "OK"}

    return handler


def _variable(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    number = int(_number(params, "VarNum"))
    if not 1 <= number <= 15:
        raise RpcError(-32602, "Illegal value")
    channel.variables[number - 1] = _number(params, "Value")
    return {"Chan": channel.number - 1, "Result": "OK"}


def _safety(tester: Tester, params: Params) -> Answer:
    channel = _channel(tester, params)
    limits = {key: single(_number(params, key)) for key in _SAFETY}
    channel.advance(tester.laboratory.time())
    channel.limit(limits)
    return {"Chan": channel.number - 1, **limits}


MESSAGES: Final[Mapping[tuple[int, int], Callable[[Tester, Params], Answer]]] = {
    (1, 1): _version,
    (1, 2): _general,
    (1, 3): _procedure_exists,
    (1, 4): _test_exists,
    (1, 5): _listing,
    (3, 1): _specification,
    (4, 1): _statuses,
    (4, 2): _listed("Voltage", "V"),
    (4, 3): _listed("Current", "I"),
    (4, 4): _auxiliary("AuxValues"),
    (4, 5): _auxiliary("AuxUnit"),
    (4, 6): _names,
    (4, 7): _status,
    (4, 8): _flags,
    (4, 9): _listed("TestTimes", "test"),
    (4, 10): _end_status,
    (5, 1): _set_flags,
    (6, 2): _start,
    (6, 3): _order(Tester.suspend),
    (6, 4): _order(Tester.resume),
    (6, 5): _order(Tester.clear),
    (6, 6): _order(Tester.clear),
    (6, 9): _variable,
    (6, 10): _safety,
    (6, 11): _check,
}
