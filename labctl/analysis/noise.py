"""The noise of a decay, told from parts of its spectrum where no line is."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

from labctl.analysis.bruker import Dataset
from labctl.analysis.remembered import Remembered
from labctl.errors import AnalysisError

#: Parts of the spectral width, from its middle, that hold nothing but noise: clear of lines and of the filter's edge.
_QUIET: Final = (1 / 16, 0.4)
_KNOWN: Final = Remembered[float](64)


def noise(dataset: Dataset) -> float:
    """Estimate the standard deviation of one channel of one point of the decay, in its own units.

    Taken from parts of the spectrum far from every line; a Hann window keeps the lines' feet out, and the median
    keeps spikes from counting: the median of an exponentially distributed power is ln 2 of its mean.
    """
    return _KNOWN.get(dataset.fid, None, lambda: _noise(dataset))


def _noise(dataset: Dataset) -> float:
    window, power, quiet = _quiet(len(dataset.fid))
    if quiet.size < 16:
        raise AnalysisError(f"{dataset.folder}: {len(dataset.fid)} points are too few to tell the noise")
    values = fft(dataset.fid * window)[quiet]
    return float(np.sqrt(np.median(values.real**2 + values.imag**2) / (2.0 * math.log(2.0) * power)))


@lru_cache(maxsize=4)
def _quiet(count: int) -> tuple[NDArray[np.float64], float, NDArray[np.int64]]:
    """Give the window for so many points, its power, and which points of the spectrum are far from every line."""
    window = np.hanning(count)
    offset = np.abs(np.fft.fftfreq(count))
    quiet = np.flatnonzero((offset > _QUIET[0]) & (offset < _QUIET[1]))
    return window, float(np.sum(window**2)), quiet
