"""Chamber: a place at one temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from labctl.instruments.common import Instrument


@dataclass(frozen=True, slots=True)
class ChamberReading:
    """What the chamber says of itself.

    Attributes
    ----------
    temperature : float
        Actual value in K.
    set_point : float
        In K.
    running : bool
        Whether it regulates.
    status : str
        Verbatim, in the vendor's words.
    """

    temperature: float
    set_point: float
    running: bool
    status: str


class Chamber(Instrument, Protocol):
    """Keeps a set-point. When it has settled is for the engine to judge."""

    async def read(self) -> ChamberReading:
        """Look once. Raises ``VendorAlarm`` with the vendor's text where one stands."""

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Set ``temperature`` (K) and run; every write is read back.

        ``limits`` (lowest and highest K of whatever lies in it) are handed to the chamber first, where it can hold
        limits of its own; a chamber that can't leaves them to those who watch it.
        """

    async def stop(self) -> None:
        """Stop regulating. Idempotent."""
