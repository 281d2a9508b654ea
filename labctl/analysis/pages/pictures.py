"""Which figures a page has and where they stand; drawing them is the work of ``figures`` and its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.analysis.model import Analysis, CellResult, CycleResult
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
        Where it stands. On the campaign's page: ``groups``, ``group <name>``, ``cycling``, ``deposits``,
        ``comparisons``, ``rates``, ``conversion <campaign>``. On a cell's: ``cell`` (beside the table of all cycles),
        or ``nmr``, ``deposits``, ``impedance``, ``dynamic``, ``operando``, each with the number of its cycle, as
        ``nmr 15``, the last two with their step besides.
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
    analysis: Analysis,
    cell: CellResult | None,
    page_name: str,
    truth: Mapping[str, Any] | None,
    *,
    brief: bool = False,
) -> list[Drawing]:
    """List the figures of a cell's page, or of the campaign's page where there is no cell.

    This is the one place where a figure joins the report. In a ``brief`` one a cell that was measured at several cycles
    has one figure of all of them, not one of each, and none of each spectrum's lines.
    """
    if cell is None:
        return [*_of_groups(analysis, truth), *_of_campaigns(analysis)]
    several = sum(one.measured is not None for one in cell.cycles) > 1
    return [
        *(_of_cell(analysis, cell, page_name, truth) if several else ()),
        *(drawing for one in cell.cycles
          for drawing in _of_cycle(analysis, cell, one, page_name, truth, several and brief)),
    ]  # fmt: skip


def _of_cell(
    analysis: Analysis, cell: CellResult, page_name: str, truth: Mapping[str, Any] | None
) -> Iterator[Drawing]:
    from labctl.analysis import figures

    yield Drawing(
        f"cell-{page_name}",
        "cell",
        f"Spectra, shares, voltage curves and impedance of {cell.cell} over its measured cycles",
        "Spectra of the charged state in the same units per scan and receiver gain; voltage of the first and the last "
        "measured cycle; impedance without the points that drift.",
        partial(figures.cell_over_cycles, analysis, cell, truth),
    )


def _of_cycle(
    analysis: Analysis, cell: CellResult, one: CycleResult, page_name: str, truth: Mapping[str, Any] | None, brief: bool
) -> Iterator[Drawing]:
    from labctl.analysis import figures
    from labctl.analysis.plots import deposits, dynamic, nyquist, operando

    title, number, mode = f"{cell.cell} ({cell.group}), cycle {one.cycle}", f"c{one.cycle:03d}", analysis.mode
    measured = one.measured
    if measured is not None and not brief:
        yield Drawing(
            f"cell-{page_name}-{number}",
            f"nmr {one.cycle}",
            f"Spectra, shares, voltage curves and impedance of {cell.cell}, cycle {one.cycle}",
            "All spectra in the same units per scan and receiver gain. Impedance: filled points are evaluated, hollow "
            "ones drift during their own measurement; lines are the fitted circuits.",
            partial(figures.cell_figure, analysis, cell, one, truth),
        )
        for state, found in measured.deposits.items():
            if state in measured.states:
                yield Drawing(
                    f"deposits-{page_name}-{number}-{state}",
                    f"deposits {one.cycle}",
                    f"Spectrum of the {state} state with its three lines and what they leave",
                    "The metal's signal, the three lines of the model, their sum, and below what they leave.",
                    partial(
                        deposits.deconvolution, measured.states[state].spectrum, found, mode=mode,
                        title=f"{title}, {state}",
                    ),
                )  # fmt: skip
    elif measured is None and one.impedance:
        yield Drawing(
            f"nyquist-{page_name}-{number}",
            f"impedance {one.cycle}",
            f"Impedance of {cell.cell}, cycle {one.cycle}, with residuals",
            "Measured points, the fitted circuit, and the residuals of the Kramers-Kronig test.",
            partial(nyquist.figure, one.impedance, mode=mode, title=title),
        )
    for series in one.dynamic:
        yield Drawing(
            f"dynamic-{page_name}-{number}-{safe_name(series.step)}",
            f"dynamic {one.cycle} {series.step}",
            f"Impedance of {cell.cell} during the {series.direction} of cycle {one.cycle}",
            "Spectra in the order of measurement, and what their fits give over the charge that passed.",
            partial(dynamic.figure, series, mode=mode, title=f"{title}, {series.direction}"),
        )
    for film in one.operando:
        yield Drawing(
            f"operando-{page_name}-{number}-{safe_name(film.step)}",
            f"operando {one.cycle} {film.step}",
            f"NMR spectra of {cell.cell} while cycle {one.cycle} ran",
            "Intensity per scan and receiver gain over time and shift, beside the cell's voltage.",
            partial(operando.figure, film, mode=mode, title=title),
        )


def _of_groups(analysis: Analysis, truth: Mapping[str, Any] | None) -> Iterator[Drawing]:
    from labctl.analysis import figures
    from labctl.analysis.plots import cycling, deposits, rates, spectra

    if analysis.groups:
        yield Drawing(
            "overview",
            "groups",
            "Shares of the first charge in every group and measured cycle",
            "Means over the cells of a group. Everything refers to the cell's own first charge capacity.",
            partial(figures.overview_figure, analysis, truth),
        )
    for group in dict.fromkeys(one.group for one in analysis.cells):
        yield Drawing(
            f"group-{safe_name(group)}",
            f"group {group}",
            f"Shares, cycling and impedance of group {group}",
            f"Group {group}. Dots are single cells, bars their mean ± sample standard deviation. Impedance of all "
            "cells without the points that drift; stripped is after the hold, when the substrate is bare.",
            partial(figures.group_figure, analysis, group, truth),
        )
    if any(len(cell.cycles) > 1 for cell in analysis.cells):
        yield Drawing(
            "cycling",
            "cycling",
            "Capacity, efficiency and health of every group over the cycles",
            "Lines are single cells, coloured by their group.",
            partial(cycling.figure, analysis),
        )
    if any(one.measured and "charged" in one.measured.states for cell in analysis.cells for one in cell.cycles):
        yield Drawing(
            "spectra",
            "cycling",
            "Spectra of the charged state over the cycles in every group",
            "Spectra of the charged state, per scan and receiver gain.",
            partial(spectra.over_cycles, analysis),
        )
    if any(deposits.found(cell) for cell in analysis.cells):
        yield Drawing(
            "deposits",
            "deposits",
            "Dense, mossy and dendritic lithium in every group and measured cycle",
            "Parts of the metal's signal in the charged state: mean over the cells of a group, dots are single cells.",
            partial(deposits.figure, analysis),
        )
    if any(one.rates for one in analysis.rates):
        yield Drawing(
            "rates",
            "rates",
            "Dead lithium and interphase over the cycles with their loss rates",
            "Points are single cells; lines are the quoted rates.",
            partial(rates.figure, analysis),
        )


def _of_campaigns(analysis: Analysis) -> Iterator[Drawing]:
    from labctl.analysis.pages.control_figure import control_figure

    for conversion in analysis.conversions:
        if conversion.chart is not None:
            yield Drawing(
                f"conversion-{safe_name(conversion.campaign)}",
                f"conversion {conversion.campaign}",
                f"Control chart of the conversion factor in campaign {conversion.campaign}",
                "mAh of lithium per unit of integral. Dashed: warning at 2 σ; dash-dotted: action at 3 σ. A value "
                "outside means that something about the measurement changed.",
                partial(control_figure, conversion, conversion.chart, analysis.mode),
            )


class Pictures:
    """Draws the figures of one page, each once: a file in ``folder``, and the same in the page."""

    def __init__(self, folder: Path, drawings: Sequence[Drawing]) -> None:
        self.folder = folder
        self.drawings = drawings

    def at(self, place: str) -> Html:
        """Give all figures that stand at a place."""
        return Html("".join(self._drawn(one) for one in self.drawings if one.place == place))

    def _drawn(self, one: Drawing) -> Html:
        from labctl.analysis.plots.files import rendered

        # Lines and letters instead of dots: sharp in print, and drawn in half the time.
        svg = rendered(one.draw(), "svg")
        write(self.folder / f"{one.name}.svg", svg)
        return picture(svg, one.alternative, one.caption)
