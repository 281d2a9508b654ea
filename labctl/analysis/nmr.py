"""From a decay to a referenced spectrum and the integral of lithium metal with its standard deviation.

Every step (apodisation, zero filling, Fourier transform, phase, baseline, sum over a window) is linear in the decay.
The whole chain is therefore one weight per point of the decay: the integral is the weighted sum, and its standard
deviation is the noise of one point times the weights' norm, exactly, baseline fit and correlations included.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from labctl.analysis import dead_time, phase
from labctl.analysis.autophase import automatic
from labctl.analysis.baseline import Fit, fit_of, functional, mask_of, subtracted
from labctl.analysis.bruker import Dataset, read_loose
from labctl.analysis.noise import noise
from labctl.analysis.provenance import Origin, Source
from labctl.analysis.recipe import METAL, Phase, Recipe, Window
from labctl.analysis.spectrum import Chain, Integral, Spectrum
from labctl.analysis.transform import Axis, Complex, axis_of, grid_of, inner, start_of, transform

__all__ = [
    "Dataset", "Integral", "Spectrum", "metal_integral", "metal_magnitude", "noise", "phase_of", "process",
    "read_bruker", "signal_to_noise", "spectrum", "zero_of",
]  # fmt: skip


def read_bruker(path: Path) -> Dataset:
    """Read a decay with all its parameters, and where each came from.

    Parameters
    ----------
    path : Path
        An EXPNO folder, its fid, acqus or pdata, a folder above it, or a zip archive of one.

    Raises
    ------
    DataError
        If there is no single one-dimensional dataset, or it is damaged: named.
    """
    return read_loose(Path(path))


def process(fid: Dataset, recipe: Recipe = METAL) -> Spectrum:
    """Make a phased, referenced spectrum without its baseline from a decay.

    Parameters
    ----------
    fid : Dataset
        As :func:`read_bruker` gives it.
    recipe : Recipe
        How; each of its choices is among the origins of the result.

    Raises
    ------
    AnalysisError
        If the spectral width does not cover what the recipe looks at, or a phase was to be found and could not.
    """
    zero, said = zero_of(fid, recipe)
    used, chosen = _completed(fid, recipe)
    grid = grid_of(used, zero, chosen)
    axis = axis_of(grid)
    mask = mask_of(recipe)
    fit = fit_of(grid, mask)
    values = transform(used.fid, axis)
    sigma = noise(fid)
    turned, settled = _phased(used, zero, values, axis, fit, chosen)
    unit = 2.0 / (axis.length * axis.step_ppm * fid.scans * fid.receiver_gain)
    flat, drawn = subtracted(turned * unit, fit)
    kept = slice(None) if recipe.shown == "all" else _cut(axis, recipe.span if recipe.shown == "span" else recipe.shown)
    flat, drawn = flat[kept], drawn[kept]
    magnitude = recipe.phase == "magnitude"
    return Spectrum(
        ppm=axis.ppm[kept],
        intensity=np.abs(flat) if magnitude else flat.real,
        noise_sd=sigma * unit * axis.taper_norm,
        imaginary=None if magnitude else flat.imag,
        baseline=np.abs(drawn) if magnitude else drawn.real,
        phase=settled,
        zero_Hz=zero,
        origins=fid.origins + _origins(fid, recipe, said, settled),
        chain=None if magnitude else Chain(grid, mask, sigma / (fid.scans * fid.receiver_gain)),
    )


def zero_of(fid: Dataset, recipe: Recipe) -> tuple[float, Origin]:
    """Give the frequency of 0 ppm in Hz and who said it: the recipe, the dataset's SF, or nobody but BF1."""
    if recipe.zero_Hz is not None:
        return recipe.zero_Hz, Origin("0 ppm", recipe.zero_Hz, "Hz", "standard", "external reference, by the recipe")
    if recipe.sr_Hz is not None:
        value = fid.basic_Hz + recipe.sr_Hz
        return value, Origin("0 ppm", value, "Hz", "recipe", f"BF1 and SR {recipe.sr_Hz:g} Hz")
    if fid.reference_Hz is not None:
        return fid.reference_Hz, Origin("0 ppm", fid.reference_Hz, "Hz", "dataset", "SF of the processed copy")
    return fid.basic_Hz, Origin("0 ppm", fid.basic_Hz, "Hz", "assumed", "BF1: shifts are not referenced")


