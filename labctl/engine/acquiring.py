"""How an NMR acquisition is carried out: what is asked of the spectrometer, and what is done before and after it.

An overloaded receiver is met here: the acquisition is repeated once at half the gain, under a token that follows from
its own, so that a restart finds both.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from labctl.errors import AnalysisError, DataError, InstrumentError, LabctlError
from labctl.instruments import (
    AcquisitionRequest,
    Fetched,
    Handle,
    Progress,
    SampleThermometer,
    Spectrometer,
    State,
    Tuned,
    Tuning,
    Watched,
)
from labctl.protocol import Acquisition, Kind, PlannedOperation
from labctl.units import show

#: What a repeat's gain is of the one that overloaded the receiver.
LESS_GAIN: Final = 0.5
#: Ends the token of a repeat; the first of a name is what a person at the console reads.
_REPEAT: Final = "-rg"
#: Seconds between two looks at a sample that is not yet at its temperature.
_LOOK_AGAIN: Final = 120.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What earlier operations say of this cell's pulse and receiver.

    Attributes
    ----------
    length : float
        s.
    receiver_gain : float or None
        RG that the set is bound to.
    """

    length: float
    receiver_gain: float | None


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is done beside an acquisition.

    Attributes
    ----------
    tuned : bool
        Whether the probe is to be tuned and matched by itself.
    temperature : tuple of float or None
        K, and how close in K; None waits for nothing.
    at_most : float
        Seconds that a sample is waited for.
    enough : tuple of float or None
        Signal-to-noise ratio at which the acquisition may end early, and s between two looks.
    """

    tuned: bool = False
    temperature: tuple[float, float] | None = None
    at_most: float = 0.0
    enough: tuple[float, float] | None = None


class NotThere(LabctlError):
    """A sample has not come to its temperature in time."""

    category = "temperature"


class NotTuned(LabctlError):
    """The probe reflects too much after it was tuned and matched."""

    category = "tuning"


class AcquisitionAction:
    """An NMR acquisition, or a series of them, on the sample in the probe."""

    def __init__(
        self, request: AcquisitionRequest, spectrometer: Spectrometer, token: str = "", ahead: Ahead | None = None
    ) -> None:
        self._spectrometer = spectrometer
        self._request = request
        self._token = token
        self._ahead = ahead or Ahead()
        self._repeat: Handle | None = None
        self._overloaded = 0.0

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the request."""
        return asdict(self._request)

    async def prepare(self) -> None:
        """Tune the probe and wait until the sample has its temperature, where the protocol asks for it.

        Raises
        ------
        NotTuned
            The probe reflects too much for what comes out to be comparable.
        NotThere
            The sample did not come to its temperature.
        InstrumentError
            The spectrometer does not do that.
        """
        if self._ahead.tuned:
            if not isinstance(self._spectrometer, Tuning):
                raise InstrumentError("this spectrometer is not tuned by labctl; have a person do it: 'checklist'")
            found = await self._spectrometer.tune(self._token, self._request.nucleus)
            if found is not None and not found.well:
                raise NotTuned(
                    f"the probe reflects {100 * found.reflected:.0f} % at the transmitter's frequency after tuning and "
                    f"matching, {100 * found.at_most:.0f} % are allowed" + _beside(found),
                    hint="look at the cell's leads and at the probe; it is tuned again at the next try",
                )
        if self._ahead.temperature is not None:
            await self._soaked(*self._ahead.temperature)

    async def _soaked(self, kelvin: float, within: float) -> None:
        if not isinstance(self._spectrometer, SampleThermometer):
            raise InstrumentError("this spectrometer does not tell the sample's temperature before a spectrum")
        waited = 0.0
        while abs((found := await self._spectrometer.sample_temperature(self._token)) - kelvin) > within:
            if waited >= self._ahead.at_most:
                raise NotThere(
                    f"the sample has {show(found, 'degC', 4)} after {waited / 3600:.1f} h in the probe, "
                    f"{show(kelvin, 'degC', 4)} within {within:g} K is asked",
                    hint="let it soak longer, or see what warms it",
                )
            await asyncio.sleep(_LOOK_AGAIN)
            waited += _LOOK_AGAIN

    async def start(self, token: str) -> Handle:
        """Make the dataset and start."""
        return await self._spectrometer.start(token, self._request)

    async def poll(self, handle: Handle) -> Progress:
        """Look at the dataset; where the receiver was overloaded, repeat at half the gain, once."""
        if self._repeat is None:
            progress = await self._looked(handle, await self._spectrometer.poll(handle))
            if progress.state is not State.DONE or not progress.values.get("clipped"):
                return progress
            gain = progress.values["receiver_gain"]
            self._repeat = await self._begun(handle, gain * LESS_GAIN)
            self._overloaded = gain
        progress = await self._looked(self._repeat, await self._spectrometer.poll(self._repeat))
        if progress.state is State.DONE and progress.values.get("clipped"):
            gain = progress.values["receiver_gain"]
            message = f"the receiver is overloaded at a gain of {self._overloaded:g} and still at {gain:g}"
            return replace(progress, state=State.FAILED, message=message)
        return progress

    async def _looked(self, handle: Handle, progress: Progress) -> Progress:
        """Look at the data so far where an early end is asked for, and end it where they are enough."""
        enough = self._ahead.enough
        if enough is None or progress.state is not State.RUNNING or not isinstance(self._spectrometer, Watched):
            return progress
        target, every = enough
        found = await self._signal_to_noise(self._spectrometer, handle)
        if found is not None and found >= target:
            await self._spectrometer.enough(handle)
            return await self._spectrometer.poll(handle)
        told = {} if found is None else {"signal_to_noise": found}
        remaining = every if progress.remaining is None else min(progress.remaining, every)
        return replace(progress, remaining=remaining, values={**progress.values, **told})

    async def _signal_to_noise(self, spectrometer: Watched, handle: Handle) -> float | None:
        # Here, because it brings numpy, which an orchestrator that starts does not need.
        from labctl.analysis import bruker, nmr

        with tempfile.TemporaryDirectory(prefix="labctl-") as place:
            try:
                scans = await spectrometer.so_far(handle, Path(place))
                if scans is None:
                    return None
                data = bruker.read(Path(place), scans=scans)
                return nmr.signal_to_noise(data, data.basic_Hz)
            except (DataError, AnalysisError):
                # Nothing that can be judged yet: the acquisition goes on, at most to its own end.
                return None

    async def _begun(self, handle: Handle, gain: float) -> Handle:
        """Find the repeat, or start it."""
        token = handle.token + _REPEAT
        request = replace(self._request, receiver_gain=gain)
        return await self._spectrometer.find(token, request) or await self._spectrometer.start(token, request)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Copy the dataset that counts, and say how the probe was tuned for it."""
        if self._repeat is None:
            return await self._with_tuning(await self._spectrometer.fetch(handle, folder))
        fetched = await self._with_tuning(await self._spectrometer.fetch(self._repeat, folder))
        gain = fetched.summary["receiver_gain"]
        warning = f"the receiver was overloaded; this is the repeat at a gain of {gain:g}"
        return replace(fetched, warnings=(*fetched.warnings, warning))

    async def _with_tuning(self, fetched: Fetched) -> Fetched:
        if not self._ahead.tuned or not isinstance(self._spectrometer, Tuning):
            return fetched
        found = await self._spectrometer.tuned(self._token)
        if found is None:
            warning = "the spectrometer does not say how tuning and matching came out"
            return replace(fetched, warnings=(*fetched.warnings, warning))
        return replace(fetched, summary={**fetched.summary, "tuning": asdict(found)})

    async def abort(self, handle: Handle) -> None:
        """Halt whatever of it is going on."""
        await self._spectrometer.abort(handle)
        repeat = self._repeat or await self._spectrometer.find(handle.token + _REPEAT)
        if repeat is not None:
            await self._spectrometer.abort(repeat)

    async def find(self, token: str) -> Handle | None:
        """Find the dataset by its name."""
        return await self._spectrometer.find(token, self._request)

    async def finish(self) -> None:
        """Nothing to undo."""

    async def prove_safe(self) -> None:
        """A cell in the probe has no leads."""


def _beside(found: Tuned) -> str:
    """Say how far the probe is off, where that is known."""
    return "" if found.beside_Hz is None else f"; it is in resonance {found.beside_Hz * 1e-3:.0f} kHz beside it"


def acquisition_request(name: str, sample: str, planned: PlannedOperation, pulse: Pulse) -> AcquisitionRequest:
    """Translate a planned ``nmr``, ``nutation`` or ``recovery`` step into what a spectrometer is asked."""
    asked = parameters_of(planned)
    lengths = asked.pulse_lengths if planned.kind is Kind.NUTATION else (pulse.length,)
    return AcquisitionRequest(
        name=name,
        sample=sample,
        nucleus=asked.nucleus,
        pulse_program=asked.pulse_program,
        carrier_ppm=asked.carrier_ppm,
        scans=asked.scans,
        recycle_delay=asked.recycle_delay,
        dwell_time=asked.dwell_time,
        points=asked.points,
        pulse_lengths=tuple(lengths),
        pulse_power=asked.power,
        receiver_gain=pulse.receiver_gain,
        carrier_offset=asked.carrier_offset,
        saturation=asked.saturation,
        saturation_ppm=asked.saturation_ppm,
        saturation_power=asked.saturation_power,
        comb_pulses=asked.comb_pulses,
        comb_spacing=asked.comb_spacing,
        echo_delay=asked.echo_delay,
        dead_time=asked.dead_time,
        recycle_delays=asked.recycle_delays,
        may_end_early=asked.enough is not None,
    )


def ahead_of(planned: PlannedOperation) -> Ahead:
    """Say what the protocol wants to be done beside this acquisition."""
    asked = parameters_of(planned)
    sample = asked.sample_temperature
    # What was tuned for the pulse's calibration stays tuned for the spectra that use it.
    tuned = asked.tuned and (planned.kind is Kind.NUTATION or asked.pulse != "calibrate")
    enough = (asked.enough.signal_to_noise, asked.enough.look_every) if asked.enough is not None else None
    if sample is None:
        return Ahead(tuned, enough=enough)
    return Ahead(tuned, (sample.at, sample.within), sample.at_most, enough)


def parameters_of(planned: PlannedOperation) -> Acquisition:
    """Give what a step asks of a spectrometer.

    Raises
    ------
    LabctlError
        It is no step for one.
    """
    if not isinstance(planned.parameters, Acquisition):
        raise LabctlError(f"{planned.path} is no step for a spectrometer")
    return planned.parameters
