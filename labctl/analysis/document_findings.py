"""What the other evaluations found, as plain data for ``labctl.analysis/1``: units in the keys. Curves are in files."""

from __future__ import annotations

from typing import Any, Final

from labctl.analysis.electrochemistry import CycleLife
from labctl.analysis.findings import (
    Ageing,
    Conversion,
    DynamicSeries,
    EvaluatedImpedance,
    GroupRates,
    OperandoSpectra,
    ShareComparison,
)
from labctl.analysis.impedance.fitting import CircuitFit
from labctl.analysis.impedance.linear_kk import KramersKronig
from labctl.analysis.loss_rates import Line, LossRates
from labctl.analysis.morphology import Fractions

#: Units of circuit parameters by the end of their name, and by what their element begins with.
_BY_END: Final = {"_Q": "ohm^-1_s^alpha", "_alpha": "", "_tau": "s", "_R": "ohm"}
_BY_START: Final = {"R": "ohm", "C": "F", "L": "H", "W": "ohm_s^-1/2"}


def ageing(one: Ageing) -> dict[str, Any]:
    """Give energies, efficiencies and nucleation of a cycle."""
    found: dict[str, Any] = {
        "charge_energy_mWh": one.charge_energy_mWh,
        "discharge_energy_mWh": one.discharge_energy_mWh,
        "energy_efficiency": None if one.efficiency is None else one.efficiency.energy,
        "voltage_efficiency": None if one.efficiency is None else one.efficiency.voltage,
    }
    if one.nucleation is not None:
        tip = one.nucleation
        found["nucleation"] = {
            "overvoltage_V": tip.overvoltage_V,
            "overvoltage_V_sd": tip.overvoltage_sd_V,
            "tip_V": tip.tip_V,
            "tip_at_mAh": tip.tip_at_mAh,
            "plateau_V": tip.plateau_V,
            "signal": tip.signal,
            "reason": tip.reason,
        }
    return found


def life(one: CycleLife) -> dict[str, Any]:
    """Give a cell's cycle life."""
    return {
        "threshold": one.threshold,
        "reference_cycle": one.reference_cycle,
        "reference_mAh": one.reference_mAh,
        "first_below_cycle": one.first_below,
        "interpolated_cycle": one.interpolated,
        "lasting_cycle": one.lasting,
        "last_cycle": one.last_cycle,
        "flags": list(one.flags),
    }


def deposits(one: Fractions) -> dict[str, Any]:
    """Give dense, mossy and dendritic lithium of one spectrum."""
    found: dict[str, Any] = {}
    for name in one.fractions._fields:
        found |= {
            f"{name}_percent": 100.0 * getattr(one.fractions, name),
            f"{name}_percent_sd": 100.0 * getattr(one.sd, name),
            f"{name}_ppm": getattr(one.positions_ppm, name),
            f"{name}_ppm_sd": getattr(one.positions_sd_ppm, name),
            f"{name}_fwhm_ppm": getattr(one.fwhm_ppm, name),
            f"{name}_fwhm_ppm_sd": getattr(one.fwhm_sd_ppm, name),
        }
    return found | {
        "in_no_line_percent": 100.0 * one.residual,
        "in_no_line_percent_sd": 100.0 * one.residual_sd,
        "signal_to_noise": one.snr,
        "chi_square": one.chi_square,
        "state_of_charge": one.soc,
        "windows_ppm": one.windows_ppm._asdict(),
        "flags": list(one.flags),
    }


def impedance(one: EvaluatedImpedance) -> dict[str, Any]:
    """Give one tested and fitted sweep."""
    frequency = one.spectrum.frequency_Hz
    found: dict[str, Any] = {
        "token": one.token,
        "points": len(frequency),
        "highest_Hz": float(frequency[0]),
        "lowest_Hz": float(frequency[-1]),
        "kramers_kronig": None if one.test is None else _test(one.test),
        "fit": None if one.fit is None else fit(one.fit),
    }
    if one.electrodes:
        found["electrodes"] = {
            name: None if name not in one.electrode_fits else fit(one.electrode_fits[name]) for name in one.electrodes
        }
    if one.electrode_check is not None:
        check = one.electrode_check
        found["electrode_check"] = {
            "passes": check.passes,
            "largest_deviation": check.largest,
            "largest_deviation_at_Hz": check.largest_at_Hz,
            "tolerance": check.tolerance,
            "computed": check.identity,
            "statement": check.statement,
        }
    return found


def _test(one: KramersKronig) -> dict[str, Any]:
    return {
        "passes": one.passes,
        "largest_residual": one.largest_residual,
        "lowest_valid_Hz": one.lowest_valid_frequency,
        "noise": one.noise,
        "rc_elements": one.n_rc,
        "flags": list(one.flags),
    }


def fit(one: CircuitFit) -> dict[str, Any]:
    """Give a fitted circuit; its parameters carry their units."""
    parameters: dict[str, float] = {}
    for name, value in one.parameters.items():
        key = with_unit(name)
        parameters |= {key: value, f"{key}_sd": one.sd[name]}
    return {
        "circuit": one.circuit,
        "weights": one.weights,
        "above_Hz": one.above_Hz,
        "points": len(one.frequency_Hz),
        "chi_square": one.chi_square,
        "parameters": parameters,
        "arcs": [
            {
                "resistor": arc.resistor,
                "resistance_ohm": arc.resistance_ohm,
                "resistance_ohm_sd": arc.resistance_sd_ohm,
                "time_constant_s": arc.time_constant_s,
                "time_constant_s_sd": arc.time_constant_sd_s,
                "peak_Hz": arc.peak_Hz,
                "capacitance_F": arc.capacitance_F,
            }
            for arc in one.arcs
        ],
        "flags": list(one.flags),
    }


