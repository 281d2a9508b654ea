"""Simulated BioLogic potentiostats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl_simulators.biologic.eclabcom_simulator import EcLabSimulator
from labctl_simulators.biologic.eclib_simulator import BiologicSimulator as EclibSimulator
from labctl_simulators.laboratory import Laboratory


def BiologicSimulator(
    name: str, settings: Mapping[str, Any], laboratory: Laboratory
) -> EclibSimulator | EcLabSimulator:
    """Make what stands behind the way in that the station's entry names: the instrument, or EC-Lab with it."""
    kind = EcLabSimulator if settings.get("backend") == "olecom" else EclibSimulator
    return kind(name, settings, laboratory)


__all__ = ["BiologicSimulator"]
