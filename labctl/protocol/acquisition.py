"""What a spectrometer is asked for one state of one cell: an experiment of the protocol, resolved to SI. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal, TypedDict

from labctl.protocol import experiments

#: Seconds that a spectrometer takes around the scans of one spectrum.
OVERHEAD: Final = 4.0
#: Seconds that its pulse program takes besides in each scan: the vendor's begin one by 30 ms. With them and 3.3 ms of
#: decay come the paper's times: 16384 scans with 0.5 s in 2 h 25 min, 4096 with 2 s in 2 h 19 min.
LOOP: Final = 0.03


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a spectrometer is asked; SI, shifts in ppm.

    Attributes
    ----------
    pulse : str
        Whether the length is ``nominal``, was just calibrated in this state (``calibrate``), or is that of an earlier
        state of the same cycle (``reuse``).
    flip : float
        Flip angle in rad.
    nominal_pulse : float
        Length of a pulse of this flip angle in s, as long as nothing better is known.
    pulse_lengths : tuple of float
        For a nutation series only: the lengths to try, in s.
    power : float
        Pulse power in W.
    receiver_gain_from : str or None
        State of the same cycle, measured before, whose receiver gain is used.
    receiver_gain : float or None
        Gain where no earlier spectrum of the set has one; None keeps the spectrometer's own.
    carrier_offset : float
        Hz beside the carrier.
    saturation, saturation_ppm, saturation_power, comb_pulses, comb_spacing, echo_delay, dead_time
        As in :class:`labctl.instruments.AcquisitionRequest`.
    recycle_delays : tuple of float
        For a saturation recovery only: the delays to try, in s.
    tuned, tuned_by_person : bool
        Whether the probe is tuned and matched before: by the spectrometer, or by whoever puts the cell into it.
    sample_temperature, insertion, recovery, enough
        What the protocol asks to be checked, as it stands there.
    """

    experiment: str
    nucleus: str
    pulse_program: str
    carrier_ppm: float
    scans: int
    recycle_delay: float
    dwell_time: float
    points: int
    pulse: Literal["nominal", "calibrate", "reuse"]
    flip: float
    power: float
    nominal_pulse: float
    pulse_lengths: tuple[float, ...]
    receiver_gain_from: str | None
    receiver_gain: float | None = None
    carrier_offset: float = 0.0
    saturation: Literal["none", "continuous", "comb"] | None = None
    saturation_ppm: float = 0.0
    saturation_power: float = 0.0
    comb_pulses: int = 0
    comb_spacing: float = 0.0
    echo_delay: float | None = None
    dead_time: float | None = None
    recycle_delays: tuple[float, ...] = ()
    tuned: bool = False
    tuned_by_person: bool = False
    sample_temperature: experiments.SampleTemperature | None = None
    insertion: experiments.Insertion | None = None
    recovery: experiments.Recovery | None = None
    enough: experiments.Enough | None = None

    @property
    def duration(self) -> float:
        """Seconds that the scans take, without the instrument's overhead."""
        delays = self.recycle_delays or (self.recycle_delay,) * max(1, len(self.pulse_lengths))
        comb, echo = self.comb_pulses * self.comb_spacing, 2 * (self.echo_delay or 0.0)
        return sum(self.scans * (delay + comb + echo + self.points * self.dwell_time + LOOP) for delay in delays)

    @property
    def expected(self) -> float:
        """Seconds from the first start to the last end."""
        return self.duration + OVERHEAD * max(1, len(self.pulse_lengths), len(self.recycle_delays))


