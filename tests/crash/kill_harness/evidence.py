"""What the instruments say they have done: every start and end on a channel and a cell, from their own logs.

Times are the laboratory's, in s. Nothing here asks labctl.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that an instrument did.

    Attributes
    ----------
    name : str
        The name under which it was started: the token, without what the instrument adds for a series.
    part : str
        Which part of a series; empty where there is only one.
    where : str
        Instrument and channel; at most one thing goes on there at a time.
    cell : str
        On the leads or in the probe.
    began, ended : float
        Infinite where it never ended.
    """

    name: str
    part: str
    where: str
    cell: str
    began: float
    ended: float


Entries = Iterable[Mapping[str, Any]]
_NEVER = float("inf")
_NUMBERED = re.compile(r"(.+-[a-z0-9]{12})-(\d{3})")


def of_cycler(name: str, log: Entries) -> list[Work]:
    """Tests of a MACCOR, from "started" to "completed", "problem" or "cleared"; one that is resumed goes on."""
    started: dict[str, Mapping[str, Any]] = {}
    ends: dict[str, float] = {}
    found: list[Work] = []
    for entry in log:
        event, test = entry["event"], entry.get("test")
        if test is None:
            continue
        if event == "started":
            if test in started:
                found.append(_test(name, started[test], ends.pop(test, _NEVER)))
            started[test] = entry
        elif event in ("completed", "problem", "suspended"):
            ends[test] = float(entry.get("ended", entry["t"]))
        elif event == "resumed":
            ends.pop(test, None)
        elif event == "cleared":
            ends.setdefault(test, float(entry["t"]))
    return [*found, *(_test(name, entry, ends.get(test, _NEVER)) for test, entry in started.items())]


def _test(name: str, started: Mapping[str, Any], ended: float) -> Work:
    where = f"{name}:{started['channel']}"
    return Work(started["test"], "", where, str(started["cell"]), float(started["t"]), ended)


def of_spectrometer(name: str, log: Entries) -> list[Work]:
    """Acquisitions of a TopSpin, from "acquiring" to "acquired" or "discarded"; each EXPNO is a part."""
    found: list[Work] = []
    running: Mapping[str, Any] | None = None
    for entry in log:
        if entry["event"] == "acquiring":
            if running is not None:
                found.append(_acquisition(name, running, _NEVER))
            running = entry
        elif entry["event"] in ("acquired", "discarded") and running is not None:
            found.append(_acquisition(name, running, float(entry["t"])))
            running = None
    return [*found, *([_acquisition(name, running, _NEVER)] if running is not None else [])]


def _acquisition(name: str, began: Mapping[str, Any], ended: float) -> Work:
    folder = PurePath(began["dataset"])
    return Work(folder.parent.name, folder.name, name, str(began["sample"]), float(began["t"]), ended)


def of_potentiostat(name: str, log: Entries) -> list[Work]:
    """Sweeps of a Thales, from "sweep" to "swept"."""
    found: list[Work] = []
    running: Mapping[str, Any] | None = None
    for entry in log:
        if entry["event"] == "sweep":
            if running is not None:
                found.append(_sweep(name, running, _NEVER))
            running = entry
        elif entry["event"] == "swept" and running is not None:
            found.append(_sweep(name, running, float(entry["t"])))
            running = None
    return [*found, *([_sweep(name, running, _NEVER)] if running is not None else [])]


def _sweep(name: str, began: Mapping[str, Any], ended: float) -> Work:
    # A series under direct current adds the spectrum's number to its name.
    found = _NUMBERED.fullmatch(stem := PureWindowsPath(began["file"]).stem)
    token, part = (found[1], found[2]) if found is not None else (stem, "")
    return Work(token, part, name, str(began["cell"]), float(began["t"]), ended)


def moves(log: Entries) -> list[tuple[str, str]]:
    """Every move of a cell, to where, in order, from the laboratory's log."""
    return [(str(entry["cell"]), str(entry["to"])) for entry in log if entry["event"] == "moved"]


def flowing(log: Entries) -> dict[str, list[tuple[float, float]]]:
    """When current flowed in each test of a MACCOR: stretches from its start or resumption to what ended them."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        stretches, event = found.setdefault(str(entry.get("test")), []), entry["event"]
        if event in ("started", "resumed"):
            stretches.append((float(entry["t"]), _NEVER))
        elif event in ("completed", "problem", "suspended", "cleared") and stretches and stretches[-1][1] == _NEVER:
            stretches[-1] = stretches[-1][0], float(entry.get("ended", entry["t"]))
    return found
