"""The protocol language as models: what may stand in a protocol file. What it means is checked in ``checks``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from labctl.documents import (
    Amount,
    AmountOf,
    FileModel,
    Frequency,
    Level,
    Model,
    Name,
    Quantity,
    Temperature,
    Text,
    Voltage,
    describe,
    expected,
    suggest,
)
from labctl.protocol.bodies import Body, Guarded, Limited
from labctl.protocol.combined import DeisStep, OperandoStep
from labctl.protocol.conditions import Expression, ExpressionText
from labctl.protocol.ends import Until
from labctl.protocol.experiments import Experiment
from labctl.protocol.handwork import (
    AssembleStep,
    DisassembleStep,
    MarkStep,
    MeasureStep,
    PauseStep,
    TemperatureStep,
)
from labctl.protocol.parallel import ParallelStep
from labctl.protocol.values import Cycles, DurationPerCycle, PerCycle, VoltagePerCycle, Wait

_Whole = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
_CurrentLimit = Annotated[float, Quantity("current", above=0)]
_Condition = Annotated[Expression, ExpressionText()]


class Cutoffs(Model):
    """Voltages that steps call ``upper`` and ``lower``."""

    upper: Voltage = Field(description="End of charge.", examples=["4.3 V"])
    lower: Voltage = Field(description="End of discharge.", examples=["3.0 V"])


class Limits(Model):
    """What no step may leave; voltage and current are also downloaded to the instruments."""

    voltage: tuple[Voltage, Voltage] = Field(
        description="Lowest and highest cell voltage.", examples=["[2.8 V, 4.4 V]"]
    )
    current: _CurrentLimit = Field(description="Largest current, either way.", examples=["5 mA"])
    temperature: tuple[Temperature, Temperature] | None = Field(
        default=None, description="Lowest and highest temperature of a step.", examples=["[10 degC, 60 degC]"]
    )


class Measure(Model):
    """Which cycles are measured, and whether a measured cell goes on."""

    cycles: Cycles = Field(description="Cycles in which 'when_measured' is done.", examples=["[1, 15, 30]"])
    then: Literal["end", "continue"] = Field(
        default="end", description="A measured cell ends, or goes on with every later result flagged."
    )
    reference: _Whole = Field(
        default=1, description="Cycle whose discharge capacity is a state of health ('soh') of 100 %.", examples=[3]
    )


_Label = Annotated[Name | None, Field(alias="as", description="Label of the result.", examples=["formation"])]


class Rest(Limited):
    """Open circuit for a while."""

    as_: _Label = None
    duration: DurationPerCycle = Field(description="How long.", examples=["12 h"])


class _ConstantCurrent(Guarded):
    as_: _Label = None
    current: PerCycle = Field(
        description="Magnitude, absolute, per area or per mass, or a C-rate; one for all cycles or by cycle.",
        examples=["0.2 mA/cm2"],
    )
    until: Until = Field(description="What ends the step.", examples=["{voltage: upper}"])


class Charge(_ConstantCurrent):
    """Constant-current charge."""


class Discharge(_ConstantCurrent):
    """Constant-current discharge."""


class CurrentLimit(Model):
    """Limit of the current while a voltage is held."""

    current: PerCycle = Field(
        description="Largest current, absolute, per area or per mass, or a C-rate.", examples=["3 mA"]
    )


class Hold(Guarded):
    """Constant voltage until the current has died away."""

    as_: _Label = None
    voltage: VoltagePerCycle = Field(description="Voltage to hold.", examples=["lower"])
    limit: CurrentLimit = Field(description="Limit while holding.", examples=["{current: 3 mA}"])
    until: Until = Field(description="What ends the hold.", examples=["{current: 1 uA, for: 60 s}"])
    at_most: DurationPerCycle | None = Field(
        default=None, description="Guard time; a leaking cell never ends by current.", examples=["24 h"]
    )


class Nmr(Body):
    """One NMR spectrum of the cell in the probe."""

    as_: Name = Field(alias="as", description="Label of the result.", examples=["charged"])
    experiment: str = Field(description="Name under 'experiments'.", examples=["metal"])


class Eis(Limited):
    """One impedance spectrum."""

    as_: Name = Field(alias="as", description="Label of the result.", examples=["charged"])
    spectrum: str = Field(description="Name under 'spectra'.", examples=["standard"])


_FLOW: Final = "{current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 16 h}"


class RestStep(Model):
    """Rest."""

    rest: Rest = Field(description="Open circuit for a while.", examples=["{duration: 12 h}"])


class ChargeStep(Model):
    """Charge."""

    charge: Charge = Field(description="Constant-current charge.", examples=[_FLOW])


class DischargeStep(Model):
    """Discharge."""

    discharge: Discharge = Field(description="Constant-current discharge.", examples=[_FLOW.replace("upper", "lower")])


class HoldStep(Model):
    """Hold."""

    hold: Hold = Field(
        description="Constant voltage until the current has died away.",
        examples=["{voltage: lower, limit: {current: 3 mA}, until: {current: 1 uA}, at_most: 24 h}"],
    )


class NmrStep(Model):
    """NMR."""

    nmr: Nmr = Field(description="One NMR spectrum.", examples=["{as: charged, experiment: metal}"])


class EisStep(Model):
    """Impedance."""

    eis: Eis = Field(description="One impedance spectrum.", examples=["{as: charged, spectrum: standard}"])


def _step_name(value: Any) -> str | None:
    # Models pass here too when pydantic serialises them.
    keys = list(value) if isinstance(value, dict) else list(type(value).model_fields)
    return str(keys[0]) if keys else None


class _OneKey:
    """A step is a mapping of exactly one key; says so once instead of once per kind of step."""

    def __init__(self, *known: str) -> None:
        self.known = known

    def __call__(self, value: Any) -> Any:
        example = "write for example '- rest: {duration: 12 h}'"
        if not isinstance(value, dict):
            raise expected(f"{describe(value, None)}, not a step", example)
        if not value:
            raise expected("an empty step", example)
        unknown = [key for key in value if key not in self.known]
        if len(value) > 1 and len(unknown) < len(value):
            names = " and ".join(f"'{key}'" for key in value)
            raise expected(f"one step with the keys {names}", "begin each step with '- ' and indent what belongs to it")
        if unknown and unknown[0] in _ALL_STEPS:
            inside = "'cycle'" if unknown[0] == "when_measured" else "the top level of 'steps'"
            raise expected(f"'{unknown[0]}' cannot stand here", f"it belongs into {inside}")
        if unknown:
            raise expected(f"unknown step '{unknown[0]}'", suggest(str(unknown[0]), (*self.known, "use")))
        return value


_PLAIN = (
    "rest",
    "charge",
    "discharge",
    "hold",
    "nmr",
    "eis",
    "operando",
    "deis",
    "parallel",
    "temperature",
    "pause",
    "mark",
    "disassemble",
    "assemble",
    "measure",
)
_NESTING = ("repeat", "when")
_ALL_STEPS = (*_PLAIN, *_NESTING, "cycle", "when_measured")

PlainStep = Annotated[
    Annotated[RestStep, Tag("rest")]
    | Annotated[ChargeStep, Tag("charge")]
    | Annotated[DischargeStep, Tag("discharge")]
    | Annotated[HoldStep, Tag("hold")]
    | Annotated[NmrStep, Tag("nmr")]
    | Annotated[EisStep, Tag("eis")]
    | Annotated[OperandoStep, Tag("operando")]
    | Annotated[DeisStep, Tag("deis")]
    | Annotated[ParallelStep, Tag("parallel")]
    | Annotated[TemperatureStep, Tag("temperature")]
    | Annotated[PauseStep, Tag("pause")]
    | Annotated[MarkStep, Tag("mark")]
    | Annotated[DisassembleStep, Tag("disassemble")]
    | Annotated[AssembleStep, Tag("assemble")]
    | Annotated[MeasureStep, Tag("measure")],
    Discriminator(_step_name),
]


class WhenMeasured(Model):
    """Steps of measured cycles only."""

    when_measured: Annotated[tuple[MeasuredStep, ...], Field(min_length=1)] = Field(
        description="Done only in the cycles in which the cell is measured."
    )


class Repeat(Model):
    """Steps that are done several times within one cycle."""

    count: _Whole | None = Field(default=None, description="How often.", examples=[3])
    until: _Condition | None = Field(
        default=None, description="Ends after the turn in which this has become true.", examples=["voltage < 3.2 V"]
    )
    at_most: _Whole | None = Field(default=None, description="How often at most, with 'until'.", examples=[50])
    steps: Annotated[tuple[InnerStep, ...], Field(min_length=1)] = Field(
        description="What is repeated.", examples=["[{rest: {duration: 12 h}}]"]
    )

    @model_validator(mode="after")
    def _bounded(self) -> Repeat:
        if self.count is not None and (self.until is not None or self.at_most is not None):
            right = "write 'count' alone, or 'until' with 'at_most'"
            raise expected("'repeat' with a count and with an end of another kind", right)
        if self.count is None and self.until is None:
            raise expected("nothing ends this 'repeat'", "add 'count: 3', or 'until: \"voltage < 3.2 V\", at_most: 50'")
        if self.count is None and self.at_most is None:
            raise expected("nothing ends this 'repeat' if its 'until' never comes", "add for example 'at_most: 50'")
        return self

    @property
    def turns(self) -> int:
        """How often at most."""
        return self.count or self.at_most or 1


class RepeatStep(Model):
    """Repeat."""

    repeat: Repeat = Field(description="Steps that are done several times within one cycle.")


class When(Model):
    """Steps that depend on what was measured."""

    if_: _Condition = Field(
        alias="if", description="Decided once, when the first step is due.", examples=["soh < 80 % and cycle >= 10"]
    )
    steps: Annotated[tuple[InnerStep, ...], Field(min_length=1)] = Field(
        description="Done if it holds.", examples=["[{rest: {duration: 12 h}}]"]
    )
    else_: tuple[InnerStep, ...] = Field(default=(), alias="else", description="Done if it does not.")


class WhenStep(Model):
    """Condition."""

    when: When = Field(description="Steps that depend on what was measured.")


def _sort(value: Any) -> str:
    name = _step_name(value)
    return name if name in (*_NESTING, "cycle", "when_measured") else "plain"


_Nested = (
    Annotated[PlainStep, Tag("plain")]
    | Annotated[RepeatStep, Tag("repeat")]
    | Annotated[WhenStep, Tag("when")]
    | Annotated[WhenMeasured, Tag("when_measured")]
)
InnerStep = Annotated[_Nested, Discriminator(_sort), BeforeValidator(_OneKey(*_PLAIN, *_NESTING, "when_measured"))]
MeasuredStep = Annotated[_Nested, Discriminator(_sort), BeforeValidator(_OneKey(*_PLAIN, *_NESTING))]


class Cycle(Model):
    """Steps that are repeated; cycles are counted from 1 through the whole protocol."""

    count: _Whole = Field(description="How often, or with 'until' how often at most.", examples=[30])
    until: _Condition | None = Field(
        default=None, description="Ends after the cycle in which this has become true.", examples=["soh < 80 %"]
    )
    steps: Annotated[tuple[InnerStep, ...], Field(min_length=1)] = Field(
        description="What one cycle consists of.", examples=["[{rest: {duration: 12 h}}]"]
    )


class CycleStep(Model):
    """Cycle."""

    cycle: Cycle = Field(description="Steps that are repeated.")


TopStep = Annotated[
    Annotated[PlainStep, Tag("plain")]
    | Annotated[CycleStep, Tag("cycle")]
    | Annotated[RepeatStep, Tag("repeat")]
    | Annotated[WhenStep, Tag("when")],
    Discriminator(_sort),
    BeforeValidator(_OneKey(*_PLAIN, *_NESTING, "cycle")),
]


class Spectrum(Model):
    """How an impedance spectrum is taken."""

    control: Literal["galvanostatic", "potentiostatic", "pseudo-galvanostatic"] = Field(
        description="What is modulated; pseudo-galvanostatic: a current that regulating the voltage keeps up.",
        examples=["galvanostatic"],
    )
    frequency: tuple[Frequency, Frequency] = Field(
        description="From the highest to the lowest.", examples=["[300 kHz, 0.1 Hz]"]
    )
    points_per_decade: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(description="Density.", examples=[10])
    points_per_decade_low: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(
        default=None, description="Density below 66 Hz, where it is another.", examples=[5]
    )
    periods: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        description="Periods averaged per point.", examples=[6]
    )
    periods_low: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(
        default=None, description="Periods at the lowest frequency, where they are fewer.", examples=[3]
    )
    amplitude: Annotated[Amount, AmountOf(("current density", "current", "voltage"))] = Field(
        description="Peak amplitude: a current, absolute or per area, or a voltage.", examples=["100 uA/cm2"]
    )
    rest_before: Wait = Field(default=0.0, description="Open circuit before the sweep.", examples=["30 min"])
    linearity: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Sweep once more with the amplitude times this, to see whether the cell answers linearly.",
        examples=[0.5],
    )
    repeat: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Sweep once more as it was, to see whether the cell has changed meanwhile.",
        examples=[True],
    )


class Protocol(FileModel):
    """A protocol: what is done with each cell."""

    beside: ClassVar[tuple[str, ...]] = ("parameters", "include", "define")

    labctl: Literal[1] = Field(description="Version of the file format.", examples=[1])
    protocol: Name = Field(description="Name of the protocol.", examples=["dead-lithium"])
    cites: Text | None = Field(default=None, description="Where the numbers come from.")
    cutoffs: Cutoffs | None = Field(default=None, description="Voltages that steps refer to by name.")
    limits: Limits = Field(description="What no step may leave.", examples=["{voltage: [2.8 V, 4.4 V], current: 5 mA}"])
    measure: Measure | None = Field(default=None, description="Which cycles are measured.")
    channels: Literal["keep", "give_back"] | None = Field(
        default=None,
        description="Whether a cell keeps its channel while it is elsewhere; where nothing stands, the station says.",
        examples=["keep"],
    )
    steps: Annotated[tuple[TopStep, ...], Field(min_length=1)] = Field(
        description="In order.", examples=["[{rest: {duration: 12 h}}]"]
    )
    experiments: dict[Name, Experiment] = Field(default_factory=dict, description="How NMR spectra are taken.")
    spectra: dict[Name, Spectrum] = Field(default_factory=dict, description="How impedance spectra are taken.")

    def volts(self, level: Level) -> float:
        """Give a voltage in V, whether it was said by number or by the name of a cut-off."""
        if level.volts is not None:
            return level.volts
        if self.cutoffs is None:
            raise ValueError("the protocol has no cut-offs")
        return self.cutoffs.upper if level.name == "upper" else self.cutoffs.lower
