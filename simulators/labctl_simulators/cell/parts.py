"""Electrodes that are no longer, or not yet, in a cell: what a person in a glovebox has in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from labctl_simulators.cell.parameters import Parameters, draw
from labctl_simulators.cell.spectrum import Line, lines_alone
from labctl_simulators.cell.state import CellState

NEGATIVE: Final = "negative"
POSITIVE: Final = "positive"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the constants of a cell follow from; see :func:`labctl_simulators.cell.parameters.draw`."""

    seed: int
    cell_id: str
    area_m2: float
    options: Mapping[str, Any]
    chemistry: str

    def parameters(self) -> Parameters:
        """The constants."""
        return draw(self.seed, self.cell_id, self.area_m2, self.options, self.chemistry)


@dataclass(frozen=True, slots=True)
class Part:
    """An electrode alone.

    Attributes
    ----------
    side : str
        ``negative``, the first electrode, or ``positive``; anything else, such as a separator, holds no lithium.
    drawn, state
        Of the cell that it comes from, when it was taken apart.
    """

    side: str
    drawn: Drawn
    state: CellState

    def nmr_lines(self, tesla: float) -> list[Line]:
        """7Li lines of the washed electrode; a positive one's lithium is too broad to be seen: assumed."""
        if self.side not in (NEGATIVE, POSITIVE):
            return []
        return lines_alone(self.drawn.parameters(), self.state, tesla, first=self.side == NEGATIVE)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"side": self.side, "drawn": asdict(self.drawn), "state": self.state.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """Rebuild from :meth:`to_json`."""
        return cls(data["side"], Drawn(**data["drawn"]), CellState.from_json(data["state"]))


def put_together(cell_id: str, negative: Part, positive: Part, t: float) -> tuple[Drawn, CellState]:
    """Give what a cell of these electrodes is, at laboratory time ``t``: fresh electrolyte, everything else kept."""
    first, second = negative.drawn.parameters(), positive.drawn.parameters()
    host = second.chemistry.host
    chemistry = f"{'Cu' if first.chemistry.copper else 'Li'}||{'Li' if host is None else host.name}"
    options = {
        "substrate": first.substrate.name,
        "layer": first.layer.name,
        "electrolyte": first.electrolyte,
        "alloy_mAh": first.alloy,
        "capacity_mAh": second.capacity,
        "soc_factor": second.soc_factor,
        "soc": positive.state.soc,
        "relaxation": first.relaxation,
    }
    thickness = negative.drawn.options.get("foil_um", positive.drawn.options.get("foil_um"))
    if thickness is not None:
        options["foil_um"] = thickness
    drawn = Drawn(negative.drawn.seed, cell_id, negative.drawn.area_m2, options, chemistry)
    state = replace(
        CellState(t=t),
        soc=positive.state.soc,
        second=positive.state.second,
        connected=negative.state.connected,
        dead=negative.state.dead,
        interphase=negative.state.interphase,
        alloy=negative.state.alloy,
        cycle=negative.state.cycle,
    )
    return drawn, state
