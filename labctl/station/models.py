"""Station and cells files as models: what may stand in them. How their parts fit is checked in ``checks``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import (
    Area,
    Capacity,
    FileModel,
    Mass,
    Model,
    Name,
    Numbers,
    Quantity,
    Ratio,
    Text,
    Word,
    expected,
)
from labctl.instruments import SwitchedLead
from labctl.station.delivery import DeliveryEntry, ToCore
from labctl.station.hours import WorkingHours
from labctl.station.instruments import InstrumentEntry, Maccor, ReferenceSpectrum, Settled

_Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
_Barcode = Annotated[
    str, Word(r"[A-Za-z0-9._:/+-]{1,40}", "write the barcode as it is scanned, without blanks, such as 'B0001'")
]
_Slot = Annotated[str, Word("[a-z0-9][a-z0-9-]{0,23}/[1-9][0-9]{0,3}", "write place and slot, such as 'cabinet/1'")]
#: The room's temperature: nothing regulates it.
AMBIENT = "ambient"
#: Temperature of the room in K, where a laboratory is simulated: the paper's cells are cycled at 20 degC.
ROOM = 293.15


@dataclass(frozen=True, slots=True)
class DirectLeads:
    """Leads of an instrument's own channels; entry i is the channel that reaches slot i + 1."""

    leads: tuple[int, ...]

    @property
    def through(self) -> str | None:
        """No multiplexer."""
        return None


class _Direct(Numbers):
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(lambda value: DirectLeads(self.read(value)))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return Numbers.__get_pydantic_json_schema__(self, core, handler)


class SwitchedLeads(Model):
    """Leads that pass through a multiplexer."""

    through: str = Field(description="The multiplexer.", examples=["mux"])
    relays: Annotated[tuple[int, ...], Numbers()] = Field(
        description="Its relays, one for each slot.", examples=["101-108"]
    )
    channels: Annotated[tuple[int, ...], Numbers()] = Field(
        default=(),
        description="Channels of the instrument behind them, one for each slot, where it has channels.",
        examples=["1-8"],
    )

    @property
    def leads(self) -> tuple[int, ...]:
        """Entry i is the relay that reaches slot i + 1."""
        return self.relays


Leads = Annotated[
    Annotated[Annotated[DirectLeads, _Direct()], Tag("direct")] | Annotated[SwitchedLeads, Tag("switched")],
    Discriminator(lambda value: "switched" if isinstance(value, (dict, SwitchedLeads)) else "direct"),
]


class Operator(Model):
    """A person who moves cells."""

    name: Text = Field(description="Who.", examples=["operator"])
    hours: Annotated[str, WorkingHours()] | None = Field(
        default=None,
        description="When they are there, in local time; several ranges with ';'. Nothing: always.",
        examples=["Mo-Fr 08:00-19:00; not 2026-12-24 - 2027-01-03"],
    )
    simulate: bool = Field(
        default=True, description="In a simulated laboratory: whether a scripted person acts for them.", examples=[True]
    )


class Place(Model):
    """Where cells can be, and which leads reach them there."""

    count: _Count = Field(description="How many slots, numbered from 1.", examples=[8])
    temperature: str = Field(
        default=AMBIENT, description="'ambient', or the chamber that sets it.", examples=["ambient"]
    )
    leads: dict[str, Leads] = Field(
        default_factory=dict,
        description="By instrument: channels, or relays of a multiplexer.",
        examples=["{maccor: 1-8}"],
    )
    instrument: str | None = Field(
        default=None, description="The instrument that a cell is put into here.", examples=["topspin"]
    )
    booked: Annotated[str, WorkingHours()] | None = Field(
        default=None,
        description="When the place's instrument is ours, in local time; several ranges with ';'. Nothing: always.",
        examples=["Tu,Th 08:00-20:00; 2026-12-03 08:00 - 2026-12-05 12:00"],
    )
    checklist: tuple[Text, ...] = Field(
        default=(), description="What a person does on the way in or out.", examples=["[disconnect, unclamp]"]
    )


