"""``parallel``: what two instruments do to one cell at once, written as two steps; another spelling of two others.

Current with NMR spectra is ``operando``, current with impedance spectra is ``deis``. Nothing else can be done at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from labctl.documents import Amount, Level, Model, Name, describe, expected, suggest
from labctl.protocol.bodies import Guarded, UntilVoltage
from labctl.protocol.combined import Deis, Operando, Pauses
from labctl.protocol.ends import Until
from labctl.protocol.values import PerCycle, Wait

_FLOWING: Final = ("charge", "discharge")
_LOOKING: Final = ("nmr", "eis")
_EXAMPLE: Final = "write for example '[{charge: {...}}, {nmr: {..., every: back-to-back}}]'"


class Flowing(Guarded):
    """The current."""

    current: PerCycle = Field(description="Magnitude.", examples=["0.2 mA/cm2"])
    until: Until = Field(description="What ends the current.", examples=["{voltage: upper}"])


class NmrMeanwhile(Model):
    """NMR spectra while the current flows."""

    as_: Name = Field(alias="as", description="Label of the results.", examples=["plating"])
    experiment: str = Field(description="Name under 'experiments'.", examples=["operando"])
    every: Literal["back-to-back"] = Field(description="One after the other without a break.")
    pauses: Pauses | None = Field(default=None, description="Interruptions for a longer spectrum.")


class EisMeanwhile(Model):
    """Impedance spectra while the current flows."""

    as_: Name = Field(alias="as", description="Label of the results.", examples=["end-of-discharge"])
    spectrum: str = Field(description="Name under 'spectra'; galvanostatic.", examples=["dynamic"])
    count: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(description="Spectra wanted.", examples=[20])
    keep_on: Annotated[bool, Field(strict=True)] = Field(default=False, description="Go on to the end of the current.")
    pause: Wait = Field(default=0.0, description="Current alone between two spectra.", examples=["1 min"])


class ChargePart(Model):
    """Charge."""

    charge: Flowing = Field(description="The current.")


class DischargePart(Model):
    """Discharge."""

    discharge: Flowing = Field(description="The current.")


class NmrPart(Model):
    """NMR."""

    nmr: NmrMeanwhile = Field(description="Spectra meanwhile.")


class EisPart(Model):
    """Impedance."""

    eis: EisMeanwhile = Field(description="Spectra meanwhile.")


def _key(value: Any) -> str | None:
    keys = list(value) if isinstance(value, dict) else list(type(value).model_fields)
    return str(keys[0]) if len(keys) == 1 else None


def _pair(value: Any) -> Any:
    """Refuse what can't be done at once, with the reason."""
    if not isinstance(value, list) or len(value) != 2:
        raise expected(f"{describe(value, None)}, not two steps", _EXAMPLE)
    keys = []
    for index, part in enumerate(value):
        key = _key(part) if isinstance(part, dict) else None
        if key is None:
            raise expected("this is not one step", _EXAMPLE, (index,))
        keys.append(key)
    flowing = [key for key in keys if key in _FLOWING]
    if len(flowing) == 2:
        raise expected("a cell has one current, not two at once", "write the two steps one after the other")
    if all(key in _LOOKING for key in keys):
        right = "write them one after the other: each needs the cell for itself"
        raise expected("two spectra are not taken of one cell at once", right)
    wrong = next((at for at, key in enumerate(keys) if key not in (*_FLOWING, *_LOOKING)), None)
    if wrong is not None:
        right = "only a charge or discharge with 'nmr' or with 'eis' can"
        if keys[wrong] not in ("rest", "hold"):
            right = suggest(keys[wrong], (*_FLOWING, *_LOOKING))
        raise expected(f"'{keys[wrong]}' can't be done at the same time as something else", right, (wrong,))
    return value


_Part = Annotated[
    Annotated[ChargePart, Tag("charge")]
    | Annotated[DischargePart, Tag("discharge")]
    | Annotated[NmrPart, Tag("nmr")]
    | Annotated[EisPart, Tag("eis")],
    Discriminator(_key),
]


class ParallelStep(Model):
    """Two instruments at once."""

    parallel: Annotated[tuple[_Part, _Part], BeforeValidator(_pair)] = Field(
        description="A charge or discharge, and the spectra that are taken meanwhile."
    )

    @model_validator(mode="after")
    def _one_voltage(self) -> ParallelStep:
        """A series of impedance spectra has one current, which one voltage ends, and a guard time."""
        for index, part in enumerate(self.parallel):
            if isinstance(part, (NmrPart, EisPart)) or not any(isinstance(one, EisPart) for one in self.parallel):
                continue
            flowing = part.charge if isinstance(part, ChargePart) else part.discharge
            path = ("parallel", index, "charge" if isinstance(part, ChargePart) else "discharge")
            if not isinstance(flowing.current, Amount):
                raise expected("currents by cycle", "with 'eis' write one current", (*path, "current"))
            if flowing.until.combined is not None or not isinstance(flowing.until.voltage, Level):
                right = "with 'eis' write one, 'until: {voltage: lower}'"
                raise expected("this is not a voltage that ends the current", right, (*path, "until"))
            if not isinstance(flowing.at_most, float):
                raise expected("one guard time is needed with 'eis'", "add for example 'at_most: 12 h'", path)
        return self

    def together(self) -> tuple[str, Operando | Deis]:
        """Give the step that this is another spelling of: its key and its body."""
        current = next(part for part in self.parallel if isinstance(part, (ChargePart, DischargePart)))
        looking = next(part for part in self.parallel if isinstance(part, (NmrPart, EisPart)))
        flowing = current.charge if isinstance(current, ChargePart) else current.discharge
        shared: dict[str, Any] = {
            "direction": "charge" if isinstance(current, ChargePart) else "discharge",
            **{name: getattr(flowing, name) for name in Flowing.model_fields},
        }
        if isinstance(looking, NmrPart):
            nmr = looking.nmr
            return "operando", Operando.model_construct(
                as_=nmr.as_, experiment=nmr.experiment, pauses=nmr.pauses, **shared
            )
        eis = looking.eis
        if isinstance(flowing.until.voltage, Level):
            shared["until"] = UntilVoltage.model_construct(voltage=flowing.until.voltage)
        return "deis", Deis.model_construct(
            as_=eis.as_, spectrum=eis.spectrum, count=eis.count, keep_on=eis.keep_on, pause=eis.pause, **shared
        )
