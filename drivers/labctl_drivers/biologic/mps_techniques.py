"""From techniques to the rows of EC-Lab's settings file. Pure.

One linked technique stands for each of ours, in order, so that EC-Lab writes a data file for each. A driven step is a
``Modulo Bat`` of one sequence, the only technique of EC-Lab that watches two voltages and a time. It compares currents
by their magnitude: limits of either sign become one, the tighter. Amplitudes are peak values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

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
)
from labctl_drivers.biologic.mps import Block, Safety, Template, clock_text, fitted, number

#: EC-Lab's status has room for so many.
MOST_TECHNIQUES: Final = 20
#: A, and what EC-Lab calls the range; boards of the VMP3 family without low current option.
RANGES: Final = ((1e-5, "10 µA"), (1e-4, "100 µA"), (1e-3, "1 mA"), (1e-2, "10 mA"), (1e-1, "100 mA"), (1.0, "1 A"))
_LIMITS: Final = 3
_SCALES: Final = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_FREQUENCIES: Final = ((1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz"), (1e-3, "mHz"), (1e-6, "µHz"))
_EIS_SHARE: Final = 0.5

_LIMIT_ROWS: Final = ("type", "comp", "Q", "value", "value_unit", "action", "seq")
_MODULO_BAT: Final = (
    *(("ctrl_type", ""), ("Apply I/C", "I"), ("current/potential", "current")),
    *((f"ctrl{k}_val{end}", "") for k in (1, 2, 3) for end in ("", "_unit", "_vs")),
    *(("N", ""), ("charge/discharge", "Charge"), ("charge/discharge_1", "Charge"), ("Apply I/C_1", "I"), ("N1", "")),
    *((f"ctrl{k}_val{end}", "") for k in (4, 5) for end in ("", "_unit")),
    *(("ctrl_tM", "0"), ("ctrl_seq", "0"), ("ctrl_repeat", "0"), ("ctrl_trigger", "Falling Edge")),
    *(("ctrl_TO_t", "0.000"), ("ctrl_TO_t_unit", "d"), ("ctrl_Nd", "6"), ("ctrl_Na", "2"), ("ctrl_corr", "0")),
    ("lim_nb", "0"),
    *(
        (f"lim{k}_{end}", "")
        for k in (1, 2, 3)
        for end in ("type", "comp", "Q", "value", "value_unit", "action", "seq")
    ),
    ("rec_nb", "0"),
    *((f"rec{k}_{end}", "") for k in (1, 2) for end in ("type", "value", "value_unit")),
    *(("E range min (V)", ""), ("E range max (V)", ""), ("I Range", "Auto"), ("I Range min", "Unset")),
    *(("I Range max", "Unset"), ("I Range init", "Unset"), ("auto rest", "1"), ("Bandwidth", "5")),
)
_SWEEP: Final = (
    *(("fi", ""), ("unit fi", ""), ("ff", ""), ("unit ff", ""), ("Nd", ""), ("Points", "per decade")),
    ("spacing", "Logarithmic"),
)
_SWEEP_END: Final = (
    *(("pw", ""), ("Na", ""), ("corr", "0"), ("E range min (V)", ""), ("E range max (V)", ""), ("I Range", "Auto")),
    *(("Bandwidth", "5"), ("nc cycles", "0"), ("goto Ns'", "0"), ("nr cycles", "0"), ("inc. cycle", "0")),
)
_FORMS: Final = {
    "Open Circuit Voltage": (
        *(("tR (h:m:s)", ""), ("dER/dt (mV/h)", "0.000")),
        *(("record", "Ewe"), ("dER (mV)", ""), ("dtR (s)", ""), ("E range min (V)", ""), ("E range max (V)", "")),
    ),
    "Modulo Bat": _MODULO_BAT,
    "Potentio Electrochemical Impedance Spectroscopy": (
        *(("Mode", "Single sine"), ("E (V)", ""), ("vs.", ""), ("tE (h:m:s)", ""), ("record", "0"), ("dI", "0.000")),
        *(("unit dI", "mA"), ("dt (s)", "0.000")),
        *_SWEEP,
        ("Va (mV)", ""),
        *_SWEEP_END,
    ),
    "Galvano Electrochemical Impedance Spectroscopy": (
        *(("Mode", "Single sine"), ("Is", ""), ("unit Is", ""), ("vs.", "<None>"), ("tIs (h:m:s)", "")),
        *(("record", "0"), ("dE (mV)", "0.000"), ("dt (s)", "0.000")),
        *_SWEEP,
        *(("Ia/Va", "Ia"), ("Ia", ""), ("unit  Ia", ""), ("va pourcent", "0.000")),
        *_SWEEP_END,
    ),
    "Loop": (("goto Ne", ""), ("nt times", "")),
}


class Writer:
    """Makes blocks with one decimal mark, voltage range and bandwidth."""

    def __init__(
        self, mark: str, voltage_range: tuple[float, float], bandwidth: int, template: Template | None = None
    ) -> None:
        self._mark = mark
        self._template = template
        low, high = voltage_range
        self._driven = {
            "E range min (V)": self._number(low),
            "E range max (V)": self._number(high),
            "Bandwidth": str(bandwidth),
        }

    def blocks(self, techniques: Sequence[Technique]) -> list[Block]:
        """Give the blocks of linked techniques.

        Raises
        ------
        OutOfRange
            Told with the technique's number: what EC-Lab or the channel can't do.
        DataError
            A template has no place for a value.
        """
        if len(techniques) > MOST_TECHNIQUES:
            raise OutOfRange(f"{len(techniques)} techniques, where EC-Lab tells of {MOST_TECHNIQUES} at most")
        made = []
        for index, technique in enumerate(techniques):
            try:
                name, rows = self._rows(index, technique)
            except OutOfRange as fault:
                raise OutOfRange(f"technique {index + 1}: {fault.message}") from fault
            form = tuple((label, self._filled(value)) for label, value in _FORMS[name])
            made.append(fitted(Block(name, form), self._template, rows))
        return made

    def _rows(self, index: int, technique: Technique) -> tuple[str, dict[str, str]]:
        if isinstance(technique, OpenCircuit):
            ranges = {label: value for label, value in self._driven.items() if label != "Bandwidth"}
            return "Open Circuit Voltage", ranges | {
                "tR (h:m:s)": clock_text(technique.duration, self._mark),
                "dER (mV)": self._number(technique.record_voltage_step * 1e3),
                "dtR (s)": self._number(technique.record_every),
            }
        if isinstance(technique, ConstantCurrent):
            value, unit = self._scaled(technique.current, "A")
            largest = max(abs(technique.current), technique.current_max)
            return "Modulo Bat", self._modulo(technique, "CC", value, unit, "<None>", largest)
        if isinstance(technique, ConstantVoltage):
            value = self._number(technique.voltage)
            return "Modulo Bat", self._modulo(technique, "CV", value, "V", "Ref", technique.current_max)
        if isinstance(technique, PotentiostaticImpedance):
            return "Potentio Electrochemical Impedance Spectroscopy", self._sweep(technique) | {
                "E (V)": self._number(technique.bias),
                "vs.": "Eoc" if technique.against_open_circuit else "Ref",
                "tE (h:m:s)": clock_text(technique.settle, self._mark),
                "Va (mV)": self._number(technique.amplitude * 1e3),
                "I Range": range_of(technique.current_max) if technique.current_max else "Auto",
            }
        if isinstance(technique, GalvanostaticImpedance):
            value, unit = self._scaled(technique.bias, "A")
            peak, peak_unit = self._scaled(technique.amplitude, "A")
            largest = max(abs(technique.bias) + technique.amplitude, technique.amplitude / _EIS_SHARE)
            return "Galvano Electrochemical Impedance Spectroscopy", self._sweep(technique) | {
                "Is": value,
                "unit Is": unit,
                "Ia": peak,
                "unit  Ia": peak_unit,
                "tIs (h:m:s)": clock_text(technique.settle, self._mark),
                "I Range": range_of(largest),
            }
        if isinstance(technique, Loop):
            if not 0 <= technique.to < index or technique.passes < 1:
                raise OutOfRange(f"a loop to technique {technique.to + 1}, {technique.passes} times")
            return "Loop", {"goto Ne": str(technique.to + 1), "nt times": str(technique.passes - 1)}
        raise OutOfRange("how EC-Lab writes a trigger to its file is not known; use 'backend: eclib' for it")

    def _modulo(
        self,
        technique: ConstantCurrent | ConstantVoltage,
        kind: str,
        value: str,
        unit: str,
        against: str,
        largest: float,
    ) -> dict[str, str]:
        rows = {**self._driven, "ctrl_type": kind, "ctrl1_val": value, "ctrl1_val_unit": unit, "ctrl1_val_vs": against}
        limits = [*_merged(technique.limits), ("Time", True, technique.duration)]
        if len(limits) > _LIMITS:
            raise OutOfRange(f"{len(limits)} limits, its time included, where EC-Lab has {_LIMITS}")
        for number_, (what, above, size) in enumerate(limits, start=1):
            rows |= self._limit(f"lim{number_}", what, above, size)
        voltages = technique.record_voltage_step if isinstance(technique, ConstantCurrent) else 0.0
        currents = technique.record_current_step if isinstance(technique, ConstantVoltage) else 0.0
        records = [("Time", *self._time(technique.record_every))] if technique.record_every else []
        records += [("Ewe", self._number(voltages), "V")] if voltages else []
        records += [("I", *self._scaled(currents, "A"))] if currents else []
        for number_, (what, size_text, size_unit) in enumerate(records, start=1):
            rows |= {
                f"rec{number_}_type": what,
                f"rec{number_}_value": size_text,
                f"rec{number_}_value_unit": size_unit,
            }
        scale = range_of(largest) if largest else "Auto"
        return rows | {"lim_nb": str(len(limits)), "rec_nb": str(len(records)), "I Range": scale}

    def _limit(self, label: str, what: str, above: bool, size: float) -> dict[str, str]:
        value, unit = (
            self._time(size)
            if what == "Time"
            else self._scaled(size, "A")
            if what == "|I|"
            else (self._number(size), "V")
        )
        return {
            f"{label}_type": what,
            f"{label}_comp": ">" if above else "<",
            f"{label}_Q": "I limit" if what == "|I|" else "Q limit",
            f"{label}_value": value,
            f"{label}_value_unit": unit,
            f"{label}_action": "Next sequence",
            f"{label}_seq": "1",
        }

    def _sweep(self, technique: PotentiostaticImpedance | GalvanostaticImpedance) -> dict[str, str]:
        first, first_unit = self._frequency(technique.frequency_start)
        last, last_unit = self._frequency(technique.frequency_end)
        return {
            **self._driven,
            "fi": first,
            "unit fi": first_unit,
            "ff": last,
            "unit ff": last_unit,
            "Nd": str(points_per_decade(technique)),
            "pw": self._number(technique.wait_periods),
            "Na": str(technique.periods),
        }

    def _number(self, value: float) -> str:
        return number(value, self._mark)

    def _filled(self, value: str) -> str:
        return self._number(0.0) if value == "0.000" else value

    def _time(self, seconds: float) -> tuple[str, str]:
        return self._number(seconds), "s"

    def _scaled(self, value: float, unit: str) -> tuple[str, str]:
        for scale, prefix in _SCALES:
            if abs(value) >= scale * (1 - 1e-12):
                return self._number(value / scale), prefix + unit
        return self._number(0.0), "m" + unit

    def _frequency(self, value: float) -> tuple[str, str]:
        for scale, unit in _FREQUENCIES:
            if value >= scale * (1 - 1e-12):
                return self._number(value / scale), unit
        raise OutOfRange(f"a frequency of {value:g} Hz")


def _merged(limits: Sequence[Limit]) -> list[tuple[str, bool, float]]:
    """Limits as EC-Lab has them: currents by magnitude, each side once, the tighter."""
    found: dict[tuple[str, bool], float] = {}
    for limit in limits:
        if limit.what == "voltage":
            key, value = ("Ewe", limit.above), limit.value
        else:
            # A negative current that rises falls in size.
            key, value = ("|I|", limit.above == (limit.value > 0)), abs(limit.value)
        before = found.get(key)
        tighter = min if key[1] else max
        found[key] = value if before is None else tighter(before, value)
    return [(what, above, value) for (what, above), value in found.items()]


def range_of(current: float) -> str:
    """Name of the smallest range that holds a current in A. Raises ``OutOfRange``."""
    for size, name in RANGES:
        if abs(current) <= size * (1 + 1e-9):
            return name
    raise OutOfRange(f"{current:g} A is beyond the largest range of {RANGES[-1][0]:g} A")


def points_per_decade(technique: PotentiostaticImpedance | GalvanostaticImpedance) -> int:
    """Whole number of points per decade that gives the spectrum its points. Raises ``OutOfRange`` for none."""
    decades = math.log10(technique.frequency_start / technique.frequency_end)
    if decades <= 0:
        raise OutOfRange("EC-Lab measures from a higher to a lower frequency")
    near = round((technique.points - 1) / decades)
    for count in (near, near - 1, near + 1):
        if count >= 1 and math.ceil(decades * count - 1e-9) + 1 == technique.points:
            return count
    raise OutOfRange(f"{technique.points} points over {decades:.2f} decades are no whole number per decade")


def safety_of(techniques: Sequence[Technique], margin: float) -> Safety | None:
    """Widest limits of all that is driven, ``margin`` (V) and a fifth of the current beyond; None where nothing is."""
    driven = [one for one in techniques if isinstance(one, (ConstantCurrent, ConstantVoltage, GalvanostaticImpedance))]
    voltages = [limit.value for one in driven for limit in one.limits if limit.what == "voltage"]
    voltages += [one.voltage for one in driven if isinstance(one, ConstantVoltage)]
    currents = [abs(one.current) for one in driven if isinstance(one, ConstantCurrent)]
    currents += [one.current_max for one in driven if isinstance(one, ConstantVoltage)]
    currents += [abs(one.bias) + one.amplitude for one in driven if isinstance(one, GalvanostaticImpedance)]
    currents += [abs(limit.value) for one in driven for limit in one.limits if limit.what == "current"]
    if not voltages or not any(currents):
        return None
    return Safety(min(voltages) - margin, max(voltages) + margin, 1.2 * max(currents))
