"""The page of one cell: its flags, its cycles, what each measurement found, and the files it is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.analysis.model import Analysis, CellResult, CycleResult
from labctl.analysis.page import (
    Column,
    Content,
    Html,
    Notes,
    bullets,
    facts,
    flags,
    heading,
    link,
    page,
    paragraph,
    table,
)  # fmt: skip
from labctl.analysis.pages import electrical, lithium
from labctl.analysis.pages.numbers import Missing, number
from labctl.analysis.pages.pictures import Pictures, figures_of
from labctl.analysis.pages.sources import Sources
from labctl.analysis.raw import RawFiles


def cell_page(
    analysis: Analysis,
    cell: CellResult,
    name: str,
    folder: Path,
    pictures: Path,
    raw: Sequence[RawFiles],
    truth: Mapping[str, Any] | None,
    *,
    brief: bool = False,
) -> str:
    """Give the page of a cell.

    Parameters
    ----------
    analysis, cell : Analysis, CellResult
        The analysis may have been stripped of its other cells.
    name : str
        Stem of the page's file.
    folder, pictures : Path
        Where the page and its figures will be.
    raw : sequence of RawFiles
        Of this cell and of the references it was measured against.
    truth : mapping or None
        Of a simulated laboratory.
    brief : bool
        Leave out the figures that cost most time.
    """
    writer = _Cell(analysis, cell, Sources(folder, raw), truth)
    drawn = Pictures(pictures, figures_of(analysis, cell, name, truth, brief=brief))
    return page(f"Cell {cell.cell}", analysis.mode, list(writer.body(drawn)))


class _Cell:
    def __init__(self, analysis: Analysis, cell: CellResult, sources: Sources, truth: Mapping[str, Any] | None) -> None:
        self.analysis, self.cell, self.sources, self.truth = analysis, cell, sources, truth
        self.notes = Notes()

    def body(self, drawn: Pictures) -> Iterator[str]:
        cell = self.cell
        yield self._contents()
        said = f"Group {cell.group or '(none)'}, {cell.chemistry or 'chemistry not told'}; campaign {cell.campaign}."
        yield paragraph(said)
        yield heading("Flags")
        yield flags(cell.flags) if cell.flags else Html('<p class="none">None: no check of this cell found fault.</p>')
        yield heading("In short")
        yield facts(list(self._short()), "The cell, and what all its numbers refer to", self.notes)
        yield heading("Cycling")
        if cell.cycles:
            yield drawn.at("cell")
            yield self._capacities()
            yield self._account()
            yield self._energies()
        else:
            yield paragraph("Nothing has run on this cell yet.")
        shown = [one for one in cell.cycles if _looked_at(one)]
        if not shown and cell.cycles:
            yield heading("Measurements")
            yield paragraph("Not measured yet.")
        for one in shown:
            yield heading(f"Cycle {one.cycle}", anchor=f"cycle-{one.cycle}")
            yield from lithium.sections(cell, one, self.truth, self.sources, self.notes, drawn)
            yield from electrical.sections(one, self.sources, self.notes, drawn)
        yield heading("Raw files", anchor="raw-files")
        yield self._raw()
        yield heading("What holds for all results")
        yield bullets([*self.analysis.notes, *settings(self.analysis)])
        yield heading("How each number was got", anchor="explained")
        yield paragraph(
            "Numbers are rounded to two digits of their standard deviation (± 1 SD); without one, to four digits of "
            "their own."
        )
        yield self.notes.listed()

    def _contents(self) -> Html:
        inside = [link(f"#cycle-{one.cycle}", f"Cycle {one.cycle}") for one in self.cell.cycles if _looked_at(one)]
        ends = [link("#raw-files", "Raw files"), link("#explained", "How each number was got")]
        return Html(f"<nav>{' '.join([link('../report.html', '← all cells'), *inside, *ends])}</nav>")

    def _short(self) -> Iterator[tuple[str, str, Content]]:
        cell = self.cell
        first = cell.first_charge_mAh
        yield ("First charge", "first_charge",
               Missing("no complete first charge was found") if first is None else f"{number(first)} mAh")  # fmt: skip
        area = f"{number(cell.area_m2 * 1e4)} cm²" if cell.area_m2 > 0 else Missing("the cells file tells no area")
        yield "Area", "area", area
        asked = ", ".join(str(one) for one in cell.measure_at)
        yield "To be measured by NMR after cycle", "", asked or Missing("this cell is not to be measured")
        done = ", ".join(str(one.cycle) for one in cell.allocated)
        yield "Shares found for cycle", "", done or Missing("no cycle has all three spectra; see the flags")
        factor = cell.soc_factor
        yield "SOC factor f", "soc_factor", f"{number(factor.value, factor.sd)} (a ratio; {factor.source})"
        life = cell.life
        if life is None:
            yield "Cycle life", "life", Missing("not evaluated: there is no discharge of the reference cycle")
            return
        what = f"N{100 * life.threshold:.0f}, health relative to cycle {life.reference_cycle}"
        if life.first_below is None:
            yield f"Cycle life {what}", "life", f"more than {life.last_cycle} cycles (the last one known)"
        else:
            between = "" if life.interpolated is None else f" (between the cycles: {number(life.interpolated)} cycles)"
            yield f"Cycle life {what}", "life", f"cycle {life.first_below}{between}"

    def _capacities(self) -> Html:
        columns = [
            Column("cycle"), Column("charge", "mAh", "charge"), Column("discharge", "mAh", "charge"),
            Column("hold", "mAh", "hold"), Column("Coulombic efficiency", "%", "ce"), Column("health", "%", "soh"),
            Column("raw files"),
        ]  # fmt: skip
        rows: list[list[Content]] = []
        for one in self.cell.cycles:
            ran = one.capacities
            rows.append([
                str(one.cycle),
                _value(ran.charge, "no complete charge of this cycle"),
                _value(ran.discharge, "no complete discharge of this cycle"),
                number(ran.hold) if ran.hold else Missing("no stripping hold took charge out"),
                _value(_percent(one.ledger.coulombic_efficiency), "charge or discharge is missing"),
                _value(_percent(one.ledger.state_of_health), "a discharge is missing: this or the reference cycle's"),
                self.sources.of_cycle(self.cell.cell, one.cycle, _CYCLED),
            ])  # fmt: skip
        return table(columns, rows, "Capacities of every cycle", self.notes)

    def _account(self) -> Html:
        rows: list[list[Content]] = []
        for one in self.cell.cycles:
            line = one.ledger
            left: Content = Missing("the account ended before: a charge or discharge is missing")
            if line.not_re_extracted_mAh is not None:
                left = number(line.not_re_extracted_mAh, line.not_re_extracted_sd_mAh)
            rows.append([str(one.cycle), _value(line.inventory_mAh, "the account ended before: a charge or discharge "
                                                "is missing"), left])  # fmt: skip
        columns = [Column("cycle"), Column("on the negative electrode after the charge", "mAh", "inventory"),
                   Column("not re-extracted", "mAh", "not_re_extracted")]  # fmt: skip
        return table(columns, rows, "Ledger of charge", self.notes)

    def _energies(self) -> Html:
        if all(one.ageing.efficiency is None and one.ageing.nucleation is None for one in self.cell.cycles):
            return paragraph("Energies, efficiencies of energy and nucleation overvoltage: not evaluated.")
        rows: list[list[Content]] = []
        for one in self.cell.cycles:
            ageing = one.ageing
            both = ageing.efficiency
            missing = "charge or discharge is missing"
            rows.append([
                str(one.cycle),
                _value(ageing.charge_energy_mWh, missing),
                _value(ageing.discharge_energy_mWh, missing),
                _value(None if both is None else 100.0 * both.energy, missing),
                _value(None if both is None else 100.0 * both.voltage, missing),
                _nucleation(one),
            ])  # fmt: skip
        columns = [
            Column("cycle"), Column("energy charged", "mWh", "energy"), Column("discharged", "mWh", "energy"),
            Column("energy efficiency", "%", "energy_efficiency"),
            Column("voltage efficiency", "%", "energy_efficiency"),
            Column("nucleation overvoltage", "mV", "nucleation"),
        ]  # fmt: skip
        signals = dict.fromkeys(one.ageing.nucleation.signal for one in self.cell.cycles if one.ageing.nucleation)
        said = paragraph(f"Nucleation from the {'; '.join(signals)}.") if signals else ""
        return Html(table(columns, rows, "Energies, and the start of the deposition", self.notes) + said)

    def _raw(self) -> Html:
        rows = self.sources.rows()
        if not rows:
            return paragraph("This analysis does not know where its raw files are.")
        columns = [
            Column("cycle"),
            Column("folder"),
            Column("kind"),
            Column("started", "UTC", "started"),
            Column("files"),
        ]
        caption = "Every operation of this cell, and the references; operation.json has the SHA-256 of each file"
        return table(columns, rows, caption, self.notes)


_CYCLED = ("charge", "discharge", "hold")


def settings(analysis: Analysis) -> list[str]:
    """Say in words what was chosen."""
    chosen, recipe = analysis.settings, analysis.settings.recipe
    baseline = " and ".join(f"{low:g} to {high:g}" for low, high in recipe.baseline)
    phased = (
        "each state phased after its electrolyte line and the metal's offset"
        if recipe.cell_phase == "electrolyte"
        else "phase of the strongest state for all states"
    )
    return [
        f"Metal integrated from {recipe.metal[0]:g} to {recipe.metal[1]:g} ppm above a polynomial of order "
        f"{recipe.order} through {baseline} ppm; {recipe.apodisation.kind} apodisation; {phased}.",
        f"State of health relative to cycle {chosen.reference_cycle}; detection limit at {chosen.detection_sigma:g} "
        "standard deviations of the pristine spectrum.",
    ]


def _looked_at(one: CycleResult) -> bool:
    return one.measured is not None or bool(one.impedance or one.dynamic or one.operando)


def _nucleation(one: CycleResult) -> Content:
    found = one.ageing.nucleation
    if found is None:
        return Missing("the charge has no record that could be evaluated")
    if found.overvoltage_V is None:
        return Missing(found.reason or "no tip was found")
    sd = found.overvoltage_sd_V
    return number(1e3 * found.overvoltage_V, None if sd is None else 1e3 * sd)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def _value(value: float | None, reason: str) -> Content:
    return Missing(reason) if value is None else number(value)
