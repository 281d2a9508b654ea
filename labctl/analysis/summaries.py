"""Tables of what was measured while current flowed: NMR spectra during a charge, impedance by state of charge.

Nothing is evaluated anew here but lines through points. Symmetric cells have tables in ``symmetric_summary``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from labctl.analysis.findings import DynamicSeries, OperandoSpectra
from labctl.analysis.growth import Growth, corrected, growths
from labctl.analysis.tabulated import Column, Table, Value, known

if TYPE_CHECKING:
    from labctl.analysis.model import Analysis, CellResult

_OPERANDO: Final = (
    Column("spectrum", "no."),
    Column("sort", "sort"),
    Column("recycle_delay_s", "D1 s", 1),
    Column("charge_mAh", "charge mAh", 3),
    Column("integral_au", "metal a.u.", 0),
    Column("metal_mAh", "metal mAh", 3),
    Column("dense_percent", "dense %", 1),
    Column("mossy_percent", "mossy %", 1),
    Column("dendritic_percent", "dendritic %", 1),
)
_DYNAMIC: Final = (Column("spectrum", "spectrum"), Column("soc", "SOC", 4), Column("charge_mAh", "charge mAh", 4),
            Column("voltage_V", "voltage V", 4))  # fmt: skip
_TESTED: Final = (Column("valid_from_Hz", "KK from Hz", 2),)


def under_current(analysis: Analysis) -> list[Table]:
    """Give the tables of all series that were measured while current flowed, in the order of cells and cycles."""
    found = []
    for cell in analysis.cells:
        for one in cell.cycles:
            found += [operando(each, cell) for each in one.operando]
            found += [dynamic(each, cell.cell) for each in one.dynamic]
    return found


def operando(one: OperandoSpectra, cell: CellResult | None = None) -> Table:
    """Give a series of spectra during a charge: the metal's integral, as mAh too, and its deposits.

    ``metal_mAh`` is the integral over the slope of the line through all integrals of the same recycle delay: what the
    metal would be if each further mAh were plated whole. Integrals of different delays are on different scales.
    """
    lines = growths(one, cell)
    metal, metal_sd = corrected(one, cell)
    numbers = one.numbers or tuple(range(1, len(one.sort) + 1))
    rows = []
    for index, number in enumerate(numbers):
        delay, plated = float(one.recycle_delay_s[index]), one.deposits[index]
        slope = lines[delay].line.slope if delay in lines else math.nan
        row: dict[str, Value] = {
            "spectrum": number,
            "sort": one.sort[index],
            "recycle_delay_s": delay,
            "charge_mAh": known(one.charge_mAh[index]),
            "integral_au": known(one.integral[index].value),
            "integral_au_sd": known(one.integral[index].sd),
            "metal_mAh": known(metal[index] / slope),
            "metal_mAh_sd": known(metal_sd[index] / slope),
        }
        for name in ("dense", "mossy", "dendritic"):
            row[f"{name}_percent"] = None if plated is None else 100.0 * plated.fractions._asdict()[name]
            row[f"{name}_percent_sd"] = None if plated is None else 100.0 * plated.sd._asdict()[name]
        rows.append(row)
    title = f"NMR during {one.step}" + ("" if cell is None else f" of {cell.cell}")
    return Table(title, _OPERANDO, tuple(rows), tuple(_growth_notes(lines, cell)))


def _growth_notes(lines: Mapping[float, Growth], cell: CellResult | None) -> list[str]:
    notes = []
    for delay, one in lines.items():
        sd = "" if one.line.slope_sd is None else f" ± {one.line.slope_sd:.2g}"
        bend = one.line.bend_p
        bent = "" if bend is None or bend >= 0.05 else f"; the points bend (p = {bend:.1g})"
        notes.append(
            f"recycle delay {delay:g} s: {one.line.slope:.5g}{sd} a.u. per mAh over {one.line.n} spectra, from "
            f"{one.lag_mAh:.2g} mAh on, within {100 * one.largest_deviation:.1f} % of the line{bent}"
        )
    if len(lines) > 1:
        notes.append(
            "integrals of different recycle delays are on scales of their own; metal in mAh is by the line of its delay"
        )
    if lines:
        notes.append("metal in mAh supposes that each further mAh is plated whole; only the growth was measured")
        if cell is not None:
            notes.append(f"integrals times the SOC factor at the charge counted ({cell.soc_factor.source})")
    return notes


def dynamic(one: DynamicSeries, cell: str = "") -> Table:
    """Give a series of impedance spectra under direct current: resistances by state of charge."""
    names = list(dict.fromkeys(name for fit in one.fits if fit is not None for name in fit.parameters
                               if name.startswith("R")))  # fmt: skip
    numbers = one.numbers or tuple(range(1, len(one.spectra) + 1))
    rows = []
    for index, number in enumerate(numbers):
        fit, test = one.fits[index], one.tests[index] if one.tests else None
        row: dict[str, Value] = {
            "spectrum": number,
            "soc": known(one.soc[index]),
            "charge_mAh": known(one.charge_mAh[index]),
            "voltage_V": known(one.voltage_V[index]),
            "valid_from_Hz": None if test is None else test.lowest_valid_frequency,
        }
        for name in names:
            row[f"{name}_ohm"] = None if fit is None else known(fit.parameters[name])
            row[f"{name}_ohm_sd"] = None if fit is None else known(fit.sd[name])
        rows.append(row)
    circuit = next((fit.circuit for fit in one.fits if fit is not None), "")
    columns = (*_DYNAMIC, *(Column(f"{name}_ohm", f"{name} ohm", 2) for name in names), *_TESTED)
    title = f"impedance during {one.step} ({one.direction})" + (f" of {cell}" if cell else "")
    return Table(title, columns, tuple(rows), (f"circuit {circuit}",) if circuit else ())
