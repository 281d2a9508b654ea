"""The tables of one cell: its cycles, shares and their budget, flags, raw bundles; and its attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from labctl.analysis.budget import TERMS
from labctl.analysis.flags import name_of
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import CellResult, CycleResult, Measured
from labctl.analysis.storage.netcdf import Variable
from labctl.analysis.storage.tables import Column, Row, Table, text, with_sd

_CYCLE: Final = Column("cycle", "number of the cycle", kind="count")
_OF_FIRST: Final = "in percent of the cell's own first charge capacity"
_WORDS: Final = {
    "reversible": "reversible capacity",
    "excess": "excess lithium: connected metal that the discharge left",
    "dead": "dead lithium: metal without electronic contact",
    "interphase": "interphase, and all else that is missing to the first charge",
}

_CYCLES: Final = (
    _CYCLE,
    Column("started", "begin of the cycle's first operation", kind="time"),
    Column("ended", "end of the cycle's last operation", kind="time"),
    Column("charge_capacity_mAh", "charge capacity", "mA h"),
    Column("discharge_capacity_mAh", "discharge capacity", "mA h"),
    Column("hold_capacity_mAh", "charge that the stripping hold took out", "mA h"),
    Column("coulombic_efficiency", "discharge capacity over charge capacity"),
    Column("state_of_health", "discharge capacity over that of the reference cycle"),
    Column("inventory_mAh", "charge on the anode's side after the charge, by the ledger of all cycles", "mA h"),
    *with_sd(Column("not_re_extracted_mAh", "first charge less the inventory: lithium left in the positive electrode",
                    "mA h")),
    Column("charge_energy_mWh", "energy of the charge", "mW h"),
    Column("discharge_energy_mWh", "energy of the discharge", "mW h"),
    Column("energy_efficiency", "discharge energy over charge energy"),
    Column("voltage_efficiency", "mean discharge voltage over mean charge voltage"),
    *with_sd(Column("nucleation_overvoltage_V", "nucleation overvoltage: tip less plateau of the charge", "V")),
    Column("nucleation_tip_V", "voltage of the tip", "V"),
    Column("nucleation_tip_at_mAh", "charge at which the tip was", "mA h"),
    Column("nucleation_plateau_V", "voltage of the plateau", "V"),
    Column("nucleation_noise_V", "standard deviation of the voltage's noise", "V"),
    text("nucleation_signal", "what the nucleation's voltage was measured of", optional=True),
    text("nucleation_reason", "why there is no tip", optional=True),
)  # fmt: skip

_AU: Final = "arbitrary units, per scan and unit of receiver gain"

#: Behind the shares themselves.
_BESIDE: Final = (
    *with_sd(Column("excess_coulometric_percent", f"charge of the stripping hold {_OF_FIRST}", "percent"),
             Column("not_re_extracted_percent", f"lithium left in the positive electrode {_OF_FIRST}", "percent")),
    Column("detection_limit_percent", f"least dead lithium that is told from none {_OF_FIRST}", "percent"),
    *with_sd(Column("conversion_mAh_per_au", "metal per unit of integral (k)", "mA h", note=_AU)),
    text("soc_mode", "how the positive electrode's state of charge was told"),
    *(Column(f"soc_{state}", f"state of charge of the positive electrode, {state} state")
      for state in ("charged", "discharged", "dead")),
    *(Column(f"soc_factor_{state}", f"factor of the integral for that state of charge, {state} state")
      for state in ("charged", "discharged", "dead")),
    *with_sd(Column("pi_half_us", "length of the pi/2 pulse", "us")),
    Column("b1_kHz", "strength of the radio field as nutation frequency", "kHz"),
    text("reference_token", "raw bundle that gave 0 ppm"),
    text("nutation_token", "raw bundle that gave the pi/2 pulse"),
)  # fmt: skip

#: Shares with their deviations, in percent and in mAh; the campaign's table has them too.
SHARE_COLUMNS: Final = tuple(
    column
    for share in SHARES
    for column in with_sd(
        Column(f"{share}_percent", f"{_WORDS[share]}, {_OF_FIRST}", "percent"),
        Column(f"{share}_mAh", _WORDS[share], "mA h"),
    )
)

_BUDGET: Final = (
    _CYCLE,
    text("share", "share of the first charge"),
    *(Column(f"{term}_percent", f"part of the standard deviation: {words}", "percent")
      for term, words in TERMS.items()),
)  # fmt: skip

FLAGS: Final = (text("name", "name of the flag; empty where it has none"), text("text", "what a reader must know"))
BUNDLES: Final = (text("token", "token of the raw bundle"), text("used_for", "what it was evaluated for"),
                  text("folder", "folder of the bundle, relative to the laboratory's results"))  # fmt: skip


def cycles(cell: CellResult) -> Table:
    """Give capacities, efficiencies, energies and nucleation of every cycle."""
    rows = [_cycle(one) for one in cell.cycles]
    return Table("cycles", "cycle", ("cycle",), _CYCLES, rows)


def _cycle(one: CycleResult) -> Row:
    ledger, ageing = one.ledger, one.ageing
    found: dict[str, Any] = {
        "cycle": one.cycle,
        "started": one.started,
        "ended": one.ended,
        "charge_capacity_mAh": one.capacities.charge,
        "discharge_capacity_mAh": one.capacities.discharge,
        "hold_capacity_mAh": one.capacities.hold,
        "coulombic_efficiency": ledger.coulombic_efficiency,
        "state_of_health": ledger.state_of_health,
        "inventory_mAh": ledger.inventory_mAh,
        "not_re_extracted_mAh": ledger.not_re_extracted_mAh,
        "not_re_extracted_mAh_sd": ledger.not_re_extracted_sd_mAh,
        "charge_energy_mWh": ageing.charge_energy_mWh,
        "discharge_energy_mWh": ageing.discharge_energy_mWh,
    }
    if ageing.efficiency is not None:
        found |= {
            "energy_efficiency": ageing.efficiency.energy,
            "voltage_efficiency": ageing.efficiency.voltage,
        }
    if (tip := ageing.nucleation) is not None:
        found |= {
            "nucleation_overvoltage_V": tip.overvoltage_V,
            "nucleation_overvoltage_V_sd": tip.overvoltage_sd_V,
            "nucleation_tip_V": tip.tip_V,
            "nucleation_tip_at_mAh": tip.tip_at_mAh,
            "nucleation_plateau_V": tip.plateau_V,
            "nucleation_noise_V": tip.noise_V,
            "nucleation_signal": tip.signal,
            "nucleation_reason": tip.reason or None,
        }
    return found


def shares(cell: CellResult) -> Table:
    """Give the shares of every measured cycle and what was measured beside them."""
    rows = [_shares(cell, one, one.measured) for one in cell.cycles if one.measured is not None]
    columns = (_CYCLE, *SHARE_COLUMNS, *_BESIDE)
    return Table("shares", "measured_cycle", ("cycle",), columns, rows)


def of_allocation(measured: Measured) -> dict[str, float]:
    """Give the shares by the names of :data:`SHARE_COLUMNS`; nothing where they were refused."""
    found: dict[str, float] = {}
    if measured.allocation is not None:
        for share in SHARES:
            found |= {
                f"{share}_percent": measured.allocation.percent(share),
                f"{share}_percent_sd": measured.allocation.percent_sd(share),
                f"{share}_mAh": measured.allocation.mAh(share),
                f"{share}_mAh_sd": measured.allocation.mAh_sd(share),
            }
    return found


def _shares(cell: CellResult, one: CycleResult, measured: Measured) -> Row:
    found: dict[str, Any] = {"cycle": one.cycle, **of_allocation(measured)}
    if measured.allocation is not None:
        found |= {
            "conversion_mAh_per_au": measured.allocation.conversion,
            "conversion_mAh_per_au_sd": measured.allocation.conversion_sd,
        }
    if first := cell.first_charge_mAh:
        for ending, value in (("", one.ledger.not_re_extracted_mAh), ("_sd", one.ledger.not_re_extracted_sd_mAh)):
            found[f"not_re_extracted_percent{ending}"] = None if value is None else 100.0 * value / first
    for name, values in (("soc", measured.state_of_charge), ("soc_factor", measured.soc_factors)):
        for state, value in zip(("charged", "discharged", "dead"), values or (), strict=False):
            found[f"{name}_{state}"] = value
    if measured.nutation is not None:
        found |= {
            "pi_half_us": measured.nutation.t90_s * 1e6,
            "pi_half_us_sd": measured.nutation.t90_sd_s * 1e6,
            "b1_kHz": measured.nutation.b1_Hz * 1e-3,
        }
    return found | {
        "excess_coulometric_percent": measured.excess_coulometric_percent,
        "excess_coulometric_percent_sd": measured.excess_coulometric_percent_sd,
        "detection_limit_percent": measured.detection_limit_percent,
        "soc_mode": measured.soc_mode,
        "reference_token": measured.reference_token,
        "nutation_token": measured.nutation_token,
    }


def budget(cell: CellResult) -> Table:
    """Give the terms of every share's standard deviation; their squares add up to its square."""
    rows = [
        {"cycle": cycle, "share": share}
        | {f"{term}_percent": value for term, value in allocation.budget[share].items()}
        for cycle, allocation in _allocations(cell)
        for share in SHARES
    ]
    return Table("budget", "", ("cycle", "share"), _BUDGET, rows)


