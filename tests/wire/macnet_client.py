"""A plain client of MacNet with both of its connections; for the tests of this folder."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from labctl_drivers.maccor.wire import BinaryLine, JsonLine

OUT_OF_RANGE = 65536.0


class Client:
    """Both ports of one tester; channels are counted from 0, as on the wire."""

    def __init__(self, ports: Mapping[str, Any]) -> None:
        self.json = JsonLine(ports["address"], ports["json_port"], 2.0)
        self.binary = BinaryLine(ports["address"], ports["binary_port"], 2.0)

    async def ask(self, fclass: int, fnum: int, **params: Any) -> dict[str, Any]:
        return await self.json.ask(fclass, fnum, params)

    async def result(self, fclass: int, fnum: int, **params: Any) -> str:
        return str((await self.ask(fclass, fnum, **params))["Result"])

    async def raw(self, fclass: int, fnum: int, chan: int = 0, data: bytes = b"", count: int | None = None) -> bytes:
        return await self.binary.ask(fclass, fnum, chan, data, count)

    async def code(self, fclass: int, fnum: int, chan: int = 0, data: bytes = b"") -> int:
        (number,) = struct.unpack("<H", await self.raw(fclass, fnum, chan, data))
        return int(number)

    async def stand(self, chan: int) -> dict[str, Any]:
        return await self.ask(4, 7, Chan=chan)

    async def go_direct(self, chan: int, name: str, **changes: Any) -> str:
        wanted = {"Current": 0.0, "Voltage": 4.3, "Power": 50, "Resistance": 0, "CurrentRange": 2, "ChMode": "C"}
        records = {"DataTime": 10.0, "DataV": 0, "DataI": 0}
        return await self.result(6, 7, **{"Chan": chan, "TestName": name, **wanted, **records, **changes})

    async def put(self, chan: int, mode: str, amperes: float, volts: float = OUT_OF_RANGE, **changes: Any) -> str:
        wanted = {"Current": amperes, "Voltage": volts, "Power": OUT_OF_RANGE, "Resistance": 0}
        return await self.result(6, 8, **{"Chan": chan, **wanted, "CurrentRange": 2, "ChMode": mode, **changes})

    async def put_raw(self, chan: int, mode: str, amperes: float, volts: float = OUT_OF_RANGE) -> int:
        return await self.code(6, 8, chan, struct.pack("<ffffBB", amperes, volts, OUT_OF_RANGE, 0.0, 2, ord(mode)))

    async def close(self) -> None:
        await self.json.close()
        await self.binary.close()


@asynccontextmanager
async def client(ports: Mapping[str, Any]) -> AsyncIterator[Client]:
    made = Client(ports)
    await made.json.open()
    await made.binary.open()
    try:
        # Both connections are known to the tester once both have had an answer.
        await made.ask(1, 2)
        await made.raw(1, 2)
        yield made
    finally:
        await made.close()
