"""From a series of spectra under a direct current to what the channel is told. Pure.

The channel goes through the whole series by itself: a galvanostatic spectrum with the direct current as its bias, a
stretch of direct current alone, and back. That stretch ends the run at the cut-off, where the way in can tell a
technique so, and is therefore there even where no pause was asked for: nobody else is needed to stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl.instruments import DynamicRequest, OutOfRange
from labctl_drivers.biologic.backend import ConstantCurrent, GalvanostaticImpedance, Limit, Loop, Technique
from labctl_drivers.biologic.plan import compile_request, sweep_duration

#: Seconds of direct current in which the channel compares with the cut-off, where no pause was asked for.
GUARD: Final = 1.0
_MOST: Final = 999
#: Longest interval at which a pause is recorded, s.
_RECORD_EVERY: Final = 10.0


def compile_series(request: DynamicRequest, guard: float) -> tuple[Technique, ...]:
    """Turn a series into linked techniques.

    Parameters
    ----------
    guard : float
        Least seconds of direct current alone between two spectra; 0 for none where no pause is asked for.

    Raises
    ------
    OutOfRange
        What the instrument has no technique for.
    """
    if request.current == 0 or not 1 <= request.spectra <= _MOST or request.pause < 0:
        asked = f"{request.spectra} spectra under {request.current:g} A, {request.pause:g} s apart"
        raise OutOfRange(f"{asked}: 1 to {_MOST} spectra under a current other than 0")
    made = compile_request(request.spectrum())
    if not isinstance(made, GalvanostaticImpedance):
        raise OutOfRange("a spectrum under direct current is galvanostatic")
    low, high = Limit("voltage", False, request.voltage_min), Limit("voltage", True, request.voltage_max)
    spectrum = GalvanostaticImpedance(
        made.bias,
        made.amplitude,
        made.frequency_start,
        made.frequency_end,
        made.points,
        made.periods,
        limits=(low, high),
    )
    between = max(request.pause, guard)
    if request.spectra == 1:
        return (spectrum,)
    if between <= 0:
        return (spectrum, Loop(0, request.spectra))
    below = low if request.current > 0 else Limit("voltage", False, max(request.cutoff, request.voltage_min))
    above = high if request.current < 0 else Limit("voltage", True, min(request.cutoff, request.voltage_max))
    pause = ConstantCurrent(
        request.current,
        between,
        (above, below),
        record_every=min(_RECORD_EVERY, between),
        safety_only=True,
        # A change of range between two techniques would disturb the current.
        current_max=max(abs(spectrum.bias) + spectrum.amplitude, 2 * spectrum.amplitude),
    )
    again = (Loop(0, request.spectra - 1),) if request.spectra > 2 else ()
    return (spectrum, pause, *again, spectrum)


def expected_duration(techniques: Sequence[Technique], spectra: int) -> float:
    """Seconds that a whole series takes, where no cut-off comes first."""
    each, between = sweep_duration(spectrum_of(techniques)), 0.0
    for technique in techniques:
        if isinstance(technique, ConstantCurrent):
            between = technique.duration
    return spectra * each + (spectra - 1) * between


def longest_without_record(techniques: Sequence[Technique]) -> float:
    """Seconds that a running series may let pass between two records: its slowest point takes them."""
    spectrum = spectrum_of(techniques)
    return max(_RECORD_EVERY, (spectrum.periods + spectrum.wait_periods + 1) / spectrum.frequency_end)


def spectrum_of(techniques: Sequence[Technique]) -> GalvanostaticImpedance:
    """The spectrum of a series; raises ``ValueError`` where the techniques are none."""
    for technique in techniques:
        if isinstance(technique, GalvanostaticImpedance):
            return technique
    raise ValueError("these techniques are no series of spectra")
