"""Whether the spectra of one cell can be compared, and what they are multiplied by so that they can.

Scans and receiver gain scale lawfully; so does the pulse by a nutation curve, the recycle delay by T1 where a
saturation recovery of that state tells it, and temperature by Curie's law where that was asked for. All else must be
equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from labctl.analysis.bruker import Dataset
from labctl.analysis.budget import Errors
from labctl.analysis.flags import Flag
from labctl.analysis.nutation import Nutation
from labctl.analysis.recovery import Recovery
from labctl.analysis.settings import Settings

#: The states that make an inventory, in the order of their integrals.
STATES3: Final = ("charged", "discharged", "dead")
#: What must be alike in the spectra of one cell: attribute, name for people, how it is shown, relative tolerance.
_ALIKE: Final[tuple[tuple[str, str, Callable[[float], str], float], ...]] = (
    ("power_W", "pulse power", "{:g} W".format, 1e-3),
    ("sweep_width_Hz", "spectral width", "{:g} Hz".format, 1e-6),
    ("basic_Hz", "basic frequency", "{:.0f} Hz".format, 1e-6),
)
#: Flip angles, as parts of π/2, at which a nutation curve still tells the signal.
_PULSES: Final = (0.2, 1.8)


@dataclass(frozen=True, slots=True)
class Shot:
    """One spectrum of a cell and what is known of how it was taken.

    Attributes
    ----------
    data : Dataset
        The decay.
    zero_Hz : float
        Frequency of 0 ppm.
    token : str
        Of its bundle.
    temperature_K : float or None
        Of the sample.
    recovery : Recovery or None
        T1 of the metal in this state.
    waited_s : float or None
        From the end of cycling to this spectrum.
    """

    data: Dataset
    zero_Hz: float
    token: str = ""
    temperature_K: float | None = None
    recovery: Recovery | None = None
    waited_s: float | None = None


@dataclass
class Comparison:
    """What was found: refusals, flags, and factors of the integrals with their errors.

    Attributes
    ----------
    refused : list of str
        Why the spectra cannot be compared; empty where they can.
    flags : list of Flag
        What was done.
    factors : dict
        For each state, by reason: what its integral is multiplied by.
    relative : Errors
        Relative errors of the integrals.
    same_excitation : bool
        Whether pulse and delay were the same, so that other lines can be compared too.
    """

    refused: list[Flag] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    factors: dict[str, dict[str, float]] = field(default_factory=dict)
    relative: Errors = field(default_factory=Errors)
    same_excitation: bool = True

    def factor(self, label: str) -> float:
        """Give the product of a state's factors."""
        return math.prod(self.factors[label].values())


def compare(shots: Mapping[str, Shot], curve: Nutation | None, settings: Settings) -> Comparison:
    """Compare the spectra of one cell; the charged state is what the others are brought to."""
    found = Comparison(factors={label: {} for label in shots})
    known = {label: shots[label] for label in STATES3 if label in shots}
    _alike(known, found)
    _counted(known, found)
    flips = _pulses(shots, known, curve, settings, found)
    _delays(shots, known, flips, settings, found)
    _temperatures(shots, known, settings, found)
    return found


def _alike(known: Mapping[str, Shot], found: Comparison) -> None:
    for attribute, name, show, tolerance in _ALIKE:
        values = {label: float(getattr(one.data, attribute)) for label, one in known.items()}
        if _spread(values) > tolerance:
            found.refused.append(Flag(f"the {name} differs ({_listed(values, show)})", "not_evaluated"))
    programs = {label: one.data.pulse_program for label, one in known.items()}
    if len(set(programs.values())) > 1:
        shown = ", ".join(f"{key} {value}" for key, value in programs.items())
        found.refused.append(Flag(f"the pulse program differs ({shown})", "not_evaluated"))


def _counted(known: Mapping[str, Shot], found: Comparison) -> None:
    gains = {label: one.data.receiver_gain for label, one in known.items()}
    if _spread(gains) > 1e-6:
        shown = _listed(gains, "{:g}".format)
        found.flags.append(
            Flag(f"the receiver gain differs ({shown}): scaled, as if the receiver were linear", "scaled")
        )
    scans = {label: float(one.data.scans) for label, one in known.items()}
    if _spread(scans) > 0.0:
        found.flags.append(Flag(f"the number of scans differs ({_listed(scans, '{:.0f}'.format)}): scaled", "scaled"))


