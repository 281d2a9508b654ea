"""The tables of a cell's impedance: tested and fitted spectra, and series that were taken under direct current."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.findings import EvaluatedImpedance
from labctl.analysis.impedance.elements import KINDS
from labctl.analysis.impedance.fitting import CircuitFit
from labctl.analysis.impedance.linear_kk import KramersKronig
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum
from labctl.analysis.model import CellResult
from labctl.analysis.storage.tables import Column, Row, Table, joined, text, with_sd

_CYCLE: Final = Column("cycle", "number of the cycle", kind="count")

_IMPEDANCE: Final = (
    _CYCLE,
    text("state", "state of the cell: charged, discharged or stripped (after the hold)"),
    text("electrode", "between what it was measured: cell, or an electrode against the reference"),
    text("token", "token of the raw bundle"),
    Column("magnitude_1Hz_ohm", "magnitude at 1 Hz", "ohm"),
    Column("kk_passes", "whether the whole spectrum passes the Kramers-Kronig test", kind="yes"),
    Column("kk_lowest_valid_Hz", "lowest frequency that the Kramers-Kronig test keeps", "Hz"),
    Column("kk_n_rc", "RC elements of the Kramers-Kronig chain", kind="count"),
    Column("kk_mu", "mu of the Kramers-Kronig chain"),
    Column("kk_noise", "standard deviation of the kept residuals, relative to the magnitude"),
    Column("kk_limit", "largest residual that passes"),
    text("kk_cut_off", "how the cut-off was chosen"),
    Column("electrodes_largest_deviation", "largest difference of the cell and the sum of its electrodes, relative",
           optional=True),
    Column("electrodes_add_up", "whether that is within the tolerance", kind="yes", optional=True),
    text("electrodes_statement", "the same in words", optional=True),
)  # fmt: skip

_FITTED: Final = (
    text("circuit", "equivalent circuit"),
    Column("fit_above_Hz", "frequency above which was fitted", "Hz"),
    Column("fit_left_out", "points that were left out", kind="count"),
    Column("fit_chi_square", "sum of the squared weighted residuals over the degrees of freedom"),
    text("fit_weights", "weights of the fit"),
)
_FLAGS: Final = text("flags", "what to know before relying on it")

_DYNAMIC: Final = (
    _CYCLE,
    text("step", "step of the protocol"),
    Column("number", "number of the spectrum within the step, from 1", kind="count"),
    text("direction", "charge or discharge"),
    text("token", "token of the raw bundle"),
    Column("charge_mAh", "charge since the step began, at the middle of the spectrum; charging is positive", "mA h"),
    Column("voltage_V", "voltage at the middle of the spectrum", "V"),
    Column("soc", "state of charge at the middle of the spectrum"),
)

_POINTS: Final = (
    Column("frequency_Hz", "frequency", "Hz"),
    Column("real_ohm", "impedance, real part", "ohm"),
    Column("imag_ohm", "impedance, imaginary part; capacitive is negative", "ohm"),
    Column("time_s", "time since the first point", "s", optional=True),
    Column("voltage_V", "direct voltage", "V", optional=True),
    Column("current_A", "direct current", "A", optional=True),
)
_TESTED: Final = (
    Column("kk_residual_real", "Kramers-Kronig residual of the whole spectrum, real part over magnitude"),
    Column("kk_residual_imag", "Kramers-Kronig residual of the whole spectrum, imaginary part over magnitude"),
    Column("kk_kept_residual_real", "Kramers-Kronig residual of the kept part alone, real part over magnitude"),
    Column("kk_kept_residual_imag", "Kramers-Kronig residual of the kept part alone, imaginary part over magnitude"),
)
_CURVE: Final = (
    Column("fit_real_ohm", "impedance of the fitted circuit, real part", "ohm"),
    Column("fit_imag_ohm", "impedance of the fitted circuit, imaginary part", "ohm"),
    Column("fit_residual_real", "residual of the fit, real part over magnitude"),
    Column("fit_residual_imag", "residual of the fit, imaginary part over magnitude"),
)

#: Unit and note of an element's parameters; CPE and Warburg elements have units that UDUNITS has no word for.
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "R": ("ohm", ""),
    "C": ("F", ""),
    "L": ("H", ""),
    "CPE_Q": ("1", "in ohm^-1 s^alpha"),
    "CPE_alpha": ("1", ""),
    "W": ("1", "in ohm s^-1/2"),
    "Ws_R": ("ohm", ""),
    "Ws_tau": ("s", ""),
    "Wo_R": ("ohm", ""),
    "Wo_tau": ("s", ""),
}
_ELEMENT: Final = re.compile(rf"({'|'.join(sorted(KINDS, key=len, reverse=True))})(\d*)(?:_(\w+))?")


def impedance(cell: CellResult) -> Table:
    """Give every spectrum with its test and fit; the electrodes of a three-electrode cell are rows of their own."""
    rows: list[Row] = []
    curves: list[Mapping[str, NDArray[Any]]] = []
    fits: list[CircuitFit | None] = []
    for one in cell.cycles:
        for state, found in one.impedance.items():
            where = {"cycle": one.cycle, "state": state, "token": found.token}
            rows.append(where | _whole(found))
            curves.append(_points(found.spectrum, found.fit) | _residuals(found.spectrum, found.test))
            fits.append(found.fit)
            for electrode, spectrum in found.electrodes.items():
                fit = found.electrode_fits.get(electrode)
                rows.append(where | {"electrode": electrode, **_spectrum(spectrum, (), fit)})
                curves.append(_points(spectrum, fit))
                fits.append(fit)
    return Table(
        "impedance",
        "impedance",
        ("cycle", "state", "electrode"),
        (*_IMPEDANCE, *_FITTED, *_parameters(fits), _FLAGS),
        rows,
        "impedance_",
        "impedance_points",
        (*_POINTS, *_TESTED, *_CURVE),
        curves,
    )


def dynamic(cell: CellResult) -> Table:
    """Give every spectrum of the series under direct current, with its fit."""
    rows: list[Row] = []
    curves: list[Mapping[str, NDArray[Any]]] = []
    fits: list[CircuitFit | None] = []
    for series in (each for one in cell.cycles for each in one.dynamic):
        for index, (spectrum, fit) in enumerate(zip(series.spectra, series.fits, strict=True)):
            rows.append(
                {
                    "cycle": series.cycle,
                    "step": series.step,
                    "number": index + 1,
                    "direction": series.direction,
                    "token": series.token,
                    "charge_mAh": float(series.charge_mAh[index]),
                    "voltage_V": float(series.voltage_V[index]),
                    "soc": float(series.soc[index]),
                }
                | _spectrum(spectrum, (), fit)
            )
            curves.append(_points(spectrum, fit))
            fits.append(fit)
    return Table(
        "dynamic",
        "dynamic",
        ("cycle", "step", "number"),
        (*_DYNAMIC, *_FITTED, *_parameters(fits), _FLAGS),
        rows,
        "dynamic_",
        "dynamic_points",
        (*_POINTS, *_CURVE),
        curves,
    )


def _whole(found: EvaluatedImpedance) -> dict[str, Any]:
    row: dict[str, Any] = {"electrode": found.spectrum.electrode}
    flags: Sequence[str] = ()
    if (test := found.test) is not None:
        flags = test.flags
        row |= {
            "kk_passes": test.passes,
            "kk_lowest_valid_Hz": test.lowest_valid_frequency,
            "kk_n_rc": test.n_rc,
            "kk_mu": test.mu,
            "kk_noise": test.noise,
            "kk_limit": test.choices.limit,
            "kk_cut_off": test.choices.cut_off,
        }
    if (check := found.electrode_check) is not None:
        row |= {
            "electrodes_largest_deviation": check.largest,
            "electrodes_add_up": check.passes,
            "electrodes_statement": check.statement,
        }
    return row | _spectrum(found.spectrum, flags, found.fit)


def _spectrum(spectrum: ImpedanceSpectrum, flags: Sequence[str], fit: CircuitFit | None) -> dict[str, Any]:
    row: dict[str, Any] = {"magnitude_1Hz_ohm": spectrum.magnitude_at(1.0)}
    if fit is not None:
        row |= {
            "circuit": fit.circuit,
            "fit_above_Hz": fit.above_Hz,
            "fit_left_out": fit.left_out,
            "fit_chi_square": fit.chi_square,
            "fit_weights": fit.weights,
        }
        for name, value in fit.parameters.items():
            row |= {_parameter(name): value, f"{_parameter(name)}_sd": fit.sd[name]}
        for arc in fit.arcs:
            row |= {
                f"{arc.resistor}_time_constant_s": arc.time_constant_s,
                f"{arc.resistor}_time_constant_s_sd": arc.time_constant_sd_s,
                f"{arc.resistor}_peak_Hz": arc.peak_Hz,
                f"{arc.resistor}_capacitance_F": arc.capacitance_F,
            }
    row["flags"] = joined((*spectrum.flags, *flags, *(fit.flags if fit is not None else ())))
    return row


def _parameter(name: str) -> str:
    """Give a parameter's column, with its unit where it has a plain one."""
    unit = _unit(name)[0]
    return name if unit == "1" else f"{name}_{unit}"


