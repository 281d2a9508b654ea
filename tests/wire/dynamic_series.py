"""The series of spectra under a direct current that every potentiostat is asked for: the paper's, and a short one."""

from __future__ import annotations

from dataclasses import replace

from labctl.instruments import DynamicRequest

SERIES = DynamicRequest(
    name="dead-lithium/bare-01/c030/04-deis/a1",
    current=-0.05e-3,
    amplitude=0.065e-3,
    frequency_start=300e3,
    frequency_end=0.1,
    points_per_decade=10,
    periods=6,
    spectra=20,
    cutoff=3.0,
    voltage_min=2.5,
    voltage_max=4.4,
)
SHORT = replace(SERIES, frequency_end=10.0, points_per_decade=5, spectra=3)
"""Three spectra of 24 points, a few seconds each."""
