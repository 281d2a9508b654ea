"""Steps without an instrument's program: a temperature, a question, a mark, and what people do with a sample."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from labctl.documents import Duration, Model, Name, Temperature, Text, Word
from labctl.protocol.bodies import Late, OnFailure
from labctl.protocol.values import Cycles

#: What a person may be asked to measure: keys of ``labctl.units.KINDS``.
Measurable = Literal[
    "mass", "length", "area", "voltage", "current", "resistance", "temperature", "capacity", "duration", "ratio"
]
#: What an answer does: the cell goes on, comes to its end, or is held for a person to judge.
Effect = Literal["continue", "end", "hold"]
Answer = Annotated[str, Word(r"[^\x00-\x1f'\"]{1,40}", "write a word or a few, at most 40 characters, no quotes in it")]


class _Still(Model):
    """What every step can be asked, answered for steps in which no current flows and nothing can fail half way."""

    cycles: Cycles | None = Field(
        default=None, description="Done in these cycles of its 'cycle' only.", examples=["every 5"]
    )

    @property
    def start_within(self) -> None:
        """Any time."""
        return

    @property
    def latest_start(self) -> float | None:
        """Any time."""
        return None

    @property
    def late(self) -> Late:
        """It is never late."""
        return "continue"

    @property
    def on_failure(self) -> OnFailure:
        """The cell is at open circuit anyway."""
        return "open_circuit"

    @property
    def on_controller_loss(self) -> Literal["continue", "stop"]:
        """Nothing runs that could be stopped."""
        return "continue"


class _Aside(_Still):
    @property
    def temperature(self) -> float | None:
        """Wherever the cell is."""
        return None

    @property
    def soak(self) -> float:
        """Seconds at the place before the step begins: none."""
        return 0.0


class TemperatureTo(_Still):
    """The cell at open circuit at a place that is brought to a temperature."""

    to: Temperature = Field(description="Needs a place whose temperature can be set.", examples=["40 degC"])
    soak: Duration = Field(description="So long from when the place has settled.", examples=["2 h"])

    @property
    def temperature(self) -> float | None:
        """K."""
        return self.to


class Pause(_Aside):
    """A question to the operator; the cell stands at open circuit until it is answered."""

    as_: Name = Field(
        alias="as", description="Label of the answer, 'answer.<label>' in conditions.", examples=["ready"]
    )
    ask: Text = Field(description="The question.", examples=["Is the electrode back in its pouch?"])
    answers: dict[Answer, Effect] = Field(
        description="What can be answered, and what that does: continue, end (of the cell) or hold.",
        examples=['{"yes": continue, "no": end}'],
    )
    at_most: Duration = Field(description="After so long without an answer 'on_timeout' counts.", examples=["3 d"])
    on_timeout: Effect = Field(
        default="hold", description="What becomes of the cell if nobody answers: hold, continue or end."
    )


class Mark(_Aside):
    """A line in the history and a result without data, to find an instant again."""

    as_: Name = Field(alias="as", description="Label of the result.", examples=["formation-done"])
    note: Text | None = Field(default=None, description="What is marked.", examples=["formation has ended"])


class Disassemble(_Aside):
    """The operator takes the cell apart; its parts have ids of their own from then on."""

    as_: Name = Field(alias="as", description="Label of the result.", examples=["taken-apart"])
    gives: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="Parts; 'negative' of cell 'bare-01' becomes 'bare-01-negative'.", examples=["[negative, positive]"]
    )
    note: Text | None = Field(default=None, description="What to heed.", examples=["in the glovebox"])


class PartOf(Model):
    """A part of another cell."""

    part: Name = Field(description="Which part.", examples=["positive"])
    of: Name = Field(description="Id of the cell that it comes from.", examples=["full-nmc-01"])


class Assemble(_Aside):
    """The operator puts a cell together from parts, which are its parents."""

    as_: Name = Field(alias="as", description="Label; the new cell is '<cell>-<label>'.", examples=["rebuilt"])
    from_: Annotated[tuple[Name | PartOf, ...], Field(min_length=1)] = Field(
        alias="from",
        description="Parts of this cell by name, those of others with their cell.",
        examples=["[negative, {part: positive, of: full-nmc-01}]"],
    )
    note: Text | None = Field(default=None, description="What to heed.", examples=["fresh electrolyte"])


class Measurement(_Aside):
    """The operator measures something and types it in, with its unit."""

    as_: Name = Field(
        alias="as", description="Label of the value, 'measured.<label>' in conditions.", examples=["weight"]
    )
    what: Text = Field(description="What is measured.", examples=["mass of the negative electrode"])
    kind: Measurable = Field(description="Which kind of quantity it is.", examples=["mass"])


class TemperatureStep(Model):
    """Temperature."""

    temperature: TemperatureTo = Field(
        description="The cell at open circuit at a temperature.", examples=["{to: 40 degC, soak: 2 h}"]
    )


class PauseStep(Model):
    """Pause."""

    pause: Pause = Field(
        description="A question to the operator.",
        examples=['{as: ready, ask: "Ready?", answers: {"yes": continue}, at_most: 3 d}'],
    )


class MarkStep(Model):
    """Mark."""

    mark: Mark = Field(
        description="A line in the history and a result without data.", examples=["{as: formation-done}"]
    )


class DisassembleStep(Model):
    """Disassembly."""

    disassemble: Disassemble = Field(description="The operator takes the cell apart.")


class AssembleStep(Model):
    """Assembly."""

    assemble: Assemble = Field(description="The operator puts a cell together from parts.")


class MeasureStep(Model):
    """Measurement by hand."""

    measure: Measurement = Field(
        description="The operator measures something.",
        examples=["{as: weight, what: mass of the negative electrode, kind: mass}"],
    )


#: Bodies that a person, or nobody, carries out.
ByHand = Pause | Mark | Disassemble | Assemble | Measurement
BY_HAND: Final = (Pause, Mark, Disassemble, Assemble, Measurement)
