"""An analysis with something in every place, made of the evaluations' own results and of noise; no files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from labctl.analysis.control_chart import chart
from labctl.analysis.cycling import CycleCapacities, LedgerLine
from labctl.analysis.electrochemistry import Efficiency, cycle_life
from labctl.analysis.findings import (
    Ageing,
    Conversion,
    DynamicSeries,
    EvaluatedImpedance,
    GroupRates,
    OperandoSpectra,
    ShareComparison,
)
from labctl.analysis.flags import Flag
from labctl.analysis.groups import group_results
from labctl.analysis.impedance import fit, kramers_kronig
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum
from labctl.analysis.impedance.three_electrodes import check_electrodes
from labctl.analysis.inventory import allocate
from labctl.analysis.loss_rates import loss_rates
from labctl.analysis.model import Analysis, CellResult, CycleResult, Measured, SocFactor, State
from labctl.analysis.morphology import deconvolve
from labctl.analysis.nmr import Integral, Spectrum
from labctl.analysis.nucleation import NUCLEATION, Nucleation
from labctl.analysis.nutation import Nutation
from labctl.analysis.pooling import pool
from labctl.analysis.provenance import Origin
from labctl.analysis.raw import RawFiles
from labctl.analysis.settings import Settings
from labctl.analysis.statistics import compare

PPM = np.linspace(80.0, 395.0, 640)
FREQUENCY = np.geomspace(3e5, 0.1, 66)


def peak(area: float = 1.0, seed: int = 0) -> np.ndarray:
    lines = sum(
        share * np.exp(-4 * np.log(2) * ((PPM - at) / width) ** 2) / width
        for at, share, width in ((247.0, 0.6, 8), (257.0, 0.3, 9), (266.5, 0.1, 9))
    )
    return area * lines + np.random.default_rng(seed).normal(0, 3e-4, len(PPM))


def state(token: str, area: float, seed: int = 0) -> State:
    intensity = peak(area, seed)
    shown = Spectrum(PPM, intensity, 3e-4, imaginary=intensity[::-1].copy(), baseline=0.01 * intensity, zero_Hz=77.8e6,
                     origins=(Origin("temperature", 20, "°C", "dataset"),))  # fmt: skip
    return State(token, Integral(area, 0.002, 0.001), shown, 1024, 293.15, {"scans": 0.5}, 2.0, 0.01, -1.1, 12.0,
                 "electrolyte's line")  # fmt: skip


@cache
def fractions():
    return deconvolve(Spectrum(PPM, peak(), 3e-4, zero_Hz=77.8e6), soc=1.0)


@cache
def swept(electrode: str = "cell", scale: float = 1.0):
    omega = 2j * np.pi * FREQUENCY
    z = scale * (6 + 14 / (1 + (14 * 2e-6 * omega) ** 0.9) + 55 / (1 + 55 * 1e-3 * omega))
    z *= 1 + 0.001 * np.random.default_rng(1).normal(size=len(z))
    spectrum = ImpedanceSpectrum(FREQUENCY, z, electrode, time_s=np.arange(66.0), flags=("an odd file",))
    return spectrum, kramers_kronig(FREQUENCY, z), fit(FREQUENCY, z, above_Hz=1.0)


def impedance(token: str, electrodes: bool = False) -> EvaluatedImpedance:
    spectrum, test, fitted = swept()
    if not electrodes:
        return EvaluatedImpedance(spectrum, test, fitted, token=token)
    halves = {name: swept(name, 0.5)[0] for name in ("working", "counter")}
    check = check_electrodes(FREQUENCY, spectrum.impedance_ohm, *(half.impedance_ohm for half in halves.values()))
    return EvaluatedImpedance(spectrum, test, fitted, halves, {"working": swept("working", 0.5)[2]}, check, token)


def dynamic(token: str, cycle: int, count: int = 3) -> DynamicSeries:
    spectrum, _, fitted = swept()
    return DynamicSeries(token, "deis", cycle, "discharge", (spectrum,) * count, (None, *(fitted,) * (count - 1)),
                         -np.linspace(0.1, 1, count), np.linspace(4, 3, count), np.full(count, np.nan))  # fmt: skip


def operando(token: str, cycle: int, count: int = 4) -> OperandoSpectra:
    hours = np.arange(count) * 0.5
    return OperandoSpectra(
        token, "watched", cycle, PPM[::-1], np.array([peak(n, n)[::-1] for n in range(count)]),
        (*("during",) * (count - 1), "end"), hours, hours + 0.2, hours + 0.4, hours * 0.1, hours * 0.1 + 0.02,
        hours * 0.1 + 0.04, tuple(Integral(float(n), 0.002) for n in range(count)), np.full(count, 0.4),
        (None, *(fractions(),) * (count - 1)), np.linspace(0, 2, 50), np.linspace(3.5, 4.3, 50), np.full(50, 0.2),
    )  # fmt: skip


def cell(name: str, group: str, *, cycles: int = 4, measured=(1, 3), seed: int = 0, rich: bool = False) -> CellResult:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(1, cycles + 1):
        discharge = 2.3 - 0.02 * number + 0.01 * rng.normal()
        capacities = CycleCapacities(number, 2.62 - 0.01 * number, discharge, 0.236 if number in measured else 0.0)
        tip = Nucleation(0.045, 0.001, 3.4, 0.02, 3.5, 0.0004, "cell voltage, not the electrode's own", "", NUCLEATION)
        one = CycleResult(
            number, capacities, LedgerLine(discharge / 2.6, discharge / 2.28, 2.62, 0.0, 0.001),
            started=f"2025-03-{number % 28 + 1:02d}T08:00:00Z", ended=f"2025-03-{number % 28 + 1:02d}T20:30:00.5Z",
            ageing=Ageing(Efficiency(0.98, 0.96, 0.97), 9.9, 9.6, tip) if number > 1 else Ageing(),
        )  # fmt: skip
        if number in measured:
            token = f"{name}-{number}"
            states = {
                "pristine": state(f"{name}-0", 0.001, seed),
                "charged": state(f"{token}-c", 1.0, seed + number),
                "discharged": state(f"{token}-d", 0.088, seed + number + 1),
                "dead": state(f"{token}-v", 0.0055 + 0.001 * number, seed + number + 2),
            }
            split = allocate(2.62, discharge, *(states[label].integral.value for label in tuple(states)[1:]),
                             hold_capacity=0.236, sigma_integral=0.002, sigma_soc_factor=0.015,
                             sigma_capacity=0.002)  # fmt: skip
            one = replace(
                one,
                measured=Measured(states, split, 0.3, 9.0, 0.02, "ref-1", f"{token}-n",
                                  Nutation(7e-6, 1e-7, 35.7e3, None, (), (), ()), "paper", (1.0, 0.0, 0.0),
                                  (1.0, 1.08, 1.08), {"charged": fractions()}),
                impedance={label: impedance(f"{token}-{label}", rich) for label in ("charged", "discharged")},
                dynamic=(dynamic(f"{token}-deis", number),) if rich else (),
                operando=(operando(f"{token}-op", number),) if rich else (),
            )  # fmt: skip
        found.append(one)
    life = cycle_life({one.cycle: one.capacities.discharge for one in found})
    flags = (Flag("the factor 1.08 ± 0.015 was not measured here", "uncalibrated"), "a sentence, with a comma")
    return CellResult("first campaign", name, group, "LNMC-Cu", 1e-4, SocFactor(1.08, 0.015, "paper, not calibrated"),
                      tuple(measured), flags, tuple(found), life)  # fmt: skip


def analysis(cells=None) -> Analysis:
    cells = cells or (
        cell("bare-01", "bare", seed=1, rich=True), cell("bare-02", "bare", seed=2),
        cell("coated-01", "coated", seed=3), cell("coated-02", "coated", seed=4, measured=(1,)),
    )  # fmt: skip
    groups = tuple(group_results(cells))
    values = {
        (one.group, one.cycle): [each.measured.allocation.dead_percent for c in cells for each in c.allocated
                                 if c.group == one.group and each.cycle == one.cycle]
        for one in groups
    }  # fmt: skip
    lines = {
        c.cell: ([one.cycle for one in c.allocated], [one.measured.allocation.dead_percent for one in c.allocated])
        for c in cells if c.group == "bare"
    }  # fmt: skip
    k = [(f"{c.cell} cycle {one.cycle}", c.cell, one.measured.allocation) for c in cells for one in c.allocated]
    numbers = [each.conversion for _, _, each in k]
    pooled = pool(numbers, [each.conversion_sd for _, _, each in k], cells=[who for _, who, _ in k],
                  names=[name for name, *_ in k])  # fmt: skip
    welch = compare(values["bare", 1], values["coated", 1])
    tokens = {state.token for c in cells for one in c.allocated for state in one.measured.states.values()}
    return Analysis(
        "simulated", ("first campaign",), tuple(cells), groups, Settings(), ("Shares are percent.",),
        tuple(f"{c.cell}: {text}" for c in cells for text in c.flags),
        comparisons=(ShareComparison("dead", 1, "bare", "coated", welch, 1.0),),
        rates=(GroupRates("bare", {"dead": loss_rates(lines)}),),
        conversions=(Conversion("first campaign", pooled, chart(numbers, names=[name for name, *_ in k]),
                                tuple(name for name, *_ in k), tuple(numbers)),),
        raw=tuple(
            RawFiles("first campaign", token[:7], "spectra", "nmr", "", token, 1, 1, "2025-03-01T00:00:00Z",
                     Path("/results/first campaign") / token[:7] / token, ("1/fid",),
                     f"first campaign/{token[:7]}/{token}")
            for token in sorted(tokens)
        ),
    )  # fmt: skip
