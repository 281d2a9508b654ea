"""Deconvolution of the metal's signal: error, honesty, optimum and speed, on spectra of a known composition.

    python -m benchmarks.analysis_morphology

700 points with the lines of dense, mossy and dendritic lithium, their fractions along the life of a cell; signal-to-
noise ratio is peak height over the noise's standard deviation. The spectra are made with scipy's Voigt profile, which
the analysis does not use. lmfit (extra ``bench``) fits the same twelve parameters in the same bounds.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
from scipy.special import voigt_profile
from scipy.stats import binom

from labctl.analysis.morphology import Phases, bootstrap, deconvolve

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
DEPOSITS = ((246.7, 7.0, 3.0), (256.5, 8.0, 3.0), (266.5, 9.0, 4.0))
PPM = np.linspace(215.0, 310.0, 700)
SPECTRA = 200
#: Root mean squared error of the fractions in points: what a method of the field reaches, and how much more is allowed.
RMSE = {400: (0.65, 1.2, 0.60), 100: (1.9, 3.8, 2.0)}
ALLOWED = 1.25
FASTER = 3.0
LMFIT_SPECTRA = 6
LOW = np.array([[244.0, 4.0, 0.0], [254.0, 4.0, 0.0], [264.0, 4.0, 0.0]])
HIGH = np.array([[249.0, 14.0, 0.995], [259.0, 14.0, 0.995], [269.0, 14.0, 0.995]])


def shares(cycle: float) -> np.ndarray:
    aged = 1.0 / (1.0 + np.exp(-(cycle - 14.0) / 4.0))
    return (1.0 - aged) * np.array([0.78, 0.17, 0.05]) + aged * np.array([0.28, 0.46, 0.26])


def spectrum(fractions: np.ndarray, snr: float, rng: np.random.Generator) -> SimpleNamespace:
    made = np.zeros_like(PPM)
    for part, (centre, gauss, lorentz) in zip(fractions, DEPOSITS, strict=True):
        made += part * voigt_profile(PPM - centre, gauss / FWHM, lorentz / 2.0)
    return SimpleNamespace(ppm=PPM, intensity=made + rng.normal(0.0, made.max() / snr, PPM.size))


def said(text: str, kept: bool) -> str:
    return f"{text}: {'kept' if kept else 'BROKEN'}"


def errors_and_honesty(snr: int) -> list[str]:
    rng = np.random.default_rng(snr)
    errors, pulls = [], []
    for number in range(SPECTRA):
        truth = shares(1 + number % 30)
        found = deconvolve(spectrum(truth, snr, rng))
        errors.append(np.array(found.fractions) - truth)
        pulls.append(errors[-1] / np.array(found.sd))
    rmse = 100.0 * np.sqrt(np.mean(np.square(errors), axis=0))
    lines = [
        said(
            f"RMSE of {name} at SNR {snr} over {SPECTRA} spectra {value:.2f} points (at most {ALLOWED * bound:.2f})",
            value <= ALLOWED * bound,
        )
        for name, value, bound in zip(Phases._fields, rmse, RMSE[snr], strict=True)
    ]
    within = np.abs(np.array(pulls))
    for name, column in zip(Phases._fields, within.T, strict=True):
        one, two = int(np.sum(column < 1.0)), int(np.sum(column < 2.0))
        band1, band2 = (binom.interval(0.999, SPECTRA, part) for part in (0.683, 0.954))
        lines.append(
            said(
                f"{name} at SNR {snr} within 1 SD {one / SPECTRA:.3f} ({band1[0] / SPECTRA:.3f} to "
                f"{band1[1] / SPECTRA:.3f}), within 2 SD {two / SPECTRA:.3f} (at least {band2[0] / SPECTRA:.3f})",
                band1[0] <= one <= band1[1] and two >= band2[0],
            )
        )
    return lines


def local_optima() -> list[str]:
    """From 50 random starts each, 20 spectra."""
    rng = np.random.default_rng(1)
    elsewhere, furthest = 0, 0.0
    for number in range(20):
        made = spectrum(shares(1 + 1.5 * number), 100 if number % 2 else 400, rng)
        best = deconvolve(made)
        for _ in range(50):
            other = deconvolve(made, start=LOW + (HIGH - LOW) * rng.random((3, 3)))
            away = abs((other.noise_sd / best.noise_sd) ** 2 - 1.0)
            elsewhere += away > 1e-6
            furthest = max(furthest, away)
    text = (
        f"random starts of 1000 that end elsewhere {elsewhere} (0), sums of squares equal within {furthest:.1e} (1e-6)"
    )
    return [said(text, elsewhere == 0)]


def bootstrap_against_sd() -> list[str]:
    rng = np.random.default_rng(2)
    ratios = []
    for number in range(6):
        made = spectrum(shares(1 + 5 * number), 400, rng)
        ratios.append(np.array(bootstrap(made, count=60, seed=number).sd) / np.array(deconvolve(made).sd))
    ratio = float(np.mean(ratios))
    return [said(f"bootstrap's SD over the fit's at SNR 400 {ratio:.2f} (0.8 to 1.25)", 0.8 <= ratio <= 1.25)]


def speed() -> list[str]:
    """Side by side, one after the other on the same spectra; each the best of three."""
    try:
        import lmfit
    except ImportError:
        return ["deconvolution against lmfit: not measured, lmfit (extra `bench`) is not installed"]
    rng = np.random.default_rng(3)
    ours, theirs, apart, worst = [], [], 0.0, 0.0
    for number in range(LMFIT_SPECTRA):
        made = spectrum(shares(2 + 5 * number), 400, rng)
        found, mine = None, np.inf
        for _ in range(3):
            began = time.perf_counter()
            found = deconvolve(made)
            mine = min(mine, time.perf_counter() - began)
        fitted, other = None, np.inf
        for _ in range(3):
            start = _lmfit_parameters(lmfit)
            began = time.perf_counter()
            fitted = lmfit.minimize(_lmfit_residual, start, args=(made.intensity,), method="leastsq")
            other = min(other, time.perf_counter() - began)
        ours.append(mine)
        theirs.append(other)
        area = np.array([fitted.params[f"a{line}"].value for line in range(3)])
        apart = max(apart, float(np.max(np.abs(area / area.sum() - np.array(found.fractions)))))
        cost = found.noise_sd**2 * (PPM.size - 12)
        worst = max(worst, cost / float(fitted.chisqr) - 1.0)
    factor = float(np.median(np.array(theirs) / np.array(ours)))
    return [
        said(
            f"deconvolution {1e3 * float(np.median(ours)):.1f} ms, lmfit leastsq "
            f"{1e3 * float(np.median(theirs)):.0f} ms: {factor:.1f} times faster (at least {FASTER:g})",
            factor >= FASTER,
        ),
        said(
            f"same optimum as lmfit: fractions within {100 * apart:.4f} points (0.01), sum of squares at most "
            f"{worst:.1e} above lmfit's (1e-6)",
            100 * apart < 0.01 and worst < 1e-6,
        ),
    ]


def _lmfit_parameters(lmfit):
    parameters = lmfit.Parameters()
    for line, (low, high) in enumerate(zip(LOW, HIGH, strict=True)):
        parameters.add(f"a{line}", value=0.33, min=0.0)
        parameters.add(f"c{line}", value=float(np.mean([low[0], high[0]])), min=low[0], max=high[0])
        parameters.add(f"w{line}", value=9.0, min=low[1], max=high[1])
        parameters.add(f"r{line}", value=0.3, min=low[2], max=high[2])
    return parameters


def _lmfit_residual(parameters, data):
    values = parameters.valuesdict()
    model = np.zeros_like(data)
    for line in range(3):
        width, share = values[f"w{line}"], values[f"r{line}"]
        gauss = width * np.sqrt((1.0 - 0.5346 * share) ** 2 - 0.2166 * share**2)
        model += values[f"a{line}"] * voigt_profile(PPM - values[f"c{line}"], gauss / FWHM, 0.5 * share * width)
    return model - data


def run() -> list[str]:
    """Everything that is promised, a line each."""
    return [
        *errors_and_honesty(400),
        *errors_and_honesty(100),
        *local_optima(),
        *bootstrap_against_sd(),
        *speed(),
    ]


if __name__ == "__main__":
    print("\n".join(run()))
