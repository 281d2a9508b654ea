"""A small virtual laboratory for the tests beside it, and a server that repeats what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl_simulators.laboratory import Laboratory

EPOCH = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
ROOM_K = 293.15


class Quiet:
    """A logger for which nothing matters."""

    def _nothing(self, event: str, **fields: Any) -> None:
        del event, fields

    debug = info = warning = error = _nothing


def description() -> dict[str, Any]:
    return {
        "cells": [
            {"id": "bare-01", "barcode": "B0001", "area_m2": 1e-4, "place": "cabinet/1"},
            {"id": "bare-02", "barcode": "B0002", "area_m2": 1e-4, "place": "cabinet/2"},
            {
                "id": "coated-01",
                "barcode": "B0003",
                "area_m2": 2e-4,
                "place": "cabinet/3",
                "simulate": {"substrate": "coated"},
            },
        ],
        "places": {
            "cabinet": {
                "count": 4,
                "temperature": None,
                "leads": {"maccor": [1, 2, 3, 4], "zahner": {"through": "mux", "relays": [101, 102, 103, 104]}},
                "instrument": None,
            },
            "oven": {"count": 2, "temperature": "oven", "leads": {"maccor": [9, 10]}},
            "probe": {"count": 1, "instrument": "topspin"},
        },
        "ambient_K": ROOM_K,
    }


def laboratory(clock: LoopClock, folder: Path, seed: int = 1, *, faults: bool = False) -> Laboratory:
    return Laboratory(description(), folder=folder, seed=seed, clock=clock, log=Quiet(), faults=faults)


def in_laboratory(
    folder: Path, scene: Callable[[Laboratory], Awaitable[None]], *, faults: bool = False, seed: int = 1
) -> None:
    """Play a scene in a fresh laboratory, in virtual time."""

    async def main(clock: LoopClock) -> None:
        place = laboratory(clock, folder, seed, faults=faults)
        try:
            await scene(place)
        finally:
            await place.stop()

    run_virtual(main, EPOCH)


class Echo:
    """A server that answers each line with itself."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.heard.append(line)
            writer.write(line)
        writer.close()
        await writer.wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, patience: float = 1.0) -> bytes:
    """What comes within ``patience`` after the last byte."""
    writer.write(line)
    heard = b""
    while True:
        try:
            piece = await asyncio.wait_for(reader.read(100), patience)
        except TimeoutError:
            return heard
        if not piece:
            return heard + b"<closed>"
        heard += piece
