"""The report: one HTML file that opens offline, with its figures beside it as pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.analysis.budget import TERMS
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, CellResult, CycleResult, Measured
from labctl.analysis.page import bullets, flags, heading, page, paragraph, picture, table
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Writer:
    """Turns figures into files in ``folder`` and pictures in the page."""

    folder: Path

    def picture(self, name: str, figure: Figure, caption: str) -> str:
        buffer = io.BytesIO()
        # Lines and letters instead of dots: sharp in print, and drawn in half the time.
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        svg = buffer.getvalue()
        _write(self.folder / f"{_file_name(name)}.svg", svg)
        return picture(svg, name, caption)


def write_report(analysis: Analysis, folder: Path, *, truth: Mapping[str, Any] | None = None) -> Path:
    """Write ``report.html`` and ``figures/*.svg`` into ``folder``.

    Parameters
    ----------
    analysis : Analysis
        What is reported.
    folder : Path
        Made if it is not there. Files of an earlier report are replaced.
    truth : mapping, optional
        A simulated laboratory's truth, to stand beside the results.

    Returns
    -------
    Path
        The page. It needs no network and no other file.
    """
    import matplotlib as mpl

    from labctl.analysis import figures
    from labctl.analysis.style import RC

    pictures = folder / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    writer = _Writer(pictures)
    body: list[str] = [paragraph(_summary(analysis))]
    with mpl.rc_context(RC):
        if analysis.groups:
            caption = "Means over the cells of a group. Everything refers to the cell's own first charge capacity."
            overview = figures.overview_figure(analysis, truth)
            body += [heading("Groups"), writer.picture("overview", overview, caption)]
            body.append(_group_table(analysis, truth))
            body.append(flags(_gathered(analysis)))
        for group in dict.fromkeys(cell.group for cell in analysis.cells):
            caption = (
                f"Group {group}. Dots are single cells, bars their mean ± sample standard deviation. Impedance: filled "
                "points above 1 Hz are evaluated, hollow ones below drift during their own measurement; stripped is "
                "after the hold, when the substrate is bare."
            )
            body += [heading(f"Group {group}", 3)]
            body.append(writer.picture(f"group-{group}", figures.group_figure(analysis, group, truth), caption))
        body.append(heading("Cells"))
        for cell in analysis.cells:
            body += ['<section class="cell">', *_cell(analysis, cell, writer, truth), "</section>"]
    body += [heading("How to read this"), bullets(analysis.notes), _settings(analysis)]
    target = folder / "report.html"
    _write(target, page("Where the capacity went", analysis.mode, body).encode("utf-8"))
    return target


def _summary(analysis: Analysis) -> str:
    measured = sum(bool(cell.allocated) for cell in analysis.cells)
    campaigns = ", ".join(analysis.campaigns)
    times = [time for cell in analysis.cells for one in cell.cycles for time in (one.started, one.ended) if time]
    span = f" from {min(times)} to {max(times)} (UTC)" if times else ""
    return f"Campaign {campaigns}: {len(analysis.cells)} cells, {measured} of them evaluated by NMR{span}."


def _gathered(analysis: Analysis) -> list[str]:
    """Give the groups' flags, each text once with all to whom it applies."""
    whose: dict[str, list[str]] = {}
    for group in analysis.groups:
        for text in group.flags:
            whose.setdefault(text, []).append(f"{group.group} cycle {group.cycle}")
    return [f"{', '.join(names)}: {text}" for text, names in whose.items()]


def _group_table(analysis: Analysis, truth: Mapping[str, Any] | None) -> str:
    rows = []
    for group in analysis.groups:
        row = [group.group, str(group.cycle), str(len(group.cells))]
        true = [truth_of(truth, cell, group.cycle) for cell in group.cells]
        for share in SHARES:
            found = group.shares[share]
            row.append(_with_sd(found.mean, found.sd))
            if truth is not None:
                row.append(_number(sum(one[share] for one in true) / len(true)) if all(true) else "–")
        rows.append(row)
    return table(["group", "cycle", "n", *_share_heads(truth)], rows)


def _cell(analysis: Analysis, cell: CellResult, writer: _Writer, truth: Mapping[str, Any] | None) -> Iterator[str]:
    from labctl.analysis import figures

    yield heading(f"{cell.cell} ({cell.group}, {cell.chemistry})", 3)
    yield flags(cell.flags)
    drawn = [one for one in cell.cycles if one.measured is not None]
    for one in drawn:
        if one.measured is None:
            continue
        figure = figures.cell_figure(analysis, cell, one, truth)
        caption = f"{cell.cell}, cycle {one.cycle}. All spectra in the same units per scan and receiver gain."
        yield writer.picture(f"cell-{cell.cell}-c{one.cycle:03d}", figure, caption)
        yield _share_table(cell, one, one.measured, truth)
        yield _facts(one, one.measured)
    if not drawn:
        yield paragraph("Not measured yet." if cell.cycles else "Nothing has run on this cell yet.")
    if cell.cycles:
        yield _cycle_table(cell.cycles)


def _share_table(cell: CellResult, one: CycleResult, measured: Measured, truth: Mapping[str, Any] | None) -> str:
    allocation = measured.allocation
    if allocation is None:
        return ""
    true = truth_of(truth, cell.cell, one.cycle)
    rows = []
    used = {name for parts in allocation.budget.values() for name, value in parts.items() if value > 0.0}
    for share in SHARES:
        parts = allocation.budget[share]
        row = [
            share,
            _with_sd(allocation.mAh(share), allocation.mAh_sd(share), 4),
            _with_sd(allocation.percent(share), allocation.percent_sd(share)),
        ]
        if true:
            away = (allocation.percent(share) - true[share]) / (allocation.percent_sd(share) or float("inf"))
            row += [_number(true[share]), f"{away:+.1f} SD"]
        rows.append(row + [_number(parts[name]) for name in TERMS if name in used])
    beside = ["truth / %", "away by"] if true else []
    named = [f"SD: {'SOC factor' if name == 'soc_factor' else name}" for name in TERMS if name in used]
    head = ["share", "mAh ± SD", "% ± SD", *beside, *named]
    return table(head, rows)


def _facts(one: CycleResult, measured: Measured) -> str:
    facts = []
    if measured.excess_coulometric_percent is not None:
        value = _with_sd(measured.excess_coulometric_percent, measured.excess_coulometric_percent_sd)
        facts.append(f"Excess by the charge of the stripping hold: {value} %.")
    if measured.detection_limit_percent is not None:
        facts.append(f"Detection limit of dead lithium: {measured.detection_limit_percent:.2f} % of the first charge.")
    if one.ledger.not_re_extracted_mAh is not None and one.cycle > 1:
        value = _with_sd(one.ledger.not_re_extracted_mAh, one.ledger.not_re_extracted_sd_mAh, 3)
        facts.append(f"Not taken out of the positive electrode again: {value} mAh.")
    if measured.allocation is not None:
        factor, sd = measured.allocation.conversion, measured.allocation.conversion_sd
        facts.append(f"Conversion k: {factor:.5g} mAh per unit of integral ± {100 * sd / factor:.1f} %.")
    if measured.nutation is not None:
        curve = measured.nutation
        facts.append(f"π/2 pulse {curve.t90_s * 1e6:.3f} ± {curve.t90_sd_s * 1e6:.3f} µs (B1 {curve.b1_Hz / 1e3:.1f} "
                     f"kHz), nutation {measured.nutation_token}; 0 ppm from {measured.reference_token}.")  # fmt: skip
    return bullets(facts) if facts else ""


def _cycle_table(cycles: Sequence[CycleResult]) -> str:
    rows = [
        [
            str(one.cycle),
            _number(one.capacities.charge, 4),
            _number(one.capacities.discharge, 4),
            _number(_percent(one.ledger.coulombic_efficiency)),
            _number(_percent(one.ledger.state_of_health)),
        ]
        for one in cycles
    ]
    return table(["cycle", "charge / mAh", "discharge / mAh", "Coulombic efficiency / %", "state of health / %"], rows)


def _settings(analysis: Analysis) -> str:
    recipe, settings = analysis.settings.recipe, analysis.settings
    baseline = " and ".join(f"{low:g} to {high:g}" for low, high in recipe.baseline)
    return bullets([
        f"Metal integrated from {recipe.metal[0]:g} to {recipe.metal[1]:g} ppm above a polynomial of order "
        f"{recipe.order} through {baseline} ppm; {recipe.apodisation.kind} apodisation; "
        + (
            "each state phased after its electrolyte line and the metal's offset."
            if recipe.cell_phase == "electrolyte"
            else "phase of the charged state for all states."
        ),
        f"State of health relative to cycle {settings.reference_cycle}; detection limit at "
        f"{settings.detection_sigma:g} standard deviations of the pristine spectrum.",
    ])  # fmt: skip


def _share_heads(truth: Mapping[str, Any] | None) -> list[str]:
    heads = []
    for share in SHARES:
        heads.append(f"{share} / %")
        if truth is not None:
            heads.append("truth")
    return heads


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with_sd(value: float | None, sd: float | None, digits: int = 2) -> str:
    return _number(value, digits) if sd is None else f"{_number(value, digits)} ± {_number(sd, digits)}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a reader never sees half a file."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)
