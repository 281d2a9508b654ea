"""The tables of spectra that were taken while a cell was charged, and of the cycler's record beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from labctl.analysis.model import CellResult
from labctl.analysis.storage.spectra import FRACTIONS, of_fractions
from labctl.analysis.storage.tables import Column, Row, Table, text, with_sd

_AU: Final = "arbitrary units, per scan and unit of receiver gain"
_CYCLE: Final = Column("cycle", "number of the cycle", kind="count")
_STEP: Final = text("step", "step of the protocol")

_SPECTRA: Final = (
    _CYCLE,
    _STEP,
    Column("number", "number of the spectrum within the step, from 1", kind="count"),
    text("sort", "during the flow of current, in a pause, or at the end"),
    text("token", "token of the raw bundle"),
    *(Column(f"{when}_h", f"{when} of the acquisition, since the step began", "h")
      for when in ("start", "middle", "end")),
    Column("charge_start_mAh", "charge that had passed at the start of the acquisition", "mA h"),
    Column("charge_mAh", "charge that had passed at the middle of the acquisition", "mA h"),
    Column("charge_end_mAh", "charge that had passed at the end of the acquisition", "mA h"),
    *with_sd(Column("integral_au", "integral of the metal", note=_AU)),
    Column("recycle_delay_s", "recycle delay", "s"),
)  # fmt: skip
_POINTS: Final = (
    Column("ppm", "shift against LiCl in water", "ppm"),
    Column("intensity", "intensity", "ppm-1", noise="integral_au_sd"),
)
_COURSE: Final = (
    _CYCLE,
    _STEP,
    Column("time_h", "time since the step began", "h"),
    Column("voltage_V", "voltage", "V"),
    Column("current_mA", "current; charging is positive", "mA"),
)


def operando(cell: CellResult) -> Table:
    """Give every spectrum under current: when, how much had been plated, how, and the spectrum itself."""
    rows: list[Row] = []
    curves: list[Mapping[str, NDArray[Any]]] = []
    taken_apart = False
    for series in (each for one in cell.cycles for each in one.operando):
        for index, sort in enumerate(series.sort):
            row: dict[str, Any] = {
                "cycle": series.cycle,
                "step": series.step,
                "number": index + 1,
                "sort": sort,
                "token": series.token,
                "start_h": series.start_h[index],
                "middle_h": series.middle_h[index],
                "end_h": series.end_h[index],
                "charge_start_mAh": series.charge_start_mAh[index],
                "charge_mAh": series.charge_mAh[index],
                "charge_end_mAh": series.charge_end_mAh[index],
                "integral_au": series.integral[index].value,
                "integral_au_sd": series.integral[index].sd,
                "recycle_delay_s": series.recycle_delay_s[index],
            }
            if (found := series.deposits[index]) is not None:
                taken_apart = True
                row |= of_fractions(found)
            rows.append(row)
            curves.append({"ppm": series.ppm, "intensity": series.intensity[index]})
    columns = (*_SPECTRA, *FRACTIONS) if taken_apart else _SPECTRA
    return Table("operando", "operando", ("cycle", "step", "number"), columns, rows, "operando_", "operando_points",
                 _POINTS, curves)  # fmt: skip


def course(cell: CellResult) -> Table:
    """Give the cycler's record of the same steps, on the same axis of hours."""
    rows: list[Row] = []
    for series in (each for one in cell.cycles for each in one.operando):
        rows += [
            {"cycle": series.cycle, "step": series.step, "time_h": hour, "voltage_V": voltage, "current_mA": current}
            for hour, voltage, current in zip(
                series.course_h.tolist(),
                series.course_voltage_V.tolist(),
                series.course_current_mA.tolist(),
                strict=True,
            )
        ]
    return Table("operando_course", "operando_course", ("cycle", "step"), _COURSE, rows, "operando_course_")
