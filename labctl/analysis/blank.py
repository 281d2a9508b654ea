"""The background of the pristine cell: whether it is there, and what is left of a state's spectrum without it.

A lithiated positive electrode gives a broad signal under the metal's. It has no lag and another shape, so it moves the
phase of a weak metal line before it moves its integral: it is taken off before phases are sought. The electrolyte's
line is in both spectra and must stay in one; only what lies clear of it is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis import nmr
from labctl.analysis.bruker import Dataset
from labctl.analysis.comparable import STATES3, Comparison, Shot
from labctl.analysis.electrolyte import Line
from labctl.analysis.recipe import Phase, Recipe
from labctl.analysis.settings import Settings
from labctl.analysis.spectrum import Integral

#: Shifts round the electrolyte's line, in ppm, from which nothing is taken, and over how many ppm that begins.
_CLEAR: Final = (-75.0, 60.0)
_EDGE: Final = 15.0


@dataclass(frozen=True, slots=True)
class Blank:
    """The pristine cell's signal as it is taken from the others.

    Attributes
    ----------
    shot : Shot
        The spectrum.
    shares : mapping
        How much of it each state has.
    turns : mapping
        What the pristine decay is turned by to stand as each state's does, rad.
    """

    shot: Shot
    shares: Mapping[str, float]
    turns: Mapping[str, float]

    def taken_from(self, label: str, one: Shot, compared: Comparison) -> Shot:
        """Give a state's spectrum without the background; for its phase, since the noise of both is in it."""
        mine, data = self.shot.data, one.data
        if len(mine.fid) != len(data.fid) or mine.sweep_width_Hz != data.sweep_width_Hz:
            return one
        scale = data.scans * data.receiver_gain / (mine.scans * mine.receiver_gain)
        scale *= compared.factor("pristine") / compared.factor(label)
        turned = scale * self.shares[label] * np.exp(1j * self.turns[label])
        return replace(one, data=replace(data, fid=data.fid - turned * _clear_of_electrolyte(mine, self.shot.zero_Hz)))

    def integral(self, label: str, angle_rad: float, compared: Comparison, recipe: Recipe) -> Integral:
        """Give the background's integral in the metal window as it stands in a state turned by ``angle_rad``."""
        turned = nmr.metal_integral(self.shot.data, self.shot.zero_Hz, angle_rad + self.turns[label], recipe)
        return turned.scaled(compared.factor("pristine") * self.shares[label])


def find(
    shots: Mapping[str, Shot], lines: Mapping[str, Line], soc: Mapping[str, float], settings: Settings
) -> Blank | None:
    """Give the background, where there is one and it is to be taken off.

    Its phase is the electrolyte's of the same spectrum, since nothing in it lags; the electrolyte's own foot under the
    metal is dispersive then and does not count.
    """
    pristine = shots.get("pristine")
    if pristine is None or settings.blank == "never":
        return None
    here = lines.get("pristine")
    if settings.blank == "auto":
        if here is None:
            return None
        seen = nmr.metal_integral(pristine.data, pristine.zero_Hz, here.angle_rad, settings.recipe)
        if abs(seen.value) <= settings.detection_sigma * seen.sd:
            return None
    left = settings.blank_left_when_charged
    turns = {
        label: 0.0 if here is None or label not in lines else here.angle_rad - lines[label].angle_rad
        for label in STATES3
    }
    return Blank(pristine, {label: 1.0 - (1.0 - left) * soc[label] for label in STATES3}, turns)


def aligned(phases: Mapping[str, Phase], blank: Blank) -> Phase:
    """Give the pristine spectrum the phase of the state with least metal."""
    dead = phases["dead"]
    return replace(dead, angle_rad=dead.angle_rad + blank.turns["dead"], source="that of the state dead")


def _clear_of_electrolyte(data: Dataset, zero_Hz: float) -> NDArray[np.complex128]:
    """Give the decay without what lies round the electrolyte's line."""
    frequency = np.fft.fftfreq(len(data.fid), 1.0 / data.sweep_width_Hz) + data.carrier_Hz
    ppm = (frequency - zero_Hz) / zero_Hz * 1e6
    outside = np.maximum(_CLEAR[0] - ppm, ppm - _CLEAR[1])
    kept = 0.5 - 0.5 * np.cos(np.pi * np.clip(outside / _EDGE, 0.0, 1.0))
    return np.asarray(np.fft.ifft(np.fft.fft(data.fid) * kept), dtype=np.complex128)
