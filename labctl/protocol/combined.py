"""Steps in which current flows and something is measured meanwhile: ``operando`` (NMR) and ``deis`` (impedance)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from labctl.documents import Duration, Model, Name
from labctl.protocol.bodies import Guarded, UntilVoltage
from labctl.protocol.ends import Until
from labctl.protocol.values import Capacity, Current, DurationPerCycle, PerCycle, Wait

_Direction = Literal["charge", "discharge"]


class Pauses(Model):
    """Interruptions of the current in which a longer spectrum is taken at open circuit."""

    every: Duration = Field(description="Current flows for so long between two pauses.", examples=["2 h"])
    experiment: str = Field(description="Name under 'experiments'; taken in each pause.", examples=["in-situ"])
    at_end: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Whether one more is taken when the current has come to its end.", examples=[True]
    )


class Operando(Guarded):
    """NMR spectra in a row while the cell in the probe is charged or discharged."""

    as_: Name = Field(alias="as", description="Label of the results.", examples=["plating"])
    direction: _Direction = Field(default="charge", description="Which way the current flows.", examples=["charge"])
    current: PerCycle = Field(
        description="Magnitude, absolute, per area or per mass, or a C-rate.", examples=["0.2 mA/cm2"]
    )
    until: Until = Field(description="What ends the current.", examples=["{voltage: upper}"])
    at_most: DurationPerCycle | None = Field(
        default=None,
        description="Guard time of the current; pauses do not count. A step that it ends has timed out.",
        examples=["20 h"],
    )
    experiment: str = Field(
        description="Name under 'experiments'; taken one after the other while current flows.", examples=["operando"]
    )
    pauses: Pauses | None = Field(
        default=None,
        description="Interruptions for a longer spectrum.",
        examples=["{every: 2 h, experiment: in-situ}"],
    )


class Deis(Guarded):
    """Impedance spectra in a row while a direct current charges or discharges the cell (dynamic EIS)."""

    # Its guard time is needed in any case.
    model_config = ConfigDict(json_schema_extra={})

    as_: Name = Field(alias="as", description="Label of the results.", examples=["end-of-discharge"])
    direction: _Direction = Field(description="Which way the direct current flows.", examples=["discharge"])
    current: Current = Field(
        description="Direct current, absolute, per area or per mass, or a C-rate.", examples=["0.05 mA/cm2"]
    )
    at_most: Duration = Field(description="Guard time; a series that it ends has timed out.", examples=["12 h"])
    until: UntilVoltage = Field(
        description="Mean voltage that ends it; the swing of the alternating current does not count.",
        examples=["{voltage: lower}"],
    )
    spectrum: str = Field(description="Name under 'spectra'; galvanostatic.", examples=["dynamic"])
    count: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        description="Spectra wanted: the first so many, or with 'keep_on' the last so many.", examples=[20]
    )
    keep_on: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Go on to the voltage that ends it, however many spectra that takes; the last 'count' are marked.",
        examples=[True],
    )
    pause: Wait = Field(default=0.0, description="Direct current alone between two spectra.", examples=["1 min"])
    capacity: Capacity | None = Field(
        default=None,
        description="What state of charge 1 holds; absent: what the cell's own first charge put in.",
        examples=["2.6 mAh"],
    )


class OperandoStep(Model):
    """Operando NMR."""

    operando: Operando = Field(description="NMR spectra while the cell is charged or discharged.")


class DeisStep(Model):
    """Dynamic impedance."""

    deis: Deis = Field(description="Impedance spectra while the cell is charged or discharged.")
