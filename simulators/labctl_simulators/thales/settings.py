"""The instrument's settings: how they are assigned, read back, and how results are named by them.

The text of ``SENDSETUP`` and the beginnings of those of CV and IE are from vendor notebooks; the others are formed
alike. Of the error numbers only 100 (parameter out of range) is known; the others are this simulator's own choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labctl_simulators.thales.tables import (
    CHANNELS,
    CURRENT_LIMIT,
    NAMED,
    NUMBERS,
    PAD4_CARDS,
    READ_BACK,
    TEXTS,
    VOLTAGE_LIMIT,
)

OK: Final = "OK\r"
OUT_OF_RANGE: Final = "ERROR;100;1\r"
UNKNOWN: Final = "ERROR;101;1\r"
FILE_EXISTS: Final = "ERROR;102;1\r"
OVERLOAD: Final = "ERROR;103;1\r"
ABORTED: Final = "ERROR;104;1\r"
SOURCE_OFF: Final = "ERROR;105;1\r"
NOT_CHECKED: Final = "ERROR;106;1\r"
NO_SEQUENCE: Final = "ERROR;107;1\r"

_LAST_ACQ: Final = 32


class Settings:
    """All settings of the instrument."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {name: entry[2] for name, entry in NUMBERS.items()}
        self.texts: dict[str, str] = {name: entry[1] for name, entry in TEXTS.items()}
        # "PAD4=1;2": 1.0 and so on; what was never set stays at its value at power-on.
        self.channels: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"numbers": dict(self.numbers), "texts": dict(self.texts), "channels": dict(self.channels)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up :meth:`to_json`."""
        self.numbers.update(state["numbers"])
        self.texts.update(state["texts"])
        self.channels.update(state["channels"])

    @property
    def galvanostatic(self) -> bool:
        """Whether the current is regulated: both switches say so."""
        return self["Gal"] == -1 and self["GAL"] == 1

    def assign(self, text: str) -> str:
        """Take ``name=value`` and give the reply."""
        name, equals, value = text.partition("=")
        if not equals:
            return UNKNOWN
        if name in TEXTS:
            if not TEXTS[name][0].fullmatch(value):
                return OUT_OF_RANGE
            self.texts[name] = value.lower() if name.endswith("_PATH") else value
            return OK
        if name in CHANNELS or name == "SEQ_ACQ":
            return self._assign_channel(name, value)
        if name not in NUMBERS:
            return UNKNOWN
        number = _number(value)
        low, high, _ = NUMBERS[name]
        if number is None or not low <= number <= high:
            return OUT_OF_RANGE
        self.numbers[name] = number
        return OK

    def _assign_channel(self, name: str, value: str) -> str:
        numbers = [_number(part) for part in value.split(";")]
        if name == "SEQ_ACQ":
            places, low, high = [_LAST_ACQ], 0.0, 1.0
        else:
            places, (low, high, _) = [PAD4_CARDS, PAD4_CARDS], CHANNELS[name]
        if len(numbers) != len(places) + 1 or any(number is None for number in numbers):
            return OUT_OF_RANGE
        *indices, number = (float(number or 0.0) for number in numbers)
        if not all(index in range(1, most + 1) for index, most in zip(indices, places, strict=True)):
            return OUT_OF_RANGE
        if not low <= number <= high:
            return OUT_OF_RANGE
        self.channels[f"{name}={';'.join(f'{index:.0f}' for index in indices)}"] = number
        return OK

    def pad4_channels(self) -> tuple[bool, ...]:
        """For each channel of each card, whether it is measured too; none while PAD4 is off as a whole."""
        on = self["PAD4ENA"] == 1
        cards = range(1, PAD4_CARDS + 1)
        return tuple(on and self.channels.get(f"PAD4={card};{channel}") == 1 for card in cards for channel in cards)

    def setup(self) -> str:
        """Give the reply to ``SENDSETUP``."""
        shown = ";".join(f"{name}={self[name]:.4e}" for name in ("Pset", "Cset", "Frq", "Ampl"))
        switches = ";".join(f"{name}={self[name]:.0f}" for name in ("Nw", "Pot", "Gal", "GAL"))
        limits = (
            f"Cmin={-CURRENT_LIMIT:.4e};Cmax={CURRENT_LIMIT:.4e};Pmin={-VOLTAGE_LIMIT:.4e};Pmax={VOLTAGE_LIMIT:.4e}"
        )
        return f"OK;SETUP;{shown};{switches};{limits};DEV={self['DEV%']:.0f};EPC=0;MAXDEV=4;ENDSETUP\r"

    def read_back(self, command: str) -> str:
        """Give the reply to a command that reads a group of settings back."""
        if command == "SENDPAD4SETUP":
            word, shown = "PAD4SETUP", [f"PAD4MOD={self['PAD4MOD']:.0f}", f"PAD4ENA={self['PAD4ENA']:.0f}"]
        else:
            word, names = READ_BACK[command]
            shown = [f"{name}={_shown(self[name])}" for name in names]
        prefix = {"PAD4SETUP": "PAD4", "SEQACQSETUP": "SEQ_ACQ="}.get(word)
        if prefix is not None:
            shown += [f"{name}:{_shown(value)}" for name, value in self.channels.items() if name.startswith(prefix)]
        return f"OK;{word};{';'.join(shown)};ENDSETUP\r"

    def output_path(self, kind: str, day: str) -> str:
        """Path of the next result of a kind by the chosen naming, lower case; the date's form is unverified."""
        root = f"{self.texts[f'{kind}_PATH'].rstrip('/').rstrip(chr(92))}\\{self.texts[f'{kind}_ROOT']}"
        suffix = {2: "", 1: f"_{self[f'{kind}_NUM']:04.0f}"}.get(int(self[f"{kind}_MOD"]), f"_{day}")
        return f"{root}{suffix}.{NAMED[kind]}".lower().replace("/", "\\")

    def count_up(self, kind: str) -> None:
        """Go to the next number after a result that was named by the counter."""
        if self[f"{kind}_MOD"] == 1:
            self.numbers[f"{kind}_NUM"] += 1

    def sweep_error(self) -> str | None:
        """Reply that declines a spectrum with these settings, or None."""
        if self["Pot"] == 0:
            return SOURCE_OFF
        if not self["Fmin"] <= self["Fstart"] <= self["Fmax"] or self["Fmin"] >= self["Fmax"]:
            return OUT_OF_RANGE
        if self["Nws"] < self["Nwl"]:
            return OUT_OF_RANGE
        if self["Ampl"] <= 0 or (self["GAL"] == 0 and self["Ampl"] > 1000):
            return OUT_OF_RANGE
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e4 else f"{value:.4e}"
