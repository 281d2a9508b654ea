"""A campaign: one protocol applied to a set of cells, frozen with its files when it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from labctl.errors import JournalError
from labctl.journal import CampaignRow
from labctl.protocol import Handling, PlannedOperation, Protocol, expand
from labctl.station import Cell, Cells, Station

if TYPE_CHECKING:
    from labctl.journal import Journal

#: The pseudo-cell under whose name the spectrometer's reference standard is moved and measured.
REFERENCE = "reference"
#: Where things are that are in no place of the station.
BENCH: Final = "bench"


@dataclass(frozen=True)
class Campaign:
    """What is to be done with which cells at which station.

    Attributes
    ----------
    name : str
        Its id, such as ``dead-lithium-1``.
    protocol, station, cells
        The validated files.
    mode : str
        ``live``, ``simulated`` or ``mixed``.
    plans : mapping of str to tuple of PlannedOperation
        By cell id.
    started : str
        When it began, UTC, ISO 8601; empty where it has not.
    """

    name: str
    protocol: Protocol
    station: Station
    cells: Cells
    mode: str
    plans: Mapping[str, tuple[PlannedOperation, ...]]
    started: str = ""

    @cached_property
    def _by_id(self) -> Mapping[str, Cell]:
        return {one.id: one for one in self.cells.cells}

    @cached_property
    def handles_samples(self) -> bool:
        """Whether any cell is taken apart or put together."""
        plans = {id(plan): plan for plan in self.plans.values()}
        return any(isinstance(one.parameters, Handling) for plan in plans.values() for one in plan)

    @property
    def gives_back(self) -> bool:
        """Whether a cell's channel is given to others while it is at another instrument."""
        return (self.protocol.channels or self.station.channels) == "give_back"

    def cell(self, cell: str) -> Cell:
        """Look a cell up by its id."""
        return self._by_id[cell]

    def files(self) -> dict[str, dict[str, Any]]:
        """Give the three files as they were read, for freezing: path, text, hash, and the text as plain data.

        A protocol's data are what it has come to; the files that it includes and what was said for its parameters are
        there besides, where there are any.
        """
        files: dict[str, dict[str, Any]] = {}
        for kind, one in (("protocol", self.protocol), ("station", self.station), ("cells", self.cells)):
            document = one.document
            files[kind] = {"path": document.file, "text": one.source, "sha256": one.sha256, "data": document.data}
            more = {"pieces": dict(document.pieces), "values": dict(document.values)}
            files[kind] |= {name: what for name, what in more.items() if what}
        return files

    def describe(self) -> dict[str, Any]:
        """``campaign.json`` for the results folder."""
        return {
            "campaign": self.name,
            "protocol": self.protocol.protocol,
            "mode": self.mode,
            "capacity_accuracy": self.station.capacity_accuracy,
            "cells": [
                {
                    "cell": cell.id,
                    "group": cell.group,
                    "area_m2": cell.area,
                    "chemistry": cell.chemistry,
                    "kind": cell.kind,
                    "parents": list(cell.parents),
                    "measure_at": list(cell.measure_at),
                    "soc_factor": cell.soc_factor.model_dump(),
                }
                for cell in self.cells.cells
            ],
        }


def make(name: str, protocol: Protocol, station: Station, cells: Cells, mode: str, started: str = "") -> Campaign:
    """Expand the plan of every cell; cells of the same sizes that are measured alike share theirs."""
    expanded: dict[tuple[object, ...], tuple[PlannedOperation, ...]] = {}
    plans = {}
    for cell in cells.cells:
        alike = (cell.area, cell.capacity, cell.mass, tuple(cell.measure_at))
        if alike not in expanded:
            expanded[alike] = expand(protocol, cell)
        plans[cell.id] = expanded[alike]
    return Campaign(name, protocol, station, cells, mode, plans, started)


def unfinished(journal: Journal) -> list[CampaignRow]:
    """Give the campaigns that have begun and not ended, oldest first."""
    return [row for row in journal.campaigns() if row.ended is None]


def begin(journal: Journal, campaign: Campaign, settings: Mapping[str, Any]) -> Campaign:
    """Freeze a new campaign in the journal, and give it with the time of its beginning.

    Raises
    ------
    JournalError
        One of this name is there already.
    """
    if any(row.campaign == campaign.name for row in journal.campaigns()):
        raise JournalError(f"campaign {campaign.name} is in the journal already")
    row = CampaignRow(
        campaign=campaign.name,
        mode=campaign.mode,
        files=campaign.files(),
        settings=dict(settings),
        started=journal.now(),
        ended=None,
    )
    homes = {**{cell.id: cell.place for cell in campaign.cells.cells}, REFERENCE: BENCH}
    # What an earlier campaign moved is where that left it.
    places = {cell: home for cell, home in homes.items() if journal.place(cell) is None}
    journal.begin_campaign(row, places, [cell.id for cell in campaign.cells.cells])
    return replace(campaign, started=row.started)


def next_name(journal: Journal, protocol: str) -> str:
    """Name a new campaign of a protocol: ``dead-lithium-1``, ``dead-lithium-2``, ..."""
    taken = {row.campaign for row in journal.campaigns()}
    number = 1
    while f"{protocol}-{number}" in taken:
        number += 1
    return f"{protocol}-{number}"
