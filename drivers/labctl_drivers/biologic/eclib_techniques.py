"""From techniques to the vendor's files and labels, within what a channel can do. Pure.

Source: the vendor's table of labels; channels of the VMP3 family take the plain file names. A duration must stay below
the technique's time base times 2^31, or it overflows in the instrument: longer ones are split into levels of one
technique, or into several where it has no levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.instruments import OutOfRange
from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    ConstantVoltage,
    GalvanostaticImpedance,
    Limit,
    Loop,
    OpenCircuit,
    PotentiostaticImpedance,
    Technique,
    TriggerIn,
    TriggerOut,
)
from labctl_drivers.biologic.eclib import ChannelInfos, Parameter
from labctl_drivers.biologic.eclib_codes import AUTO_RANGE, current_range, voltage_range

#: s per tick, VMP3 family.
TIMEBASES: Final = {"ocv": 20e-6, "cplimit": 50e-6, "calimit": 50e-6, "peis": 24e-6, "geis": 24e-6}
#: Longest level: a little below where it overflows.
_OVERFLOW: Final = 0.999 * 2.0**31
_MOST_LEVELS: Final = 20
_MOST_TESTS: Final = 3
_NEXT_TECHNIQUE, _STOP = 1, 2
#: V that a range must reach where nothing is known of the cell's voltage.
_USUAL: Final = 4.9
_EIS_AMPLITUDE_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Linked:
    """A technique as it is loaded.

    Attributes
    ----------
    file : str
        Of the technique, beside the library.
    parameters : tuple of Parameter
        With the vendor's labels.
    technique : int
        Which one of those asked for, from 0.
    """

    file: str
    parameters: tuple[Parameter, ...]
    technique: int

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the run's record."""
        named = {f"{label}[{index}]" if index else label: value for label, value, index in self.parameters}
        return {"file": self.file, "technique": self.technique, "parameters": named}


def longest(name: str) -> float:
    """Longest level of a technique in s."""
    return TIMEBASES[name] * _OVERFLOW


def link(techniques: Sequence[Technique], infos: ChannelInfos, bandwidth: int) -> tuple[Linked, ...]:
    """Turn techniques into what is loaded.

    Parameters
    ----------
    techniques
        In order; loops count them from 0.
    infos : ChannelInfos
        Of the channel: its ranges, and whether it measures impedance.
    bandwidth : int
        1 (slow) to 7 (fast).

    Raises
    ------
    OutOfRange
        The channel can't do one of them; told by its place in the list.
    """
    linked: list[Linked] = []
    first: list[int] = []
    for index, technique in enumerate(techniques):
        first.append(len(linked))
        try:
            parts = _parts(technique, infos, bandwidth, first)
        except OutOfRange as error:
            raise OutOfRange(f"technique {index + 1}: {error.message}") from error
        linked += [Linked(file, tuple(parameters), index) for file, parameters in parts]
    return tuple(linked)


_Part = tuple[str, list[Parameter]]


def _parts(technique: Technique, infos: ChannelInfos, bandwidth: int, first: Sequence[int]) -> list[_Part]:
    if isinstance(technique, OpenCircuit):
        return _open_circuit(technique, bandwidth)
    if isinstance(technique, ConstantCurrent):
        return [_constant_current(technique, infos, bandwidth)]
    if isinstance(technique, ConstantVoltage):
        return [_constant_voltage(technique, infos, bandwidth)]
    if isinstance(technique, PotentiostaticImpedance):
        return [_potentiostatic(technique, infos, bandwidth)]
    if isinstance(technique, GalvanostaticImpedance):
        return [_galvanostatic(technique, infos, bandwidth)]
    if isinstance(technique, Loop):
        return [_loop(technique, first)]
    if isinstance(technique, TriggerOut):
        logic: Parameter = ("Trigger_Logic", int(technique.rising), 0)
        return [("TO.ecc", [logic, ("Trigger_Duration", float(technique.duration), 0)])]
    if isinstance(technique, TriggerIn):
        return [("TI.ecc", [("Trigger_Logic", int(technique.rising), 0)])]
    raise OutOfRange(f"EClib has no technique for {technique}")


def _split(duration: float, name: str, most: int | None) -> list[float]:
    if not (math.isfinite(duration) and duration > 0):
        raise OutOfRange(f"a duration of {duration:g} s")
    count = max(1, math.ceil(duration / longest(name)))
    if most is not None and count > most:
        raise OutOfRange(f"{duration:g} s is beyond the {most * longest(name):.0f} s that one technique can last")
    return [duration / count] * count


def _hardware(current: int, voltages: Sequence[float], bandwidth: int) -> list[Parameter]:
    return [("I_Range", current, 0), ("E_Range", voltage_range(voltages), 0), ("Bandwidth", bandwidth, 0)]


def _open_circuit(technique: OpenCircuit, bandwidth: int) -> list[_Part]:
    return [
        (
            "ocv.ecc",
            [
                ("Rest_time_T", part, 0),
                ("Record_every_dE", float(technique.record_voltage_step), 0),
                ("Record_every_dT", float(technique.record_every), 0),
                ("E_Range", 1, 0),
                ("Bandwidth", bandwidth, 0),
            ],
        )
        for part in _split(technique.duration, "ocv", None)
    ]


