"""Worlds that the analysis was not made after: decays with a known inventory, synthesised from their own line shapes.

Nothing here uses labctl's simulators, its line model or its formulas. Metal is a skewed line (a Gaussian convolved with
an exponential, in closed form in the time domain), the positive electrode a broad Gaussian; receiver, skin effect,
temperature, saturation, insertion and corrosion act on the decay or on the charge. Each world is drawn by a generator,
so that the results' deviations can be compared with what the analysis says of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from labctl.analysis import calibration
from labctl.analysis.bruker import Dataset
from labctl.analysis.charges import Charges
from labctl.analysis.comparable import Shot
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Measured, SocFactor
from labctl.analysis.nutation import Nutation
from labctl.analysis.recipe import METAL
from labctl.analysis.recovery import Recovery
from labctl.analysis.settings import Settings
from labctl.analysis.shares import evaluate

ZERO = 77.77812e6
WIDTH = 500e3
POINTS = 1024
DEAD = 6.5e-6
NOISE = 0.022  # of one channel of one point after 1024 scans, in mAh of full signal
PAPER = SocFactor(1.08, 0.015, "paper, not calibrated here")
TIME = DEAD + np.arange(POINTS) / WIDTH
_HALF = 4.0 * math.log(2.0)


def chosen(**more: object) -> Settings:
    """Settings with half the zero filling: as exact, and twice as fast."""
    return Settings(recipe=replace(METAL, zero_fill=2), **more)  # type: ignore[arg-type]


def gauss(ppm: float, fwhm: float) -> np.ndarray:
    """The decay of a Gaussian line of area 1."""
    turn = 2j * np.pi * (ppm - 250.0) * 1e-6 * ZERO * TIME
    return np.exp(turn - (np.pi * fwhm * 1e-6 * ZERO * TIME) ** 2 / _HALF)


def skewed(ppm: float, fwhm: float, tail: float) -> np.ndarray:
    """The decay of a Gaussian line with an exponential tail of ``tail`` ppm to higher shifts; area 1."""
    return gauss(ppm, fwhm) / (1.0 - 2j * np.pi * tail * 1e-6 * ZERO * TIME)


#: The metal as it is after a charge, and what a discharge or a hold leaves of it: other shapes in other places.
FRESH = 0.7 * skewed(247.5, 7.0, 2.5) + 0.3 * skewed(257.0, 9.0, 3.5)
WORN = 0.3 * skewed(246.0, 7.5, 2.0) + 0.7 * skewed(258.0, 10.0, 4.0)


@dataclass
class Spectrum:
    """How one state is taken; what nobody told the analysis is here too."""

    metal: float
    shape: np.ndarray
    scans: int = 1024
    gain: float = 101.0
    pulse_us: float = 7.0
    power_W: float = 80.0
    recycle_s: float = 0.5
    t1_s: float | None = None  # True T1; none: no saturation
    t1_told: Recovery | None = None
    kelvin: float = 293.15
    kelvin_told: float | None = 293.15
    coupling: float = 1.0  # Of coil and tuning: all lines
    electrolyte: float = 2.0
    electrolyte_ppm: float = -1.0
    background: float = 0.0
    lag_rad: float = 0.0  # Of the metal behind the electrolyte, per mAh
    turn_rad: float = 0.0  # Of the receiver in this insertion
    waited_h: float = 2.0


@dataclass
class Case:
    """One cell at one cycle: spectra, charges, and the truth in percent of the first charge."""

    spectra: dict[str, Spectrum]
    charges: Charges
    truth: dict[str, float]
    factor: SocFactor = PAPER
    nutation: Nutation | None = None
    t90_us: float = 7.0
    settings: Settings = field(default_factory=lambda: chosen())
    noise: float = NOISE


@dataclass(frozen=True)
class Amounts:
    """The inventory of one cell, mAh."""

    first: float
    interphase: float
    excess: float
    dead: float
    left: float = 0.0  # in the positive electrode though the cell is charged

    @property
    def discharge(self) -> float:
        return self.first - self.left - self.interphase - self.excess - self.dead


def draw(
    rng: np.random.Generator,
    *,
    interphase: tuple[float, float] = (0.03, 0.2),
    excess: tuple[float, float] = (0.15, 0.3),
    left: float = 0.0,
) -> Amounts:
    first = 2.62 * (1 + 0.012 * rng.normal())
    return Amounts(
        first, first * rng.uniform(*interphase), rng.uniform(*excess), first * rng.uniform(0.002, 0.06), left
    )


def truth_of(a: Amounts) -> dict[str, float]:
    """What the paper's definitions call these amounts; closure counts what stayed in the electrode as interphase."""
    parts = {"reversible": a.discharge, "excess": a.excess, "dead": a.dead, "interphase": a.interphase + a.left}
    return {share: 100.0 * parts[share] / a.first for share in SHARES}