def _pulses(
    shots: Mapping[str, Shot], known: Mapping[str, Shot], curve: Nutation | None, settings: Settings, found: Comparison
) -> dict[str, float]:
    """Scale by the sine of the flip angle; give the angles in rad, π/2 where nothing tells them."""
    pulses = {label: one.data.pulse_s for label, one in shots.items()}
    unlike = _spread({label: pulses[label] for label in known}) > 1e-3
    found.same_excitation &= not unlike
    right_angle = dict.fromkeys(shots, 0.5 * math.pi)
    if curve is None:
        if unlike:
            found.refused.append(Flag("the pulse length differs and no nutation tells the flip angles", "pulse"))
        _each(found, "pulse", {label: _unsure(0.5 * math.pi, settings.pulse_sd) for label in known})
        return right_angle
    parts = {label: pulse / curve.t90_s for label, pulse in pulses.items()}
    if not all(_PULSES[0] < parts[label] < _PULSES[1] for label in known):
        found.refused.append(Flag("a pulse is far from the calibrated π/2", "pulse"))
        return right_angle
    flips = {label: 0.5 * math.pi * part for label, part in parts.items()}
    reference = pulses.get("charged", next(iter(pulses.values())))
    rate = 0.0 if curve.damping_s is None else 1.0 / curve.damping_s
    for label, flip in flips.items():
        if not _PULSES[0] < parts[label] < _PULSES[1]:
            continue
        signal = math.sin(flip) * math.exp(-rate * (pulses[label] - reference))
        found.factors[label]["pulse"] = 1.0 / signal
    if unlike:
        shown = _listed({label: pulses[label] * 1e6 for label in known}, "{:.3g} µs".format)
        found.flags.append(Flag(f"the pulse length differs ({shown}): scaled by the nutation curve", "scaled"))
    worst = max(known, key=lambda label: abs(parts[label] - 1.0))
    if abs(parts[worst] - 1.0) > settings.pulse_tolerance:
        found.flags.append(
            Flag(f"the pulse of the state {worst} is {90 * parts[worst]:.0f}° by the nutation curve, not 90°", "pulse")
        )
    # One π/2 for all states: where their pulses are equal its error cancels.
    slope = [_cot(flips.get(label)) * curve.t90_sd_s / curve.t90_s for label in STATES3]
    found.relative.together("pulse", (slope[0], slope[1], slope[2]))
    _each(found, "pulse", {label: _unsure(flips[label], settings.pulse_sd) for label in known})
    return flips


def _delays(
    shots: Mapping[str, Shot],
    known: Mapping[str, Shot],
    flips: Mapping[str, float],
    settings: Settings,
    found: Comparison,
) -> None:
    """Scale by the share of the full magnetisation that pulses at this distance leave."""
    delays = {label: one.data.recycle_delay_s for label, one in known.items()}
    unlike = _spread(delays) > 1e-6
    found.same_excitation &= not unlike
    unknown = [label for label, one in known.items() if one.recovery is None]
    if unlike and unknown:
        shown = _listed(delays, "{:g} s".format)
        found.refused.append(
            Flag(
                f"the recycle delay differs ({shown}) and T1 was not measured in the state {', '.join(unknown)}",
                "recycle_delay",
            )
        )
        return
    told = [one.recovery.t1_s for one in known.values() if one.recovery is not None]
    if not told:
        return
    apart = {label: _apart(one) for label, one in known.items()}
    shortest = min(known, key=lambda label: apart[label] / _t1(known[label], told))
    ratio = apart[shortest] / _t1(known[shortest], told)
    if ratio < settings.recycle_t1:
        found.flags.append(
            Flag(f"pulses {apart[shortest]:g} s apart are {ratio:.1f} T1 in the state {shortest}: the signal is "
                 f"{100 * _steady(ratio, flips[shortest]):.0f} % of the full one and changes with T1", "recycle_delay")
        )  # fmt: skip
    if unknown:
        # T1 of one state holds for the others as well as it does; equal delays leave only what it does not.
        sigmas = {label: abs(_by_t1(apart[label] / told[0], flips[label])) * settings.t1_spread for label in unknown}
        _each(found, "relaxation", sigmas)
        return
    for label, one in shots.items():
        if one.recovery is None:
            continue
        x = _apart(one) / one.recovery.t1_s
        found.factors[label]["relaxation"] = 1.0 / _steady(x, flips[label])
        if label in known:
            relative = one.recovery.t1_sd_s / one.recovery.t1_s
            _each(found, "relaxation", {label: abs(_by_t1(x, flips[label])) * relative})
    if unlike:
        found.flags.append(
            Flag(
                f"the recycle delay differs ({_listed(delays, '{:g} s'.format)}): scaled by T1 of each state", "scaled"
            )
        )


