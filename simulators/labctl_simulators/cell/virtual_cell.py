"""One virtual cell: its constants, its state, and the views that instruments have of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from labctl_simulators.cell import course as courses
from labctl_simulators.cell import electrode, metal
from labctl_simulators.cell.chemistries import USUAL
from labctl_simulators.cell.course import Course, Drive
from labctl_simulators.cell.curves import equilibrium
from labctl_simulators.cell.impedance import impedance, share_of_first
from labctl_simulators.cell.parts import NEGATIVE, POSITIVE, Drawn, Part, put_together
from labctl_simulators.cell.spectrum import USUAL_TESLA, Line, lines
from labctl_simulators.cell.state import CellState


def _same_cell(state: CellState, other: CellState) -> bool:
    """Whether two states differ by nothing but rest."""
    return replace(state, t=0.0, overpotential=0.0, lag=(0.0, 0.0)) == replace(
        other, t=0.0, overpotential=0.0, lag=(0.0, 0.0)
    )


class VirtualCell:
    """A cell with lithium metal that remembers every lithium.

    Parameters
    ----------
    cell_id : str
        Its name.
    area_m2 : float
        Electrode area in m2; currents and amounts of the model are per area.
    seed : int
        Of the laboratory; with the name it fixes everything random about the cell.
    options : mapping
        See :func:`labctl_simulators.cell.parameters.draw`.
    t : float
        Laboratory time at which it was built, s.
    chemistry : str
        See :data:`labctl_simulators.cell.chemistries.CHEMISTRIES`.
    """

    def __init__(
        self,
        cell_id: str,
        area_m2: float,
        seed: int,
        options: Mapping[str, Any] | None = None,
        t: float = 0.0,
        chemistry: str = USUAL,
    ) -> None:
        self.id = cell_id
        self._drawn = Drawn(seed, cell_id, area_m2, dict(options or {}), chemistry)
        made = self.parameters = self._drawn.parameters()
        #: Electrodes that lie in its place, where it is no whole cell.
        self.parts: tuple[Part, ...] = ()
        self._rebuilt = False
        # Metal is plated only onto a substrate that has alloyed all it can.
        alloyed = made.alloy if made.metal > 0 else 0.0
        self.state = CellState(t=t, soc=made.soc, connected=made.metal, second=made.second, alloy=alloyed)
        self._course: Course | None = None

    @property
    def area_m2(self) -> float:
        """Electrode area in m2."""
        return self._drawn.area_m2

    @property
    def whole(self) -> bool:
        """Whether it is a cell, and no electrodes in its place."""
        return not self.parts

    def take_apart(self, sides: Sequence[str]) -> dict[str, Part]:
        """Give the electrodes by side; the first of them lies in the cell's place from now on, without a voltage.

        Raises
        ------
        ValueError
            It is in parts already.
        """
        if not self.whole:
            raise ValueError(f"{self.id} is taken apart already")
        given = {side: Part(side, self._drawn, self.state) for side in sides}
        self.parts = (given[sides[0]],)
        self._course = None
        return given

    def become(self, parts: Sequence[Part], t: float) -> None:
        """Be what these electrodes make: a cell of a negative and a positive one, else a stack without a voltage."""
        self._course, self._rebuilt = None, True
        sides = [part.side for part in parts]
        if sorted(sides) != [NEGATIVE, POSITIVE]:
            self.parts = tuple(parts)
            return
        negative, positive = sorted(parts, key=lambda part: part.side)
        self._drawn, self.state = put_together(self.id, negative, positive, t)
        self.parameters, self.parts = self._drawn.parameters(), ()

    @property
    def substrate(self) -> str:
        """What copper is coated with, if it is; see ``SUBSTRATES``."""
        return self.parameters.substrate.name

    @property
    def t90_s(self) -> float:
        """Length of this cell's pi/2 pulse at 80 W, s."""
        return self.parameters.t90_s

    def settle(self, t: float) -> None:
        """Let the undriven cell relax until laboratory time ``t``; earlier times change nothing."""
        if t > self.state.t:
            self.state = courses.rested(self.parameters, self.state, t)
            self._course = None

    def voltage(self, t: float) -> float:
        """Open-circuit voltage in V at laboratory time ``t``, if nothing drives the cell until then."""
        state = courses.rested(self.parameters, self.state, t)
        if self.parts:
            return 0.0
        if self._of_metal:
            return metal.voltage(self.parameters, state)
        return float(equilibrium(self.parameters.curve, state.soc)) + sum(state.lag)

    @property
    def _of_metal(self) -> bool:
        return self.parameters.chemistry.host is None

    def project(self, drive: Drive, start: float, horizon: float, temperature_K: float) -> Course:
        """Say what ``drive`` would do from laboratory time ``start`` on; the cell stays as it is.

        Parameters
        ----------
        drive
            :class:`Rest`, :class:`Current` or :class:`Voltage`.
        start, horizon : float
            Laboratory time in s, and seconds to look ahead; the cell relaxes until ``start``.
        temperature_K : float
            Temperature of the cell, constant over the course.

        Raises
        ------
        ValueError
            Where ``start`` lies before the cell's own time, or the horizon is negative.
        """
        if start < self.state.t - 1e-6:
            raise ValueError(f"cell {self.id} stands at {self.state.t} s, a course cannot start at {start} s")
        state = courses.rested(self.parameters, self.state, start) if start > self.state.t else self.state
        engine = metal.project if self._of_metal else courses.project
        return engine(self.parameters, state, drive, horizon, temperature_K)

    def follow(self, course: Course, until: float) -> None:
        """Go along ``course`` to laboratory time ``until``; the same course can be followed further later.

        Raises
        ------
        ValueError
            Where the course was made from another state than the cell's, or does not reach ``until``, or ``until``
            lies behind the cell.
        """
        if course is not self._course and not _same_cell(self.state, course.before):
            raise ValueError(f"cell {self.id} has changed since this course was projected; project it anew")
        start = max(self.state.t, course.before.t)
        if not start - 1e-6 <= until <= course.t[-1] + 1e-6:
            raise ValueError(
                f"cell {self.id} stands at {self.state.t} s and the course runs from {course.t[0]} to "
                f"{course.t[-1]} s; it cannot go to {until} s"
            )
        until = max(until, start)
        advance = metal.advance if self._of_metal else courses.advance
        self.state = advance(self.parameters, course, until)
        self._course = course

    def nmr_lines(self, t: float, tesla: float = USUAL_TESLA) -> list[Line]:
        """7Li lines at laboratory time ``t``; areas already carry the loss of signal beside lithiated NMC."""
        del t  # Composition does not change at open circuit.
        if self.parts:
            return [line for part in self.parts for line in part.nmr_lines(tesla)]
        return lines(self.parameters, self.state, tesla)

    def impedance(self, frequency_Hz: Any, elapsed_s: Any, t: float) -> Any:
        """Complex impedance in ohm, noise free; ``elapsed_s`` is each point's time since the sweep began."""
        del t
        return impedance(self.parameters, self.state, frequency_Hz, elapsed_s)

    # The first electrode alone, as a reference electrode sees it: the counter electrode of a potentiostat

    def counter(self, course: Course) -> Any:
        """Potential in V of the first electrode along ``course``; the second one's is the cell's voltage more."""
        if course.counter is not None:
            return course.counter
        return electrode.counter(self.parameters, course)

    def counter_at_rest(self) -> float:
        """Potential of the first electrode in V, if nothing drives the cell."""
        return metal.counter(self.parameters, self.state) if self._of_metal else 0.0

    def counter_share(self) -> float:
        """Part of the cell's impedance that is the first electrode's."""
        return share_of_first(self.parameters, self.state)

    def truth(self) -> dict[str, Any]:
        """What nobody in a laboratory can know; see ``Laboratory.truth``."""
        records = self.state.records
        return {
            "first_charge_mAh": records[0].charge_mAh if records else None,
            "soc_factor": self.parameters.soc_factor,
            "t90_us": self.t90_s * 1e6,
            "cycles": [asdict(record) for record in records],
        }

    def save(self) -> dict[str, Any]:
        """Give the whole state as plain data."""
        data = self.state.to_json()
        if self.parts or self._rebuilt:
            data["made"] = {"drawn": asdict(self._drawn), "parts": [part.to_json() for part in self.parts]}
        return data

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`."""
        fields = dict(data)
        made = fields.pop("made", None)
        self.state = CellState.from_json(fields)
        if made is not None:
            self._drawn = Drawn(**made["drawn"])
            self.parameters = self._drawn.parameters()
            self.parts = tuple(Part.from_json(part) for part in made["parts"])
            self._rebuilt = True
        self._course = None
