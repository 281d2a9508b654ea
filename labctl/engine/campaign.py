"""A campaign: one protocol applied to a set of cells, frozen with its files when it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.errors import JournalError
from labctl.journal import CampaignRow, Journal
from labctl.protocol import PlannedOperation, Protocol, expand
from labctl.station import Cell, Cells, Station

#: The pseudo-cell under whose name the spectrometer's reference standard is moved and measured.
REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
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
    """

    name: str
    protocol: Protocol
    station: Station
    cells: Cells
    mode: str
    plans: Mapping[str, tuple[PlannedOperation, ...]]

    def cell(self, cell: str) -> Cell:
        """Look a cell up by its id."""
        return next(one for one in self.cells.cells if one.id == cell)

    def files(self) -> dict[str, dict[str, Any]]:
        """Give the three files as they were read, for freezing: path, text, hash, and the text as plain data."""
        return {
            kind: {"path": one.document.file, "text": one.source, "sha256": one.sha256, "data": one.document.data}
            for kind, one in (("protocol", self.protocol), ("station", self.station), ("cells", self.cells))
        }

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
                    "measure_at": list(cell.measure_at),
                    "soc_factor": cell.soc_factor.model_dump(),
                }
                for cell in self.cells.cells
            ],
        }


def make(name: str, protocol: Protocol, station: Station, cells: Cells, mode: str) -> Campaign:
    """Expand the plan of every cell; cells of one area that are measured alike share theirs."""
    expanded: dict[tuple[float, tuple[int, ...]], tuple[PlannedOperation, ...]] = {}
    plans = {}
    for cell in cells.cells:
        alike = (cell.area, tuple(cell.measure_at))
        if alike not in expanded:
            expanded[alike] = expand(protocol, cell)
        plans[cell.id] = expanded[alike]
    return Campaign(name, protocol, station, cells, mode, plans)


def unfinished(journal: Journal) -> CampaignRow | None:
    """Give the campaign that has begun and not ended, if there is one."""
    open_ones = [row for row in journal.campaigns() if row.ended is None]
    return open_ones[-1] if open_ones else None


def begin(journal: Journal, campaign: Campaign, settings: Mapping[str, Any]) -> None:
    """Freeze a new campaign in the journal.

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
    places = {cell.id: cell.place for cell in campaign.cells.cells}
    journal.begin_campaign(row, {**places, REFERENCE: "bench"}, cells=list(places))


def next_name(journal: Journal, protocol: str) -> str:
    """Name a new campaign of a protocol: ``dead-lithium-1``, ``dead-lithium-2``, ..."""
    taken = {row.campaign for row in journal.campaigns()}
    number = 1
    while f"{protocol}-{number}" in taken:
        number += 1
    return f"{protocol}-{number}"
