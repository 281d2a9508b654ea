"""EC-Lab's settings file as EC-Lab takes it: from its text to a channel's steps.

Known are open circuit, Modulo Bat (current, voltage, rest, loop; limits of voltage, current's magnitude and time; the
next sequence or the end behind them), both impedances, and the loop of techniques. Everything else is declined, as is
a number with the other decimal mark, a range that is too small, and a file that is not whole. Guessed: how EC-Lab says
no to each, and that a sweep holds its last frequency whatever the points per decade.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from labctl_simulators.biologic.channel_steps import NEXT_STEP, STOP, Level, Spectrum, Step, Test

_WIDTH: Final = 20
#: s that a sequence without a limit of time lasts.
_ENDLESS: Final = 60 * 86400.0
_PREFIXES: Final = {"": 1.0, "m": 1e-3, "µ": 1e-6, "u": 1e-6, "n": 1e-9, "p": 1e-12, "k": 1e3, "M": 1e6, "G": 1e9}
_TIMES: Final = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "mn": 60.0, "h": 3600.0, "d": 86400.0}
#: EC-Lab's numbers and short names of techniques.
CODES: Final = {
    "Open Circuit Voltage": (11, "OCV"),
    "Modulo Bat": (127, "MB"),
    "Potentio Electrochemical Impedance Spectroscopy": (29, "PEIS"),
    "Galvano Electrochemical Impedance Spectroscopy": (30, "GEIS"),
    "Loop": (27, "LOOP"),
}


class Declined(Exception):
    """A file that EC-Lab does not take."""


@dataclass(slots=True)
class Settings:
    """What a file says.

    Attributes
    ----------
    steps : list of Step
        Of all techniques.
    owners : list of int
        Technique of each step, from 0.
    names : list of str
        Of the techniques, short.
    record_counter : bool
        Whether the counter electrode's voltage is recorded.
    safety : mapping of str to float
        ``Ewe min``, ``Ewe max`` (V), ``|I|`` (A), where given.
    """

    steps: list[Step] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    record_counter: bool = False
    safety: dict[str, float] = field(default_factory=dict)


Rows = Mapping[str, str]


def read(content: bytes, mark: str = ".") -> Settings:
    """Read a file with the decimal mark of the PC. Raises :class:`Declined`."""
    if b"\r\n" not in content:
        raise Declined("its lines do not end as on Windows")
    lines = content.decode("latin-1").split("\r\n")
    if lines[0] != "EC-LAB SETTING FILE":
        raise Declined("is no settings file")
    starts = [index for index, line in enumerate(lines) if line.startswith("Technique : ")]
    told = [line.partition(" : ")[2] for line in lines if line.startswith("Number of linked techniques")]
    if not starts or told != [str(len(starts))]:
        raise Declined(f"tells of {told} techniques and has {len(starts)}")
    found = Settings(record_counter="Record Ece" in lines[: starts[0]])
    reader = _Reader(mark)
    found.safety = reader.safety(lines[: starts[0]])
    begins: list[int] = []
    for technique, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        if lines[start] != f"Technique : {technique + 1}" or lines[start + 1] not in CODES:
            raise Declined(f"technique {technique + 1}: '{lines[start + 1]}' is not known")
        name = lines[start + 1]
        begins.append(len(found.steps))
        found.names.append(CODES[name][1])
        for step in reader.steps(name, _sequences(lines[start + 2 : end]), begins):
            found.steps.append(step)
            found.owners.append(technique)
    return found


def _sequences(lines: list[str]) -> list[Rows]:
    """Values by label, for each sequence; columns are 20 characters wide."""
    rows = [line for line in lines if line.strip()]
    count = max((len(line) - 1) // _WIDTH for line in rows) if rows else 0
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for line in rows:
        for index in range(count):
            found[index][line[:_WIDTH].strip()] = line[(index + 1) * _WIDTH : (index + 2) * _WIDTH].strip()
    return list(found)


class _Reader:
    def __init__(self, mark: str) -> None:
        self._mark = mark

    def safety(self, head: list[str]) -> dict[str, float]:
        """Limits of a head, SI."""
        found = {}
        for line in head:
            label, equals, rest = line.strip().partition(" = ")
            if line.startswith("\t") and equals and label in ("Ewe min", "Ewe max", "|I|"):
                value, _, unit = rest.partition(" ")
                found[label] = self._number(value) * self._prefix(unit, "A" if label == "|I|" else "V")
        return found

    def steps(self, name: str, sequences: list[Rows], begins: list[int]) -> list[Step]:
        """Steps of a technique; ``begins`` holds the first step of each technique up to this one."""
        if not sequences:
            raise Declined(f"'{name}' is empty")
        try:
            if name == "Modulo Bat":
                return [self._sequence(rows, begins[-1]) for rows in sequences]
            return [_READERS[name](self, sequences[0], begins)]
        except KeyError as error:
            raise Declined(f"'{name}' has no row {error}") from error

    def _open(self, rows: Rows, begins: list[int]) -> Step:
        step = Step("open", 11, 1e-4, (Level(0.0, self._clock(rows["tR (h:m:s)"])),))
        step.every = self._number(rows["dtR (s)"])
        step.voltage_step = self._number(rows["dER (mV)"]) * 1e-3
        return step

    def _loop(self, rows: Rows, begins: list[int]) -> Step:
        target = int(rows["goto Ne"]) - 1
        if not 0 <= target < len(begins) - 1:
            raise Declined(f"a loop to technique {target + 1}")
        return Step("loop", 27, 1e-4, (), loop_to=begins[target], passes=int(rows["nt times"]) + 1)

    def _sequence(self, rows: Rows, begin: int) -> Step:
        kind = rows["ctrl_type"]
        if kind == "Loop":
            return Step(
                "loop", 127, 1e-4, (), loop_to=begin + int(rows["ctrl_seq"]), passes=int(rows["ctrl_repeat"]) + 1
            )
        duration, tests, leads = self._limits(rows)
        if kind == "Rest":
            step = Step("open", 127, 1e-4, (Level(0.0, duration),))
        elif kind in ("CC", "CV"):
            unit = "A" if kind == "CC" else "V"
            value = self._number(rows["ctrl1_val"]) * self._prefix(rows["ctrl1_val_unit"], unit)
            if kind == "CC" and abs(value) > self._range(rows["I Range"]) * 1.001:
                raise Declined(f"{value:g} A in the range {rows['I Range']}")
            against = rows["ctrl1_val_vs"] in ("Eoc", "Emeas", "Ectrl")
            level = Level(value, duration, against, tests, leads)
            step = Step("current" if kind == "CC" else "voltage", 127, 1e-4, (level,))
        else:
            raise Declined(f"a sequence of the kind '{kind}'")
        for index in range(1, int(rows["rec_nb"]) + 1):
            value, unit = self._number(rows[f"rec{index}_value"]), rows[f"rec{index}_value_unit"]
            what = rows[f"rec{index}_type"]
            if what == "Time":
                step.every = value * self._time(unit)
            elif what in ("Ewe", "<Ewe>"):
                step.voltage_step = value * self._prefix(unit, "V")
            elif what in ("I", "<I>"):
                step.current_step = value * self._prefix(unit, "A")
            else:
                raise Declined(f"to record by '{what}'")
        return step

    def _limits(self, rows: Rows) -> tuple[float, tuple[Test, ...], int]:
        duration, tests, leads = _ENDLESS, [], NEXT_STEP
        for index in range(1, int(rows["lim_nb"]) + 1):
            what, above = rows[f"lim{index}_type"], rows[f"lim{index}_comp"] == ">"
            value, unit = self._number(rows[f"lim{index}_value"]), rows[f"lim{index}_value_unit"]
            action = rows[f"lim{index}_action"]
            if action not in ("Next sequence", "Stop"):
                raise Declined(f"'{action}' behind a limit")
            if what == "Time":
                duration = value * self._time(unit)
                continue
            leads = STOP if action == "Stop" else NEXT_STEP
            if what in ("Ewe", "Ecell"):
                tests.append(Test("voltage", above, value * self._prefix(unit, "V")))
            elif what == "|I|":
                tests.append(Test("magnitude", above, value * self._prefix(unit, "A")))
            else:
                raise Declined(f"a limit of '{what}'")
        return duration, tuple(tests), leads

    def _potentiostatic(self, rows: Rows, begins: list[int]) -> Step:
        level = Level(
            self._number(rows["E (V)"]), self._clock(rows["tE (h:m:s)"]), against_before=rows["vs."] in ("Eoc", "Emeas")
        )
        return self._spectrum("peis", 29, rows, level, self._number(rows["Va (mV)"]) * 1e-3)

    def _galvanostatic(self, rows: Rows, begins: list[int]) -> Step:
        level = Level(self._number(rows["Is"]) * self._prefix(rows["unit Is"], "A"), self._clock(rows["tIs (h:m:s)"]))
        amplitude = self._number(rows["Ia"]) * self._prefix(rows["unit  Ia"], "A")
        if amplitude > 0.5 * self._range(rows["I Range"]) * 1.001:
            raise Declined(f"an amplitude of {amplitude:g} A in the range {rows['I Range']}")
        return self._spectrum("geis", 30, rows, level, amplitude)

    def _spectrum(self, kind: str, code: int, rows: Rows, level: Level, amplitude: float) -> Step:
        first = self._number(rows["fi"]) * self._prefix(rows["unit fi"], "Hz")
        last = self._number(rows["ff"]) * self._prefix(rows["unit ff"], "Hz")
        if rows["Points"] != "per decade" or rows["spacing"] != "Logarithmic" or not 0 < last < first or amplitude <= 0:
            raise Declined("a sweep that is not known")
        points = math.ceil(math.log10(first / last) * int(rows["Nd"]) - 1e-9) + 1
        step = Step(kind, code, 1e-4, (level,))
        step.spectrum = Spectrum(
            first, last, points, False, amplitude, max(1, int(rows["Na"])), self._number(rows["pw"])
        )
        return step

    def _number(self, text: str) -> float:
        other = "," if self._mark == "." else "."
        if other in text:
            raise Declined(f"'{text}' is no number on this PC")
        try:
            return float(text.replace(self._mark, "."))
        except ValueError as error:
            raise Declined(f"'{text}' is no number") from error

    def _clock(self, text: str) -> float:
        hours, minutes, seconds = text.split(":")
        return 3600.0 * int(hours) + 60.0 * int(minutes) + self._number(seconds)

    def _prefix(self, unit: str, base: str) -> float:
        prefix = unit.removesuffix(base)
        if prefix == unit or prefix not in _PREFIXES:
            raise Declined(f"the unit '{unit}'")
        return _PREFIXES[prefix]

    def _time(self, unit: str) -> float:
        if unit not in _TIMES:
            raise Declined(f"the unit '{unit}'")
        return _TIMES[unit]

    def _range(self, text: str) -> float:
        if text == "Auto":
            return math.inf
        value, _, unit = text.partition(" ")
        return self._number(value) * self._prefix(unit, "A")


_READERS: Final[dict[str, Callable[[_Reader, Rows, list[int]], Step]]] = {
    "Open Circuit Voltage": _Reader._open,
    "Loop": _Reader._loop,
    "Potentio Electrochemical Impedance Spectroscopy": _Reader._potentiostatic,
    "Galvano Electrochemical Impedance Spectroscopy": _Reader._galvanostatic,
}
