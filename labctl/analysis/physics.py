"""Physics behind a 7Li spectrum of lithium metal: fields, saturation, temperature, noise and the time they cost.

Plain functions of SI floats. Constants are CODATA's, from ``scipy.constants``; other numbers name their source. What
the radio field does within a metal film is in ``skin``, amounts of lithium in ``amounts``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from labctl.analysis.arrays import positive
from labctl.errors import AnalysisError

#: Frequency of 7Li over that of 1H in TMS; Harris et al., Pure Appl. Chem. 2001, 73, 1795, Table 1.
FREQUENCY_RATIO_7LI: Final = 0.38863797
#: Gyromagnetic ratio of 7Li in rad/(s T); the same table.
GYROMAGNETIC_7LI: Final = 10.3977013e7
#: 0 degC in K.
_ICE: Final = 273.15

Saturation = Literal["steady state", "comb"]


def lithium_frequency(proton_Hz: float) -> float:
    """Give the frequency of 7Li in Hz in a magnet in which protons have ``proton_Hz``."""
    positive(proton_frequency=proton_Hz)
    return FREQUENCY_RATIO_7LI * proton_Hz


def lithium_frequency_at(field_T: float) -> float:
    """Give the frequency of 7Li in Hz at a field in T: gamma B / 2 pi."""
    positive(field=field_T)
    return GYROMAGNETIC_7LI * field_T / (2.0 * math.pi)


def b1_strength(t90_s: float) -> float:
    """Give the strength of the radio field as a nutation frequency in Hz, from the π/2 pulse: 1/(4 t90)."""
    positive(pulse=t90_s)
    return 0.25 / t90_s


def quarter_turn(b1_Hz: float) -> float:
    """Give the length of the π/2 pulse in s, from the strength of the radio field in Hz."""
    positive(radio_field=b1_Hz)
    return 0.25 / b1_Hz


def flip_angle(pulse_s: float, t90_s: float) -> float:
    """Give the flip angle in rad of a pulse on resonance."""
    positive(pulse=pulse_s, quarter_turn=t90_s)
    return 0.5 * math.pi * pulse_s / t90_s


def spectrum_reference(sf_Hz: float, bf1_Hz: float) -> float:
    """Give Bruker's SR in Hz: SF less BF1, both in Hz (TopSpin keeps them in MHz)."""
    positive(SF=sf_Hz, BF1=bf1_Hz)
    return sf_Hz - bf1_Hz


def shift_ppm(frequency_Hz: float, sf_Hz: float) -> float:
    """Give the chemical shift in ppm of a line at an absolute frequency; ``sf_Hz`` is that of 0 ppm."""
    positive(SF=sf_Hz)
    return (frequency_Hz - sf_Hz) / sf_Hz * 1e6


def curie_factor(temperature_K: float, reference_K: float = _ICE + 20.0) -> float:
    """Give the signal at a temperature over that at the reference: Curie's law, T_ref/T.

    The nuclear polarisation is meant, linear in 1/T while h nu << k T; probe and receiver have errors of their own.
    """
    positive(temperature=temperature_K, reference_temperature=reference_K)
    return reference_K / temperature_K


def saturation_factor(
    period_s: float, t1_s: float, flip_rad: float = 0.5 * math.pi, *, scheme: Saturation = "steady state"
) -> float:
    """Give the share of the fully recovered signal of a π/2 pulse that one scan gives.

    Parameters
    ----------
    period_s : float
        From pulse to pulse (recycle delay plus acquisition), or from a saturation comb to the pulse.
    t1_s : float
        Longitudinal relaxation time.
    flip_rad : float
        Flip angle.
    scheme : str
        ``steady state``: pulses that follow each other, no transverse magnetisation left; ``comb``: saturated
        before each recovery. "Pre-saturation" in the paper may mean either.

    Notes
    -----
    With E = exp(-t/T1): sin(θ) (1 - E)/(1 - E cos θ) in the steady state (Ernst and Anderson, Rev. Sci. Instrum.
    1966, 37, 93); sin(θ) (1 - E) after a comb. At π/2 they agree.
    """
    positive(period=period_s, T1=t1_s)
    if scheme not in ("steady state", "comb"):
        raise AnalysisError(f"the scheme '{scheme}' is unknown", hint="one of: steady state, comb")
    left = math.exp(-period_s / t1_s)
    recovered = 1.0 - left
    if scheme == "comb":
        return math.sin(flip_rad) * recovered
    return math.sin(flip_rad) * recovered / (1.0 - left * math.cos(flip_rad))