def _unit(name: str) -> tuple[str, str]:
    found = _ELEMENT.fullmatch(name)
    if found is None:
        return "1", "unit as in the circuit"
    kind, _, part = found.groups()
    return _UNITS.get(f"{kind}_{part}" if part else kind, ("1", ""))


def _parameters(fits: Iterable[CircuitFit | None]) -> tuple[Column, ...]:
    """Give the columns of every parameter and arc that occurs, in the order of the circuits."""
    found: dict[str, Column] = {}
    for fit in fits:
        for name in () if fit is None else fit.parameters:
            unit, note = _unit(name)
            for one in with_sd(Column(_parameter(name), f"{name} of the circuit", unit, note=note)):
                found[one.name] = one
        for arc in () if fit is None else fit.arcs:
            R = arc.resistor
            for one in (
                *with_sd(Column(f"{R}_time_constant_s", f"time constant of the arc of {R}", "s")),
                Column(f"{R}_peak_Hz", f"frequency of the largest imaginary part of the arc of {R}", "Hz"),
                Column(f"{R}_capacitance_F", f"capacitance of the arc of {R}", "F"),
            ):
                found[one.name] = one
    return tuple(found.values())


def _points(spectrum: ImpedanceSpectrum, fit: CircuitFit | None) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {
        "frequency_Hz": spectrum.frequency_Hz,
        "real_ohm": spectrum.impedance_ohm.real,
        "imag_ohm": spectrum.impedance_ohm.imag,
    }
    for name, track in (
        ("time_s", spectrum.time_s),
        ("voltage_V", spectrum.voltage_V),
        ("current_A", spectrum.current_A),
    ):
        if track is not None:
            found[name] = track
    if fit is not None:
        places = _places(spectrum.frequency_Hz, fit.frequency_Hz)
        for name, values in (
            ("fit_real_ohm", fit.fitted_ohm.real),
            ("fit_imag_ohm", fit.fitted_ohm.imag),
            ("fit_residual_real", fit.residual_real),
            ("fit_residual_imag", fit.residual_imag),
        ):
            found[name] = _spread(len(spectrum.frequency_Hz), places, values)
    return found


def _residuals(spectrum: ImpedanceSpectrum, test: KramersKronig | None) -> dict[str, NDArray[Any]]:
    if test is None:
        return {}
    places = _places(spectrum.frequency_Hz, test.frequency_Hz)
    count = len(spectrum.frequency_Hz)
    return {
        "kk_residual_real": _spread(count, places, test.residual_real),
        "kk_residual_imag": _spread(count, places, test.residual_imag),
        "kk_kept_residual_real": _spread(count, places[test.kept], test.kept_residual_real),
        "kk_kept_residual_imag": _spread(count, places[test.kept], test.kept_residual_imag),
    }


def _places(whole: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.intp]:
    """Say at which points of a spectrum those of its evaluated part are; they may differ by rounding."""
    if len(part) == len(whole) and np.array_equal(part, whole):
        return np.arange(len(whole))
    nearest = np.abs(np.log(whole)[:, None] - np.log(part)[None, :]).argmin(axis=0)
    return np.asarray(nearest, dtype=np.intp)


def _spread(count: int, places: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(count, np.nan)
    found[places] = values
    return found
