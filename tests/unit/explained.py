"""A laboratory's journal, written by hand through its public interface, for what ``labctl explain`` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from labctl.engine.clock import WallClock
from labctl.engine.explain import explain
from labctl.journal import CampaignRow, Journal, LastWord, OperationRow
from labctl.protocol import PlannedOperation, expand, load_protocol, shipped
from labctl.station import Station, load_cells, load_station

GOOD = Path(__file__).parent.parent / "good"
ROLES = {
    "maccor": "cycler",
    "topspin": "spectrometer",
    "zahner": "potentiostat",
    "oven": "chamber",
    "mux": "multiplexer",
}
CAMPAIGN = "dead-lithium-1"
CELL = "bare-01"
LIFE = ("requested", "leased", "intent", "running", "fetched", "done")
#: What a step of each kind holds in the station of ``tests/good``.
HOLDS = {
    "rest": ["cabinet/1", "maccor:1"],
    "charge": ["cabinet/1", "maccor:1"],
    "discharge": ["cabinet/1", "maccor:1"],
    "hold": ["maccor:9", "oven/1", "oven=313.15 K"],
    "nmr": ["probe/1", "topspin"],
    "nutation": ["probe/1", "topspin"],
    "eis": ["cabinet/1", "maccor:1", "mux", "zahner"],
    "transfer": ["operator"],
    "reference": ["probe/1", "topspin"],
}


@dataclass(frozen=True)
class Told:
    """What the journal says of a cell as a whole."""

    state: str = "under way"
    at: str = "2026-01-05T08:00:00.000+00:00"
    reason: str = ""
    by: str = ""
    wanted: str | None = None


class Kept(Journal):
    """A journal with what it is told of cells."""

    told: Mapping[str, Told] = {}

    def cell_rows(self, campaign: str) -> Mapping[str, Told]:
        return self.told


class Found(LastWord):
    """The same, looked at while no orchestrator runs."""

    told: Mapping[str, Told] = {}

    def cell_rows(self, campaign: str) -> Mapping[str, Told]:
        return self.told


@cache
def _station() -> Station:
    return load_station(GOOD / "station.yaml")


@cache
def _plan() -> tuple[PlannedOperation, ...]:
    return expand(load_protocol(shipped()[0]), load_cells(GOOD / "cells.yaml").cells[0])


@dataclass
class Laboratory:
    """One campaign of one cell (or more) at the example station."""

    folder: Path
    station: Station = field(default_factory=_station)
    plan: tuple[PlannedOperation, ...] = ()
    told: dict[str, Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = self.plan or _plan()
        self.journal = Kept(self.folder / "labctl.sqlite", WallClock())
        self.journal.told = self.told
        row = CampaignRow(CAMPAIGN, "simulated", {}, {}, self.journal.now(), None)
        places = {CELL: "cabinet/1", "bare-02": "cabinet/2", "reference": "bench"}
        self.journal.begin_campaign(row, places)

    def step(self, kind: str, label: str | None = None) -> PlannedOperation:
        """Find a step of the plan."""
        return next(one for one in self.plan if one.kind == kind and label in (None, one.label))

    def until(self, planned: PlannedOperation) -> None:
        """Have everything before a step done."""
        for one in self.plan[: self.plan.index(planned)]:
            self.bring(one.path, one.kind.value, "done")

    def bring(
        self,
        step: str,
        kind: str,
        status: str,
        *,
        cell: str = CELL,
        result: Mapping[str, Any] | None = None,
        error: str = "it went wrong",
        attempt: int = 1,
    ) -> OperationRow:
        """Bring an operation to a status, through every status before it."""
        name = f"{CAMPAIGN}/{cell}/{step}/a{attempt}"
        asked = {"request": {"source": "cabinet/1", "target": "probe/1"}} if kind == "transfer" else {}
        token = f"t-{len(self.journal.operations())}"
        row = self.journal.request(
            name, campaign=CAMPAIGN, cell=cell, step=step, kind=kind, attempt=attempt, token=token, result=asked
        )
        reached = LIFE[: LIFE.index(status) + 1] if status in LIFE else LIFE[:4]
        for one in reached[1:]:
            row = self._enter(name, one, kind, result or {"voltage_V": 3.712, "ended": "2026-01-05T07:00:00+00:00"})
        if status in ("failed", "aborted", "needs_operator"):
            row = getattr(self.journal, status)(name, error)
        return row

    def _enter(self, name: str, status: str, kind: str, result: Mapping[str, Any]) -> OperationRow:
        if status == "leased":
            return self.journal.leased(name, HOLDS[kind])
        if status == "running":
            return self.journal.running(name, {"token": "t", "place": "1", "started": self.journal.now(), "data": {}})
        if status == "fetched":
            return self.journal.fetched(name, name, result)
        return getattr(self.journal, status)(name)  # type: ignore[no-any-return]

    def ask(self, **known: Any) -> dict[str, Any]:
        """Explain the cell, as a running orchestrator would."""
        return explain(self.journal, CAMPAIGN, CELL, plan=self.plan, station=self.station, roles=ROLES, **known)

    def last_word(self) -> dict[str, Any]:
        """Explain the cell while no orchestrator runs."""
        found = Found(self.folder / "labctl.sqlite", WallClock())
        found.told = self.told
        return explain(found, CAMPAIGN, CELL, plan=self.plan, station=self.station, roles=ROLES)

    def close(self) -> None:
        self.journal.close()