def cell(rng: np.random.Generator, a: Amounts, f: Callable[[float], float] | None = None, **more: object) -> Case:
    """A measured cell; ``f`` is the world's own factor over the state of charge."""
    drawn = 1.08 + 0.015 * rng.normal()
    factor = f or (lambda soc: 1.0 if soc > 0.5 else drawn)
    full = 1.0 - a.left / a.first
    after = full - a.discharge / a.first
    metal = {"pristine": 0.0, "charged": a.discharge + a.excess + a.dead, "discharged": a.excess + a.dead,
             "dead": a.dead}  # fmt: skip
    soc = {"pristine": 0.0, "charged": full, "discharged": after, "dead": after - a.excess / a.first}
    shapes = {"pristine": FRESH, "charged": FRESH, "discharged": 0.5 * (FRESH + WORN), "dead": WORN}
    liquid, place = 2.0 * (1 + 0.1 * rng.normal()), -1.0 + 0.2 * rng.normal()
    spectra = {
        label: Spectrum(
            metal[label] / factor(soc[label]),
            shapes[label],
            electrolyte=liquid,
            electrolyte_ppm=place,
            turn_rad=0.7 + 0.1 * rng.normal(),
        )
        for label in metal
    }
    accuracy = 0.001
    by = 1 + accuracy * rng.normal(size=2)
    charges = Charges(a.first * by[0], a.discharge * by[1], a.excess * by[1], a.left, accuracy, False, 0.9, 3.0)
    return Case(spectra, charges, truth_of(a), **more)  # type: ignore[arg-type]


def decay(one: Spectrum, case: Case, rng: np.random.Generator) -> np.ndarray:
    """The sum of all scans as the receiver gives it."""
    flip = 0.5 * math.pi * one.pulse_us / case.t90_us
    excited = math.sin(flip) * math.exp(-(one.pulse_us - 7.0) / 60.0)
    if one.t1_s is not None:
        left = math.exp(-(one.recycle_s + POINTS / WIDTH) / one.t1_s)
        excited *= (1.0 - left) / (1.0 - left * math.cos(flip))
    metal = one.metal * excited * np.exp(-1j * one.lag_rad * one.metal)
    lines = metal * one.shape + one.electrolyte * gauss(one.electrolyte_ppm, 2.8)
    if one.background:
        lines = lines + one.background * gauss(225.0, 110.0)
    lines = lines * (one.coupling * 293.15 / one.kelvin * np.exp(1j * one.turn_rad))
    noise = rng.normal(size=2 * POINTS).view(np.complex128)
    return one.gain * (one.scans * lines + case.noise * math.sqrt(1024.0 * one.scans) * noise)


def shot(one: Spectrum, case: Case, rng: np.random.Generator) -> Shot:
    data = Dataset(
        folder=Path("world"), fid=decay(one, case, rng), sweep_width_Hz=WIDTH, basic_Hz=ZERO,
        carrier_Hz=ZERO * (1 + 250e-6), reference_Hz=ZERO, start_s=DEAD, scans=one.scans, receiver_gain=one.gain,
        recycle_delay_s=one.recycle_s, pulse_s=one.pulse_us * 1e-6, power_W=one.power_W,
        temperature_K=one.kelvin_told or 0.0, pulse_program="zgpr", nucleus="7Li", dead_time_s=DEAD,
    )  # fmt: skip
    return Shot(data, ZERO, "token", one.kelvin_told, one.t1_told, one.waited_h * 3600.0)


