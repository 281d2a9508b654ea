"""What an instrument of this laboratory may be asked at most: a step beyond it is refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from labctl.documents import Document, Model, Path, Power, Quantity, Temperature, Voltage
from labctl.errors import Mistake
from labctl.units import show


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
    power: Power | None = Field(
        default=None, description="Largest power of a pulse that a spectrometer's probe bears.", examples=["100 W"]
    )


def check_envelope(envelope: Envelope, path: Path, document: Document) -> Iterator[Mistake]:
    """Find ranges that run backwards."""
    for name, unit, span in (("voltage", "V", envelope.voltage), ("temperature", "degC", envelope.temperature)):
        if span is not None and span[0] >= span[1]:
            found = f"the limits of {name} run backwards, from {show(span[0], unit)} to {show(span[1], unit)}"
            yield document.mistake((*path, name), found, "write the lower one first")
