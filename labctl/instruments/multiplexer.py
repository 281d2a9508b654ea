"""Multiplexer: which leads reach which cell."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from labctl.instruments.common import Identity, Instrument


class Multiplexer(Instrument, Protocol):
    """Relays by channel number, such as 101. Currents are stopped before any of them moves: that is the engine's part.

    One worker, one session; every group of writes ends with reading the error queue and the relays back.
    """

    async def connect(self) -> Identity:
        """Also checks that the instrument does not close relays by itself when power returns."""

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed, by read-back."""

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, verify, then close one of it (or none), verify: break before make.

        Raises
        ------
        Refused
            The instrument's error queue says so.
        VendorAlarm
            The relays did not read back as commanded.
        """
