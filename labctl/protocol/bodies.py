"""What the steps of several kinds share: deadlines, temperatures, what a failure leaves behind, what ends a current."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from labctl.documents import Duration, Level, LevelOf, Model, Quantity, Temperature

CutoffOrVoltage = Annotated[Level, LevelOf(("upper", "lower"))]
Wait = Annotated[float, Quantity("duration", at_least=0)]
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


class Body(Model):
    """What every step can say."""

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


class Guarded(Body):
    """A step that its own condition ends, and a guard time if that never comes."""

    at_most: Duration = Field(description="Guard time; a step that it ends has timed out.", examples=["16 h"])
    on_timeout: Literal["hold", "continue"] = Field(
        default="hold", description="A cell whose step the guard time ended is held, or goes on.", examples=["hold"]
    )


class UntilVoltage(Model):
    """End of a charge or discharge."""

    voltage: CutoffOrVoltage = Field(description="Voltage that ends the step.", examples=["upper"])
