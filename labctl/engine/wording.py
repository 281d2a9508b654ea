"""Planned operations in a lab person's words, with units: what is done, and what watches over it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from labctl.protocol import (
    Acquisition,
    Cycling,
    Dynamic,
    Handling,
    Impedance,
    Kind,
    Note,
    PlannedOperation,
    Question,
    Reading,
    Together,
)
from labctl.units import example_unit, show

_GOING: Final = {Kind.CHARGE: "charging", Kind.DISCHARGE: "discharging"}


def duration(seconds: float) -> str:
    """Write a length of time as people say it: ``"90 s"``, ``"45 min"``, ``"16 h"``, ``"3 d"``."""
    for unit, below in (("s", 120.0), ("min", 3600.0), ("h", 172800.0)):
        if seconds < below:
            return show(seconds, unit, 3)
    return show(seconds, "d", 3)


def current(amperes: float) -> str:
    """Write a current, small ones in uA."""
    return show(amperes, "uA" if abs(amperes) < 1e-4 else "mA")


def degrees(kelvin: float) -> str:
    """Write a temperature."""
    return show(kelvin, "degC")


def doing(planned: PlannedOperation, where: str | None = None) -> str:
    """Say what an operation does: ``"charging on maccor channel 3 at 0.2 mA to 4.3 V, at most 16 h"``."""
    place = f" {where}" if where else ""
    match planned.parameters:
        case Cycling() as asked:
            return _cycling(planned, asked, place)
        case Acquisition() as asked if planned.kind is Kind.NUTATION:
            takes = duration(asked.duration)
            tries = f"{len(asked.pulse_lengths)} pulse lengths of {asked.scans} scans"
            return f"calibrating the pulse for '{planned.label}'{place}, {tries}, about {takes}"
        case Acquisition() as asked if planned.kind is Kind.RECOVERY:
            tries = f"{len(asked.recycle_delays)} recycle delays of {asked.scans} scans"
            return f"measuring T1 for '{planned.label}'{place}, {tries}, about {duration(asked.duration)}"
        case Acquisition() as asked:
            spectrum = f"{asked.nucleus} NMR spectrum '{planned.label}'"
            return f"taking the {spectrum}{place}, {asked.scans} scans, about {duration(asked.duration)}"
        case Impedance() as asked:
            band = f"{_frequency(asked.frequency_start)} to {_frequency(asked.frequency_end)}"
            after = f" after {duration(asked.rest_before)} of rest" if asked.rest_before else ""
            return f"taking the impedance spectrum '{planned.label}'{place}, {band}{after}"
        case Together() as asked:
            return _together(planned, asked, place)
        case Dynamic() as asked:
            return _dynamic(planned, asked, place)
        case Question() as asked:
            return f"asking '{asked.ask}'"
        case Note() as asked:
            return f"marking '{asked.text}'"
        case Reading() as asked:
            return f"measuring by hand: {asked.what}"
        case Handling() as asked:
            return _handling(asked)


def _handling(asked: Handling) -> str:
    note = f" ({asked.note})" if asked.note else ""
    if asked.gives:
        return f"taking it apart into {' and '.join(asked.gives)}{note}"
    parts = " and ".join(f"{part} of {of}" if of is not None else part for part, of in asked.takes)
    return f"putting it together from {parts}{note}"


def how_to_confirm(planned: PlannedOperation, cell: str) -> str:
    """Say how a person confirms a step by hand."""
    match planned.parameters:
        case Question(answers=answers):
            effects = {"continue": "it goes on", "end": "it ends", "hold": "it is held"}
            choice = " or ".join(f"--answer '{answer}' ({effects[effect]})" for answer, effect in answers.items())
            return f"labctl confirm {cell} {choice}"
        case Reading(kind=kind):
            return f"labctl confirm {cell} --value '<number> {example_unit(kind)}'"
    return f"labctl confirm {cell} --barcode <its barcode>"


def _together(planned: PlannedOperation, asked: Together, place: str) -> str:
    kind = Kind.DISCHARGE if asked.discharging else Kind.CHARGE
    flowing = _cycling(replace(planned, kind=kind), asked.cycling, place)
    spectra = f"{asked.during.nucleus} NMR spectra '{planned.label}' of {duration(asked.during.duration)} in a row"
    if asked.pausing is None or asked.every is None:
        return f"{flowing}, with {spectra}"
    pause = f"one of {duration(asked.pausing.duration)} at open circuit every {duration(asked.every)} of current"
    return f"{flowing}, with {spectra} and {pause}"


def _dynamic(planned: PlannedOperation, asked: Dynamic, place: str) -> str:
    going = _GOING[Kind.DISCHARGE if asked.discharging else Kind.CHARGE]
    how_many = f"as many impedance spectra '{planned.label}' as come" if asked.keep_on else ""
    how_many = how_many or f"{asked.count} impedance spectra '{planned.label}'"
    return (
        f"{going}{place} at {current(asked.current)} to {show(asked.cutoff, 'V')} with {how_many}, "
        f"about {duration(asked.sweep_duration)} each"
    )


def _cycling(planned: PlannedOperation, asked: Cycling, place: str) -> str:
    guarded = planned.at_most is not None and planned.at_most != asked.duration
    most = f", at most {duration(planned.at_most or 0.0)}" if guarded else ""
    warm = f" at {degrees(planned.temperature)}" if planned.temperature is not None else ""
    if planned.kind is Kind.REST:
        return f"resting{place} at open circuit{warm} for {duration(asked.duration or 0.0)}"
    if planned.kind is Kind.HOLD:
        until = f"until {_ends(asked, 'the current is below ', 'for ')}"
        held = show(asked.voltage or 0.0, "V")
        return f"holding {held}{place}{warm} with at most {current(asked.current)} {until}{most}"
    return f"{_GOING[planned.kind]}{place}{warm} at {current(asked.current)} to {_ends(asked)}{most}"


def _ends(asked: Cycling, below: str = "below ", after: str = "", *, lasting: bool = True) -> str:
    """Name what ends a step: ``"4.3 V"``, ``"4.3 V or 0.5 mAh"``."""
    ends = []
    if asked.end_voltage is not None:
        ends.append(show(asked.end_voltage, "V"))
    if asked.end_current is not None:
        long = f" for {duration(asked.end_current_for)}" if asked.end_current_for and lasting else ""
        ends.append(f"{below}{current(asked.end_current)}{long}")
    if asked.end_capacity is not None:
        ends.append(show(asked.end_capacity, "mAh"))
    if asked.duration is not None:
        ends.append(f"{after}{duration(asked.duration)}")
    return (" and " if asked.end_together else " or ").join(ends)


def _frequency(hertz: float) -> str:
    return show(hertz, "kHz" if hertz >= 1e3 else "Hz")


def ends(planned: PlannedOperation) -> str:
    """Say what ends an operation by itself, after "ends it": ``"at 4.3 V, or after 16 h"``."""
    parameters = planned.parameters
    match parameters.cycling if isinstance(parameters, Together) else parameters:
        case Dynamic(keep_on=False) as series:
            return f"after {series.count} spectra, or at {show(series.cutoff, 'V')} on average"
        case Dynamic() as series:
            return f"at {show(series.cutoff, 'V')} on average, or after {duration(series.at_most)}"
        case Cycling(end_voltage=None, end_current=None, end_capacity=None, duration=float() as length):
            return f"after {duration(length)}"
        case Cycling() as asked:
            end = _ends(asked, after="after ", lasting=False)
            end = end if asked.end_voltage is None and end.startswith(("below", "after")) else f"at {end}"
        case _:
            return "when it is complete"
    guarded = planned.at_most is not None and planned.at_most != asked.duration
    return f"{end}, or after {duration(planned.at_most or 0.0)}" if guarded else end


def limits(planned: PlannedOperation) -> str | None:
    """Say which limits are in force during an operation, None where nothing flows through the cell."""
    parameters = planned.parameters
    match parameters.cycling if isinstance(parameters, Together) else parameters:
        case Dynamic() as asked:
            span = f"{show(asked.sweep.voltage_min, 'V')} to {show(asked.sweep.voltage_max, 'V')}"
            return f"{span} on average; labctl ends the series beyond them, the potentiostat has limits of its own"
        case Cycling() as asked:
            span = f"{show(asked.voltage_min, 'V')} to {show(asked.voltage_max, 'V')}, {current(asked.current_max)}"
            most = f", {duration(planned.at_most)} at most" if planned.at_most is not None else ""
            return f"{span} either way{most}; the cycler watches over them by itself, a little further out, and labctl"
        case Impedance() as asked:
            span = f"{show(asked.voltage_min, 'V')} to {show(asked.voltage_max, 'V')}"
            return f"{span}; labctl ends the sweep beyond them, the potentiostat has limits of its own besides"
    return None
