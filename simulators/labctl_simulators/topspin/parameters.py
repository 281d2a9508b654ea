"""The parameters of a dataset: which there are, what they accept, and the files in which TopSpin keeps them.

Values are kept as TopSpin writes them: texts, numbers as text, arrays as lists. A value that does not fit is not taken,
without a word, as public scripts report it of TopSpin. Left out: most of the few hundred parameters that a real
``acqus`` has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Value = str | list[str]


@dataclass(frozen=True, slots=True)
class Program:
    """What a pulse program does: saturation during or before D1 (``none``, ``continuous``, ``comb``), a solid echo."""

    saturation: str = "none"
    echo: bool = False


VERSION: Final = "4.1.4"
#: Basic frequencies of nuclei as parts of the proton's: 77.77812 MHz for 7Li at 200.13 MHz.
FREQUENCY_RATIOS: Final[Mapping[str, float]] = {"1H": 1.0, "7Li": 0.38863797, "19F": 0.94093, "31P": 0.40483}
#: Pulse programs, by what comes before and after the exciting pulse.
PULSE_PROGRAMS: Final[Mapping[str, Program]] = {
    "zg": Program(),
    "zgpr": Program(saturation="continuous"),
    "zgcomb": Program(saturation="comb"),
    "solidecho": Program(echo=True),
}
#: Dead time between pulse and first point, microseconds.
DEAD_TIME_US: Final = 6.5
#: Highest receiver gain.
HIGHEST_GAIN: Final = 203.0


@dataclass(frozen=True, slots=True)
class Console:
    """What a console and its magnet write into every fresh dataset.

    Attributes
    ----------
    proton_MHz : float
        Of the magnet.
    group_delay : float
        Of the digital filter, in complex points; that of a Neo is unverified.
    numbers : str
        How it writes its numbers.
    """

    proton_MHz: float
    group_delay: float
    numbers: str

    @property
    def tesla(self) -> float:
        """Field of the magnet: 42.577 MHz for a proton in 1 T."""
        return self.proton_MHz / 42.577


#: The paper's two spectrometers: 4.7 T and 14.1 T.
CONSOLES: Final[Mapping[str, Console]] = {
    "avance-iii": Console(200.13, 67.98563, "int32"),
    "neo": Console(600.13, 76.0, "float64"),
}

#: Gains that the receiver has; any other becomes the nearest. A sixth of an octave apart from 16 on; unverified.
GAINS: Final = (
    0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 18.0, 20.2, 22.6, 25.4, 28.5, 32.0, 36.0, 40.3, 45.2, 50.8, 57.0, 64.0, 71.8,
    80.6, 90.5, 101.0, 114.0, 128.0, 144.0, 161.0, 181.0, HIGHEST_GAIN,
)  # fmt: skip

_ARRAYS: Final = {"D": 64, "P": 64, "PLW": 64, "CNST": 64, "L": 32}
#: What a fresh dataset's parameter set says of arrays: weak irradiation that leaves a tenth of the electrolyte's line.
_PRESET: Final = {"PLW 9": "1.6e-05", "L 20": "20", "D 20": "0.005", "D 6": "2e-05"}
_TEXTS: Final = {
    "AUNM": "au_zg", "INSTRUM": "virtual", "NUC1": "1H", "NUC2": "off", "PROBHD": "static 5 mm",
    "PULPROG": "zg", "SOLVENT": "none", "USERA1": "user",
}  # fmt: skip
_NUMBERS: Final = {
    "AQ_mod": "3", "BF1": "200.13", "BF2": "200.13", "BYTORDA": "0", "DATE": "0", "DATE_START": "0",
    "DE": f"{DEAD_TIME_US:g}", "DECIM": "1", "DIGMOD": "1", "DIGTYP": "13", "DS": "0", "DSPFIRM": "0", "DSPFVS": "20",
    "DTYPA": "0", "FnMODE": "0", "GRPDLY": "67.98563", "MASR": "0", "NBL": "1", "NC": "0", "NS": "8",
    "O1": "0", "O2": "0", "OVERFLW": "0", "PARMODE": "0", "RG": "101", "SFO1": "200.13", "SFO2": "200.13",
    "SW": "20", "SW_h": "4002.6", "TD": "16384", "TD0": "1", "TE": "293.15", "YMAX_a": "0", "YMIN_a": "0",
}  # fmt: skip
_WRITABLE_WHOLE: Final = {"NS": (1, 2**24), "DS": (0, 2**16), "TD": (4, 2**22), "TD0": (1, 2**16)}
_WRITABLE: Final = {"O1": (-1e7, 1e7), "SW_h": (100.0, 1e7), "RG": (0.25, HIGHEST_GAIN), "DE": (1.0, 1e4)}
_ENTRY: Final = re.compile(r"^##\$(\w+)= (.*?)(?=^##)", re.MULTILINE | re.DOTALL)


class Parameters:
    """The parameters of one dataset."""

    def __init__(self, values: Mapping[str, Value] | None = None, console: Console = CONSOLES["avance-iii"]) -> None:
        self._values: dict[str, Value] = {name: ["0"] * size for name, size in _ARRAYS.items()}
        self._values |= _TEXTS | _NUMBERS
        self._values |= dict.fromkeys(("BF1", "BF2", "SFO1", "SFO2"), f"{console.proton_MHz}")
        self._values["GRPDLY"] = f"{console.group_delay}"
        for name, preset in _PRESET.items():
            self.put(name, preset)
        for name, value in (values or {}).items():
            self._values[name] = list(value) if isinstance(value, list) else value

    def copy(self) -> Parameters:
        """Give parameters that can change on their own."""
        return Parameters(self._values)

    def get(self, name: str) -> str:
        """Give a value by its name, ``"P 1"`` for one of an array; empty where there is no such parameter."""
        base, index = _split(name)
        value = self._values.get(base)
        if isinstance(value, list):
            return value[index] if index < len(value) else ""
        return value if value is not None else ""

    def number(self, name: str) -> float:
        """Give a value as a number."""
        return float(self.get(name))

    def put(self, name: str, value: str | float) -> None:
        """Set a value, as the spectrometer itself does: unchecked."""
        base, index = _split(name)
        text = value if isinstance(value, str) else format(value, ".12g")
        entry = self._values.get(base)
        if isinstance(entry, list):
            entry[index] = text
        else:
            self._values[base] = text

    def offer(self, name: str, value: str) -> bool:
        """Set a value as a user does; False where it is not taken."""
        base, index = _split(name)
        if base == "NUC1" and value in FREQUENCY_RATIOS:
            self.put("NUC1", value)
            # The second channel is off and stays at the proton's frequency: it says which magnet this is.
            self.put("BF1", round(self.number("BF2") * FREQUENCY_RATIOS[value], 5))
        elif (base == "PULPROG" and value in PULSE_PROGRAMS) or base in ("SOLVENT", "USERA1"):
            self.put(base, value)
        elif base in _WRITABLE_WHOLE and value.isdigit():
            low, high = _WRITABLE_WHOLE[base]
            if not low <= int(value) <= high or (base == "TD" and int(value) % 2):
                return False
            self.put(base, value)
        elif base == "L" and not value.isdigit():
            return False
        elif base in _WRITABLE:
            return self._offer_number(base, value, _WRITABLE[base])
        elif base in _ARRAYS and index < _ARRAYS[base]:
            return self._offer_number(name, value, (-1e9 if base == "CNST" else 0.0, 1e9))
        else:
            return False
        self._follow()
        return True

    def _offer_number(self, name: str, value: str, limits: tuple[float, float]) -> bool:
        try:
            number = float(value)
        except ValueError:
            return False
        if not limits[0] <= number <= limits[1]:
            return False
        if name == "RG":
            number = min(GAINS, key=lambda gain: abs(math.log(gain / number)))
        self.put(name, number)
        self._follow()
        return True

    def _follow(self) -> None:
        """Bring the parameters that follow from others up to date."""
        frequency = self.number("BF1") + self.number("O1") * 1e-6
        self.put("SFO1", frequency)
        self.put("SW", self.number("SW_h") / frequency)

    def acquisition_file(self, written: str) -> str:
        """Give the text of ``acqu`` or ``acqus``; ``written`` is the date for the comment."""
        return jcamp(self._values, _TEXTS, written)

    def processing_file(self, written: str) -> str:
        """Give the text of ``procs``: unprocessed, referenced to the basic frequency."""
        basic, width = self.number("BF1"), self.number("SW_h")
        size = 1 << (int(self.number("TD")) - 1).bit_length()
        offset = (self.number("SFO1") - basic) / basic * 1e6 + width / basic / 2
        values: dict[str, Value] = {
            "ABSF1": "1000", "ABSF2": "-1000", "AXLEFT": "0", "AXNUC": self.get("NUC1"), "AXRIGHT": "0", "BC_mod": "1",
            "BYTORDP": "0", "DTYPP": "0", "FTSIZE": "0", "FT_mod": "0", "LB": "0", "ME_mod": "0", "NC_proc": "0",
            "NZP": "0", "OFFSET": format(offset, ".9g"), "PHC0": "0", "PHC1": "0", "PH_mod": "1", "PPARMOD": "0",
            "SF": self.get("BF1"), "SI": str(size), "STSI": "0", "STSR": "0", "SW_p": format(width, ".12g"),
            "TDeff": "0", "WDW": "0", "XDIM": "0",
        }  # fmt: skip
        return jcamp(values, {"AXNUC"}, written)


def jcamp(values: Mapping[str, Value], texts: Mapping[str, str] | set[str], written: str) -> str:
    """Write a parameter file."""
    lines = [
        f"##TITLE= Parameter file, TOPSPIN\t\tVersion {VERSION}",
        "##JCAMPDX= 5.0",
        "##DATATYPE= Parameter Values",
        "##NPOINTS= 1",
        "##ORIGIN= virtual laboratory",
        "##OWNER= labctl",
        f"$$ {written}",
    ]
    for name in sorted(values):
        value = values[name]
        if isinstance(value, list):
            lines.append(f"##${name}= (0..{len(value) - 1})")
            lines.extend(" ".join(value[start : start + 16]) for start in range(0, len(value), 16))
        else:
            lines.append(f"##${name}= <{value}>" if name in texts else f"##${name}= {value}")
    lines.append("##END=\n")
    return "\n".join(lines)


def read_parameters(text: str) -> Parameters:
    """Read back what :meth:`Parameters.acquisition_file` wrote."""
    values: dict[str, Value] = {}
    for name, value in _ENTRY.findall(text):
        head, _, rest = value.partition("\n")
        values[name] = rest.split() if head.startswith("(0..") else head.strip().strip("<>")
    return Parameters(values)


def _split(name: str) -> tuple[str, int]:
    base, _, index = name.partition(" ")
    return {"SWH": "SW_h"}.get(base, base), int(index) if index.isdigit() else 0
