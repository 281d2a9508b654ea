"""The tables of a cell's spectra, and of how its lithium was plated."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.model import CellResult, State
from labctl.analysis.morphology import Fractions
from labctl.analysis.storage.tables import Column, Row, Table, joined, text, with_sd

PHASES: Final = ("dense", "mossy", "dendritic")
_AU: Final = "arbitrary units, per scan and unit of receiver gain"
_KEYS: Final = (
    Column("cycle", "number of the cycle", kind="count"),
    text("state", "state of the cell: pristine, charged, discharged or dead (after the stripping hold)"),
)

_SPECTRA: Final = (
    *_KEYS,
    text("token", "token of the raw bundle"),
    *with_sd(Column("integral_au", "integral of the metal with all corrections", note=_AU)),
    Column("integral_au_baseline_sd", "what the fitted baseline adds to the integral's standard deviation", note=_AU),
    Column("scans", "number of scans", kind="count"),
    Column("sample_temperature_degC", "temperature of the sample", "degC"),
    *with_sd(Column("electrolyte_au", "integral of the electrolyte's line", note=_AU)),
    Column("electrolyte_ppm", "shift of the electrolyte's line", "ppm"),
    *with_sd(Column("phase_deg", "what the spectrum was turned by", "degree")),
    text("phase_source", "who said so"),
    Column("noise_sd", "standard deviation of one point of the spectrum", "ppm-1"),
    Column("zero_Hz", "frequency of 0 ppm", "Hz"),
    text("corrections", "what the integral was multiplied by, by reason; JSON"),
    text("parameters", "every parameter of the processing and where it is from; JSON"),
)

_POINTS: Final = (
    Column("ppm", "shift against LiCl in water", "ppm"),
    Column("intensity", "intensity, its integral over ppm is that of the metal", "ppm-1", noise="noise_sd"),
    Column("imaginary", "dispersive part", "ppm-1", optional=True, noise="noise_sd"),
    Column("baseline", "what was taken off", "ppm-1", optional=True, noise="noise_sd"),
    *(Column(f"{phase}_fit", f"fitted line of {phase} lithium", "ppm-1", optional=True, noise="noise_sd")
      for phase in PHASES),
)  # fmt: skip

#: Of :class:`Fractions`, by the names that :func:`of_fractions` gives.
FRACTIONS: Final = (
    *(column for phase in PHASES for column in with_sd(
        Column(f"{phase}_fraction", f"fraction of {phase} lithium"),
        Column(f"{phase}_area", f"integral of the line of {phase} lithium", note=_AU),
        Column(f"{phase}_ppm", f"centre of the line of {phase} lithium", "ppm"),
        Column(f"{phase}_fwhm_ppm", f"full width at half height of the line of {phase} lithium", "ppm"),
    )),
    *with_sd(Column("residual_fraction", "signal that no line took up, as a fraction")),
    Column("signal_to_noise", "height of the fitted peak over the noise"),
    Column("chi_square", "mean squared residual over that of the noise"),
    Column("windows_soc", "state of charge that the windows were moved for"),
    text("windows_source", "where windows and width cap are from"),
    text("fraction_flags", "what to know before quoting the fractions"),
)  # fmt: skip


def spectra(cell: CellResult) -> Table:
    """Give the integrals of every state with their spectra, and the fitted lines where there are such."""
    rows, curves = [], []
    for cycle, label, state, deposits in _states(cell):
        rows.append({"cycle": cycle, "state": label, **_state(state)})
        found = {"ppm": state.spectrum.ppm, "intensity": state.spectrum.intensity}
        if state.spectrum.imaginary is not None:
            found["imaginary"] = state.spectrum.imaginary
        if state.spectrum.baseline is not None:
            found["baseline"] = state.spectrum.baseline
        curves.append(found | fitted_lines(deposits, state.spectrum.ppm))
    return Table("spectra", "spectrum", ("cycle", "state"), _SPECTRA, rows, "spectrum_", "spectra_points", _POINTS,
                 curves)  # fmt: skip


def _states(cell: CellResult) -> list[tuple[int, str, State, Fractions | None]]:
    return [
        (one.cycle, label, state, one.measured.deposits.get(label))
        for one in cell.cycles
        if one.measured is not None
        for label, state in one.measured.states.items()
    ]


def _state(state: State) -> Row:
    return {
        "token": state.token,
        "integral_au": state.integral.value,
        "integral_au_sd": state.integral.sd,
        "integral_au_baseline_sd": state.integral.baseline_sd,
        "scans": state.scans,
        "sample_temperature_degC": None if state.temperature_K is None else state.temperature_K - 273.15,
        "electrolyte_au": state.electrolyte,
        "electrolyte_au_sd": state.electrolyte_sd,
        "electrolyte_ppm": state.electrolyte_ppm,
        "phase_deg": state.phase_deg,
        "phase_deg_sd": state.phase_sd_deg,
        "phase_source": state.phase_source,
        "noise_sd": state.spectrum.noise_sd,
        "zero_Hz": state.spectrum.zero_Hz or None,
        "corrections": json.dumps(dict(state.corrections), ensure_ascii=False),
        "parameters": json.dumps([str(one) for one in state.spectrum.origins], ensure_ascii=False),
    }


def deposits(cell: CellResult) -> Table:
    """Give how the metal was plated, of every state that was taken apart."""
    rows = [
        {"cycle": one.cycle, "state": label, **of_fractions(found)}
        for one in cell.cycles
        if one.measured is not None
        for label, found in one.measured.deposits.items()
    ]
    return Table("deposits", "deposit", ("cycle", "state"), (*_KEYS, *FRACTIONS), rows, "deposit_")


def of_fractions(found: Fractions) -> dict[str, Any]:
    """Give fractions by the names of :data:`FRACTIONS`."""
    row: dict[str, Any] = {
        "residual_fraction": found.residual,
        "residual_fraction_sd": found.residual_sd,
        "signal_to_noise": found.snr,
        "chi_square": found.chi_square,
        "windows_soc": found.soc,
        "windows_source": found.settings.source,
        "fraction_flags": joined(found.flags),
    }
    for index, phase in enumerate(PHASES):
        row |= {
            f"{phase}_fraction": found.fractions[index],
            f"{phase}_fraction_sd": found.sd[index],
            f"{phase}_area": found.areas[index],
            f"{phase}_area_sd": found.areas_sd[index],
            f"{phase}_ppm": found.positions_ppm[index],
            f"{phase}_ppm_sd": found.positions_sd_ppm[index],
            f"{phase}_fwhm_ppm": found.fwhm_ppm[index],
            f"{phase}_fwhm_ppm_sd": found.fwhm_sd_ppm[index],
        }
    return row


def fitted_lines(found: Fractions | None, ppm: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Give the fitted lines as curves over ``ppm``; none where nothing was fitted."""
    if found is None:
        return {}
    return {f"{phase}_fit": line for phase, line in zip(PHASES, found.lines(ppm), strict=True)}