class Station(FileModel):
    """What there is in a laboratory: instruments, places, wiring, people."""

    labctl: Literal[1] = Field(description="Version of the file format.", examples=[1])
    station: Name = Field(description="Name of the laboratory.", examples=["example"])
    mode: Literal["live", "simulated", "mixed"] = Field(
        description="Whether the instruments are real; must be said.", examples=["simulated"]
    )
    capacity_accuracy: Ratio = Field(
        description="Relative accuracy of the cycler's capacities; enters the error budget.", examples=["0.1 %"]
    )
    operators: tuple[Operator, ...] = Field(default=(), description="Who moves cells.", examples=["[{name: operator}]"])
    channels: Literal["keep", "give_back"] = Field(
        default="keep",
        description="Whether a cell keeps its channel while it is elsewhere; a protocol may say otherwise.",
        examples=["keep"],
    )
    instruments: Annotated[dict[Name, InstrumentEntry], Field(min_length=1)] = Field(
        description="By name, each with its driver.", examples=["{maccor: {driver: maccor, address: 192.0.2.10}}"]
    )
    places: Annotated[dict[Name, Place], Field(min_length=1)] = Field(
        description="By name.", examples=["{cabinet: {count: 8, leads: {maccor: 1-8}}}"]
    )
    delivery: tuple[DeliveryEntry, ...] = Field(
        default=(ToCore(to="core"),),
        description="Where results go; the built-in analysis core, unless something else is said.",
        examples=["[{to: core}, {to: folder, path: /mnt/archive/labctl}]"],
    )

    def settings(self, instrument: str) -> dict[str, Any]:
        """Give an instrument's entry as it stands in the file, but ``settled`` in SI (K, s, s)."""
        settings = dict(self.document.data["instruments"][instrument])
        settled = self.settled(instrument)
        if settled is not None:
            settings["settled"] = {
                "tolerance": settled.tolerance,
                "duration": settled.for_,
                "at_most": settled.at_most,
            }
        return settings

    def entries(self) -> dict[str, dict[str, Any]]:
        """Give the settings of all instruments, by name; those of a multiplexer also say what its ``leads`` connect."""
        entries = {name: self.settings(name) for name in self.instruments}
        for name, entry in entries.items():
            if leads := self.switched(name):
                entry["leads"] = [lead.plain() for lead in leads]
        return entries

    def switched(self, multiplexer: str) -> tuple[SwitchedLead, ...]:
        """Give what each relay of a multiplexer connects, over all places; nothing for any other instrument."""
        return tuple(
            SwitchedLead(
                relay,
                f"{place_name}/{number}",
                f"{instrument}:{wiring.channels[number - 1]}" if wiring.channels else instrument,
            )
            for place_name, place in self.places.items()
            for instrument, wiring in place.leads.items()
            if isinstance(wiring, SwitchedLeads) and wiring.through == multiplexer
            for number, relay in enumerate(wiring.leads, start=1)
        )

    def settled(self, instrument: str) -> Settled | None:
        """When this instrument counts as settled; None if it has no such thing."""
        settled = getattr(self.instruments[instrument], "settled", None)
        return settled if isinstance(settled, Settled) else None

    def reference(self, instrument: str) -> ReferenceSpectrum:
        """How the LiCl standard is measured at this spectrometer."""
        asked = getattr(self.instruments[instrument], "reference", None)
        return asked if isinstance(asked, ReferenceSpectrum) else ReferenceSpectrum()

    def lowest_voltage(self, instrument: str) -> float | None:
        """Give the lowest voltage in V that a tester reaches, as far as the file says; None where it does not matter.

        Channels of a MACCOR, and of its simulator, reach down to 0 V unless something else is said.
        """
        entry = self.instruments[instrument]
        said = entry.limits.voltage[0] if entry.limits is not None and entry.limits.voltage is not None else None
        if not isinstance(entry, Maccor):
            return said
        if self.mode != "simulated":
            return 0.0 if said is None else said
        simulated = (entry.simulate.model_extra or {}).get("lowest_voltage", 0.0)
        simulated = float(simulated) if isinstance(simulated, (int, float)) else 0.0
        return simulated if said is None else max(said, simulated)

    def chamber_of(self, place: str) -> str | None:
        """Give the chamber that sets the temperature of a place, None where nothing does."""
        temperature = self.places[place].temperature
        return None if temperature == AMBIENT else temperature

    def description(self, cells: Cells) -> dict[str, Any]:
        """Describe the laboratory and its cells as plain data, SI, for simulating them."""
        return {
            "cells": [
                {
                    "id": cell.id,
                    "barcode": cell.barcode,
                    "area_m2": cell.area,
                    "chemistry": cell.chemistry,
                    "place": cell.place,
                    "simulate": dict(cell.simulate),
                }
                for cell in cells.cells
            ],
            "places": {
                name: {
                    "count": place.count,
                    "temperature": self.chamber_of(name),
                    "leads": {instrument: _plain(wiring) for instrument, wiring in place.leads.items()},
                    "instrument": place.instrument,
                }
                for name, place in self.places.items()
            },
            "ambient_K": ROOM,
            "faults": {
                name: [fault.plain() for fault in entry.simulate.faults]
                for name, entry in self.instruments.items()
                if entry.simulate.faults
            },
        }


