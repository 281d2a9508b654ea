"""What a person must set, how close it must come, and why: the one table behind request sheets and checks.

The reasons are physics; the widths are ours, chosen so that what is allowed changes no result by more than its error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from labctl.units import show


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far what is found may lie from what was asked.

    Attributes
    ----------
    why : str
        In a lab person's words.
    relative : float
        As a fraction of what was asked.
    absolute : float
        SI (ppm for a chemical shift); the wider of the two counts.
    unit : str
        In which ``absolute`` is shown.
    """

    why: str
    relative: float = 0.0
    absolute: float = 0.0
    unit: str = ""

    def allows(self, asked: float, found: float) -> bool:
        """Whether ``found`` is as good as ``asked``."""
        return math.isfinite(found) and math.isclose(
            asked, found, rel_tol=self.relative, abs_tol=max(self.absolute, 1e-12 * abs(asked))
        )

    @property
    def text(self) -> str:
        """How close, for the sheet."""
        parts = []
        if self.relative:
            parts.append(f"±{100 * self.relative:g} %")
        if self.absolute:
            parts.append(f"±{show(self.absolute, self.unit)}")
        return " or ".join(parts) if parts else "exactly"


#: By Bruker name; ``O1P`` is the carrier in ppm.
NMR: Final[dict[str, Tolerance]] = {
    "PULPROG": Tolerance("another sequence excites and suppresses other signals"),
    "NUC1": Tolerance("another nucleus is another measurement"),
    "NS": Tolerance("noise and error budget belong to this number of scans"),
    "DS": Tolerance("dummy scans change the saturation of the first scans"),
    "TD": Tolerance("window and resolution of all spectra of a cell are compared"),
    "SWH": Tolerance("the digitizer rounds it; the value in the file is used", relative=1e-2),
    "O1P": Tolerance("the pulse must reach the metal and the ions alike", absolute=1.0, unit="ppm"),
    "D 1": Tolerance("saturation must be the same in charged, discharged and stripped state", relative=1e-2),
    "P 1": Tolerance("the signal follows the sine of the flip angle: 0.5 % at most", relative=5e-3),
    "PLW 1": Tolerance("the pulse was calibrated at this power", relative=5e-3),
    "PLW 9": Tolerance("the weak irradiation decides how much of its line is left", relative=5e-2),
    "CNST 20": Tolerance("another line would be irradiated", absolute=0.1, unit="ppm"),
    "L 20": Tolerance("too few pulses of the comb leave magnetisation"),
    "D 20": Tolerance("the comb's spacing decides what it leaves", relative=1e-2),
    "D 6": Tolerance("the echo's top is where the acquisition begins", relative=1e-2),
    "DE": Tolerance("the first point's time is the phase along the spectrum", relative=1e-2),
    "RG": Tolerance("integrals are compared at one receiver gain", relative=1e-3),
}

CURRENT: Final = Tolerance("the rate belongs to the experiment; the capacity is counted from the file", relative=1e-2)
END_CURRENT: Final = Tolerance("the step ends when the current has fallen so far", relative=5e-2)
CAPACITY: Final = Tolerance("as much charge as asked", relative=1e-2)
VOLTAGE: Final = Tolerance("a cut-off or held voltage decides how much lithium moves", absolute=5e-3, unit="mV")
TIME: Final = Tolerance("as long as asked", relative=1e-2, absolute=60.0, unit="s")
SAFETY: Final = Tolerance("the channel must protect the cell by itself, whatever becomes of any PC")
RECORDS: Final = Tolerance("rarer records miss the course; more are welcome", relative=1.0)

FREQUENCY: Final = Tolerance("the range that spectra are compared over", relative=1e-2)
AMPLITUDE: Final = Tolerance("must stay in the linear range of the cell", relative=1e-2)
DENSITY: Final = Tolerance("fewer points do not resolve the arcs; more are welcome")
#: DC current against the amplitude of a galvanostatic spectrum without bias.
BIAS: Final = Tolerance("a direct current charges the cell meanwhile", relative=1e-2)
EXACT: Final = Tolerance("as asked")
