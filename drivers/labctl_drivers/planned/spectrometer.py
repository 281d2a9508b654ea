"""A spectrometer of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from labctl.instruments import (
    AcquisitionRequest,
    Busy,
    Fetched,
    Handle,
    Progress,
    State,
    Tuned,
)
from labctl_drivers.planned.device import Planned

#: Bytes of one real point as it is stored, and of the parameter files beside each EXPNO.
_POINT: Final = 4
_BESIDE: Final = 40_000
_GAIN: Final = 101.0


class PlannedSpectrometer(Planned):
    """Takes as long as the spectra take. None is ended early, and no receiver is overloaded."""

    role = "spectrometer"

    def session(self) -> str:
        """One for the whole plan."""
        return "plan"

    async def start(self, token: str, request: AcquisitionRequest) -> Handle:
        """Begin one acquisition after the other."""
        comb = request.comb_pulses * request.comb_spacing
        echo = request.echo_delay or 0.0
        points = request.points_of_series
        times = [
            self._device.seconds(request.scans, delay, request.points, request.dwell_time, comb, echo)
            for _, delay in points
        ]
        if not self._device.start(token, times):
            raise Busy("something is being acquired", instrument=self._context.name)
        pulse, kelvin = self._device.sample()
        gain = request.receiver_gain or _GAIN
        data = {
            "expnos": list(range(1, len(points) + 1)),
            "scans": request.scans,
            "pi_half_s": pulse,
            "kelvin": kelvin,
            "gain": gain,
            "bytes": len(points) * (_POINT * request.points + _BESIDE),
        }
        return Handle(token, "EXPNO 1", self._now(), data)

    async def poll(self, handle: Handle) -> Progress:
        """Look."""
        left = self._device.left(handle.token)
        values = {"scans": float(handle.data["scans"])}
        if left is None:
            return Progress(State.FAILED, "nothing of it is there", values=values)
        if left > 0:
            return Progress(State.RUNNING, remaining=left, values=values)
        return Progress(State.DONE, values={**values, "receiver_gain": float(handle.data["gain"]), "clipped": 0.0})

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Tell what was acquired; no datasets."""
        data = handle.data
        summary = {
            "expnos": data["expnos"],
            "scans": data["scans"],
            "session": self.session(),
            "receiver_gain": data["gain"],
            "sample_temperature_K": data["kelvin"],
            "pi_half_s": data["pi_half_s"],
            "bytes": data["bytes"],
        }
        return Fetched((), summary=summary)

    async def abort(self, handle: Handle) -> None:
        """Halt."""
        self._device.halt(handle.token)

    async def find(self, token: str, request: AcquisitionRequest | None = None) -> Handle | None:
        """A plan is never taken up again, and a repeat never made."""
        return None

    async def tune(self, token: str, nucleus: str) -> Tuned | None:
        """Tune as long as that takes; it comes out well."""
        await self._device.tune()
        return Tuned(0.0, 1.0)

    async def tuned(self, token: str) -> Tuned | None:
        """Well."""
        return Tuned(0.0, 1.0)

    async def sample_temperature(self, token: str) -> float:
        """Measure it."""
        await self._device.look()
        return float(self._device.sample()[1])