def with_unit(name: str) -> str:
    """Give the name of a circuit's parameter with its unit: ``R1_ohm``, ``CPE1_Q_ohm^-1_s^alpha``."""
    unit = next((unit for end, unit in _BY_END.items() if name.endswith(end)), None)
    if unit is None:
        unit = next((unit for start, unit in _BY_START.items() if name.startswith(start)), "")
    return f"{name}_{unit}" if unit else name


def dynamic(one: DynamicSeries) -> dict[str, Any]:
    """Give a series under direct current."""
    return {
        "token": one.token,
        "step": one.step,
        "direction": one.direction,
        "spectrum": list(one.numbers),
        "charge_mAh": one.charge_mAh.tolist(),
        "voltage_V": one.voltage_V.tolist(),
        "state_of_charge": one.soc.tolist(),
        "fits": [None if each is None else fit(each) for each in one.fits],
        "lowest_valid_frequency_Hz": [None if each is None else each.lowest_valid_frequency for each in one.tests],
    }


def operando(one: OperandoSpectra) -> dict[str, Any]:
    """Give spectra taken while a cell was charged, without their points."""
    return {
        "token": one.token,
        "step": one.step,
        "spectrum": list(one.numbers),
        "sort": list(one.sort),
        "start_h": one.start_h.tolist(),
        "end_h": one.end_h.tolist(),
        "charge_mAh": one.charge_mAh.tolist(),
        "state_of_charge": one.soc.tolist(),
        "recycle_delay_s": one.recycle_delay_s.tolist(),
        "integral_au": [each.value for each in one.integral],
        "integral_au_sd": [each.sd for each in one.integral],
        "deposits": [None if each is None else deposits(each) for each in one.deposits],
    }


def comparison(one: ShareComparison) -> dict[str, Any]:
    """Give two groups at one cycle."""
    result = one.result
    return {
        "share": one.share,
        "cycle": one.cycle,
        "first": one.first,
        "second": one.second,
        "first_n": result.first.n,
        "second_n": result.second.n,
        "first_percent": result.first.mean,
        "first_percent_sd": result.first.sd,
        "second_percent": result.second.mean,
        "second_percent_sd": result.second.sd,
        "difference_percent": result.difference,
        "difference_percent_low": result.low,
        "difference_percent_high": result.high,
        "confidence": result.confidence,
        "t": result.t,
        "degrees_of_freedom": result.df,
        "p": result.p,
        "p_adjusted": one.p_adjusted,
        "significant": one.p_adjusted < 1.0 - result.confidence,
        "sentence": result.sentence,
    }


def rates(one: GroupRates) -> dict[str, Any]:
    """Give the loss rates of a group."""
    return {"group": one.group} | {share: _rates(each) for share, each in one.rates.items()}


def _rates(one: LossRates) -> dict[str, Any]:
    return {
        "percent_per_cycle": one.rate,
        "percent_per_cycle_sd": one.rate_sd,
        "quoted": one.quoted,
        "all_points": _line(one.pooled),
        "cells": {name: _line(each) for name, each in one.cells.items()},
        "flags": list(one.flags),
    }


def _line(one: Line) -> dict[str, Any]:
    return {
        "percent_per_cycle": one.slope,
        "percent_per_cycle_sd": one.slope_sd,
        "percent_per_cycle_low": one.slope_low,
        "percent_per_cycle_high": one.slope_high,
        "at_cycle_0_percent": one.intercept,
        "at_cycle_0_percent_sd": one.intercept_sd,
        "points": one.n,
        "bend_p": one.bend_p,
    }


def conversion(one: Conversion) -> dict[str, Any]:
    """Give the conversion factor of a campaign: pooled, and on its control chart."""
    found: dict[str, Any] = {
        "campaign": one.campaign,
        "names": list(one.names),
        "values_mAh_per_au": list(one.values),
        "pooled": None,
        "chart": None,
    }
    if one.pooled is not None:
        pooled = one.pooled
        found["pooled"] = {
            "mean_mAh_per_au": pooled.mean,
            "mean_mAh_per_au_sd": pooled.mean_sd,
            "low_mAh_per_au": pooled.low,
            "high_mAh_per_au": pooled.high,
            "next_low_mAh_per_au": pooled.next_low,
            "next_high_mAh_per_au": pooled.next_high,
            "between_cells_mAh_per_au_sd": pooled.spread,
            "between_cells_mAh_per_au_sd_high": pooled.spread_high,
            "within_cells_mAh_per_au_sd": pooled.within,
            "heterogeneity_p": pooled.q_p,
            "cells": pooled.cells,
            "confidence": pooled.confidence,
            "measurements": [
                {
                    "name": each.name,
                    "own_mAh_per_au": each.own,
                    "own_mAh_per_au_sd": each.own_sd,
                    "pooled_mAh_per_au": each.value,
                    "pooled_mAh_per_au_sd": each.sd,
                    "weight": each.weight,
                }
                for each in pooled.measurements
            ],
            "flags": list(pooled.flags),
        }
    if one.chart is not None:
        chart = one.chart
        found["chart"] = {
            "centre_mAh_per_au": chart.centre,
            "sigma_mAh_per_au": chart.sigma,
            "warning_limits_mAh_per_au": list(chart.warning_limits),
            "action_limits_mAh_per_au": list(chart.action_limits),
            "in_control": chart.in_control,
            "out": [
                {"name": each.name, "value_mAh_per_au": each.value, "reason": each.reason, "warning": each.warning}
                for each in chart.out
            ],
            "flags": list(chart.flags),
        }
    return found
