"""From a request to Bruker parameters and back: names, units, read-back, duration. No I/O.

Names as TopSpin's interfaces take them: arrays are ``NAME<blank>index``; P in microseconds, D in seconds, PLW in watts,
O1 and SWH in hertz. TD counts real points, so SWH = 1/(2 DW) and AQ = TD/(2 SWH).

Where a pulse program reads the numbers of its saturation and its echo is a convention of whoever wrote it. The one here
is that of the texts in ``docs/drivers/bruker.md``; a program that keeps them elsewhere must be told so there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from labctl.instruments import AcquisitionRequest

#: Seconds that a spectrometer may take around the scans themselves.
OVERHEAD: Final = 4.0
#: Seconds that a scan takes besides: the ``30m`` behind label 2 to which ``go=2`` of the vendor's programs goes back.
LOOP: Final = 0.03
#: What an acquisition may take before it counts as failed: this times the expected duration, and that many seconds.
WATCHDOG: Final = (1.5, 60.0)
_RELATIVE: Final = 1e-5
#: Receivers have steps; the nearest one is taken, which is known by what reads back.
_STEPS: Final = 0.07
_TEXTS: Final = ("NUC1", "PULPROG")


def first_parameters(request: AcquisitionRequest) -> dict[str, str]:
    """What must be set before the basic frequency can be asked for."""
    return {"PULPROG": request.pulse_program, "NUC1": request.nucleus}


def parameters_of(
    request: AcquisitionRequest, pulse: float, basic_frequency: float, delay: float | None = None
) -> dict[str, str]:
    """Every parameter of one EXPNO.

    Parameters
    ----------
    request : AcquisitionRequest
        What is asked for.
    pulse : float
        Pulse length of this EXPNO in s.
    basic_frequency : float
        BF1 in MHz, from the spectrometer.
    delay : float, optional
        Recycle delay of this EXPNO in s, where it is not the request's.
    """
    parameters = first_parameters(request) | {
        "TD": str(request.points),
        "SWH": _number(0.5 / request.dwell_time),
        "NS": str(request.scans),
        "DS": "0",
        "D 1": _number(request.recycle_delay if delay is None else delay),
        # To the nanosecond: what a console shows with three decimals reads back as it was written.
        "P 1": _number(round(pulse * 1e6, 3)),
        "PLW 1": _number(request.pulse_power),
        "O1": _number(request.carrier_ppm * basic_frequency + request.carrier_offset),
    }
    if request.saturation == "continuous":
        parameters |= {"PLW 9": _number(request.saturation_power), "CNST 20": _number(request.saturation_ppm)}
    if request.saturation == "comb":
        parameters |= {"L 20": str(request.comb_pulses), "D 20": _number(request.comb_spacing)}
    if request.echo_delay is not None:
        parameters["D 6"] = _number(request.echo_delay)
    if request.dead_time is not None:
        parameters["DE"] = _number(request.dead_time * 1e6)
    if request.receiver_gain is not None:
        parameters["RG"] = _number(request.receiver_gain)
    return parameters


def taken_step(sent: Mapping[str, str], found: Mapping[str, str | None]) -> dict[str, str]:
    """Put the receiver's step in place of a gain that was asked for, if it is near enough."""
    step = found.get("RG")
    if "RG" not in sent or step is None or not _agree("RG", sent["RG"], step, _STEPS):
        return dict(sent)
    return {**sent, "RG": step}


def disagreement(sent: Mapping[str, str], read: Mapping[str, str | None]) -> tuple[str, str, str] | None:
    """Compare what was sent with what was read back, as numbers where they are numbers.

    Returns
    -------
    tuple of str, or None
        Name, value sent and value read of the first that differs.
    """
    for name, wanted in sent.items():
        found = read.get(name)
        if found is None or not _agree(name, wanted, found):
            return name, wanted, "nothing" if found is None else found
    return None


def duration(parameters: Mapping[str, str]) -> float:
    """Seconds that one EXPNO takes: (NS + DS)(D1 + AQ + 30 ms, a comb, an echo) and a little around it."""
    scans = float(parameters["NS"]) + float(parameters.get("DS", 0))
    acquisition = float(parameters["TD"]) / (2 * float(parameters["SWH"]))
    comb = float(parameters.get("L 20", 0)) * float(parameters.get("D 20", 0))
    echo = 2 * float(parameters.get("D 6", 0))
    return scans * (float(parameters["D 1"]) + acquisition + LOOP + comb + echo) + OVERHEAD


def allowed(parameters: Mapping[str, str]) -> float:
    """Seconds after which one EXPNO has failed."""
    factor, grace = WATCHDOG
    return factor * duration(parameters) + grace


def _agree(name: str, wanted: str, found: str, within: float = _RELATIVE) -> bool:
    if name in _TEXTS:
        return wanted == found
    try:
        return math.isclose(float(wanted), float(found), rel_tol=within, abs_tol=1e-9)
    except ValueError:
        return False


def _number(value: float) -> str:
    return format(value, ".10g")
