"""The techniques as their files know them: labels, identifiers and time bases; from parameters to a channel's steps.

Labels and units are the vendor's; a label that a technique does not have is an error. Of the staircase forms only the
first step is run. A duration beyond the time base times 2^31 is refused as corrupted data: that it overflows is the
vendor's word, how it shows is guessed. Trigger techniques take their time and no line is there to be watched: an input
is met at once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Final

from labctl_simulators.biologic import structures as wire
from labctl_simulators.biologic.channel_steps import Level, Spectrum, Step, Test


class Declined(Exception):
    """Parameters that EClib does not take; ``code`` is its answer."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Technique:
    identifier: int
    timebase: float
    labels: str


_HARDWARE: Final = "I_Range:i E_Range:i Bandwidth:i tb:f xctr:i Filter:i"
_STEPS: Final = "vs_initial:b Duration_step:f Step_number:i Record_every_dT:f N_Cycles:i"
_TESTS: Final = "Test1_Config:i Test1_Value:f Test2_Config:i Test2_Value:f Test3_Config:i Test3_Value:f Exit_Cond:i"
_EIS: Final = (
    "vs_initial:b vs_final:b Step_number:i Duration_step:f Record_every_dT:f Final_frequency:f Initial_frequency:f "
    "sweep:b Frequency_number:i Average_N_times:i Correction:b Wait_for_steady:f"
)
_VOLTAGE_EIS: Final = "Initial_Voltage_step:f Final_Voltage_step:f Record_every_dI:f Amplitude_Voltage:f"
_CURRENT_EIS: Final = "Initial_Current_step:f Final_Current_step:f Record_every_dE:f Amplitude_Current:f"

TECHNIQUES: Final = {
    "ocv": _Technique(100, 20e-6, "Rest_time_T:f Record_every_dE:f Record_every_dT:f"),
    "ca": _Technique(101, 24e-6, f"Voltage_step:f Record_every_dI:f {_STEPS}"),
    "cp": _Technique(102, 21e-6, f"Current_step:f Record_every_dE:f {_STEPS}"),
    "cplimit": _Technique(155, 50e-6, f"Current_step:f Record_every_dE:f {_STEPS} {_TESTS}"),
    "calimit": _Technique(157, 50e-6, f"Voltage_step:f Record_every_dI:f {_STEPS} {_TESTS}"),
    "peis": _Technique(104, 24e-6, f"{_VOLTAGE_EIS} {_EIS}"),
    "geis": _Technique(107, 24e-6, f"{_CURRENT_EIS} {_EIS}"),
    "loop": _Technique(150, 0.0, "loop_N_times:i protocol_number:i"),
    "TO": _Technique(151, 20e-6, "Trigger_Logic:i Trigger_Duration:f"),
    "TI": _Technique(152, 20e-6, "Trigger_Logic:i"),
    "TOS": _Technique(153, 20e-6, "Trigger_Logic:i"),
}

_KINDS: Final = {"i": wire.INTEGER, "b": wire.BOOLEAN, "f": wire.SINGLE}
_AUTO_RANGE: Final = 12
_LONGEST: Final = 2.0**31


class Parameters:
    """The parameters of one technique, by label and index."""

    def __init__(self, technique: _Technique, blob: bytes) -> None:
        labels = dict(one.split(":") for one in f"{technique.labels} {_HARDWARE}".split())
        self._values: dict[tuple[str, int], float] = {}
        if len(blob) % wire.ECC_PARAMETER.size:
            raise Declined(wire.INVALID_PARAMETERS)
        for raw, kind, bits, index in struct.iter_unpack(wire.ECC_PARAMETER.format, blob):
            label = raw.split(b"\0", 1)[0].decode("latin-1")
            if label not in labels or kind != _KINDS[labels[label]]:
                raise Declined(wire.INVALID_PARAMETERS)
            self._values[label, index] = wire.single(bits) if kind == wire.SINGLE else float(bits)

    def get(self, label: str, index: int = 0, default: float = 0.0) -> float:
        """Give a value; booleans are 0 or 1."""
        return self._values.get((label, index), default)

    def need(self, label: str, index: int = 0) -> float:
        """Give a value that must be there."""
        if (label, index) not in self._values:
            raise Declined(wire.INVALID_PARAMETERS)
        return self._values[label, index]


def name_of(file: str) -> str:
    """Name of the technique that a file stands for, as on a VMP3 family channel.

    Raises
    ------
    Declined
        There is no such file, or it is another family's.
    """
    path = PureWindowsPath(file.replace("/", "\\"))
    name = path.name.removesuffix(".ecc")
    if name in TECHNIQUES:
        return name
    raise Declined(wire.ECC_INCOMPATIBLE if name[:-1] in TECHNIQUES and name[-1] in "45" else wire.ECC_MISSING)


