"""All figures that an analysis has data for, as files with names that any operating system takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.analysis.model import Analysis, CellResult, CycleResult
from labctl.analysis.plots import allocation, cycling, deposits, dynamic, nyquist, operando, rates, spectra
from labctl.analysis.plots.files import FORMATS, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Longer names break on Windows, where a whole path may have 260 letters.
_LONGEST: Final = 80

_Drawing = tuple[str, "Callable[[], Figure]"]


def draw_all(
    analysis: Analysis, folder: Path, formats: Sequence[str] = FORMATS, *, cells: bool = True
) -> tuple[Path, ...]:
    """Draw and write every figure that there is data for.

    Those of all groups are called ``allocation``, ``rates``, ``deposits``, ``cycling`` and ``spectra``, that of one
    group's impedance over cycles ``nyquist-GROUP``; those of single cells
    ``spectra-CELL-c001``, ``deposits-CELL-c001``, ``nyquist-CELL-c001``, ``dynamic-CELL-c001-STEP`` and
    ``operando-CELL-c001-STEP``.

    Parameters
    ----------
    analysis : Analysis
        What is drawn.
    folder : Path
        Made if it is not there. Figures of the same names are replaced.
    formats : sequence of str
        As of :func:`save`.
    cells : bool
        Draw those of single cells too; there are three for each measured cycle.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    UsageError
        If a format is unknown.
    DataError
        If a file cannot be written; the figures before it stand, whole.
    """
    written: list[Path] = []
    taken: set[str] = set()
    for name, draw in _drawings(analysis, cells=cells):
        written += save(draw(), Path(folder) / _free(name, taken), formats)
    return tuple(written)


def _drawings(analysis: Analysis, *, cells: bool) -> Iterator[_Drawing]:
    if analysis.groups:
        yield "allocation", partial(allocation.figure, analysis)
    if any(one.rates for one in analysis.rates):
        yield "rates", partial(rates.figure, analysis)
    if any(deposits.found(cell) for cell in analysis.cells):
        yield "deposits", partial(deposits.figure, analysis)
    if any(len(cell.cycles) > 1 for cell in analysis.cells):
        yield "cycling", partial(cycling.figure, analysis)
    if any(one.measured is not None and one.measured.states for cell in analysis.cells for one in cell.cycles):
        yield "spectra", partial(spectra.over_cycles, analysis)
    for group in dict.fromkeys(cell.group for cell in analysis.cells):
        if any(one.impedance for cell in analysis.cells if cell.group == group for one in cell.cycles):
            yield f"nyquist-{group}", partial(nyquist.over_cycles, analysis, group)
    several = len(analysis.campaigns) > 1
    for cell in analysis.cells if cells else ():
        whose = f"{cell.campaign}-{cell.cell}" if several else cell.cell
        for one in cell.cycles:
            yield from _of_cycle(analysis, cell, one, f"{whose}-c{one.cycle:03d}")


def _of_cycle(analysis: Analysis, cell: CellResult, one: CycleResult, name: str) -> Iterator[_Drawing]:
    title, mode = f"{cell.cell} ({cell.group}), cycle {one.cycle}", analysis.mode
    measured = one.measured
    if measured is not None and measured.states:
        recipe = analysis.settings.recipe
        yield f"spectra-{name}", partial(spectra.figure, measured, recipe, mode=mode, title=title)
        for state, parts in measured.deposits.items():
            if state in measured.states:
                shown = partial(deposits.deconvolution, measured.states[state].spectrum, parts, mode=mode)
                suffix = "" if state == "charged" else f"-{state}"
                yield f"deposits-{name}{suffix}", partial(shown, title=f"{title}, {state}")
    if one.impedance:
        yield f"nyquist-{name}", partial(nyquist.figure, one.impedance, mode=mode, title=title)
    for series in one.dynamic:
        told = f"{title}, {series.direction}"
        yield f"dynamic-{name}-{series.step}", partial(dynamic.figure, series, mode=mode, title=told)
    for film in one.operando:
        yield f"operando-{name}-{film.step}", partial(operando.figure, film, mode=mode, title=title)


def _free(name: str, taken: set[str]) -> str:
    """Give a file name from letters that every system allows, none twice where capitals do not count."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_LONGEST].rstrip("._-")
    free, number = plain, 2
    while free.lower() in taken:
        free, number = f"{plain}-{number}", number + 1
    taken.add(free.lower())
    return free
