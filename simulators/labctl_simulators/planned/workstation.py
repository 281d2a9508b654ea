"""A potentiostat as the time that its spectra take, and what a direct current does to the cell meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labctl_simulators.cell import Current
from labctl_simulators.macnet.segment import crossing
from labctl_simulators.planned.device import Device
from labctl_simulators.thales.sweep import durations, frequencies

#: Seconds that a sweep takes beside its points, until a client has noticed its end.
BESIDE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Spectra:
    """What is being measured: laboratory times in s, and of a series how many spectra are whole at its end."""

    began: float
    ends: float
    spectra: int = 1
    cut_off: bool = False
    charge: float = 0.0
    voltage: float = 0.0


class PlannedWorkstation(Device):
    """One potentiostat; see :mod:`labctl_simulators.thales.sweep` for what its times come from."""

    def __init__(self, name: str, entry: Mapping[str, Any], laboratory: Any) -> None:
        super().__init__(name, entry, laboratory)
        self._runs: dict[str, Spectra] = {}
        self._driven: tuple[str, Any, Any] | None = None
        laboratory.register_source(name, self._update)

    @staticmethod
    def seconds(high: float, low: float, above: float, below: float, most: float, least: float) -> float:
        """Time of one sweep between two frequencies (Hz), densities and periods above and below 66 Hz."""
        grid = frequencies(high, low, high, above, below, to_max=True)
        return float(durations(grid, low, most, least).sum()) + BESIDE

    def voltage(self) -> float:
        """What the leads show, V; nothing with all relays open."""
        cell = self._laboratory.cell_on(self._name)
        if cell is None:
            return 0.0
        self._laboratory.bring_up_to_date(cell)
        return float(cell.voltage(self._laboratory.time()))

    def busy(self) -> bool:
        """Whether something is being measured."""
        now = self._laboratory.time()
        return any(run.ends > now for run in self._runs.values())

    def start(self, token: str, seconds: float) -> None:
        """Begin spectra that take so long, all in all."""
        now = self._laboratory.time()
        self._runs[token] = Spectra(now, now + seconds)

    def start_series(self, token: str, current: float, cutoff: float, most: int, each: float, pause: float) -> None:
        """Begin a series under a direct current (A), to a mean voltage (V) or so many spectra.

        Raises
        ------
        ValueError
            The leads reach no cell.
        """
        cell, now = self._laboratory.cell_on(self._name), self._laboratory.time()
        if cell is None:
            raise ValueError(f"the leads of {self._name} reach no cell")
        self._laboratory.bring_up_to_date(cell)
        whole = most * each + (most - 1) * pause
        course = cell.project(Current(current), now, whole + 1.0, float(self._laboratory.temperature_of(cell)))
        at = crossing(course.t, course.voltage, current > 0, cutoff, now + 1.0)
        ends, cut = (now + whole, False) if at is None or at > now + whole else (at, True)
        spectra = min(most, int((ends - now + pause) // (each + pause)))
        voltage, _, charge = course.at(ends)
        self._runs[token] = Spectra(now, ends, spectra, cut, float(charge), float(voltage))
        self._driven = token, cell, course
        self._laboratory.source_on(cell, self._name)

    def _update(self, now: float) -> None:
        if self._driven is None:
            return
        token, cell, course = self._driven
        ends = self._runs[token].ends
        cell.follow(course, min(now, ends, float(course.t[-1])))
        if now >= ends:
            self._laboratory.source_off(cell, self._name)
            self._driven = None

    def look(self, token: str) -> tuple[float, Spectra] | None:
        """Seconds to the end, and what is being measured; None where nothing of that name was begun."""
        run = self._runs.get(token)
        if run is None:
            return None
        now = self._laboratory.time()
        self._update(now)
        return max(0.0, run.ends - now), run

    def halt(self, token: str) -> None:
        """Source off."""
        now, run = self._laboratory.time(), self._runs.get(token)
        if run is None or run.ends <= now:
            return
        self._runs[token] = Spectra(run.began, now, 0, run.cut_off, run.charge, run.voltage)
        self._update(now)
