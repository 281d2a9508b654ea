"""What the quantities of an accepted protocol may be, written down by hand: nothing here asks the models.

Every value in the file must have a unit that its key can have, and every number of the model must lie in its range.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PREFIX = "[numuµμckMG]?"
_KIND = {
    "duration": rf"({_PREFIX}s|min|h|d)",
    "voltage": rf"{_PREFIX}V",
    "current": rf"{_PREFIX}A",
    "temperature": rf"(degC|°C|{_PREFIX}K)",
    "power": rf"{_PREFIX}W",
    "angle": "(deg|rad)",
    "shift": "ppm",
    "frequency": rf"{_PREFIX}Hz",
}
#: Key of the file: the kind of its quantity. Keys that mean different things in different places are not here.
_KEYS = {
    **dict.fromkeys(("soak", "rest_before", "recycle_delay", "dwell_time", "within", "spacing", "echo"), "duration"),
    **dict.fromkeys(("upper", "lower"), "voltage"),
    **dict.fromkeys(("carrier",), "shift"),
    "temperature": "temperature",
    "power": "power",
    "flip": "angle",
}
#: Name of a number in the model: lowest, highest, whether these two are allowed themselves.
_RANGES: dict[str, tuple[float, float, bool]] = {
    **dict.fromkeys(("duration", "within", "every", "look_every", "recycle_delay", "dwell_time"), (0, math.inf, False)),
    **dict.fromkeys(("spacing", "shortest", "longest", "nominal", "echo", "dead_time"), (0, math.inf, False)),
    **dict.fromkeys(("at_most", "power", "flip", "start_within"), (0, math.inf, False)),
    **dict.fromkeys(("soak", "rest_before", "for_"), (0, math.inf, True)),
    **dict.fromkeys(("count", "scans"), (1, 1_000_000, True)),
    **dict.fromkeys(("points_per_decade", "points_per_decade_low", "periods", "periods_low"), (1, 100, True)),
    "frequency": (1e-6, 1e9, True),
    "pulses": (1, 1000, True),
    "points": (1, 1_000_000, True),
    "Calibrate.points": (4, 64, True),
    "Recovery.points": (4, 32, True),
    "at_least": (0, 1, True),
    "linearity": (0, 1, False),
    "signal_to_noise": (0, 1e6, True),
    "temperature": (0, math.inf, True),
    "reference": (1, 1_000_000, True),
}
_TEXT = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*\Z")


def out_of_range(protocol: Any) -> str | None:
    """Say which quantity of an accepted protocol is none that it could have; None where all are in order."""
    lowest, highest = protocol.limits.voltage
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
        return f"limits of voltage {lowest} to {highest}"
    largest = protocol.limits.current
    if not (math.isfinite(largest) and largest > 0):
        return f"limit of current {largest}"
    wrong = _wrong_text(protocol.document.data)
    if wrong:
        return wrong
    for where, name, value in _numbers(protocol, type(protocol).__name__):
        if type(value).__name__ == "Amount":
            problem = _wrong_amount(name, value, largest)
        elif type(value).__name__ == "Level":
            volts = value.volts
            problem = None if volts is None or lowest <= volts <= highest else "outside of the limits"
        else:
            problem = _wrong_number(where, name, value)
        if problem:
            return f"{where}.{name} = {value!r}: {problem}"
    if protocol.limits.temperature is not None:
        coldest, hottest = protocol.limits.temperature
        for where, name, value in _numbers(protocol.steps, "steps"):
            if name == "temperature" and not coldest <= value <= hottest:
                return f"{where}.{name} = {value!r}: outside of the limits"
    for spectrum in protocol.spectra.values():
        if not 1e9 > spectrum.frequency[0] > spectrum.frequency[1] >= 1e-6:
            return f"band {spectrum.frequency}"
    return None


def _wrong_number(where: str, name: str, value: float) -> str | None:
    if not math.isfinite(value):
        return "not finite"
    low, high, included = _RANGES.get(
        f"{where.rpartition('.')[2]}.{name}", _RANGES.get(name, (-math.inf, math.inf, True))
    )
    inside = low <= value <= high if included else low < value < high
    return None if inside else f"not from {low} to {high}"


def _wrong_amount(name: str, value: Any, largest: float) -> str | None:
    if not (math.isfinite(value.value) and value.value > 0):
        return "no magnitude"
    if name == "current" and value.kind == "current" and value.value > largest * (1 + 1e-12):
        return "above the limit"
    said = _TEXT.match(value.written)
    if said and float(said[1]) <= 0:
        return "written as none"
    # 1 mA/cm2 is 10 A/m2, and so on: by hand.
    factor = {"mA/cm2": 10.0, "uA/cm2": 0.01, "mA": 1e-3, "uA": 1e-6, "mV": 1e-3, "V": 1.0, "A": 1.0}
    if said and said[2] in factor and not math.isclose(value.value, float(said[1]) * factor[said[2]], rel_tol=1e-9):
        return "not what is written"
    return None


def _numbers(node: Any, where: str, name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Give every number, amount and level of a model with the name of its field."""
    kind = type(node).__name__
    if isinstance(node, bool) or node is None or isinstance(node, str):
        return
    if isinstance(node, (int, float)) or kind in ("Amount", "Level"):
        yield where, name, node
    elif hasattr(type(node), "model_fields"):
        for field in type(node).model_fields:
            yield from _numbers(getattr(node, field), f"{where}.{kind}", field)
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _numbers(value, where, name)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _numbers(value, where, name)


def _wrong_text(node: Any, key: str = "") -> str | None:
    """Find a quantity in the file whose unit its key cannot have."""
    if isinstance(node, dict):
        found = (_wrong_text(value, name) for name, value in node.items() if name not in ("cites", "note", "ask"))
        return next((one for one in found if one), None)
    if isinstance(node, list):
        return next((one for one in (_wrong_text(value, key) for value in node) if one), None)
    kind = _KEYS.get(key)
    if kind is None or node is None:
        return None
    match = _TEXT.match(node) if isinstance(node, str) else None
    if match is None or not re.fullmatch(_KIND[kind], match[2]):
        return f"{key}: {node!r} is no {kind}"
    return None
