"""NMR while a cell is charged: the spectra of an ``operando`` step on one axis, with the charge that had passed.

Nothing here compares integrals of different recycle delays: they are on different scales until T1 is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from labctl.analysis import nmr, phase
from labctl.analysis.bruker import Dataset
from labctl.analysis.bundles import Operation
from labctl.analysis.deposits import told as taken_apart
from labctl.analysis.findings import Floats, OperandoSpectra
from labctl.analysis.flags import Flag
from labctl.analysis.measured import Session
from labctl.analysis.morphology import Fractions, MorphologySettings
from labctl.analysis.operando_course import course
from labctl.analysis.operando_shots import Shot, whole
from labctl.analysis.recipe import Phase, Recipe
from labctl.analysis.series import gathered, held_C, instant
from labctl.analysis.spectrum import Spectrum
from labctl.errors import AnalysisError, DataError
from labctl.units import MAH

#: What is kept of a spectrum, ppm: from below the electrolyte's line, over alloys, to above the metal.
_KEPT: Final = (-60.0, 340.0)
#: What has to be alike in all spectra of a series: attribute, name for people, unit, relative tolerance.
_ALIKE: Final = (
    ("pulse_s", "pulse length", "s", 1e-3),
    ("power_W", "pulse power", "W", 1e-3),
    ("sweep_width_Hz", "spectral width", "Hz", 1e-6),
)


def read(session: Session, operations: Iterable[Operation], flag: Callable[[str], None]) -> tuple[OperandoSpectra, ...]:
    """Evaluate the spectra taken under current among the bundles of one cell and cycle.

    Parameters
    ----------
    session : Session
        The campaign's references, and what the cell went through before.
    operations : iterable of Operation
        In the order in which they were started; those of other kinds are passed over.
    flag : callable
        Takes a sentence that every reader of the result must see. A spectrum that is missing or torn is one, and the
        series goes on without it.
    """
    found = (_series(session, one, flag) for one in operations if one.kind == "operando")
    return tuple(one for one in found if one is not None)


def _series(session: Session, operation: Operation, flag: Callable[[str], None]) -> OperandoSpectra | None:
    def told(text: str) -> None:
        flag(Flag(f"{operation.step}: {text}", text.name if isinstance(text, Flag) else ""))

    shots = whole(session, operation, told)
    settled = _phases(shots, session.settings.recipe, told)
    shots = [one for one in shots if one.stamp.number in settled]
    if not shots:
        told("no spectrum of the series can be evaluated")
        return None
    _compared(shots, told)
    spectra = _processed(shots, settled, session.settings.recipe, session.settings.morphology, told)
    shots = [one for one in shots if one.stamp.number in spectra]
    if not shots:
        return None
    numbers = [one.stamp.number for one in shots]
    soc = _soc(session, operation, shots, told)
    plated = _deposits([spectra[number] for number in numbers], soc, numbers, session.settings.morphology, told)
    ppm, intensity = _map([spectra[number] for number in numbers])
    began = instant(operation.started)
    hours = (np.array([one.stamp.at for one in shots]) - began) / 3600.0
    charge = np.array([one.stamp.charge for one in shots]) / MAH
    course_h, course_voltage, course_current = course(operation, began, told)
    return OperandoSpectra(
        token=operation.token,
        step=operation.step,
        cycle=operation.cycle,
        ppm=ppm,
        intensity=intensity,
        sort=tuple(one.stamp.sort for one in shots),
        start_h=hours[:, 0],
        middle_h=hours[:, 1],
        end_h=hours[:, 2],
        charge_start_mAh=charge[:, 0],
        charge_mAh=charge[:, 1],
        charge_end_mAh=charge[:, 2],
        integral=tuple(spectra[number].integral(session.settings.recipe.metal) for number in numbers),
        recycle_delay_s=np.array([one.data.recycle_delay_s for one in shots]),
        deposits=plated,
        course_h=course_h,
        course_voltage_V=course_voltage,
        course_current_mA=course_current,
        numbers=tuple(numbers),
        soc=soc,
    )


def _phases(shots: Sequence[Shot], recipe: Recipe, told: Callable[[str], None]) -> dict[int, Phase]:
    """Settle the phases of all spectra together; of little metal, the electrolyte's line in it tells most."""
    known: dict[int, tuple[float, tuple[Dataset, float]]] = {}
    for one in shots:
        try:
            size = nmr.metal_magnitude(one.data, one.zero_Hz, recipe)
        except AnalysisError as error:
            told(f"spectrum {one.stamp.number}: {error}")
            continue
        known[one.stamp.number] = size, (one.data, one.zero_Hz)
    ordered = sorted(known, key=lambda number: known[number][0], reverse=True)
    if not ordered:
        return {}
    try:
        together = phase.of_cell({str(number): known[number][1] for number in ordered}, recipe)
        return {number: together[str(number)] for number in ordered}
    except AnalysisError as error:
        told(f"no metal to tell the phase by ({error}): taken from the electrolyte's line alone")
    found = {}
    for number in ordered:
        try:
            liquid = phase.line_phase(*known[number][1], phase.electrolyte(recipe), name="electrolyte")
            found[number] = Phase(liquid.angle_rad, source="electrolyte line alone", sd_rad=liquid.sd_rad)
        except AnalysisError as error:
            told(f"spectrum {number}: {error}")
    return found