def budget_variables(cell: CellResult) -> Iterator[Variable]:
    """Give the budget by measured cycle, share and term."""
    measured = [one for one in cell.cycles if one.measured is not None]
    if not measured:
        return
    values = np.full((len(measured), len(SHARES), len(TERMS)), np.nan)
    places = {one.cycle: index for index, one in enumerate(measured)}
    for cycle, allocation in _allocations(cell):
        for row, share in enumerate(SHARES):
            values[places[cycle], row] = [allocation.budget[share].get(term, 0.0) for term in TERMS]
    yield Variable("share", ("share",), np.array(SHARES), {"long_name": "share of the first charge"})
    yield Variable("term", ("term",), np.array(list(TERMS)), {"long_name": "source of uncertainty"})
    yield Variable("share_budget_percent", ("measured_cycle", "share", "term"), values, {
        "long_name": f"standard deviation of a share from one source, {_OF_FIRST}",
        "units": "percent",
        "comment": "the root of the sum of the squares over the terms is the share's standard deviation",
        "_FillValue": np.float64(np.nan),
    })  # fmt: skip


def _allocations(cell: CellResult) -> Iterator[tuple[int, Any]]:
    for one in cell.allocated:
        if one.measured is not None and one.measured.allocation is not None:
            yield one.cycle, one.measured.allocation


