"""Auxiliary inputs: what the ACQ channels show. PAD4 is in :mod:`labctl_simulators.thales.eis`.

Two channels are set up in this Thales: 0 is the temperature where the cell sits, 1 that of the room, both in degC.
"""

from __future__ import annotations

from labctl_simulators.thales import settings as texts
from labctl_simulators.thales.workstation import Workstation

_ZERO_C = 273.15


def _values(station: Workstation) -> list[float]:
    cell, room = station.source.cell(), station.laboratory.ambient - _ZERO_C
    return [room if cell is None else station.laboratory.temperature_of(cell) - _ZERO_C, room]


def analog_all(station: Workstation) -> str:
    """Answer ``ANALOGALL``."""
    shown = (f"ACQVAL({number})={value: .6e}" for number, value in enumerate(_values(station)))
    return ";".join(shown) + "\r"


def analog_in(station: Workstation) -> str:
    """Answer ``ANALOGIN``: the channel that was selected by ``CHANNEL``."""
    values, channel = _values(station), int(station.settings["CHANNEL"])
    return f"ACQVAL({channel})={values[channel]: .6e}\r" if channel < len(values) else texts.OUT_OF_RANGE