def step_of(file: str, blob: bytes) -> Step:
    """Read a technique and its parameters. Raises :class:`Declined`."""
    name = name_of(file)
    technique = TECHNIQUES[name]
    given = Parameters(technique, blob)
    timebase = given.get("tb") or technique.timebase
    if name == "loop":
        step = Step("loop", technique.identifier, timebase, (), loop_to=int(given.need("protocol_number")))
        step.passes = int(given.need("loop_N_times")) + 1
    elif name in ("TO", "TI", "TOS"):
        step = Step("trigger", technique.identifier, timebase, (Level(0.0, given.get("Trigger_Duration")),))
    elif name == "ocv":
        level = Level(0.0, given.need("Rest_time_T"))
        step = Step("open", technique.identifier, timebase, (level,), every=given.get("Record_every_dT"))
        step.voltage_step = given.get("Record_every_dE")
    elif name in ("peis", "geis"):
        step = _spectrum(name, technique, timebase, given)
    else:
        step = _levels(name, technique, timebase, given)
    if any(level.duration < 0 or level.duration >= timebase * _LONGEST for level in step.levels if timebase):
        raise Declined(wire.DATA_CORRUPTED)
    return step


def _levels(name: str, technique: _Technique, timebase: float, given: Parameters) -> Step:
    current = name.startswith("cp")
    if current and given.get("I_Range") == _AUTO_RANGE:
        raise Declined(wire.INVALID_PARAMETERS)
    label = "Current_step" if current else "Voltage_step"
    count = int(given.get("Step_number")) + 1
    most = 20 if name.endswith("limit") else 100
    if not 1 <= count <= most:
        raise Declined(wire.INVALID_PARAMETERS)
    levels = []
    for index in range(count):
        tests = tuple(_test(given, number, index) for number in (1, 2, 3)) if name.endswith("limit") else ()
        levels.append(
            Level(
                given.need(label, index),
                given.need("Duration_step", index),
                bool(given.get("vs_initial", index)),
                tuple(test for test in tests if test is not None),
                int(given.get("Exit_Cond", index)),
            )
        )
    step = Step("current" if current else "voltage", technique.identifier, timebase, tuple(levels))
    step.every = given.get("Record_every_dT")
    step.voltage_step, step.current_step = given.get("Record_every_dE"), given.get("Record_every_dI")
    step.cycles = int(given.get("N_Cycles")) + 1
    return step


def _test(given: Parameters, number: int, index: int) -> Test | None:
    config = int(given.get(f"Test{number}_Config", index))
    if not config & 1:
        return None
    variable = {0: "voltage", 3: "current"}.get(config >> 5)
    if variable is None:
        raise Declined(wire.INVALID_PARAMETERS)
    return Test(variable, bool(config & 4), given.need(f"Test{number}_Value", index), together=bool(config & 2))


def _spectrum(name: str, technique: _Technique, timebase: float, given: Parameters) -> Step:
    galvano = name == "geis"
    if galvano and given.get("I_Range") == _AUTO_RANGE:
        raise Declined(wire.INVALID_PARAMETERS)
    unit = "Current" if galvano else "Voltage"
    points = int(given.need("Frequency_number"))
    amplitude, ends = given.need(f"Amplitude_{unit}"), (given.need("Initial_frequency"), given.need("Final_frequency"))
    if points < 1 or min(ends) <= 0 or amplitude <= 0:
        raise Declined(wire.INVALID_PARAMETERS)
    level = Level(given.need(f"Initial_{unit}_step"), given.get("Duration_step"), bool(given.get("vs_initial")))
    step = Step("geis" if galvano else "peis", technique.identifier, timebase, (level,))
    step.every = given.get("Record_every_dT")
    step.spectrum = Spectrum(
        start=ends[0],
        end=ends[1],
        points=points,
        linear=bool(given.get("sweep")),
        amplitude=amplitude,
        averages=max(1, int(given.get("Average_N_times", default=1.0))),
        wait=given.get("Wait_for_steady"),
    )
    return step


def steps_of(loaded: Sequence[tuple[str, bytes]]) -> list[Step]:
    """Read linked techniques. Raises :class:`Declined`, also for a loop that goes nowhere."""
    steps = [step_of(file, blob) for file, blob in loaded]
    for index, step in enumerate(steps):
        if step.kind == "loop" and not 0 <= step.loop_to < index:
            raise Declined(wire.INVALID_PARAMETERS)
    return steps
