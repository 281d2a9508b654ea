"""Figures for print, one module for each kind, after those of Wichmann et al. 2025.

Every module has ``figure``, which takes results and gives a matplotlib figure of a journal's width, and panels that
draw into axes they are given; the report's figures are put together from the same panels. ``rendered`` gives a
figure's bytes, ``save`` writes it, ``draw_all`` writes all figures that an analysis has data for. Nothing here touches
matplotlib's global state.
"""

from __future__ import annotations

from labctl.analysis.plots import allocation, cycling, deposits, dynamic, nyquist, operando, rates, spectra
from labctl.analysis.plots.everything import draw_all
from labctl.analysis.plots.files import FORMATS, rendered, save

__all__ = [
    "FORMATS",
    "allocation",
    "cycling",
    "deposits",
    "draw_all",
    "dynamic",
    "nyquist",
    "operando",
    "rates",
    "rendered",
    "save",
    "spectra",
]