def _constant_current(technique: ConstantCurrent, infos: ChannelInfos, bandwidth: int) -> _Part:
    voltages = [limit.value for limit in technique.limits if limit.what == "voltage"]
    parts = _split(technique.duration, "cplimit", _MOST_LEVELS)
    return "cplimit.ecc", [
        *_levels("Current_step", technique.current, parts, technique),
        ("Record_every_dT", float(technique.record_every), 0),
        ("Record_every_dE", float(technique.record_voltage_step), 0),
        *_hardware(
            current_range(max(abs(technique.current), technique.current_max), infos.MinIRange, infos.MaxIRange),
            voltages or [_USUAL],
            bandwidth,
        ),
    ]


def _constant_voltage(technique: ConstantVoltage, infos: ChannelInfos, bandwidth: int) -> _Part:
    parts = _split(technique.duration, "calimit", _MOST_LEVELS)
    scale = (
        current_range(technique.current_max, infos.MinIRange, infos.MaxIRange) if technique.current_max else AUTO_RANGE
    )
    return "calimit.ecc", [
        *_levels("Voltage_step", technique.voltage, parts, technique),
        ("Record_every_dT", float(technique.record_every), 0),
        ("Record_every_dI", float(technique.record_current_step), 0),
        *_hardware(scale, [technique.voltage], bandwidth),
    ]


def _levels(
    label: str, value: float, parts: Sequence[float], technique: ConstantCurrent | ConstantVoltage
) -> list[Parameter]:
    limits = technique.limits
    leads_to = _STOP if technique.safety_only else _NEXT_TECHNIQUE
    if len(limits) > _MOST_TESTS:
        raise OutOfRange(f"{len(limits)} limits; the channel watches {_MOST_TESTS} at a time")
    parameters: list[Parameter] = [("Step_number", len(parts) - 1, 0), ("N_Cycles", 0, 0)]
    for index, part in enumerate(parts):
        parameters += [
            (label, float(value), index),
            ("vs_initial", False, index),
            ("Duration_step", float(part), index),
            ("Exit_Cond", leads_to, index),
        ]
        for number in range(_MOST_TESTS):
            config, at = (test_config(limits[number]), limits[number].value) if number < len(limits) else (0, 0.0)
            parameters += [
                (f"Test{number + 1}_Config", config, index),
                (f"Test{number + 1}_Value", float(at), index),
            ]
    return parameters


def test_config(limit: Limit) -> int:
    """Code of a test that is active, joined to the others by or."""
    return 1 + (4 if limit.above else 0) + ((3 << 5) if limit.what == "current" else 0)


def _potentiostatic(technique: PotentiostaticImpedance, infos: ChannelInfos, bandwidth: int) -> _Part:
    scale = (
        current_range(technique.current_max, infos.MinIRange, infos.MaxIRange) if technique.current_max else AUTO_RANGE
    )
    reach = [_USUAL] if technique.against_open_circuit else [abs(technique.bias) + technique.amplitude]
    return "peis.ecc", [
        ("vs_initial", technique.against_open_circuit, 0),
        ("Initial_Voltage_step", float(technique.bias), 0),
        ("Record_every_dI", 0.0, 0),
        ("Amplitude_Voltage", float(technique.amplitude), 0),
        *_sweep(technique, infos),
        *_hardware(scale, reach, bandwidth),
    ]


def _galvanostatic(technique: GalvanostaticImpedance, infos: ChannelInfos, bandwidth: int) -> _Part:
    least = max(technique.amplitude / _EIS_AMPLITUDE_SHARE, abs(technique.bias) + technique.amplitude)
    return "geis.ecc", [
        ("vs_initial", False, 0),
        ("Initial_Current_step", float(technique.bias), 0),
        ("Record_every_dE", 0.0, 0),
        ("Amplitude_Current", float(technique.amplitude), 0),
        *_sweep(technique, infos),
        *_hardware(current_range(least, infos.MinIRange, infos.MaxIRange), [_USUAL], bandwidth),
    ]


def _sweep(technique: PotentiostaticImpedance | GalvanostaticImpedance, infos: ChannelInfos) -> list[Parameter]:
    if not infos.Zboard:
        raise OutOfRange("the channel has no board for impedance")
    if not (technique.amplitude > 0 and min(technique.frequency_start, technique.frequency_end) > 0):
        raise OutOfRange("amplitude and frequencies of a spectrum must exceed 0")
    if technique.points < 1 or technique.periods < 1:
        raise OutOfRange("a spectrum needs at least one point and one period")
    if technique.settle >= longest("peis"):
        raise OutOfRange(f"{technique.settle:g} s before a spectrum; rest or hold before it instead")
    return [
        ("Duration_step", float(technique.settle), 0),
        ("Record_every_dT", max(1.0, technique.settle / 100.0), 0),
        ("Initial_frequency", float(technique.frequency_start), 0),
        ("Final_frequency", float(technique.frequency_end), 0),
        ("sweep", False, 0),
        ("Frequency_number", int(technique.points), 0),
        ("Average_N_times", int(technique.periods), 0),
        ("Correction", False, 0),
        ("Wait_for_steady", float(technique.wait_periods), 0),
    ]


def _loop(technique: Loop, first: Sequence[int]) -> _Part:
    if not 0 <= technique.to < len(first) - 1:
        raise OutOfRange(f"a loop back to technique {technique.to + 1} leads nowhere")
    if technique.passes < 1:
        raise OutOfRange(f"a loop of {technique.passes} passes")
    return "loop.ecc", [("loop_N_times", technique.passes - 1, 0), ("protocol_number", first[technique.to], 0)]