def _plain(wiring: DirectLeads | SwitchedLeads) -> Any:
    if isinstance(wiring, DirectLeads):
        return list(wiring.leads)
    channels = {"channels": list(wiring.channels)} if wiring.channels else {}
    return {"through": wiring.through, "relays": list(wiring.relays), **channels}


class SocFactor(Model):
    """By how much the lithium signal of a discharged cell is too small, and how well that is known.

    Either a number, or a calibration of the set-up's own; with both, the number stands in where the calibration's file
    cannot be read.
    """

    value: Annotated[float, Field(ge=0.5, le=2.0)] | None = Field(
        default=None, description="The factor.", examples=[1.08]
    )
    sd: Annotated[float, Field(ge=0.0, le=0.5)] | None = Field(
        default=None, description="Its standard deviation.", examples=[0.015]
    )
    source: Text | None = Field(
        default=None, description="Where it comes from.", examples=["paper, not calibrated here"]
    )
    calibration: Text | None = Field(
        default=None,
        description="File of a calibration of this set-up, relative to the campaign's folder, the results or the "
        "laboratory.",
        examples=["probe.yaml"],
    )

    @model_serializer(mode="wrap")
    def _said(self, given: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in given(self).items() if value is not None}

    @model_validator(mode="after")
    def _whole(self) -> SocFactor:
        given = {name for name in ("value", "sd", "source") if getattr(self, name) is not None}
        lacking = [name for name in ("value", "sd", "source") if name not in given]
        if lacking and (given or self.calibration is None):
            examples = {"value": "1.08", "sd": "0.015", "source": "paper"}
            added = ", ".join(f"{name}: {examples[name]}" for name in lacking)
            instead = "" if given else " or 'calibration: probe.yaml'"
            raise expected(f"{' and '.join(lacking)} missing in 'soc_factor'", f"add '{added}'{instead}")
        return self


_PAPER: dict[str, Any] = {"value": 1.08, "sd": 0.015, "source": "paper, not calibrated here"}


class Cell(Model):
    """One cell."""

    id: Name = Field(description="Name of the cell, for ever.", examples=["bare-01"])
    barcode: _Barcode = Field(description="What is scanned when the cell is moved.", examples=["B0001"])
    group: Name = Field(description="Cells of one group are replicates.", examples=["bare"])
    area: Area = Field(description="Area of the electrode.", examples=["1.0 cm2"])
    capacity: Capacity | None = Field(
        default=None, description="Nominal capacity, to which C-rates refer.", examples=["2.62 mAh"]
    )
    mass: Mass | None = Field(
        default=None, description="Mass of the active material, to which specific quantities refer.", examples=["12 mg"]
    )
    chemistry: Text = Field(description="What the cell is made of.", examples=["Cu||NMC622"])
    kind: Literal["cell", "electrode", "sample"] = Field(
        default="cell", description="A cell, an electrode alone, or another sample.", examples=["electrode"]
    )
    parents: tuple[Name, ...] = Field(
        default=(), description="Ids of what it was made from.", examples=["[full-nmc-01-positive]"]
    )
    measure_at: tuple[_Count, ...] = Field(
        default=(), description="Cycles in which this cell is measured.", examples=["[15]"]
    )
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = Field(
        default=5, description="0 to 9, higher goes first.", examples=[5]
    )
    user: Text | None = Field(default=None, description="Whose cell it is.", examples=["nmr"])
    place: _Slot = Field(description="Where it sits at home.", examples=["cabinet/1"])
    start_after: Annotated[float, Quantity("duration", at_least=0)] = Field(
        default=0.0, description="It begins so long after the campaign.", examples=["2 h"]
    )
    soc_factor: SocFactor = Field(
        default_factory=lambda: SocFactor(**_PAPER),
        description="Correction of the lithium signal of the discharged cell.",
        examples=['{value: 1.08, sd: 0.015, source: "paper, not calibrated here"}'],
    )
    simulate: dict[str, Any] = Field(
        default_factory=dict, description="What the virtual cell is like.", examples=["{substrate: bare}"]
    )


class Cells(FileModel):
    """The cells of a campaign."""

    labctl: Literal[1] = Field(description="Version of the file format.", examples=[1])
    cells: Annotated[tuple[Cell, ...], Field(min_length=1)] = Field(
        description="One entry for each cell.", examples=["[{id: bare-01, ...}]"]
    )
