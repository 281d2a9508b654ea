"""From a request to Thales' settings, and what the instrument must then show and measure. Pure.

Source of the settings, their units, and of 66 Hz, where densities and periods change: the vendor's client. In
pseudo-galvanostatic control the amplitude is taken to be a current, as in the galvanostatic one, and the direct
set-point a voltage; that is unverified.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from labctl.instruments import DynamicRequest, ImpedanceRequest, OutOfRange, Refused
from labctl_drivers.zahner.replies import Setup

_MODES: Final = {
    "potentiostatic": {"Gal": "0:GAL=0"},
    "galvanostatic": {"Gal": "-1:GAL=1"},
    "pseudo-galvanostatic": {"Gal": "0:GAL=-1"},
}
_SWITCHES: Final = {
    "potentiostatic": (0.0, 0.0),
    "galvanostatic": (-1.0, 1.0),
    "pseudo-galvanostatic": (0.0, -1.0),
}
#: No point takes less than this many seconds, whatever its frequency (seen; the vendor gives no number).
SHORTEST: Final = 0.3
#: Hz at which densities and periods change.
KNEE: Final = 66.0
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


@dataclass(frozen=True, slots=True)
class Place:
    """What the station says of all sweeps: where results go on the Term PC, how they are named, how points are taken.

    Attributes
    ----------
    folder : str
        As :func:`output_path` gives it.
    counted : bool
        Whether Thales adds a number to each name, which is always 1 since each name is used once; otherwise files are
        named as they are told to be. Names by date are not used: such a file could not be found again.
    strategy : int
        Thales' number of how a sweep goes from point to point: 0 one frequency after the other, 1 several at once.
    """

    folder: str
    counted: bool = False
    strategy: int = 0

    def file(self, token: str) -> str:
        """Path of the file that carries ``token``. Raises ``ValueError`` for a token that Thales cannot store."""
        if not _ROOT.fullmatch(token):
            raise ValueError(f"'{token}' cannot be a file name in Thales")
        return f"{self.folder}\\{token}{'_0001' if self.counted else ''}.ism"

    def settings(self, token: str) -> dict[str, str]:
        """Assignments that name the next result."""
        naming = {"EIS_MOD": "1", "EIS_NUM": "1"} if self.counted else {"EIS_MOD": "2"}
        return {**naming, "EIS_PATH": self.folder, "EIS_ROOT": token}


@lru_cache(maxsize=64)
def grid(high: float, low: float, above: float, below: float) -> tuple[float, ...]:
    """Expected frequencies in Hz, falling, both ends included; densities in points per decade about 66 Hz."""

    def position(frequency: float) -> float:
        return math.log10(frequency / KNEE) * (above if frequency >= KNEE else below)

    first, last = position(high), position(low)
    count = max(1, math.ceil(first - last - 1e-9))
    inner = (first + (last - first) * n / count for n in range(1, count))
    return (high, *(KNEE * 10 ** (place / (above if place >= 0 else below)) for place in inner), low)


@lru_cache(maxsize=64)
def duration(frequencies: tuple[float, ...], above: float, below: float) -> float:
    """Expected seconds of a sweep that is given falling; periods above 66 Hz and at the lowest frequency."""
    low = frequencies[-1]
    total = 0.0
    for frequency in frequencies:
        share = math.log(KNEE / frequency) / math.log(KNEE / low) if frequency < KNEE else 0.0
        total += max(SHORTEST, round(above + (below - above) * share) / frequency)
    return total


@dataclass(frozen=True, slots=True)
class Plan:
    """One spectrum as it is asked of Thales.

    Attributes
    ----------
    request : ImpedanceRequest
        What is wanted; for one spectrum of a series its equivalent with the direct current as bias.
    token : str
        Name of the file, without its ending.
    place : Place
        Where the file goes.
    """

    request: ImpedanceRequest
    token: str
    place: Place

    @property
    def file(self) -> str:
        """Path of the result on the Term PC."""
        return self.place.file(self.token)

    @property
    def galvanostatic(self) -> bool:
        """Whether the bias is a current."""
        return self.request.control == "galvanostatic"

    @property
    def limits(self) -> tuple[float, float]:
        """Highest and lowest frequency, Hz."""
        ends = (self.request.frequency_start, self.request.frequency_end)
        return max(ends), min(ends)

    @property
    def densities(self) -> tuple[int, int]:
        """Points per decade above and below 66 Hz."""
        asked = self.request
        low = asked.points_per_decade_low
        return asked.points_per_decade, asked.points_per_decade if low is None else low

    @property
    def periods(self) -> tuple[int, int]:
        """Periods above 66 Hz and at the lowest frequency."""
        asked = self.request
        return asked.periods, asked.periods if asked.periods_low is None else asked.periods_low

    @property
    def expected(self) -> float:
        """Seconds that the sweep should take."""
        return duration(grid(*self.limits, *self.densities), *self.periods)

    def settings(self, open_circuit: float) -> dict[str, str]:
        """Assignments in the order in which they are sent; ``open_circuit`` in V is where a potential bias starts."""
        asked, (high, low) = self.request, self.limits
        rising = asked.frequency_start < asked.frequency_end
        (above, below), (most, least) = self.densities, self.periods
        return {
            **self.place.settings(self.token),
            **_MODES[asked.control],
            "Ampl": _number(asked.amplitude * 1000),
            **(
                {"Cset": _number(asked.bias)}
                if self.galvanostatic
                else {"Pset": _number(round(open_circuit + asked.bias, 6))}
            ),
            "Fstart": _number(low if rising else high),
            "Fmax": _number(high),
            "Fmin": _number(low),
            "dfm": str(above),
            "dfl": str(below),
            "Nws": str(most),
            "Nwl": str(least),
            "ScanStrategy": str(self.place.strategy),
            "ScanDirection": "1" if rising else "0",
        }

    def check(self, shown: Setup, open_circuit: float) -> None:
        """Compare with what the instrument can do. Raises ``OutOfRange``."""
        asked = self.request
        if not asked.amplitude > 0 or self.limits[1] <= 0:
            raise OutOfRange(f"amplitude {asked.amplitude:g} and lowest frequency {self.limits[1]:g} Hz must exceed 0")
        most, least = self.periods
        if not 1 <= least <= most <= 100:
            raise OutOfRange(
                f"{most} periods per point and {least} at the lowest frequency; Thales takes 1 to 100, and at low "
                "frequencies not more than at high ones"
            )
        compliance = f"the instrument's {shown['Pmin']:g} to {shown['Pmax']:g} V"
        if asked.voltage_min < shown["Pmin"] or asked.voltage_max > shown["Pmax"]:
            limits = f"{asked.voltage_min:g} to {asked.voltage_max:g} V"
            raise OutOfRange(f"the cell's limits {limits} lie outside {compliance}")
        ampere, volt = (shown["Cmin"], shown["Cmax"], "A"), (shown["Pmin"], shown["Pmax"], "V")
        if self.galvanostatic:
            _within(asked.bias, asked.amplitude, *ampere)
        elif asked.control == "potentiostatic":
            _within(open_circuit + asked.bias, asked.amplitude, *volt)
        else:
            _within(open_circuit + asked.bias, 0.0, *volt)
            _within(0.0, asked.amplitude, *ampere)

    def compare(self, shown: Setup, settings: Mapping[str, str], *, on: bool = False) -> None:
        """Compare set values with those read back. Raises ``Refused`` with both."""
        wanted = {name: float(settings[name]) for name in ("Ampl", "Cset", "Pset") if name in settings}
        wanted["Gal"], wanted["GAL"] = _SWITCHES[self.request.control]
        wanted["Pot"] = -1.0 if on else 0.0
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
        """What a handle keeps of it, JSON values only."""
        asked, (high, low), (above, below) = self.request, self.limits, self.densities
        return {
            "frequency_Hz": [high, low],
            "rising": asked.frequency_start < asked.frequency_end,
            "points_per_decade": above,
            "points_per_decade_low": below,
            "expected_s": self.expected,
            "voltage_limits_V": [asked.voltage_min, asked.voltage_max],
            "voltage_before_V": voltage_before,
            "sent": dict(settings),
            "read_back": dict(shown.values),
        }


def sweeps_of(request: ImpedanceRequest, token: str, place: Place) -> tuple[Plan, ...]:
    """The spectrum itself, and those that show whether it can be trusted."""
    plain = replace(request, rest_before=0.0, linearity=None, repeat=False)
    plans = [Plan(plain, token, place)]
    if request.linearity is not None:
        louder = replace(plain, amplitude=plain.amplitude * request.linearity)
        plans.append(Plan(louder, f"{token}-linearity", place))
    if request.repeat:
        plans.append(Plan(plain, f"{token}-repeat", place))
    return tuple(plans)


def series_of(request: DynamicRequest, token: str, place: Place) -> tuple[Plan, ...]:
    """All spectra of a series, numbered from 1."""
    single = request.spectrum()
    return tuple(Plan(single, f"{token}-{number:03d}", place) for number in range(1, request.spectra + 1))


def _within(centre: float, amplitude: float, low: float, high: float, unit: str) -> None:
    if centre - amplitude < low or centre + amplitude > high:
        raise OutOfRange(
            f"{centre:g} {unit} with an amplitude of {amplitude:g} {unit} lies outside "
            f"the instrument's {low:g} to {high:g} {unit}"
        )


def _number(value: float) -> str:
    return f"{value:.14e}"
