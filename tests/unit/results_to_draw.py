"""Results of an evaluation made up from formulas, with everything that a figure can show."""

from __future__ import annotations

import numpy as np

from labctl.analysis.cycling import Course, CycleCapacities, LedgerLine
from labctl.analysis.findings import DynamicSeries, EvaluatedImpedance, GroupRates, OperandoSpectra
from labctl.analysis.groups import group_results
from labctl.analysis.impedance import ImpedanceSpectrum, fit, kramers_kronig
from labctl.analysis.inventory import allocate
from labctl.analysis.loss_rates import loss_rates
from labctl.analysis.model import Analysis, CellResult, CycleResult, Measured, SocFactor, State
from labctl.analysis.morphology import deconvolve
from labctl.analysis.nmr import Integral, Spectrum
from labctl.analysis.settings import Settings

CYCLES = (1, 15)
FREQUENCIES = np.geomspace(3e5, 0.1, 40)


def spectrum(rng: np.random.Generator, amount: float, dense: float = 0.7) -> Spectrum:
    ppm = np.linspace(80.0, 395.0, 900)
    parts = ((246.7, 4.0, dense), (256.5, 4.5, 0.7 * (1 - dense)), (266.5, 5.0, 0.3 * (1 - dense)))
    lines = sum(a / w * np.exp(-0.5 * ((ppm - c) / w) ** 2) for c, w, a in parts)
    return Spectrum(ppm, amount * lines + rng.normal(0.0, 4e-4, len(ppm)), 4e-4)


def sweep(rng: np.random.Generator, r1: float, r2: float, drift: float = 0.0) -> ImpedanceSpectrum:
    omega = 2j * np.pi * FREQUENCIES
    z = 6 + r1 / (1 + r1 * 2e-5 * omega**0.9) + r2 * (1 + drift / (1 + FREQUENCIES)) / (1 + r2 * 3e-3 * omega**0.85)
    noise = rng.normal(size=len(z)) + 1j * rng.normal(size=len(z))
    return ImpedanceSpectrum(FREQUENCIES, z * (1 + 0.002 * noise))


def evaluated(rng: np.random.Generator, r1: float, r2: float, drift: float = 1.0) -> EvaluatedImpedance:
    found = sweep(rng, r1, r2, drift)
    test = kramers_kronig(found.frequency_Hz, found.impedance_ohm)
    return EvaluatedImpedance(found, test, fit(found.frequency_Hz, found.impedance_ohm, above_Hz=1.0))


def measured(rng: np.random.Generator, cycle: int, coated: bool) -> Measured:
    interphase = 0.03 + ((0.004 if coated else 0.006) + rng.normal(0, 0.0002)) * cycle
    dead = 0.001 + (0.0007 if coated else 0.0018) * cycle + rng.normal(0, 0.001)
    excess = max(0.0, 0.09 - 0.005 * cycle)
    discharge = 2.62 * (1 - interphase - dead - excess)
    scale = 100.0 / 2.62
    charged, left = scale * (discharge + 2.62 * (dead + excess)), scale * 2.62 * (dead + excess) / 1.08
    states = {
        label: State(label, Integral(amount, 0.2), spectrum(rng, amount / 100, 0.75 - 0.012 * cycle), 1024, 293.0)
        for label, amount in (("pristine", 0.0), ("charged", charged), ("discharged", left),
                              ("dead", scale * 2.62 * dead / 1.08))
    }  # fmt: skip
    shares = allocate(2.62, discharge, charged, left, scale * 2.62 * dead / 1.08, sigma_integral=0.3,
                      sigma_soc_factor=0.015)  # fmt: skip
    deposits = {"charged": deconvolve(states["charged"].spectrum)}
    return Measured(states, shares, 0.5, deposits=deposits)


def cell(rng: np.random.Generator, name: str, group: str, *, dynamic=(), operando=()) -> CellResult:
    cycles = []
    for number in CYCLES:
        found = measured(rng, number, group == "coated")
        passed = np.linspace(0.0, 2.6, 200)
        impedance = {}
        if number == CYCLES[0] and operando:
            impedance = {"charged": evaluated(rng, 8, 22), "discharged": evaluated(rng, 14, 55),
                         "stripped": evaluated(rng, 50, 400)}  # fmt: skip
        first = number == CYCLES[0]
        cycles.append(
            CycleResult(
                number, CycleCapacities(number, 2.62, 2.3), LedgerLine(0.88 if first else 0.995, 1.0, 2.62, 0.0, 0.0),
                measured=found, impedance=impedance, charge_course=Course(2.6, 3.5 + 0.3 * passed, passed),
                discharge_course=Course(-2.6, 4.3 - 0.3 * passed, passed), dynamic=dynamic if first else (),
                operando=operando if first else (),
            )
        )  # fmt: skip
    factor = SocFactor(1.08, 0.015, "paper, not calibrated here")
    return CellResult("first", name, group, "Cu||NMC622", 1e-4, factor, CYCLES, (), tuple(cycles))


def series(rng: np.random.Generator) -> DynamicSeries:
    soc = np.linspace(0.95, 0.05, 8)
    spectra = tuple(sweep(rng, 8 + 10 * (1 - s) ** 3, 20 + 60 * np.exp(-s / 0.06)) for s in soc)
    fits = tuple(fit(one.frequency_Hz, one.impedance_ohm, above_Hz=1.0, starts=1) for one in spectra)
    return DynamicSeries(
        "b", "deis", 1, "discharge", spectra, (None, *fits[1:]), -(1 - soc) * 2.3, 3.6 + 0.6 * soc, soc
    )


def film(rng: np.random.Generator) -> OperandoSpectra:
    ppm = np.linspace(310.0, 60.0, 700)
    sort = ("during",) * 4 + ("pause",) + ("during",) * 4 + ("end",)
    lasts = np.array([0.5 if one == "during" else 2.4 for one in sort])
    start = np.concatenate(([0.0], np.cumsum(lasts + 0.1)[:-1]))
    passes = np.array([0.1 if one == "during" else 0.0 for one in sort])
    after = np.cumsum(passes)
    rows = np.array([np.exp(-0.5 * ((ppm - 248) / 5) ** 2) * q for q in after]) + rng.normal(0, 0.02, (10, 700))
    hours = np.linspace(0.0, float(start[-1] + lasts[-1]), 500)
    return OperandoSpectra(
        "b", "plating", 1, ppm, rows, sort, start, start + lasts / 2, start + lasts, after - passes, after - passes / 2,
        after, tuple(Integral(10 * q, 0.1) for q in after), np.where(lasts < 1, 0.4, 2.0), (None,) * 10, hours,
        3.4 + 0.02 * hours, np.full(500, 0.2),
    )  # fmt: skip


def analysis(mode: str = "simulated") -> Analysis:
    rng = np.random.default_rng(7)
    cells = (
        cell(rng, "bare-01", "bare", dynamic=(series(rng),), operando=(film(rng),)),
        cell(rng, "bare:02?", "bare"),
        cell(rng, "bare*02!", "coated"),
        cell(rng, "COATED-01", "coated"),
    )
    shares = ("dead", "interphase")
    rates = tuple(
        GroupRates(group, {share: loss_rates(points(cells, group, share)) for share in shares})
        for group in ("bare", "coated")
    )
    return Analysis(mode, ("first",), cells, tuple(group_results(cells)), Settings(), rates=rates)


def points(cells, group: str, share: str):
    return {
        one.cell: (list(CYCLES), [each.measured.allocation.percent(share) for each in one.cycles])
        for one in cells
        if one.group == group
    }
