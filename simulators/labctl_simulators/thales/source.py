"""The potentiostat's source and its leads: which cell they reach, and what they do to it.

A galvanostatic excitation round 0 A moves no charge on average, so such a cell just goes on relaxing; any other
set-point drives it. The source counts as connected to the cell whenever it is switched on, at 0 A too.
"""

from __future__ import annotations

from labctl_simulators.cell import Course, Current, Drive, Rest, VirtualCell, Voltage
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales.settings import Settings
from labctl_simulators.thales.tables import CURRENT_LIMIT

_OPEN_LEADS_V = 0.0021
_AHEAD_S = 600.0


class Source:
    """What the front end does with the cell at its leads.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : Settings
        Read whenever something happens.
    laboratory : Laboratory
        Where the cells are.
    """

    def __init__(self, name: str, settings: Settings, laboratory: Laboratory) -> None:
        self._name = name
        self._settings = settings
        self._laboratory = laboratory
        self._cell: VirtualCell | None = None
        self._since = laboratory.time()
        self._current = 0.0
        self._course: Course | None = None
        #: What a curve or a sequence does to the cell instead of the set-points; None while none runs.
        self.held: Drive | None = None
        laboratory.register_source(name, self.update)

    def cell(self) -> VirtualCell | None:
        """The cell that the leads reach now."""
        return self._laboratory.cell_on(self._name)

    def update(self, t: float) -> None:
        """Bring the driven cell to laboratory time ``t``."""
        since, self._since = self._since, t
        if self._cell is None or t <= since:
            return
        drive = self._drive()
        if drive is None:
            self._cell.settle(t)
            self._current, self._course = 0.0, None
            return
        course = self._ahead(self._cell, drive, since, t)
        self._cell.follow(course, t)
        self._current = float(course.at(t)[1])

    def _ahead(self, cell: VirtualCell, drive: Drive, since: float, t: float) -> Course:
        """What the drive does from ``since`` to ``t`` and on; projected anew only where something has changed."""
        temperature, course = self._laboratory.temperature_of(cell), self._course
        if course is None or course.drive != drive or course.temperature_K != temperature or t > course.t[-1]:
            course = self._course = cell.project(drive, since, max(t - since, _AHEAD_S), temperature)
        return course

    def rewire(self) -> None:
        """Take note of what the switch or the relays have changed."""
        wanted = self.cell() if self._settings["Pot"] == -1 else None
        if wanted is self._cell:
            return
        if self._cell is not None:
            self._laboratory.source_off(self._cell, self._name)
        if wanted is not None:
            self._laboratory.bring_up_to_date(wanted)
            self._laboratory.source_on(wanted, self._name)
        self._cell = wanted
        self._course = None
        self._since = self._laboratory.time()
        self._current = 0.0

    def voltage(self) -> float:
        """Voltage at the leads now, V."""
        cell, t = self.cell(), self._laboratory.time()
        if cell is None:
            return _OPEN_LEADS_V
        if cell is self._cell and self._settings["Pot"] == -1:
            drive = self._drive()
            if isinstance(drive, Voltage):
                return drive.volts
            if isinstance(drive, Current):
                self.update(t)
                return float(self._ahead(cell, drive, t, t).at(t)[0])
        self._laboratory.bring_up_to_date(cell)
        return float(cell.voltage(t))

    def current(self) -> float:
        """Direct current through the leads now, A."""
        if self._cell is None:
            return 0.0
        drive = self._drive()
        if drive is None or isinstance(drive, Rest):
            return 0.0
        if isinstance(drive, Current):
            return drive.amperes
        self.update(self._laboratory.time())
        return self._current

    def _drive(self) -> Drive | None:
        if self.held is not None:
            return self.held
        if not self._settings.galvanostatic:
            return Voltage(self._settings["Pset"], CURRENT_LIMIT)
        if self._settings["Cset"] != 0:
            return Current(self._settings["Cset"])
        return None