def written(folder: Path, one: Spectrum, case: Case, rng: np.random.Generator) -> Path:
    """Write a state as a dataset of the console."""
    fid = decay(one, case, rng)
    folder.mkdir(parents=True)
    (folder / "fid").write_bytes(fid.astype("<c16").tobytes())
    used = {
        "TD": 2 * POINTS, "DTYPA": 2, "BYTORDA": 0, "AQ_mod": 3, "NC": 0, "SW_h": WIDTH, "BF1": ZERO * 1e-6,
        "SFO1": ZERO * (1 + 250e-6) * 1e-6, "O1": ZERO * 250e-6, "NS": one.scans, "RG": one.gain, "DE": DEAD * 1e6,
        "GRPDLY": 0, "DIGMOD": 0, "TE": one.kelvin_told or 0.0, "PULPROG": "<zgpr>", "NUC1": "<7Li>",
        "D": f"(0..63)\n0 {one.recycle_s}" + " 0" * 62, "P": f"(0..63)\n0 {one.pulse_us}" + " 0" * 62,
        "PLW": f"(0..63)\n0 {one.power_W}" + " 0" * 62,
    }  # fmt: skip
    lines = ["##TITLE= Parameter file", "##JCAMPDX= 5.0", *(f"##${key}= {value}" for key, value in used.items())]
    (folder / "acqus").write_text("\n".join([*lines, "##END="]) + "\n")
    return folder


def analysed(case: Case, rng: np.random.Generator) -> tuple[Measured, list[str]]:
    """Evaluate a case by the public way in; give the result and the flags."""
    flags: list[str] = []
    shots = {label: shot(one, case, rng) for label, one in case.spectra.items()}
    found = evaluate(shots, case.charges, case.factor, case.settings, flags.append, nutation=case.nutation)
    return found, flags


# -- worlds in which the inventory can be recovered --------------------------------------------------------------------


def other_line_shapes(rng: np.random.Generator) -> Case:
    return cell(rng, draw(rng))


def depleted(rng: np.random.Generator) -> Case:
    """No excess is left; the positive electrode stays partly charged, and its factor is read off there."""
    f0 = 1.08 + 0.015 * rng.normal()
    return cell(rng, draw(rng, interphase=(0.18, 0.3), excess=(0.0, 0.002)), lambda soc: 1 + (f0 - 1) * (1 - soc),
                settings=chosen(soc="coulomb", soc_shape_sd=0.0))  # fmt: skip