def _temperatures(shots: Mapping[str, Shot], known: Mapping[str, Shot], settings: Settings, found: Comparison) -> None:
    """Scale by Curie's law where asked; refuse what differs too much otherwise, and book what is left as an error."""
    warm = {label: one.temperature_K for label, one in known.items() if one.temperature_K is not None}
    if not warm:
        return
    reference = warm.get("charged", next(iter(warm.values())))
    apart = max(warm.values()) - min(warm.values())
    shown = _listed({label: kelvin - 273.15 for label, kelvin in warm.items()}, "{:.1f} degC".format)
    if settings.curie == "scale" and len(warm) == len(known):
        for label, one in shots.items():
            if one.temperature_K is not None:
                found.factors[label]["temperature"] = one.temperature_K / reference
        if apart > settings.temperature_tolerance_K:
            found.flags.append(
                Flag(f"the sample's temperature differs ({shown}): scaled by Curie's law", "temperature")
            )
    elif apart > settings.temperature_tolerance_K:
        found.refused.append(
            Flag(f"the sample's temperature differs ({shown}); a metal's signal changes with it", "temperature")
        )
    else:
        off = [(warm.get(label, reference) - reference) / reference for label in STATES3]
        found.relative.together("temperature", (off[0], off[1], off[2]))
    _each(found, "temperature", {label: settings.temperature_sd_K / kelvin for label, kelvin in warm.items()})


def _each(found: Comparison, term: str, sigmas: Mapping[str, float]) -> None:
    found.relative.each(term, [sigmas.get(label, 0.0) for label in STATES3])


def _apart(one: Shot) -> float:
    """Time from pulse to pulse: the delay and the acquisition."""
    return one.data.recycle_delay_s + one.data.acquisition_s


def _t1(one: Shot, told: list[float]) -> float:
    return told[0] if one.recovery is None else one.recovery.t1_s


def _steady(x: float, flip: float) -> float:
    """Longitudinal magnetisation before each of a row of pulses x = distance/T1 apart, transverse all lost."""
    left = math.exp(-x)
    return (1.0 - left) / (1.0 - left * math.cos(flip))


def _by_t1(x: float, flip: float) -> float:
    """Relative change of the steady state with the relative change of T1, by central difference."""
    step = 1e-4
    return (_steady(x / (1 + step), flip) - _steady(x / (1 - step), flip)) / (2 * step * _steady(x, flip))


def _unsure(flip: float, relative: float) -> float:
    """Relative error of sin(flip): its slope, and beside a right angle its curvature."""
    return math.hypot(_cot(flip) * relative, (flip * relative) ** 2 / math.sqrt(2.0))


def _cot(flip: float | None) -> float:
    """Relative change of sin(flip) with the relative change of the angle."""
    return 0.0 if flip is None else flip * math.cos(flip) / math.sin(flip)


def _spread(values: Mapping[str, float]) -> float:
    if not values:
        return 0.0
    largest = max(map(abs, values.values()))
    return (max(values.values()) - min(values.values())) / largest if largest else 0.0


def _listed(values: Mapping[str, float], show: Callable[[float], str]) -> str:
    return ", ".join(f"{label} {show(value)}" for label, value in values.items())
