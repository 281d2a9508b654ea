"""Write an analysis as ``labctl.analysis/1``: plain JSON, units in the keys, no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from labctl.analysis import document_findings as findings
from labctl.analysis.flags import name_of
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, CellResult, CycleResult, GroupResult, Measured, SocFactor
from labctl.analysis.truth import truth_of

SCHEMA: Final = "labctl.analysis/1"


def to_json(analysis: Analysis, truth: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give the document; with a simulation's ``truth`` each share has ``_truth`` beside it."""
    document = {
        "schema": SCHEMA,
        "mode": analysis.mode,
        "campaigns": list(analysis.campaigns),
        "cells": [_cell(cell, truth) for cell in analysis.cells],
        "groups": [_group(group, truth) for group in analysis.groups],
        "comparisons": [findings.comparison(one) for one in analysis.comparisons],
        "loss_rates": [findings.rates(one) for one in analysis.rates],
        "conversions": [findings.conversion(one) for one in analysis.conversions],
        "settings": analysis.settings.to_json(),
        "notes": list(analysis.notes),
        "flags": list(analysis.flags),
    }
    return {key: _clean(value) for key, value in document.items()}


def _cell(cell: CellResult, truth: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "cell": cell.cell,
        "group": cell.group,
        "campaign": cell.campaign,
        "chemistry": cell.chemistry,
        "area_cm2": cell.area_m2 * 1e4,
        "first_charge_capacity_mAh": cell.first_charge_mAh,
        "soc_factor": _factor(cell.soc_factor),
        "measure_at": list(cell.measure_at),
        "flags": list(cell.flags),
        "flag_names": [name_of(text) or None for text in cell.flags],
        "life": None if cell.life is None else findings.life(cell.life),
        "cycles": [_cycle(cell, one, truth) for one in cell.cycles],
    }


def _factor(factor: SocFactor) -> dict[str, Any]:
    found: dict[str, Any] = {"value": factor.value, "sd": factor.sd, "source": factor.source,
                             "calibrated": factor.calibrated}  # fmt: skip
    if factor.calibration is not None:
        found |= {"calibration": factor.calibration.id, "soc": factor.calibration.soc,
                  "factor": factor.calibration.factor}  # fmt: skip
    return found


def _cycle(cell: CellResult, one: CycleResult, truth: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cycle": one.cycle,
        "started": one.started,
        "ended": one.ended,
        "charge_capacity_mAh": one.capacities.charge,
        "discharge_capacity_mAh": one.capacities.discharge,
        "coulombic_efficiency": one.ledger.coulombic_efficiency,
        "state_of_health": one.ledger.state_of_health,
        "inventory_mAh": one.ledger.inventory_mAh,
    }
    found |= findings.ageing(one.ageing)
    if one.impedance:
        found["impedance"] = {state: findings.impedance(each) for state, each in one.impedance.items()}
    if one.dynamic:
        found["dynamic"] = [findings.dynamic(each) for each in one.dynamic]
    if one.operando:
        found["operando"] = [findings.operando(each) for each in one.operando]
    if one.measured is None:
        return found
    found |= _measured(one.measured)
    found["hold_capacity_mAh"] = one.capacities.hold
    first = cell.first_charge_mAh
    for suffix, value in (
        ("", one.ledger.not_re_extracted_mAh),
        ("_sd", one.ledger.not_re_extracted_sd_mAh),
    ):
        found[f"not_re_extracted_percent{suffix}"] = 100.0 * value / first if first and value is not None else None
    if one.measured.allocation is not None:
        for share, value in truth_of(truth, cell.cell, one.cycle).items():
            found[f"{share}_percent_truth"] = value
    return found


def _measured(measured: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {}
    allocation = measured.allocation
    if allocation is not None:
        for share in SHARES:
            percent, sd, amount = allocation.percent(share), allocation.percent_sd(share), allocation.mAh(share)
            found |= {
                f"{share}_percent": percent,
                f"{share}_percent_sd": sd,
                f"{share}_percent_budget": dict(allocation.budget[share]),
                f"{share}_mAh": amount,
                f"{share}_mAh_sd": allocation.mAh_sd(share),
            }
    nutation = measured.nutation
    return found | {
        "excess_coulometric_percent": measured.excess_coulometric_percent,
        "excess_coulometric_percent_sd": measured.excess_coulometric_percent_sd,
        "detection_limit_percent": measured.detection_limit_percent,
        "conversion_mAh_per_au": None if allocation is None else allocation.conversion,
        "conversion_mAh_per_au_sd": None if allocation is None else allocation.conversion_sd,
        "soc_mode": measured.soc_mode,
        "state_of_charge": measured.state_of_charge,
        "soc_factors_used": measured.soc_factors,
        "reference": measured.reference_token,
        "nutation": measured.nutation_token,
        "pi_half_us": None if nutation is None else nutation.t90_s * 1e6,
        "pi_half_us_sd": None if nutation is None else nutation.t90_sd_s * 1e6,
        "b1_kHz": None if nutation is None else nutation.b1_Hz * 1e-3,
        "deposits": {label: findings.deposits(each) for label, each in measured.deposits.items()},
        "spectra": {
            label: {
                "token": state.token,
                "integral_au": state.integral.value,
                "integral_au_sd": state.integral.sd,
                "scans": state.scans,
                "corrections": dict(state.corrections),
                "electrolyte_au": state.electrolyte,
                "electrolyte_au_sd": state.electrolyte_sd,
                "electrolyte_ppm": state.electrolyte_ppm,
                "phase_deg": state.phase_deg,
                "phase_source": state.phase_source,
                "phase_deg_sd": state.phase_sd_deg,
                "sample_temperature_degC": None if state.temperature_K is None else state.temperature_K - 273.15,
            }
            for label, state in measured.states.items()
        },
    }


def _group(group: GroupResult, truth: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "group": group.group,
        "cycle": group.cycle,
        "n": len(group.cells),
        "cells": list(group.cells),
        "flags": list(group.flags),
    }
    for name, (mean, sd) in group.amounts.items():
        found |= {name: mean, f"{name}_sd": sd}
    true = [truth_of(truth, cell, group.cycle) for cell in group.cells]
    for share, value in group.shares.items():
        found |= {
            f"{share}_percent": value.mean,
            f"{share}_percent_sd": value.sd,
            f"{share}_percent_sd_common": value.sd_common,
        }
        if all(true):
            found[f"{share}_percent_truth"] = sum(one[share] for one in true) / len(true)
    return found


def _clean(value: Any) -> Any:
    """Turn what JSON has no word for into null, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    return value