def broad_background(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    lithium, kept = rng.uniform(0.6, 1.0), 0.26 + 0.15 * rng.normal()
    for label, one in case.spectra.items():
        one.background = lithium * (kept if label == "charged" else 1.0)
    return case


def skin_lag(rng: np.random.Generator) -> Case:
    """The metal answers late, the more so the thicker it is: 25 degrees at 2.6 mAh/cm2."""
    case = cell(rng, draw(rng))
    for one in case.spectra.values():
        one.lag_rad = math.radians(25.0) / 2.62
    return case


def warm_sample(rng: np.random.Generator) -> Case:
    """The last spectrum was taken before the cell had cooled down, and somebody wrote down how warm it was."""
    case = cell(rng, draw(rng), settings=chosen(curie="scale"))
    for one in case.spectra.values():
        one.kelvin += 0.3 * rng.normal()
    case.spectra["dead"].kelvin += 20.0
    case.spectra["dead"].kelvin_told = 313.15
    return case


def reinserted(rng: np.random.Generator) -> Case:
    """Every insertion couples otherwise, by 2 %; the electrolyte's line tells by how much."""
    case = cell(rng, draw(rng), settings=chosen(reinsertion="scale", insertion_tolerance=0.1))
    for one in case.spectra.values():
        one.coupling = 1 + 0.02 * rng.normal()
    return case


def reinserted_untold(rng: np.random.Generator) -> Case:
    """The same, where a laboratory knows its scatter and no more."""
    case = reinserted(rng)
    case.settings = chosen(reinsertion_sd=0.02, insertion_tolerance=0.1)
    return case


def incomplete_recharge(rng: np.random.Generator) -> Case:
    f0 = 1.08 + 0.015 * rng.normal()
    return cell(rng, draw(rng, left=rng.uniform(0.05, 0.2)), lambda soc: 1 + (f0 - 1) * (1 - soc),
                settings=chosen(soc="coulomb", soc_shape_sd=0.0))  # fmt: skip


def corroding(rng: np.random.Generator) -> Case:
    """Metal becomes interphase while the cell waits for the spectrometer, before every spectrum."""
    a = draw(rng)
    first, second, third = rng.uniform(0.005, 0.02), rng.uniform(0.0, 0.003), rng.uniform(0.0, 0.003)
    before = Amounts(a.first, a.interphase + first, a.excess, a.dead)
    case = cell(rng, before)
    f = case.spectra["dead"].metal / before.dead
    # Of what the spectrum after the charge saw, a little corrodes before the discharge, and of the rest before others.
    lost = Amounts(a.first, before.interphase + second + third, a.excess - third, a.dead)
    case.charges = replace(case.charges, discharge=case.charges.discharge - second)  # type: ignore[operator]
    case.spectra["discharged"].metal = (lost.excess + lost.dead) * f
    case.truth = truth_of(lost)
    for one in case.spectra.values():
        one.waited_h = 30.0
    return case


def t1_changes(rng: np.random.Generator) -> Case:
    """T1 differs between the states, the delay is short, and each state has its saturation recovery."""
    case = cell(rng, draw(rng))
    for label, t1 in {"charged": 0.15, "discharged": 0.2, "dead": 0.3}.items():
        true, sd = t1 * rng.uniform(0.9, 1.1), 0.02 * t1
        told = Recovery(true + sd * rng.normal(), sd, 1.0, (), (), ())
        one = case.spectra[label]
        one.t1_s, one.t1_told = true, told
    case.spectra["dead"].recycle_s = 1.0
    return case


def own_factor(rng: np.random.Generator) -> Case:
    """Another probe: the factor is 1.15 and bent, and a calibration series has measured it."""
    soc, true = np.array([0.0, 0.5, 1.0]), np.array([1.15, 1.04, 1.0])
    points = [
        calibration.Point(kind, series, float(s), amount / f * (1 + 0.004 * rng.normal()), 0.004 * amount / f)
        for kind, series, amount in (("foil", "a", 4.0), ("foil", "b", 4.1), ("deposited", "c", 2.5),
                                     ("deposited", "d", 2.4))
        for s, f in zip(soc, true, strict=True)
    ]  # fmt: skip
    told = calibration.evaluate(points, id="world", source="a world of the tests")
    return cell(rng, draw(rng), lambda s: float(np.interp(s, soc, true)), factor=calibration.calibrated(told.curve),
                settings=chosen(soc="coulomb"))  # fmt: skip


def other_gain_and_scans(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    case.spectra["dead"].scans, case.spectra["dead"].gain = 8192, 203.0
    case.spectra["discharged"].gain = 57.0
    return case


def wrong_pulse(rng: np.random.Generator) -> Case:
    """The pulse of the last spectrum was set to half; a nutation curve of the cell tells what that gives."""
    t90 = 7.0 * (1 + 0.005 * rng.normal())
    case = cell(rng, draw(rng), t90_us=t90)
    case.spectra["dead"].pulse_us = 3.5
    case.nutation = Nutation(7e-6, 0.035e-6, 0.25 / 7e-6, 60e-6, (), (), ())
    return case


def leaking(rng: np.random.Generator) -> Case:
    """5 µA never end: the hold is ended by its time limit, and its charge is more than the excess."""
    case = cell(rng, draw(rng))
    hold = (case.charges.hold or 0.0) + 0.005 * 24
    case.charges = replace(case.charges, hold=hold, hold_timed_out=True, residual_uA=5.0, hold_h=24.0)
    return case


RECOVERABLE: Mapping[str, Callable[[np.random.Generator], Case]] = {
    one.__name__: one
    for one in (
        other_line_shapes, depleted, broad_background, skin_lag, warm_sample, reinserted, reinserted_untold,
        incomplete_recharge, corroding, t1_changes, own_factor, other_gain_and_scans, wrong_pulse, leaking,
    )
}  # fmt: skip


# -- worlds that must be refused or come with a warning ----------------------------------------------------------------


def _changed(label: str, **more: object) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        case = cell(rng, draw(rng))
        case.spectra[label] = replace(case.spectra[label], **more)  # type: ignore[arg-type]
        return case

    return make


def _exchanged(one: str, other: str) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        case = cell(rng, replace(draw(rng), dead=0.05))
        case.spectra[one], case.spectra[other] = case.spectra[other], case.spectra[one]
        return case

    return make


def _other_cells_dead(rng: np.random.Generator) -> Case:
    case, other = cell(rng, draw(rng)), cell(rng, draw(rng))
    case.spectra["dead"] = replace(other.spectra["dead"], electrolyte=1.3 * case.spectra["charged"].electrolyte)
    return case


def _turned_cells_dead(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    case.spectra["dead"].electrolyte_ppm += 2.5
    return case


def _short_delay(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    for one in case.spectra.values():
        one.t1_s = 0.3
    case.spectra["charged"].t1_told = Recovery(0.3, 0.01, 1.0, (), (), ())
    return case


def _long_pulse(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng), t90_us=5.0)
    case.nutation = Nutation(5e-6, 0.05e-6, 0.05e6, None, (), (), ())
    return case


def _without_pristine(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    del case.spectra["pristine"]
    return case


def _background_left(rng: np.random.Generator) -> Case:
    case = broad_background(rng)
    case.settings = chosen(blank="never")
    return case


def _residual(rng: np.random.Generator) -> Case:
    case = cell(rng, draw(rng))
    case.charges = replace(case.charges, residual_uA=4.0)
    return case


def _still_charged(rng: np.random.Generator) -> Case:
    case = depleted(rng)
    case.settings = chosen()
    case.truth = {}
    return case


def _uncovered(rng: np.random.Generator) -> Case:
    """A calibration that does not reach down to where the electrode is."""
    curve = calibration.FactorCurve((0.5, 1.0), (1.04, 1.0), ((1e-4, 0.0), (0.0, 0.0)), "half of one", "half")
    return cell(rng, draw(rng), factor=calibration.calibrated(curve), settings=chosen(soc="coulomb"))


def _scaled_by_other_pulse(rng: np.random.Generator) -> Case:
    case = wrong_pulse(rng)
    case.settings = chosen(reinsertion="scale")
    return case


#: How each is made, the name of the flag that it must raise, and whether its shares are refused.
WARNED: Mapping[str, tuple[Callable[[np.random.Generator], Case], str, bool]] = {
    "a sample 20 K warmer that somebody wrote down": (
        _changed("dead", kelvin=313.15, kelvin_told=313.15),
        "temperature",
        True,
    ),
    "a sample 20 K warmer that nobody wrote down": (_changed("dead", kelvin=313.15), "insertion", False),
    "another recycle delay and no T1": (_changed("dead", recycle_s=2.0), "recycle_delay", True),
    "a recycle delay short against T1": (_short_delay, "recycle_delay", False),
    "another pulse and no nutation": (_changed("dead", pulse_us=3.5), "pulse", True),
    "a pulse far from 90 degrees": (_long_pulse, "pulse", False),
    "another pulse power": (_changed("dead", power_W=40.0), "not_evaluated", True),
    "another receiver gain": (_changed("dead", gain=203.0), "scaled", False),
    "charged and discharged exchanged": (_exchanged("charged", "discharged"), "swapped", True),
    "discharged and dead exchanged": (_exchanged("discharged", "dead"), "swapped", True),
    "the dead spectrum of another cell": (_other_cells_dead, "swapped", False),
    "an electrolyte line elsewhere": (_turned_cells_dead, "swapped", False),
    "a tuning that lost a tenth": (_changed("discharged", coupling=0.9), "insertion", False),
    "no pristine spectrum": (_without_pristine, "no_blank", False),
    "a background that is left": (_background_left, "background", False),
    "a hold that ended with current": (_residual, "leak", False),
    "a hold that never ended": (leaking, "leak", False),
    "a day's wait for the spectrometer": (corroding, "waited", False),
    "a positive electrode that is not empty": (_still_charged, "soc_not_zero", False),
    "a calibration that does not reach": (_uncovered, "not_evaluated", True),
    "an electrolyte to scale by under another pulse": (_scaled_by_other_pulse, "not_evaluated", True),
}


@dataclass
class Outcome:
    """Pulls and errors of a world's shares over many cases, by share; and how often each flag was raised."""

    pulls: dict[str, list[float]] = field(default_factory=lambda: {share: [] for share in SHARES})
    errors: dict[str, list[float]] = field(default_factory=lambda: {share: [] for share in SHARES})
    flags: dict[str, int] = field(default_factory=dict)
    cases: int = 0
    refused: list[str] = field(default_factory=list)


def explore(world: Callable[[np.random.Generator], Case], cases: int, seed: int) -> Outcome:
    """Draw and evaluate many cells of a world."""
    outcome = Outcome(cases=cases)
    rng = np.random.default_rng([seed, sum(world.__name__.encode())])
    for _ in range(cases):
        case = world(rng)
        found, flags = analysed(case, rng)
        for name in {getattr(text, "name", "") for text in flags}:
            outcome.flags[name] = outcome.flags.get(name, 0) + 1
        if found.allocation is None:
            outcome.refused += [str(text) for text in flags]
            continue
        for share in SHARES:
            error = found.allocation.percent(share) - case.truth[share]
            outcome.errors[share].append(error)
            outcome.pulls[share].append(error / found.allocation.percent_sd(share))
    return outcome
