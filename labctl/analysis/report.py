"""The report: a page of the campaigns and one of each cell, which open offline, and their figures as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.pages.campaign import campaign_page
from labctl.analysis.pages.cell import cell_page
from labctl.analysis.pages.files import write
from labctl.analysis.pages.sources import page_names
from labctl.analysis.parallel import Workers
from labctl.analysis.raw import RawFiles

#: Measured cycles up to which a report draws every one of them; each costs a quarter of a second.
_DRAWN: Final = 40
#: What the page of a cell takes, roughly.
_PAGE_S: Final = 0.4


def write_report(
    analysis: Analysis,
    folder: Path,
    truth: Mapping[str, Any] | None = None,
    *,
    workers: Workers | None = None,
) -> Path:
    """Write ``report.html``, ``cells/<cell>.html`` and ``figures/*.svg`` into ``folder``.

    Parameters
    ----------
    analysis : Analysis
        What is reported.
    folder : Path
        Made if it is not there. Files of an earlier report are replaced.
    truth : mapping, optional
        A simulated laboratory's truth, to stand beside the results.
    workers : Workers, optional
        Processes that draw and write the cells' pages.

    Returns
    -------
    Path
        The campaign's page. No page needs a network; each has its figures inside.
    """
    folder = folder.resolve()
    for name in ("figures", "cells"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = page_names((cell.campaign, cell.cell) for cell in analysis.cells)
    brief = sum(one.measured is not None for cell in analysis.cells for one in cell.cycles) > _DRAWN
    tasks = [_task(analysis, cell, names[cell.campaign, cell.cell], folder, truth, brief) for cell in analysis.cells]
    target = folder / "report.html"

    def whole() -> None:
        write(target, campaign_page(analysis, names, folder / "figures", truth).encode("utf-8"))

    (workers or Workers()).mapped(_write_cell, tasks, seconds=_PAGE_S * len(tasks), meanwhile=whole)
    return target


@dataclass(frozen=True)
class _Task:
    """The page of one cell, with nothing of the others, so that it is cheap to hand to another process."""

    analysis: Analysis
    cell: CellResult
    name: str
    folder: Path
    raw: Sequence[RawFiles]
    truth: Mapping[str, Any] | None
    brief: bool


def _task(
    analysis: Analysis, cell: CellResult, name: str, folder: Path, truth: Mapping[str, Any] | None, brief: bool
) -> _Task:
    alone = replace(analysis, cells=(cell,), groups=(), comparisons=(), rates=(), conversions=(), raw=())
    raw = [one for one in analysis.raw if one.campaign == cell.campaign and one.cell in (cell.cell, "reference")]
    return _Task(alone, cell, name, folder, raw, truth, brief)


def _write_cell(task: _Task) -> None:
    cells = task.folder / "cells"
    text = cell_page(
        task.analysis, task.cell, task.name, cells, task.folder / "figures", task.raw, task.truth, brief=task.brief
    )
    write(cells / f"{task.name}.html", text.encode("utf-8"))