def phase_of(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Find the constant phase, in rad, that makes the metal's line absorptive.

    See :func:`labctl.analysis.phase.line_phase`.

    Raises
    ------
    AnalysisError
        If there is no line in the metal window to take a phase from.
    """
    return phase.line_phase(dataset, reference_Hz, recipe).angle_rad


def metal_integral(dataset: Dataset, reference_Hz: float, phase: float, recipe: Recipe = METAL) -> Integral:
    """Integrate the metal's line above its baseline.

    Parameters
    ----------
    dataset : Dataset
        As it was read.
    reference_Hz : float
        The frequency of 0 ppm (SF of the LiCl spectrum).
    phase : float
        From :func:`phase_of` on the charged state of the same cell, in rad.
    """
    whole = functional(grid_of(dataset, reference_Hz, recipe, window=recipe.span), mask_of(recipe), recipe.metal)
    unit = 1.0 / (dataset.scans * dataset.receiver_gain)
    sigma = noise(dataset) * unit
    value = float((np.exp(1j * phase) * inner(whole.weights, dataset.fid)).real)
    return Integral(value * unit, sigma * whole.norm, sigma * whole.baseline_norm)


def metal_magnitude(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Give the integral's magnitude whatever its phase: enough to choose the strongest of a series."""
    whole = functional(grid_of(dataset, reference_Hz, recipe, window=recipe.span), mask_of(recipe), recipe.metal)
    return float(abs(inner(whole.weights, dataset.fid))) / (dataset.scans * dataset.receiver_gain)


def signal_to_noise(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Give the metal's integral over its standard deviation, whatever the phase of the receiver."""
    whole = functional(grid_of(dataset, reference_Hz, recipe, window=recipe.span), mask_of(recipe), recipe.metal)
    return float(abs(inner(whole.weights, dataset.fid))) / (noise(dataset) * whole.norm)


def spectrum(
    dataset: Dataset, reference_Hz: float, phase: float, recipe: Recipe = METAL, *, window: Window | None = None
) -> Spectrum:
    """Make the spectrum whose sum over the metal window is :func:`metal_integral`.

    Parameters
    ----------
    window : tuple of float, optional
        What part is returned, ppm; without it all that the recipe looks at.
    """
    return process(dataset, replace(recipe, zero_Hz=reference_Hz, phase=Phase(phase), shown=window or "span"))


def _completed(fid: Dataset, recipe: Recipe) -> tuple[Dataset, Recipe]:
    """Put back the lost first points where the recipe asks for it; time then counts from the pulse."""
    if recipe.dead_time == "phase":
        return fid, recipe
    low, high = recipe.span
    zero, _ = zero_of(fid, recipe)
    reach = max(abs(zero * (1.0 + ppm * 1e-6) - fid.carrier_Hz) for ppm in (min(low, 0.0), high))
    delay = fid.delay_points if recipe.remove_filter else 0.0
    whole, start = dead_time.extrapolated(fid.fid, fid.sweep_width_Hz, start_of(fid, recipe), delay, reach)
    counted = replace(fid, fid=whole, delay_points=0.0, dead_time_s=start, start_s=start)
    return counted, replace(recipe, dead_time_s=None, pulse_share=0.0)


def _phased(
    data: Dataset, zero: float, values: Complex, axis: Axis, fit: Fit, recipe: Recipe
) -> tuple[Complex, Phase | None]:
    if recipe.phase == "magnitude":
        return values, None
    if isinstance(recipe.phase, Phase):
        settled = recipe.phase
    elif recipe.phase == "own line":
        found = phase.line_phase(data, zero, recipe)
        settled = Phase(found.angle_rad, source="own metal line", sd_rad=found.sd_rad)
    else:
        looked = _cut(axis, recipe.span)
        pivot = 0.5 * (recipe.metal[0] + recipe.metal[1])
        flat, _ = subtracted(values, fit)
        start, linear = automatic(axis.ppm[looked], flat[looked], pivot)
        across = float(axis.frequency_Hz[looked][-1] - axis.frequency_Hz[looked][0])
        settled = replace(start, shift_s=linear / (2.0 * np.pi * across))
    if settled.shift_s == 0.0:
        return values * np.exp(1j * settled.angle_rad), settled
    away = (axis.ppm - settled.pivot_ppm) * 1e-6 * zero
    return values * np.exp(1j * (settled.angle_rad + 2.0 * np.pi * away * settled.shift_s)), settled


def _cut(axis: Axis, window: Window) -> slice:
    low, high = np.searchsorted(axis.ppm, window[0], "left"), np.searchsorted(axis.ppm, window[1], "right")
    return slice(int(low), int(high))


def _origins(fid: Dataset, recipe: Recipe, zero: Origin, settled: Phase | None) -> tuple[Origin, ...]:
    """Say what was done and at whose word."""
    given = recipe.apodisation
    width = "".join(
        f" {name} {value:g} Hz" for name, value in (("L", given.lorentz_Hz), ("G", given.gauss_Hz)) if value
    )
    windows = ", ".join(f"{low:g} to {high:g}" for low, high in recipe.baseline)
    dead = recipe.dead_time_s
    found = [
        zero,
        Origin("digital filter taken out", "yes" if recipe.remove_filter else "no", "", "recipe", "as a shift in time"),
        Origin("time of the first point", start_of(fid, recipe), "s", "dataset" if dead is None else "recipe",
               f"dead time less the filter's delay, and {recipe.pulse_share:g} of the pulse"),
        Origin("lost first points", recipe.dead_time, "", "recipe"),
        Origin("first point", _first_point(fid, recipe), "times", "recipe", "1/2 where it was taken at the pulse"),
        Origin("apodisation", given.kind + width, "", "recipe"),
        Origin("zero filling", recipe.zero_fill, "times", "recipe"),
    ]  # fmt: skip
    if settled is None:
        found.append(Origin("phase", "none, magnitude", "", "recipe"))
    else:
        taken: Source = "recipe" if isinstance(recipe.phase, Phase) else "found"
        found.append(Origin("phase", float(np.degrees(settled.angle_rad)), "°", taken, settled.source))
        if settled.shift_s:
            found.append(Origin("linear phase", settled.shift_s, "s", taken, f"about {settled.pivot_ppm:g} ppm"))
    found.append(Origin("baseline", f"polynomial of order {recipe.order} through {windows}", "ppm", "recipe"))
    return tuple(found)


def _first_point(fid: Dataset, recipe: Recipe) -> float:
    if recipe.first_point is not None:
        return recipe.first_point
    return 0.5 if abs(start_of(fid, recipe)) < 0.5 / fid.sweep_width_Hz else 1.0
