"""How NMR spectra are taken, as models: what may stand under ``experiments``. What it means is checked in ``nmr``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from labctl.documents import (
    Angle,
    Duration,
    Model,
    Name,
    Power,
    Quantity,
    Ratio,
    Shift,
    Temperature,
    TemperatureDifference,
    Word,
)

_Whole = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
_Offset = Annotated[float, Quantity("frequency")]
_Factor = Annotated[float, Field(gt=0, le=1e6)]


class Calibrate(Model):
    """Per-cell calibration of the pulse on the metal line."""

    in_: Name = Field(
        alias="in", description="State (label) in which the nutation series is taken.", examples=["charged"]
    )
    points: Annotated[int, Field(strict=True, ge=4, le=64)] = Field(description="Pulse lengths tried.", examples=[8])
    reuse: tuple[Name, ...] = Field(
        default=(), description="States of the same cycle that use the same pulse.", examples=["[discharged, dead]"]
    )
    scans: _Whole = Field(default=64, description="Scans per pulse length.", examples=[64])


class Pulse(Model):
    """The excitation pulse."""

    flip: Angle = Field(description="Flip angle.", examples=["90 deg"])
    power: Power = Field(description="Pulse power.", examples=["80 W"])
    calibrate: Calibrate | None = Field(default=None, description="Find the pulse length for each cell.")
    nominal: Duration = Field(
        default=7e-6, description="Length of a 90 deg pulse before calibration.", examples=["7 us"]
    )
    shortest: Duration = Field(default=2e-6, description="Shortest pulse of the nutation series.", examples=["2 us"])
    longest: Duration = Field(default=16e-6, description="Longest pulse of the nutation series.", examples=["16 us"])


class ReceiverGain(Model):
    """Where the receiver gain comes from."""

    from_: Name = Field(alias="from", description="State of the same cycle whose gain is used.", examples=["charged"])
    at: _Factor | None = Field(
        default=None, description="Gain of what is measured before that state has one.", examples=[101]
    )


class Presaturation(Model):
    """What is done to the magnetisation before the pulse: two ways that leave different steady states, or nothing."""

    kind: Literal["none", "continuous", "comb"] = Field(
        description="Nothing, weak irradiation of one line during the recycle delay, or a train of pulses before it.",
        examples=["comb"],
    )
    at: Shift | None = Field(default=None, description="Continuous: which shift.", examples=["0 ppm"])
    power: Power | None = Field(default=None, description="Continuous: how strongly.", examples=["16 uW"])
    pulses: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        default=None, description="Comb: how many pulses.", examples=[20]
    )
    spacing: Duration | None = Field(default=None, description="Comb: time between its pulses.", examples=["5 ms"])


class Recovery(Model):
    """A saturation recovery on this cell: T1 of the metal, and whether the recycle delay is long against it."""

    in_: Name = Field(alias="in", description="State (label) in which it is taken.", examples=["charged"])
    pulse_program: Annotated[str, Word("[A-Za-z0-9_.+-]{1,60}", "write for example 'zgcomb'")] = Field(
        description="A program with a saturation comb.", examples=["zgcomb"]
    )
    pulses: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=20, description="Pulses of the comb.", examples=[20]
    )
    spacing: Duration = Field(default=5e-3, description="Time between them.", examples=["5 ms"])
    shortest: Duration = Field(default=20e-3, description="Shortest delay.", examples=["20 ms"])
    longest: Duration = Field(default=2.0, description="Longest delay.", examples=["2 s"])
    points: Annotated[int, Field(strict=True, ge=4, le=32)] = Field(
        default=8, description="Delays tried, spaced evenly by ratio.", examples=[8]
    )
    scans: _Whole = Field(default=64, description="Scans per delay.", examples=[64])
    at_least: Ratio = Field(
        default=0.9, description="Share of the full signal that the recycle delay must give.", examples=["90 %"]
    )
    else_: Literal["hold", "continue"] = Field(
        default="continue", alias="else", description="Hold the cell where it does not, or flag it.", examples=["hold"]
    )


class SampleTemperature(Model):
    """The temperature at which spectra are comparable: a metal's signal goes with 1/T."""

    at: Temperature = Field(description="Temperature of the sample.", examples=["20 degC"])
    within: TemperatureDifference = Field(description="How close it must come.", examples=["1 K"])
    at_most: Duration = Field(
        default=7200.0, description="How long a sample is waited for; then the cell is held.", examples=["2 h"]
    )


