"""What the steps of several kinds share: deadlines, temperatures, what a failure leaves behind, what ends a current."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from labctl.documents import Current as AbsoluteCurrent
from labctl.documents import Duration, Model, Temperature, Voltage
from labctl.protocol.values import CutoffOrVoltage, Cycles, DurationPerCycle, Wait

#: What a failure leaves the cell in; whether it can be reached is known when the station is.
OnFailure = Literal["open_circuit", "hold_voltage", "isolate"]
#: What becomes of a cell that misses a deadline.
Late = Literal["hold", "continue", "skip"]


class Deadline(Model):
    """Latest start of a step, and what happens to a cell that misses it."""

    within: Duration = Field(description="Latest start after the end of the step before.", examples=["2 h"])
    else_: Late = Field(
        default="continue",
        alias="else",
        description="A cell that is late is held, goes on with the delay on its result, or skips the step.",
        examples=["continue"],
    )


StartWithin = Annotated[
    Annotated[Duration, Tag("duration")] | Annotated[Deadline, Tag("deadline")],
    Discriminator(lambda value: "deadline" if isinstance(value, (dict, Deadline)) else "duration"),
]


class StepLimits(Model):
    """Narrower limits of one step; the instrument holds them as it does those of the protocol."""

    voltage: tuple[Voltage, Voltage] | None = Field(
        default=None, description="Lowest and highest cell voltage.", examples=["[3.0 V, 4.25 V]"]
    )
    current: AbsoluteCurrent | None = Field(default=None, description="Largest current, either way.", examples=["2 mA"])


class Body(Model):
    """What every step can say."""

    cycles: Cycles | None = Field(
        default=None, description="Done in these cycles of its 'cycle' only.", examples=["every 5"]
    )
    temperature: Temperature | None = Field(
        default=None, description="Needs a place whose temperature can be set.", examples=["40 degC"]
    )
    soak: Wait = Field(default=0.0, description="Waiting at the place before the step begins.", examples=["1 h"])
    start_within: StartWithin | None = Field(
        default=None,
        description="Latest start after the end of the step before, alone or with what happens to a cell that is late.",
        examples=["2 h", "{within: 2 h, else: hold}"],
    )
    on_failure: OnFailure = Field(
        default="open_circuit",
        description="What a failure leaves the cell in: open circuit, its voltage held, or its relay open as well.",
        examples=["open_circuit"],
    )
    on_controller_loss: Literal["continue", "stop"] = Field(
        default="continue",
        description="Without labctl the instrument goes on within its own limits, or stops by its watchdog.",
        examples=["continue"],
    )

    @property
    def latest_start(self) -> float | None:
        """Seconds after the end of the step before, None for any time."""
        return self.start_within.within if isinstance(self.start_within, Deadline) else self.start_within

    @property
    def late(self) -> Late:
        """What becomes of a cell that starts later."""
        return self.start_within.else_ if isinstance(self.start_within, Deadline) else "continue"


class Limited(Body):
    """A step that an instrument's own limits watch over."""

    limits: StepLimits | None = Field(
        default=None, description="Narrower limits than the protocol's, for this step.", examples=["{current: 2 mA}"]
    )


_BY_DURATION: Final[dict[str, Any]] = {
    "anyOf": [
        {"required": ["duration"]},
        {"required": ["any"], "properties": {"any": {"contains": {"required": ["duration"]}}}},
    ]
}


def guarded(schema: dict[str, Any]) -> None:
    """Say in the schema that a guard time is needed unless a duration ends the step."""
    schema["if"] = {"properties": {"until": _BY_DURATION}}
    schema["else"] = {"required": ["at_most"]}


class Guarded(Limited):
    """A step that its own condition ends, and a guard time if that never comes."""

    model_config = ConfigDict(json_schema_extra=guarded)

    at_most: DurationPerCycle | None = Field(
        default=None,
        description="Guard time; a step that it ends has timed out. Needed unless a duration ends the step.",
        examples=["16 h"],
    )
    on_timeout: Literal["hold", "continue"] = Field(
        default="hold", description="A cell whose step the guard time ended is held, or goes on.", examples=["hold"]
    )


class UntilVoltage(Model):
    """End of a charge or discharge."""

    voltage: CutoffOrVoltage = Field(description="Voltage that ends the step.", examples=["upper"])
