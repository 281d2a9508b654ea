"""The virtual laboratory: its cells, where each sits, what reaches it, its temperatures, its time and its truth.

All simulators of a run share one :class:`Laboratory`. It holds no wire protocol: those are the simulators'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from labctl_simulators.cell import VirtualCell
from labctl_simulators.cell.parameters import generator
from labctl_simulators.control import ControlPort
from labctl_simulators.glovebox import Glovebox, impossible_cells
from labctl_simulators.places import BENCH, Place, read_place, read_slot, read_wiring
from labctl_simulators.records import Records
from labctl_simulators.samples import Cooling, Sample
from labctl_simulators.thermal import ThermalPlant
from labctl_simulators.wires import NotPossible, Wires

AMBIENT_K = 293.15
"""Temperature of the room, unless the description says another; the paper's cells are cycled at 20 degC."""

SAVED = "labctl.laboratory/1"


class Laboratory(Wires):
    """What all simulators of one run share. It is made inside a running event loop, whose time it keeps.

    Parameters
    ----------
    description : mapping
        ``cells`` (list of ``id``, ``barcode``, ``area_m2``, ``chemistry``, ``place``, ``simulate``), ``places`` (by
        name: ``count``, ``temperature``, ``leads``, ``instrument``), ``ambient_K`` and ``faults`` (by instrument, list
        of ``kind``, ``seconds`` and either ``count`` and ``after_s`` since the laboratory's beginning, or ``share``).
    folder : Path
        Where simulators put what they write.
    seed : int
        Everything random follows from it.
    clock
        ``now()`` gives the UTC instant at which the laboratory begins.
    log
        Structured logger.
    faults : bool
        Whether fault proxies stand in front of the simulators.

    Raises
    ------
    ValueError
        For a description that cannot be: two cells on one slot, unknown place, leads that do not match slots.
    """

    def __init__(
        self, description: Mapping[str, Any], *, folder: Path, seed: int, clock: Any, log: Any, faults: bool = False
    ) -> None:
        super().__init__(seed, clock, description.get("faults", {}), faults=faults)
        self.folder, self.log = folder, log
        self.control_port: int | None = None
        self.violations: list[dict[str, Any]] = []
        self._offset = 0.0
        self._loop_start = asyncio.get_running_loop().time()
        self._epoch: datetime = clock.now()
        self._ambient = float(description.get("ambient_K", AMBIENT_K))
        self._places = {name: read_place(name, entry) for name, entry in description.get("places", {}).items()}
        self.cells: dict[str, VirtualCell] = {}
        self._samples = {"reference": Sample("reference")}
        self._positions: dict[str, str] = {"reference": BENCH}
        # When each was put where it is, and the temperature that it had then.
        self.cooling = Cooling()
        self.glovebox = Glovebox()
        # The same the other way round, without the bench: who sits where is asked for with every reading.
        self._occupants: dict[str, str] = {}
        self._wiring = read_wiring(self._places.values())
        self._barcodes: dict[str, str] = {}
        self._entries: dict[str, Mapping[str, Any]] = {}
        for entry in description.get("cells", ()):
            self._add(entry)
        self._relays: dict[str, set[int]] = {}
        self._chambers: dict[str, ThermalPlant] = {}
        self._sources: dict[str, list[str]] = {}
        self._updates: dict[str, Callable[[float], None]] = {}
        self._records = Records(folder / "logs")
        self._tests: dict[str, Callable[[], list[dict[str, Any]]]] = {}
        self._breakdowns: dict[str, Callable[[str, Mapping[str, Any]], None]] = {}
        self._control = ControlPort(self)

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Put further cells onto their places, each as in the description; known ones stay as they are."""
        for entry in entries:
            if str(entry["id"]) not in self.cells:
                self._add(entry)
                self.cells[str(entry["id"])].settle(self.time())

    def _add(self, entry: Mapping[str, Any]) -> None:
        cell_id = str(entry["id"])
        if cell_id in self.cells or cell_id in self._samples:
            raise NotPossible(f"there are two cells called {cell_id!r}")
        self._build(entry)
        self._put(cell_id, self._free(str(entry.get("place") or BENCH)))

    def _build(self, entry: Mapping[str, Any]) -> None:
        cell_id = str(entry["id"])
        self.cells[cell_id] = self.glovebox.build(entry, self.seed)
        self._barcodes[cell_id] = str(entry.get("barcode", cell_id))
        self._entries[cell_id] = entry

    impossible_cells = staticmethod(impossible_cells)

    # Time

    def time(self) -> float:
        """Simulated seconds since the laboratory's beginning; it stands still while the laboratory is saved."""
        return self._offset + asyncio.get_running_loop().time() - self._loop_start

    def at(self, t: float) -> datetime:
        """UTC instant of laboratory time ``t``."""
        return self._epoch + timedelta(seconds=t)

    def now(self) -> datetime:
        """UTC instant of the laboratory's present."""
        return self.at(self.time())

    # Where things are, and what reaches them

    def where(self) -> dict[str, dict[str, str]]:
        """Position and barcode of everything that can be moved."""
        return {
            item: {"place": position, "barcode": self._barcodes.get(item, item)}
            for item, position in self._positions.items()
        }

    def move(self, cell_id: str, place: str) -> None:
        """Put a cell, or the reference, somewhere else.

        Raises
        ------
        NotPossible
            For an unknown cell or position, an occupied slot, or a cell under current; the last is a violation too.
        """
        if cell_id not in self._positions:
            raise NotPossible(f"there is no cell {cell_id!r}; there are {', '.join(self._positions)}")
        position = read_slot(self._places, place)
        if position == self._positions[cell_id]:
            return
        position, cell = self._free(position), self.cells.get(cell_id)
        if cell is not None:
            self.bring_up_to_date(cell)
            if self._sources.get(cell_id):
                sources = ", ".join(self._sources[cell_id])
                self.note_violation("moved under current", cell=cell_id, sources=sources, to=position)
                raise NotPossible(f"{cell_id} is under current of {sources}; it stays at {self._positions[cell_id]}")
        self.cooling.arrive(cell_id, self.time(), self.sample_temperature(cell_id))
        self.record("laboratory", "moved", cell=cell_id, source=self._positions[cell_id], to=position)
        self._put(cell_id, position)
        self.log.info("moved", cell=cell_id, to=position)

    def _put(self, item: str, position: str) -> None:
        self._occupants.pop(self._positions.get(item, BENCH), None)
        self._positions[item] = position
        if position != BENCH:
            self._occupants[position] = item

    def _free(self, position: str) -> str:
        position = read_slot(self._places, position)
        other = self._occupants.get(position)
        if other is not None:
            raise NotPossible(f"{position} is taken by {other}")
        return position

    def _make_room(self, position: str) -> str:
        position = read_slot(self._places, position)
        other = self._occupants.get(position)
        if other is not None:
            if self._sources.get(other):
                raise NotPossible(f"{position} is in use by {other}")
            self._put(other, BENCH)
        return position

    def cell_on(self, instrument: str, lead: int | None = None) -> VirtualCell | None:
        """Give the cell that a lead of ``instrument`` reaches now, or ``None``.

        A numbered lead is a channel; leads that pass through a multiplexer reach the cell of the one closed relay. With
        two relays closed, two cells are in parallel: a violation, and none is reached.
        """
        found = list(self._wiring.direct.get((instrument, lead), ()))
        for mux, reached in self._wiring.switched.get((instrument, lead), {}).items():
            found += [slot for relay in sorted(self.relays(mux)) for slot in reached.get(relay, ())]
        if len(found) > 1:
            self.note_violation("leads in parallel", instrument=instrument, positions=found)
            return None
        occupant = self._occupants.get(found[0]) if found else None
        cell = self.cells.get(occupant) if occupant is not None else None
        return cell if cell is not None and cell.whole else None

    def in_probe(self, instrument: str) -> VirtualCell | Sample | None:
        """Give what is in the probe of a spectrometer, or ``None``."""
        for place in self._places.values():
            if place.instrument == instrument:
                for slot in range(1, place.count + 1):
                    item = self._occupants.get(f"{place.name}/{slot}")
                    if item is not None:
                        return self.cells.get(item) or self._samples[item]
        return None

    def relays(self, mux: str) -> set[int]:
        """Closed relays of a multiplexer; its simulator changes this very set."""
        return self._relays.setdefault(mux, set())

    def routes(self, mux: str, relay: int) -> list[VirtualCell]:
        """Cells that a relay of ``mux`` connects or would connect, for a simulator that is about to move it."""
        cells = []
        for place in self._places.values():
            for leads in place.leads.values():
                if leads.through == mux and relay in leads.numbers:
                    item = self._occupants.get(f"{place.name}/{leads.numbers.index(relay) + 1}")
                    if item in self.cells:
                        cells.append(self.cells[item])
        return cells

    # Temperatures

    @property
    def ambient(self) -> float:
        """Temperature of the room, K."""
        return self._ambient

    def chamber(self, name: str) -> ThermalPlant:
        """Give the bath of that name."""
        if name not in self._chambers:
            phase = float(generator(self.seed, name, "chamber").uniform(0, 6.28))
            self._chambers[name] = ThermalPlant(self.time, self._ambient, phase)
        return self._chambers[name]

    def temperature_of(self, cell: VirtualCell | Sample) -> float:
        """Temperature in K where a cell sits, now."""
        return self._temperature_around(cell.id)

    def sample_temperature(self, item: str) -> float:
        """Temperature in K of a cell or sample itself, now: it follows that around it."""
        return self.cooling.temperature(item, self.time(), self._temperature_around(item))

    def _temperature_around(self, item: str) -> float:
        place = self._place_of(item)
        return self.chamber(place.chamber).temperature if place is not None and place.chamber else self._ambient

    def temperatures_of(self, cell: VirtualCell | Sample, times: Iterable[float]) -> np.ndarray:
        """Temperatures in K where a cell sits, at laboratory times, if nobody regulates otherwise until then."""
        place = self._place_of(cell.id)
        if place is None or not place.chamber:
            return np.array([self._ambient for _ in times])
        plant = self.chamber(place.chamber)
        return np.array([plant.temperature_at(t) for t in times])

    def _place_of(self, item: str) -> Place | None:
        return self._places.get(self._positions[item].partition("/")[0])

    # Who drives a cell

    def register_source(self, source: str, update: Callable[[float], None]) -> None:
        """Say how sources whose name is ``source``, or starts with it and a slash, are brought up to a time."""
        self._updates[source] = update

    def bring_up_to_date(self, cell: VirtualCell) -> None:
        """Bring a cell to the present: by whoever drives it, or by relaxing."""
        now = self.time()
        sources = list(self._sources.get(cell.id, ()))
        for source in sources:
            update = self._updates.get(source) or self._updates.get(source.partition("/")[0])
            if update is not None:
                update(now)
        if not self._sources.get(cell.id):
            cell.settle(now)

    def source_on(self, cell: VirtualCell, source: str) -> None:
        """Say that ``source`` drives the cell from now on; a second one at once is a violation."""
        on = self._sources.setdefault(cell.id, [])
        if source in on:
            return
        on.append(source)
        if len(on) > 1:
            self.note_violation("two sources", cell=cell.id, sources=list(on))

    def source_off(self, cell: VirtualCell, source: str) -> None:
        """Say that ``source`` has let go of the cell."""
        on = self._sources.get(cell.id, [])
        if source in on:
            on.remove(source)

    def sources_on(self, cell: VirtualCell) -> tuple[str, ...]:
        """Give what drives the cell now."""
        return tuple(self._sources.get(cell.id, ()))

    # What is written down

    def note_violation(self, kind: str, **data: Any) -> None:
        """Write down something that must not happen in a laboratory."""
        entry = {"t": self.time(), "at": self.now().isoformat(), "kind": kind, **data}
        self.violations.append(entry)
        self._records.add("laboratory", {"t": entry["t"], "event": "violation", "kind": kind, "data": data})
        self.log.warning("violation", kind=kind, **data)

    def record(self, instrument: str, event: str, **data: Any) -> None:
        """Write an entry into an instrument's own log, for the control port."""
        self._records.add(instrument, {"t": self.time(), "event": event, **data})

    def records(self, instrument: str, since: int = 0, most: int | None = None) -> list[dict[str, Any]]:
        """Give an instrument's log after its first ``since`` entries, oldest first; ``laboratory`` has all moves."""
        return self._records.read(instrument, since, most)

    def register_tests(self, instrument: str, tests: Callable[[], list[dict[str, Any]]]) -> None:
        """Say how all tests of a cycler are listed: ``test``, ``channel``, ``state``, ``records`` for each."""
        self._tests[instrument] = tests

    def tests(self, instrument: str) -> list[dict[str, Any]]:
        """Give all tests of a cycler, with the number of the last record of each; records are numbered from 1.

        Raises
        ------
        NotPossible
            That instrument has no tests.
        """
        if instrument not in self._tests:
            raise NotPossible(f"{instrument!r} has no tests; those that have: {', '.join(self._tests) or 'none'}")
        return self._tests[instrument]()

    def register_breakdowns(self, instrument: str, breakdowns: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Say how an instrument is made to break down: called with the kind and its options."""
        self._breakdowns[instrument] = breakdowns

    def break_down(self, instrument: str, kind: str, **options: Any) -> None:
        """Have an instrument itself fail, not its wire; each simulator says at its class what it knows.

        Raises
        ------
        NotPossible
            That instrument has no breakdowns.
        ValueError
            It does not know this one.
        """
        if instrument not in self._breakdowns:
            known = ", ".join(self._breakdowns) or "none"
            raise NotPossible(f"{instrument!r} can't break down; those that can: {known}")
        self._breakdowns[instrument](kind, options)
        self.record(instrument, "breakdown", kind=kind, **options)

    def rng(self, cell_id: str, token: str) -> np.random.Generator:
        """Random numbers for noise, the same for the same seed, cell and token whenever they are asked for."""
        return generator(self.seed, cell_id, token)

    def truth(self) -> dict[str, Any]:
        """Give what no instrument can know, with every cell brought to the present.

        ``charge_mAh``, ``discharge_mAh`` and ``hold_mAh`` passed through the cell; ``connected_mAh``, ``dead_mAh`` and
        ``interphase_mAh`` are those at the end of the cycle's constant-current discharge.
        """
        for cell in self.cells.values():
            self.bring_up_to_date(cell)
        return {"cells": {cell_id: cell.truth() for cell_id, cell in self.cells.items()}}

    # Beginning and end

    async def start(self) -> None:
        """Open the control port; its number is in ``control_port``."""
        self.control_port = await self._control.start()

    async def stop(self) -> None:
        """Close the control port and all proxies."""
        await self._control.stop()
        self._records.flush()
        await self.close_wires()
        self.control_port = None

    # Between two runs

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values; simulators save their own running programs."""
        for cell in self.cells.values():
            self.bring_up_to_date(cell)
        return {
            "schema": SAVED,
            "seed": self.seed,
            "time": self.time(),
            "epoch": self._epoch.isoformat(),
            "cells": {cell_id: cell.save() for cell_id, cell in self.cells.items()},
            "entries": dict(self._entries),
            "positions": dict(self._positions),
            "arrived": self.cooling.save(),
            "shelf": self.glovebox.save(),
            "relays": {mux: sorted(closed) for mux, closed in self._relays.items()},
            "chambers": {name: plant.save() for name, plant in self._chambers.items()},
            "sources": {cell_id: list(on) for cell_id, on in self._sources.items() if on},
            "violations": list(self.violations),
            "logs": self._records.lengths(),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up a saved state; time goes on from where it was saved.

        Cells that were saved and are not described any more are still there. One that is new has its place, and who
        was left there goes to the bench: somebody has made room.

        Raises
        ------
        NotPossible
            Where it was saved by a laboratory with another seed, or the place of a new cell is in use.
        """
        if data.get("schema") != SAVED:
            raise NotPossible(f"not a saved laboratory: schema {data.get('schema')!r}, expected {SAVED!r}")
        if data["seed"] != self.seed:
            raise NotPossible(f"it was saved by a laboratory with the seed {data['seed']}, not {self.seed}")
        new = [entry for cell_id, entry in self._entries.items() if cell_id not in data["cells"]]
        for cell_id in data["cells"]:
            if cell_id not in self.cells:
                if cell_id not in data.get("entries", ()):
                    raise NotPossible(f"it has a cell {cell_id}, which these files do not describe")
                self._build(data["entries"][cell_id])
        self.resumed = True
        self._offset = data["time"]
        self._loop_start = asyncio.get_running_loop().time()
        self._epoch = datetime.fromisoformat(data["epoch"])
        for cell_id, cell in data["cells"].items():
            self.cells[cell_id].restore(cell)
        self.cooling.restore(data.get("arrived", {}))
        self.glovebox.restore(data.get("shelf", {}))
        self._positions, self._occupants = {}, {}
        for item, position in data["positions"].items():
            self._put(item, position)
        for mux, closed in data["relays"].items():
            self.relays(mux).clear()
            self.relays(mux).update(closed)
        for name, plant in data["chambers"].items():
            self.chamber(name).restore(plant)
        self._sources = {cell_id: list(on) for cell_id, on in data["sources"].items()}
        for entry in new:
            self._put(str(entry["id"]), self._make_room(str(entry.get("place") or BENCH)))
            self.cells[str(entry["id"])].settle(self.time())
        self.violations[:] = data["violations"]
        self._records.go_on(data["logs"])