class Insertion(Model):
    """How far the electrolyte's line may be from the cell's last spectrum of this experiment: orientation, tuning."""

    shift: Annotated[float, Quantity("shift", above=0)] = Field(
        default=0.5, description="Largest change of its shift.", examples=["0.5 ppm"]
    )
    width: Ratio = Field(default=0.2, description="Largest relative change of its width.", examples=["20 %"])
    integral: Ratio = Field(default=0.05, description="Largest relative change of its integral.", examples=["5 %"])
    else_: Literal["hold", "continue"] = Field(
        default="continue",
        alias="else",
        description="Hold the cell where it is further, or flag it.",
        examples=["hold"],
    )


class Enough(Model):
    """An early end: the acquisition stops when the metal stands out far enough."""

    signal_to_noise: _Factor = Field(
        description="Integral of the metal over its standard deviation that is enough.", examples=[200]
    )
    look_every: Duration = Field(default=60.0, description="Time between two looks.", examples=["60 s"])


class Experiment(Model):
    """How an NMR spectrum is taken."""

    nucleus: Annotated[str, Word("[0-9]{1,3}[A-Z][a-z]?", "write for example '7Li'")] = Field(
        description="Mass number and symbol.", examples=["7Li"]
    )
    pulse_program: Annotated[str, Word("[A-Za-z0-9_.+-]{1,60}", "write for example 'zg'")] = Field(
        description="The spectrometer's name of the pulse program.", examples=["zgpr"]
    )
    presaturation: Presaturation | None = Field(
        default=None,
        description="What comes before the pulse; absent: whatever the pulse program's own presets do.",
        examples=["{kind: comb, pulses: 20, spacing: 5 ms}"],
    )
    echo: Duration | None = Field(
        default=None, description="Delay of a solid echo; absent: no echo.", examples=["20 us"]
    )
    dead_time: Duration | None = Field(
        default=None, description="From the pulse to the first point.", examples=["6.5 us"]
    )
    carrier: Shift = Field(description="Transmitter offset.", examples=["250 ppm"])
    offset: _Offset = Field(default=0.0, description="Transmitter beside the carrier.", examples=["-500 Hz"])
    scans: _Whole = Field(description="Scans added up.", examples=[1024])
    recycle_delay: Duration = Field(description="Delay before each scan.", examples=["0.5 s"])
    dwell_time: Duration = Field(description="Time between real points.", examples=["0.1 us"])
    points: _Whole = Field(description="Real points of the FID.", examples=[32768])
    pulse: Pulse = Field(description="The excitation pulse.", examples=["{flip: 90 deg, power: 80 W}"])
    receiver_gain: ReceiverGain | None = Field(
        default=None, description="Absent: the spectrometer keeps its present gain.", examples=["{from: charged}"]
    )
    tuning: Literal["none", "operator", "automatic"] = Field(
        default="none",
        description="Who tunes and matches the probe: a person on the way into it, or TopSpin before a state.",
        examples=["automatic"],
    )
    sample_temperature: SampleTemperature | None = Field(
        default=None, description="What the sample must have before it starts.", examples=["{at: 20 degC, within: 1 K}"]
    )
    insertion: Insertion | None = Field(
        default=None, description="Check of every insertion by the electrolyte's line.", examples=["{else: hold}"]
    )
    recovery: Recovery | None = Field(
        default=None, description="Measure T1.", examples=["{in: charged, pulse_program: zgcomb}"]
    )
    enough: Enough | None = Field(default=None, description="An early end.", examples=["{signal_to_noise: 200}"])