def ernst_angle(period_s: float, t1_s: float) -> float:
    """Give the flip angle in rad with the most signal per scan in the steady state: acos(exp(-t/T1))."""
    positive(period=period_s, T1=t1_s)
    return math.acos(math.exp(-period_s / t1_s))


def measurement_time(scans: int, recycle_delay_s: float, acquisition_s: float, *, dummy_scans: int = 0) -> float:
    """Give the time in s that a spectrum takes: each scan costs its recycle delay and its acquisition (and overhead).

    Raises
    ------
    AnalysisError
        If there is no scan, or a time is negative.
    """
    if scans < 1 or dummy_scans < 0 or recycle_delay_s < 0 or acquisition_s < 0:
        raise AnalysisError(
            f"a spectrum has at least one scan and no negative times, found {scans} scans (and {dummy_scans} dummy "
            f"scans), {recycle_delay_s} s and {acquisition_s} s"
        )
    return (scans + dummy_scans) * (recycle_delay_s + acquisition_s)


def acquisition_time(points: int, dwell_s: float) -> float:
    """Give the time in s of a record: TD times DW, real and imaginary values counted apart as TopSpin does."""
    positive(number_of_points=points, dwell_time=dwell_s)
    return points * dwell_s


def sweep_width(dwell_s: float) -> float:
    """Give the spectral width in Hz that a dwell time spans: 1/(2 DW), as TopSpin counts it."""
    positive(dwell_time=dwell_s)
    return 0.5 / dwell_s


def snr_with(snr: float, scans: int, new_scans: int) -> float:
    """Give the signal-to-noise ratio with another number of scans: it grows as the square root of NS."""
    positive(SNR=snr, number_of_scans=scans, new_number_of_scans=new_scans)
    return snr * math.sqrt(new_scans / scans)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """Scans for a wanted detection limit.

    Attributes
    ----------
    scans : int
        The fewest that reach it.
    limit : float
        What they reach, in the unit that was given.
    time_s : float or None
        What they take, where the time of one scan was given.
    """

    scans: int
    limit: float
    time_s: float | None


def scans_for_limit(
    wanted: float, limit: float, scans: int, *, floor: float = 0.0, scan_s: float | None = None
) -> ScanPlan:
    """Say how many scans bring a detection limit down to a wanted one.

    Parameters
    ----------
    wanted : float
        The limit to be reached, in the unit of ``limit``: percent, mAh.
    limit, scans : float, int
        The limit that so many scans had.
    floor : float
        Part of the limit that more scans don't lower, as the baseline's and the insertion's.
    scan_s : float, optional
        Time of one scan.

    Raises
    ------
    AnalysisError
        If the floor lies at or above one of the limits: scans cannot reach it.

    Notes
    -----
    limit² = floor² + noise²/NS.
    """
    positive(wanted_limit=wanted, limit=limit, number_of_scans=scans)
    if floor < 0 or floor >= limit:
        raise AnalysisError(f"of a limit of {limit:.4g} the part that scans don't lower can't be {floor:.4g}")
    if floor >= wanted:
        raise AnalysisError(
            f"{wanted:.4g} can't be reached by scans: {floor:.4g} of the limit are not noise",
            hint="look at baseline, insertion and pulse first",
        )
    noise = (limit**2 - floor**2) * scans
    needed = math.ceil(noise / (wanted**2 - floor**2) * (1.0 - 1e-12))
    reached = math.sqrt(floor**2 + noise / needed)
    return ScanPlan(needed, reached, None if scan_s is None else needed * scan_s)
