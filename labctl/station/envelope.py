"""What an instrument of this laboratory may be asked at most: a step beyond it is refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final

from pydantic import Field

from labctl.documents import Document, Frequency, Model, Path, Power, Quantity, Temperature, Voltage
from labctl.errors import Mistake
from labctl.units import show

_HERTZ: Final = ((1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz"), (1e-3, "mHz"), (0.0, "uHz"))


class Envelope(Model):
    """What an instrument can do; what is not said is not checked."""

    current: Annotated[float, Quantity("current", above=0)] | None = Field(
        default=None, description="Largest current, either way.", examples=["15 mA"]
    )
    voltage: tuple[Voltage, Voltage] | None = Field(
        default=None, description="Lowest and highest voltage.", examples=["[0 V, 5 V]"]
    )
    temperature: tuple[Temperature, Temperature] | None = Field(
        default=None, description="Lowest and highest temperature.", examples=["[5 degC, 80 degC]"]
    )
    frequency: tuple[Frequency, Frequency] | None = Field(
        default=None, description="Lowest and highest frequency of a spectrum.", examples=["[10 uHz, 4 MHz]"]
    )
    power: Power | None = Field(
        default=None, description="Largest power of a pulse that a spectrometer's probe bears.", examples=["100 W"]
    )


def hertz(value: float) -> str:
    """Write a frequency in Hz as people say it: ``300 kHz``, ``10 uHz``."""
    return show(value, next(unit for least, unit in _HERTZ if value >= least))


def check_envelope(envelope: Envelope, path: Path, document: Document) -> Iterator[Mistake]:
    """Find ranges that run backwards."""
    for name, told, span in (
        ("voltage", partial(show, unit="V"), envelope.voltage),
        ("temperature", partial(show, unit="degC"), envelope.temperature),
        ("frequency", hertz, envelope.frequency),
    ):
        if span is not None and span[0] >= span[1]:
            found = f"the limits of {name} run backwards, from {told(span[0])} to {told(span[1])}"
            yield document.mistake((*path, name), found, "write the lower one first")
