"""What ends a step: a voltage, a current, a capacity or a time, alone or several of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from labctl.documents import Model, expected
from labctl.protocol.values import CapacityPerCycle, DurationPerCycle, PerCycle, VoltagePerCycle, Wait

#: What an end may look at, in the order of the keys.
QUANTITIES: Final = ("voltage", "current", "capacity", "duration")
_SEVERAL: Final = "write 'any: [{voltage: upper}, {capacity: 0.5 mAh/cm2}]' for the first of several, or 'all: [...]'"
_ONE: Final = "write one, such as 'voltage: upper', 'current: 1 uA', 'capacity: 0.5 mAh/cm2' or 'duration: 2 h'"


def _exactly_one(*keys: str) -> ConfigDict:
    """Say in the schema that one of the keys stands there, and what belongs to another stands with it only."""

    def extend(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [key]} for key in keys]
        schema["dependentRequired"] = {"for": ["current"]}

    return ConfigDict(json_schema_extra=extend)


class Condition(Model):
    """One end of a step."""

    model_config = _exactly_one(*QUANTITIES)

    voltage: VoltagePerCycle | None = Field(default=None, description="Voltage that ends the step.", examples=["upper"])
    current: PerCycle | None = Field(
        default=None, description="Ends a hold when its current has fallen to this.", examples=["1 uA"]
    )
    for_: Wait = Field(
        default=0.0, alias="for", description="With 'current': for so long without a break.", examples=["60 s"]
    )
    capacity: CapacityPerCycle | None = Field(
        default=None,
        description="Charge passed since the step began: absolute, per area, per mass, or a share of the capacity.",
        examples=["0.5 mAh/cm2"],
    )
    duration: DurationPerCycle | None = Field(
        default=None, description="Time since the step began; no guard time is needed then.", examples=["30 min"]
    )

    @property
    def quantities(self) -> tuple[str, ...]:
        """What it looks at; one of :data:`QUANTITIES` once it is read."""
        return tuple(name for name in QUANTITIES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Condition:
        said = [*self.quantities, *_groups(self)]
        if not said:
            raise expected("no end stands here", _ONE)
        if len(said) > 1:
            raise expected(f"two ends stand side by side, '{said[0]}' and '{said[1]}'", _SEVERAL)
        if self.for_ and self.current is None:
            raise expected("only a current can be asked to last", "leave 'for' out", ("for",))
        return self


class Until(Condition):
    """What ends a step: one end, or ``any`` or ``all`` of several."""

    model_config = _exactly_one(*QUANTITIES, "any", "all")

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=4)] | None = Field(
        default=None,
        description="The first of these that comes true.",
        examples=["[{voltage: upper}, {capacity: 0.5 mAh/cm2}]"],
    )
    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=4)] | None = Field(
        default=None,
        description="Once all of these are true; not every instrument can.",
        examples=["[{voltage: upper}, {duration: 1 h}]"],
    )

    @property
    def combined(self) -> Literal["any", "all"] | None:
        """How several ends are combined, None for one."""
        return "any" if self.any is not None else "all" if self.all is not None else None

    @property
    def conditions(self) -> tuple[tuple[tuple[str | int, ...], Condition], ...]:
        """Give every single end, with where it stands below ``until``."""
        for name, group in (("any", self.any), ("all", self.all)):
            if group is not None:
                return tuple(((name, index), one) for index, one in enumerate(group))
        return (((), self),)


def _groups(condition: Condition) -> list[str]:
    return [name for name in ("any", "all") if getattr(condition, name, None) is not None]
