"""Which figures a page has and where they stand; drawing them is the work of ``figures`` and its neighbours."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.page import Html, picture
from labctl.analysis.pages.files import write
from labctl.analysis.pages.sources import safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that is to be drawn.

    Attributes
    ----------
    name : str
        Of its file, without an ending.
    place : str
        Where it stands. On the campaign's page: ``groups``, ``group <name>``, ``comparisons``, ``rates``,
        ``conversion <campaign>``. On a cell's: ``cell`` (beside the table of all cycles), or ``nmr``, ``deposits``,
        ``impedance``, ``dynamic``, ``operando``, each with the number of its cycle, as ``nmr 15``.
    alternative : str
        What it shows, for who can't see it.
    caption : str
        What a reader must know to read it.
    draw : callable
        Gives the figure.
    """

    name: str
    place: str
    alternative: str
    caption: str
    draw: Callable[[], Figure]


def figures_of(
    analysis: Analysis, cell: CellResult | None, page_name: str, truth: Mapping[str, Any] | None
) -> list[Drawing]:
    """List the figures of a cell's page, or of the campaign's page where there is no cell.

    This is the one place where a figure joins the report.
    """
    from labctl.analysis import figures
    from labctl.analysis.pages.control_figure import control_figure

    found: list[Drawing] = []
    if cell is not None:
        for one in cell.cycles:
            if one.measured is not None:
                found.append(Drawing(
                    f"cell-{page_name}-c{one.cycle:03d}",
                    f"nmr {one.cycle}",
                    f"Spectra, shares, voltage curves and impedance of {cell.cell}, cycle {one.cycle}",
                    f"{cell.cell}, cycle {one.cycle}. All spectra in the same units per scan and receiver gain.",
                    lambda one=one: figures.cell_figure(analysis, cell, one, truth),  # type: ignore[misc]
                ))  # fmt: skip
        return found
    if analysis.groups:
        found.append(Drawing(
            "overview",
            "groups",
            "Shares of the first charge in every group and measured cycle",
            "Means over the cells of a group. Everything refers to the cell's own first charge capacity.",
            lambda: figures.overview_figure(analysis, truth),
        ))  # fmt: skip
    for group in dict.fromkeys(one.group for one in analysis.cells):
        found.append(Drawing(
            f"group-{safe_name(group)}",
            f"group {group}",
            f"Shares, cycling and impedance of group {group}",
            f"Group {group}. Dots are single cells, bars their mean ± sample standard deviation. Impedance: filled "
            "points above 1 Hz are evaluated, hollow ones below drift during their own measurement; stripped is "
            "after the hold, when the substrate is bare.",
            lambda group=group: figures.group_figure(analysis, group, truth),  # type: ignore[misc]
        ))  # fmt: skip
    for conversion in analysis.conversions:
        chart = conversion.chart
        if chart is not None:
            found.append(Drawing(
                f"conversion-{safe_name(conversion.campaign)}",
                f"conversion {conversion.campaign}",
                f"Control chart of the conversion factor in campaign {conversion.campaign}",
                "mAh of lithium per unit of integral. Dashed: warning at 2 σ; dash-dotted: action at 3 σ. A value "
                "outside means that something about the measurement changed.",
                lambda conversion=conversion, chart=chart: control_figure(  # type: ignore[misc]
                    conversion, chart, analysis.mode
                ),
            ))  # fmt: skip
    return found


class Pictures:
    """Draws the figures of one page, each once: a file in ``folder``, and the same in the page."""

    def __init__(self, folder: Path, drawings: Sequence[Drawing]) -> None:
        self.folder = folder
        self.drawings = drawings

    def at(self, place: str) -> Html:
        """Give all figures that stand at a place."""
        return Html("".join(self._drawn(one) for one in self.drawings if one.place == place))

    def _drawn(self, one: Drawing) -> Html:
        import matplotlib as mpl

        from labctl.analysis.style import RC

        buffer = io.BytesIO()
        with mpl.rc_context(RC):
            # Lines and letters instead of dots: sharp in print, and drawn in half the time.
            one.draw().savefig(buffer, format="svg", metadata={"Date": None})
        svg = buffer.getvalue()
        write(self.folder / f"{one.name}.svg", svg)
        return picture(svg, one.alternative, one.caption)
