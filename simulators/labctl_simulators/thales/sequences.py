"""Reads the text of a sequence, as far as it is known.

Of the language only a few words are known from public examples: the blocks ``start_variables`` … ``end_variables`` and
``start_cycle`` … ``end_cycle``, ``samples(n)``, ``ocp(TIM1)`` and ``hold_cur(CUR1,TIM1)``. That a variable is written
``NAME=number``, in s, A or V, that ``hold_pot`` exists, and that a cycle may carry a number of repetitions is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ASSIGNMENT: Final = re.compile(r"([A-Za-z]\w*)\s*=\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)")
_CALL: Final = re.compile(r"(\w+)\s*\(([^)]*)\)")
_MODES: Final = {"ocp": "open", "hold_cur": "current", "hold_pot": "potential"}


class Unreadable(ValueError):
    """A text that is no sequence."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a curve.

    Attributes
    ----------
    mode : str
        ``potential``, ``current`` or ``open``.
    value : float
        V or A.
    seconds : float
        How long.
    sample : bool
        Whether a sample is taken at its end.
    """

    mode: str
    value: float
    seconds: float
    sample: bool


def read_sequence(text: str) -> list[Step]:
    """Give the steps of a sequence. Raises ``Unreadable``."""
    variables: dict[str, float] = {}
    block, samples = "", 1
    steps: list[Step] = []
    for line in (part.strip() for part in text.splitlines()):
        word = line.partition("(")[0].strip().lower()
        if word.startswith("start_"):
            block = word.removeprefix("start_")
        elif word.startswith("end_"):
            block = ""
        elif block == "variables":
            variables |= {name.upper(): float(value) for name, value in _ASSIGNMENT.findall(line)}
        elif block == "cycle" and line:
            call = _CALL.fullmatch(line.rstrip(";"))
            if call is None:
                raise Unreadable(f"'{line}' is no step")
            values = [_value(part.strip(), variables) for part in call[2].split(",") if part.strip()]
            if word == "samples" and values:
                samples = max(1, round(values[0]))
            elif word in _MODES and len(values) == (1 if word == "ocp" else 2):
                *value, seconds = values
                step = Step(_MODES[word], value[0] if value else 0.0, seconds / samples, sample=True)
                steps += [step] * samples
            else:
                raise Unreadable(f"'{line}' is unknown")
    if not steps:
        raise Unreadable("no step")
    return steps


def _value(text: str, variables: dict[str, float]) -> float:
    if text.upper() in variables:
        return variables[text.upper()]
    try:
        return float(text)
    except ValueError as error:
        raise Unreadable(f"'{text}' is no number and no variable") from error