def flags(texts: tuple[str, ...]) -> Table:
    """Give flags with their names."""
    return Table("flags", "flag", (), FLAGS, [{"name": name_of(one), "text": one} for one in texts], "flag_")


def tokens(cell: CellResult) -> dict[str, list[str]]:
    """Give the raw bundles that the cell's results are from, each with what it was used for."""
    used: dict[str, list[str]] = {}

    def use(token: str | None, what: str) -> None:
        if token:
            used.setdefault(token, []).append(what)

    for one in cell.cycles:
        where = f"cycle {one.cycle}"
        if one.measured is not None:
            for state, found in one.measured.states.items():
                use(found.token, f"{where}: spectrum {state}")
            use(one.measured.reference_token, f"{where}: 0 ppm")
            use(one.measured.nutation_token, f"{where}: pi/2 pulse")
        for state, measured in one.impedance.items():
            use(measured.token, f"{where}: impedance {state}")
        for series in one.dynamic:
            use(series.token, f"{where}: impedance under current, {series.step}")
        for spectra in one.operando:
            use(spectra.token, f"{where}: spectra under current, {spectra.step}")
    return used


def bundles(cell: CellResult, folders: Mapping[str, str]) -> Table:
    """Give a table of the raw bundles that the cell's results are from."""
    rows = [{"token": token, "used_for": " | ".join(what), "folder": folders.get(token)}
            for token, what in tokens(cell).items()]  # fmt: skip
    return Table("bundles", "bundle", (), BUNDLES, rows, "bundle_")


def attributes(cell: CellResult) -> dict[str, Any]:
    """Give what holds for the whole cell."""
    factor = cell.soc_factor
    found: dict[str, Any] = {
        "cell": cell.cell,
        "group": cell.group,
        "chemistry": cell.chemistry,
        "area_cm2": cell.area_m2 * 1e4,
        "first_charge_capacity_mAh": cell.first_charge_mAh,
        "measure_at": list(cell.measure_at) or None,
        "soc_factor": factor.value,
        "soc_factor_sd": factor.sd,
        "soc_factor_source": factor.source,
        "soc_factor_calibrated": "yes" if factor.calibrated else "no",
    }
    if (curve := factor.calibration) is not None:
        found["soc_factor_calibration"] = json.dumps(
            {"id": curve.id, "soc": curve.soc, "factor": curve.factor, "covariance": curve.covariance,
             "shift_ppm": curve.shift_ppm, "width_cap_ppm": curve.width_cap_ppm}, ensure_ascii=False,
        )  # fmt: skip
    if (life := cell.life) is not None:
        found |= {
            "life_threshold": life.threshold,
            "life_reference_cycle": life.reference_cycle,
            "life_reference_mAh": life.reference_mAh,
            "life_first_below": life.first_below,
            "life_interpolated": life.interpolated,
            "life_lasting": life.lasting,
            "life_last_cycle": life.last_cycle,
            "life_flags": " | ".join(life.flags) or None,
        }
    return found