def _compared(shots: Sequence[Shot], told: Callable[[str], None]) -> None:
    """Say what differs between the spectra."""
    delays: dict[float, list[str]] = {}
    for one in shots:
        delays.setdefault(one.data.recycle_delay_s, []).append(one.stamp.sort)
    if len(delays) > 1:
        listed = "; ".join(f"{delay:g} s: {len(sorts)} ({', '.join(dict.fromkeys(sorts))})"
                           for delay, sorts in sorted(delays.items()))  # fmt: skip
        told(Flag(f"the recycle delay differs ({listed}): integrals of different delays are not compared, since T1 of "
                  "the metal is not known here", "recycle_delay"))  # fmt: skip
    for attribute, name, unit, tolerance in _ALIKE:
        values = [float(getattr(one.data, attribute)) for one in shots]
        if max(values) - min(values) > tolerance * max(map(abs, values)):
            told(f"the {name} differs ({min(values):g} to {max(values):g} {unit}): integrals are not comparable")
    gains = sorted({one.data.receiver_gain for one in shots})
    if len(gains) > 1:
        told(Flag(f"the receiver gain differs ({gains[0]:g} to {gains[-1]:g}): scaled, as if the receiver were linear",
                  "scaled"))  # fmt: skip


def _processed(
    shots: Sequence[Shot],
    settled: Mapping[int, Phase],
    recipe: Recipe,
    morphology: MorphologySettings,
    told: Callable[[str], None],
) -> dict[int, Spectrum]:
    low, high = morphology.range_ppm
    shown = min(recipe.span[0], low, _KEPT[0]), max(recipe.span[1], high + morphology.shift_ppm_per_soc, _KEPT[1])
    found = {}
    for one in shots:
        number = one.stamp.number
        chosen = replace(recipe, zero_Hz=one.zero_Hz, phase=settled[number], shown=shown)
        try:
            found[number] = nmr.process(one.data, chosen)
        except AnalysisError as error:
            told(f"spectrum {number}: {error}")
    return found


def _soc(session: Session, operation: Operation, shots: Sequence[Shot], told: Callable[[str], None]) -> Floats:
    """Count the positive electrode's state of charge, as a part of the most that the cell has held so far."""
    before, most = held_C(session.campaign, operation)
    charge = np.array([one.stamp.charge[1] for one in shots])
    if most <= 0.0:
        told("the state of charge is not known: no charge of this cell before")
        return np.full(len(shots), math.nan)
    if before <= 0.0 and operation.end != "voltage":
        told(f"the charge ended by {operation.end or 'an unknown cause'}: states of charge count its end as full")
    return np.asarray(np.clip((before + charge) / most, 0.0, 1.0), dtype=np.float64)


def _deposits(
    spectra: Sequence[Spectrum],
    soc: Floats,
    numbers: Sequence[int],
    morphology: MorphologySettings,
    told: Callable[[str], None],
) -> tuple[Fractions | None, ...]:
    found: list[Fractions | None] = []
    said: list[tuple[int, str]] = []
    for spectrum, full, number in zip(spectra, soc, numbers, strict=True):
        try:
            unsure = None if spectrum.phase is None else math.degrees(spectrum.phase.sd_rad)
            made = taken_apart(spectrum, unsure, float(full) if math.isfinite(full) else 1.0, "charged", morphology)
        except (AnalysisError, DataError) as error:
            said.append((number, f"deposits: {error}"))
            found.append(None)
        else:
            said += [(number, f"deposits: {text}") for text in made.flags]
            found.append(made)
    for text in gathered(said, len(numbers)):
        told(Flag(text, "deposits"))
    return tuple(found)


def _map(spectra: Sequence[Spectrum]) -> tuple[Floats, Floats]:
    """Put the spectra on the axis of the first, falling."""
    first = spectra[0].ppm
    ppm = first[(first >= _KEPT[0]) & (first <= _KEPT[1])][::-1]
    return ppm, np.array([np.interp(ppm, one.ppm, one.intensity) for one in spectra])
