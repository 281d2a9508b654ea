"""What the Remote script lets a client set: names, ranges, and the texts that read them back.

The names and the text of ``SENDSETUP`` are from the vendor's client and notebooks; the ranges of the voltage and the
current are those of the notebook's instrument, the other ranges are plausible for a Zennium Pro and unverified. Of
the error numbers only 100 (parameter out of range) is known; the others are this simulator's own choice.
"""

from __future__ import annotations

import re
from typing import Final

OK: Final = "OK\r"
OUT_OF_RANGE: Final = "ERROR;100;1\r"
UNKNOWN: Final = "ERROR;101;1\r"
FILE_EXISTS: Final = "ERROR;102;1\r"
OVERLOAD: Final = "ERROR;103;1\r"
ABORTED: Final = "ERROR;104;1\r"
SOURCE_OFF: Final = "ERROR;105;1\r"

CURRENT_LIMIT: Final = 3.0
VOLTAGE_LIMIT: Final = 5.2377

_FREQUENCY: Final = (1e-5, 8e6)
_COUNT: Final = (1.0, 100.0)

# name: (lowest, highest, at power-on)
NUMBERS: Final[dict[str, tuple[float, float, float]]] = {
    "Pset": (-VOLTAGE_LIMIT, VOLTAGE_LIMIT, 0.0),
    "Cset": (-CURRENT_LIMIT, CURRENT_LIMIT, 0.0),
    "Pot": (-1.0, 0.0, 0.0),
    "Gal": (-1.0, 0.0, 0.0),
    "GAL": (-1.0, 1.0, 0.0),
    "Frq": (*_FREQUENCY, 1e3),
    "Ampl": (0.0, 3000.0, 0.0),
    "Nw": (*_COUNT, 1.0),
    "Fmin": (*_FREQUENCY, 1.0),
    "Fmax": (*_FREQUENCY, 1e5),
    "Fstart": (*_FREQUENCY, 1e3),
    "dfm": (*_COUNT, 10.0),
    "dfl": (*_COUNT, 5.0),
    "Nws": (*_COUNT, 20.0),
    "Nwl": (*_COUNT, 4.0),
    "ScanStrategy": (0.0, 2.0, 0.0),
    "ScanDirection": (0.0, 1.0, 0.0),
    "EIS_MOD": (0.0, 2.0, 0.0),
    "EIS_NUM": (0.0, 9999.0, 1.0),
    "DEV%": (0.0, 4.0, 0.0),
    "DEVHOT%": (0.0, 4.0, 0.0),
    "Rmin": (0.0, 12.0, 0.0),
    "Rmax": (0.0, 12.0, 12.0),
    "Potrange": (0.0, 3.0, 0.0),
    "UseRuleFile": (0.0, 1.0, 0.0),
    "ACQENA": (0.0, 1.0, 0.0),
}
_TEXTS: Final = {
    "EIS_PATH": (re.compile(r"[a-k]:[/\\0-9a-zA-Z_+-]+"), "c:\\thales\\temp"),
    "EIS_ROOT": (re.compile(r"[0-9a-zA-Z_+-]+"), "spectra"),
}


class Settings:
    """All settings of the instrument."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {name: entry[2] for name, entry in NUMBERS.items()}
        self.texts: dict[str, str] = {name: entry[1] for name, entry in _TEXTS.items()}

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]

    @property
    def galvanostatic(self) -> bool:
        """Both switches say so."""
        return self["Gal"] == -1 and self["GAL"] == 1

    def assign(self, text: str) -> str:
        """Take ``name=value`` and give the reply."""
        name, equals, value = text.partition("=")
        if not equals:
            return UNKNOWN
        if name in _TEXTS:
            if not _TEXTS[name][0].fullmatch(value):
                return OUT_OF_RANGE
            self.texts[name] = value.lower() if name == "EIS_PATH" else value
            return OK
        if name not in NUMBERS:
            return UNKNOWN
        try:
            number = float(value)
        except ValueError:
            return OUT_OF_RANGE
        low, high, _ = NUMBERS[name]
        if not low <= number <= high:
            return OUT_OF_RANGE
        self.numbers[name] = number
        return OK

    def setup(self) -> str:
        """Give the reply to ``SENDSETUP``."""
        shown = ";".join(f"{name}={self[name]:.4e}" for name in ("Pset", "Cset", "Frq", "Ampl"))
        switches = ";".join(f"{name}={self[name]:.0f}" for name in ("Nw", "Pot", "Gal", "GAL"))
        limits = (
            f"Cmin={-CURRENT_LIMIT:.4e};Cmax={CURRENT_LIMIT:.4e};Pmin={-VOLTAGE_LIMIT:.4e};Pmax={VOLTAGE_LIMIT:.4e}"
        )
        return f"OK;SETUP;{shown};{switches};{limits};DEV={self['DEV%']:.0f};EPC=0;MAXDEV=4;ENDSETUP\r"

    def spectrum_path(self, day: str) -> str:
        """Path of the next spectrum by the chosen naming; the form of the date naming is unverified."""
        root = f"{self.texts['EIS_PATH'].rstrip('/').rstrip(chr(92))}\\{self.texts['EIS_ROOT']}"
        if self["EIS_MOD"] == 2:
            return f"{root}.ism"
        if self["EIS_MOD"] == 1:
            return f"{root}_{self['EIS_NUM']:04.0f}.ism"
        return f"{root}_{day}.ism"

    def sweep_error(self) -> str | None:
        """Reply that declines a spectrum with these settings, or None."""
        if self["Pot"] == 0:
            return SOURCE_OFF
        if not self["Fmin"] <= self["Fstart"] <= self["Fmax"] or self["Fmin"] >= self["Fmax"]:
            return OUT_OF_RANGE
        if self["Nws"] < self["Nwl"]:
            return OUT_OF_RANGE
        if self["Ampl"] <= 0 or (not self.galvanostatic and self["Ampl"] > 1000):
            return OUT_OF_RANGE
        return None