def acquisition_of(name: str, experiment: experiments.Experiment, label: str, measured: Collection[str]) -> Acquisition:
    """Give the spectrum of one state; ``measured`` are the states of the same cycle that come before it."""
    calibrate, gain = experiment.pulse.calibrate, experiment.receiver_gain
    pulse: Literal["nominal", "calibrate", "reuse"] = "nominal"
    if calibrate is not None and label == calibrate.in_:
        pulse = "calibrate"
    elif calibrate is not None and label in calibrate.reuse and calibrate.in_ in measured:
        pulse = "reuse"
    return Acquisition(
        experiment=name,
        nucleus=experiment.nucleus,
        pulse_program=experiment.pulse_program,
        carrier_ppm=experiment.carrier,
        scans=experiment.scans,
        recycle_delay=experiment.recycle_delay,
        dwell_time=experiment.dwell_time,
        points=experiment.points,
        pulse=pulse,
        flip=experiment.pulse.flip,
        power=experiment.pulse.power,
        nominal_pulse=experiment.pulse.nominal * experiment.pulse.flip / (math.pi / 2),
        pulse_lengths=(),
        receiver_gain_from=gain.from_ if gain is not None and gain.from_ in measured else None,
        receiver_gain=gain.at if gain is not None else None,
        carrier_offset=experiment.offset,
        echo_delay=experiment.echo,
        dead_time=experiment.dead_time,
        sample_temperature=experiment.sample_temperature,
        insertion=experiment.insertion,
        recovery=experiment.recovery,
        enough=experiment.enough,
        tuned=experiment.tuning == "automatic",
        tuned_by_person=experiment.tuning == "operator",
        **_saturation(experiment.presaturation),
    )


def nutation_of(experiment: experiments.Experiment, asked: Acquisition) -> Acquisition | None:
    """Give the nutation series that the pulse of this state is calibrated with, if it is."""
    calibrate = experiment.pulse.calibrate
    if calibrate is None or asked.pulse != "calibrate":
        return None
    lengths = _lengths(experiment.pulse, calibrate.points)
    return replace(asked, scans=calibrate.scans, pulse_lengths=lengths, enough=None)


def recovery_of(experiment: experiments.Experiment, asked: Acquisition, label: str) -> Acquisition | None:
    """Give the saturation recovery that is to be measured in this state, if one is."""
    recovery = experiment.recovery
    if recovery is None or label != recovery.in_:
        return None
    return replace(
        asked,
        pulse_program=recovery.pulse_program,
        scans=recovery.scans,
        recycle_delays=_delays(recovery),
        echo_delay=None,
        enough=None,
        saturation="comb",
        comb_pulses=recovery.pulses,
        comb_spacing=recovery.spacing,
    )


def _lengths(pulse: experiments.Pulse, points: int) -> tuple[float, ...]:
    """Spread pulse lengths evenly, so that the first maximum and the first null of the nutation are covered."""
    step = (pulse.longest - pulse.shortest) / (points - 1)
    # Rounded to 10 ns: a length that the spectrometer can show in full is read back as it was written.
    return tuple(round(pulse.shortest + step * index, 8) for index in range(points))


def _delays(recovery: experiments.Recovery) -> tuple[float, ...]:
    """Spread recycle delays evenly by ratio, rounded to what a spectrometer reads back."""
    ratio = recovery.longest / recovery.shortest
    return tuple(
        round(recovery.shortest * ratio ** (index / (recovery.points - 1)), 6) for index in range(recovery.points)
    )


class _Saturating(TypedDict, total=False):
    saturation: Literal["none", "continuous", "comb"]
    saturation_ppm: float
    saturation_power: float
    comb_pulses: int
    comb_spacing: float


def _saturation(asked: experiments.Presaturation | None) -> _Saturating:
    """Give what an acquisition says of saturation; the checks have seen that everything needed is there."""
    if asked is None:
        return {}
    if asked.kind == "comb":
        return {"saturation": "comb", "comb_pulses": asked.pulses or 0, "comb_spacing": asked.spacing or 0.0}
    if asked.kind == "continuous":
        return {"saturation": asked.kind, "saturation_ppm": asked.at or 0.0, "saturation_power": asked.power or 0.0}
    return {"saturation": "none"}
