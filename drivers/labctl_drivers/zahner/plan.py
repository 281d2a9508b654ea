"""From a request to Thales' settings, and what the instrument must then show and measure. Pure.

Source of the settings and their units: the vendor's client. Points per decade and periods are set alike above and
below 66 Hz, where Thales would allow a change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.instruments import ImpedanceRequest, OutOfRange, Refused
from labctl_drivers.zahner.replies import Setup

#: No point takes less than this many seconds, whatever its frequency (seen; the vendor gives no number).
SHORTEST: Final = 0.3
_PATH: Final = re.compile(r"[a-k]:[/\\0-9a-z_+-]+")
_ROOT: Final = re.compile(r"[0-9a-zA-Z_+-]+")
# SENDSETUP shows five digits.
_TOLERANCE: Final = 2e-4


def output_path(text: str) -> str:
    """Folder on the Term PC as Thales wants it: lower case, local drive, neither dots nor blanks.

    Raises
    ------
    ValueError
        For a path that Thales cannot use.
    """
    path = text.lower().rstrip("\\/")
    if not _PATH.fullmatch(path):
        raise ValueError(f"'{text}' is no path that Thales can use, such as c:\\thales\\labctl")
    return path


def file_of(folder: str, token: str) -> str:
    """Path of the file that carries ``token``. Raises ``ValueError`` for a token that Thales cannot store."""
    if not _ROOT.fullmatch(token):
        raise ValueError(f"'{token}' cannot be a file name in Thales")
    return f"{folder}\\{token}.ism"


def grid(high: float, low: float, per_decade: float) -> list[float]:
    """Expected frequencies in Hz, falling, both ends included."""
    count = max(1, math.ceil(math.log10(high / low) * per_decade - 1e-9))
    return [high * (low / high) ** (n / count) for n in range(count + 1)]


def duration(frequencies: Sequence[float], periods: float) -> float:
    """Expected seconds of a sweep."""
    return sum(max(SHORTEST, periods / frequency) for frequency in frequencies)


@dataclass(frozen=True, slots=True)
class Plan:
    """One spectrum as it is asked of Thales.

    Attributes
    ----------
    request : ImpedanceRequest
        What is wanted.
    token : str
        Name of the file, without its ending.
    folder : str
        On the Term PC.
    """

    request: ImpedanceRequest
    token: str
    folder: str

    @property
    def file(self) -> str:
        """Path of the result on the Term PC."""
        return file_of(self.folder, self.token)

    @property
    def galvanostatic(self) -> bool:
        """Whether amplitude and bias are currents."""
        return self.request.control == "galvanostatic"

    @property
    def limits(self) -> tuple[float, float]:
        """Highest and lowest frequency, Hz."""
        ends = (self.request.frequency_start, self.request.frequency_end)
        return max(ends), min(ends)

    def settings(self, open_circuit: float) -> dict[str, str]:
        """Assignments in the order in which they are sent; ``open_circuit`` in V is where a potential bias starts."""
        asked, (high, low) = self.request, self.limits
        return {
            "EIS_MOD": "2",
            "EIS_PATH": self.folder,
            "EIS_ROOT": self.token,
            "Gal": "-1:GAL=1" if self.galvanostatic else "0:GAL=0",
            "Ampl": _number(asked.amplitude * 1000),
            **(
                {"Cset": _number(asked.bias)}
                if self.galvanostatic
                else {"Pset": _number(round(open_circuit + asked.bias, 6))}
            ),
            "Fstart": _number(high),
            "Fmax": _number(high),
            "Fmin": _number(low),
            "dfm": str(asked.points_per_decade),
            "dfl": str(asked.points_per_decade),
            "Nws": str(asked.periods),
            "Nwl": str(asked.periods),
            "ScanStrategy": "0",
            "ScanDirection": "0",
        }

    def check(self, shown: Setup, open_circuit: float) -> None:
        """Compare with what the instrument can do. Raises ``OutOfRange``."""
        asked = self.request
        if not asked.amplitude > 0 or self.limits[1] <= 0:
            raise OutOfRange(f"amplitude {asked.amplitude:g} and lowest frequency {self.limits[1]:g} Hz must exceed 0")
        if not 1 <= asked.periods <= 100:
            raise OutOfRange(f"{asked.periods} periods per point; Thales takes 1 to 100")
        centre, low, high, unit = (
            (asked.bias, shown["Cmin"], shown["Cmax"], "A")
            if self.galvanostatic
            else (open_circuit + asked.bias, shown["Pmin"], shown["Pmax"], "V")
        )
        if centre - asked.amplitude < low or centre + asked.amplitude > high:
            raise OutOfRange(
                f"{centre:g} {unit} with an amplitude of {asked.amplitude:g} {unit} lies outside "
                f"the instrument's {low:g} to {high:g} {unit}"
            )

    def compare(self, shown: Setup, settings: Mapping[str, str]) -> None:
        """Compare set values with those read back. Raises ``Refused`` with both."""
        wanted = {name: float(settings[name]) for name in ("Ampl", "Cset", "Pset") if name in settings}
        wanted |= {"Gal": -1.0, "GAL": 1.0} if self.galvanostatic else {"Gal": 0.0, "GAL": 0.0}
        for name, value in wanted.items():
            if not math.isclose(shown[name], value, rel_tol=_TOLERANCE, abs_tol=1e-12):
                raise Refused(f"{name} was set to {value:g}, but the instrument shows {shown[name]:g}")

    def inside(self, voltage: float, when: str) -> None:
        """Compare a voltage (V) at the leads with the cell's limits. Raises ``Refused``."""
        asked = self.request
        if not asked.voltage_min <= voltage <= asked.voltage_max:
            raise Refused(
                f"{voltage:.4f} V at the leads {when}, outside the cell's limits "
                f"{asked.voltage_min:g} V to {asked.voltage_max:g} V"
            )

    def data(self, voltage_before: float, settings: Mapping[str, str], shown: Setup) -> dict[str, Any]:
        """What a handle keeps, JSON values only."""
        asked, (high, low) = self.request, self.limits
        return {
            "frequency_Hz": [high, low],
            "points_per_decade": asked.points_per_decade,
            "expected_s": duration(grid(high, low, asked.points_per_decade), asked.periods),
            "voltage_before_V": voltage_before,
            "voltage_limits_V": [asked.voltage_min, asked.voltage_max],
            "sent": dict(settings),
            "read_back": dict(shown.values),
        }


def _number(value: float) -> str:
    return f"{value:.14e}"
