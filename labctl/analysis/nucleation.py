"""The nucleation overvoltage of lithium's first deposition on a substrate: a sharp tip, then a flat plateau."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from labctl.analysis.arrays import Array, charge, fraction_window, noise, record
from labctl.errors import AnalysisError, DataError
from labctl.units import MAH

#: What the voltage of a deposition was measured of: which way its nucleation tip points, and what it is.
SIGNALS: Final[Mapping[str, tuple[int, str]]] = {
    "substrate potential": (-1, "potential of the substrate against the reference electrode"),
    "cell voltage": (1, "cell voltage: the positive electrode's overvoltage is in it"),
    "symmetric cell": (0, "voltage of a symmetric cell: both electrodes' overvoltages are in it"),
}

Signal = Literal["substrate potential", "cell voltage", "symmetric cell"]


@dataclass(frozen=True, slots=True)
class NucleationSettings:
    """Where tip and plateau of a first deposition are sought, in shares of the step's charge.

    Attributes
    ----------
    tip_within : float
        The tip is the extremum within this share.
    plateau : tuple of float
        The plateau is the median over this window.
    significance : float
        The tip must stand out on either side by so many standard deviations of the noise.
    """

    tip_within: float = 0.05
    plateau: tuple[float, float] = (0.20, 0.40)
    significance: float = 5.0


#: The proposal of the lab's method, as the paper gives no windows.
NUCLEATION: Final = NucleationSettings()


@dataclass(frozen=True, slots=True)
class Nucleation:
    """The nucleation overvoltage of a deposition.

    Attributes
    ----------
    overvoltage_V, overvoltage_sd_V : float or None
        ``abs(tip - plateau)``; None where there is no tip.
    tip_V, tip_at_mAh : float or None
        The extremum, and the charge at which it was.
    plateau_V : float
        Median over the plateau's window.
    noise_V : float
        Standard deviation of the samples' noise.
    signal : str
        What the voltage was measured of.
    reason : str
        Why there is no tip; empty where there is one.
    settings : NucleationSettings
        What was chosen.
    """

    overvoltage_V: float | None
    overvoltage_sd_V: float | None
    tip_V: float | None
    tip_at_mAh: float | None
    plateau_V: float
    noise_V: float
    signal: str
    reason: str
    settings: NucleationSettings


def nucleation_overvoltage(
    time_s: Any,
    voltage_V: Any,
    current_A: Any,
    *,
    signal: Signal,
    settings: NucleationSettings = NUCLEATION,
) -> Nucleation:
    """Evaluate the first deposition of lithium on a substrate at constant current.

    Parameters
    ----------
    time_s, voltage_V, current_A : array_like
        The samples of the step, from its start.
    signal : str
        A key of :data:`SIGNALS`. Only the substrate's own potential is free of the other electrode. Where copper is
        the counter electrode, as in the paper's T-cell, its potential is the one the instrument calls CE.
    settings : NucleationSettings
        The windows; the paper gives none.

    Raises
    ------
    DataError
        If the columns are not of one table, or hold fewer than 20 samples.
    AnalysisError
        If no charge passed, the signal is unknown, or it is the cell voltage of a discharge.

    Notes
    -----
    Bela et al., J. Mater. Chem. A 2025, 13, 7476: the difference between the sharp voltage tip and the flat voltage
    plateau. An alloying substrate has a shoulder and no tip: then there is no number, and the reason is said.
    """
    if signal not in SIGNALS:
        raise AnalysisError(f"the signal '{signal}' is unknown", hint=f"one of: {', '.join(SIGNALS)}")
    if not 0.0 < settings.tip_within <= 1.0:
        raise AnalysisError(f"the tip must be sought within a share of the step, found {settings.tip_within}")
    low, high = fraction_window("plateau's window", settings.plateau)
    time, voltage, current = record(time_s, voltage_V, current_A, at_least=20)
    signed = charge(time, current)
    passed_C = np.abs(signed)
    if passed_C[-1] <= 0.0:
        raise AnalysisError("no charge passed in this step: there is no deposition")
    if signal == "cell voltage" and signed[-1] < 0:
        raise AnalysisError("this step discharges the cell: nothing is deposited", hint="charging is positive")
    share = passed_C / passed_C[-1]
    flat = voltage[(share >= low) & (share <= high)]
    if len(flat) < 5:
        raise DataError(f"only {len(flat)} samples lie between {low:.0%} and {high:.0%} of the step: no plateau")
    plateau, deviation = float(np.median(flat)), noise(flat)
    direction = SIGNALS[signal][0] or (1 if plateau > 0 else -1)
    early = direction * voltage[share <= settings.tip_within]
    index, reason = _tip(early, settings.significance * deviation)
    what = SIGNALS[signal][1]
    if reason or direction * plateau >= early[index]:
        reason = reason or "the extremum does not reach beyond the plateau"
        return Nucleation(None, None, None, None, plateau, deviation, what, reason, settings)
    return Nucleation(
        overvoltage_V=abs(float(voltage[index]) - plateau),
        # The deviation of a median is sqrt(pi/2) times that of a mean.
        overvoltage_sd_V=deviation * math.sqrt(1.0 + 0.5 * math.pi / len(flat)),
        tip_V=float(voltage[index]),
        tip_at_mAh=float(passed_C[index]) / MAH,
        plateau_V=plateau,
        noise_V=deviation,
        signal=what,
        reason="",
        settings=settings,
    )


def _tip(early: Array, height: float) -> tuple[int, str]:
    """Find the highest sample; it must lie inside, and stand out on either side. Else say why there is none."""
    if len(early) < 5:
        return 0, f"only {len(early)} samples in the window of the tip: sampled too coarsely to see one"
    index = int(np.argmax(early))
    if index == 0:
        return index, "the extremum is the step's first sample: sampled too coarsely, or there is none"
    after = early[index + 1 :]
    tail = early[-max(3, len(early) // 10) :]
    if len(after) == 0 or early[index] - float(np.median(tail)) <= height:
        return index, "no extremum inside the window: the voltage goes on in one direction, as on an alloying substrate"
    if early[index] - float(early[0]) <= height:
        return index, "the extremum does not stand out of what was before it"
    return index, ""
