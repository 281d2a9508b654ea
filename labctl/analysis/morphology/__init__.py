"""How lithium was plated: the metal's signal as dense, mossy and dendritic deposits.

:func:`deconvolve` takes a phased spectrum of a charged cell apart into three Voigt lines, :func:`bootstrap` and
:func:`sensitivity` say how far its answer can be trusted. The lines, their windows and the cap on their width are a
model after Wichmann et al. 2025, not a property of lithium: what they depend on stands in every result.
"""

from __future__ import annotations

from labctl.analysis.morphology.checks import SpectrumLike
from labctl.analysis.morphology.deconvolution import deconvolve
from labctl.analysis.morphology.model import Fractions, MorphologySettings, Phases
from labctl.analysis.morphology.spread import Bootstrap, Sensitivity, Variation, bootstrap, sensitivity

__all__ = [
    "Bootstrap",
    "Fractions",
    "MorphologySettings",
    "Phases",
    "Sensitivity",
    "SpectrumLike",
    "Variation",
    "bootstrap",
    "deconvolve",
    "sensitivity",
]
