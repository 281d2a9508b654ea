"""A potentiostat of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from labctl.instruments import (
    SERIES,
    SWEEPS,
    Busy,
    DynamicRequest,
    Fetched,
    Handle,
    ImpedanceRequest,
    Progress,
    Refused,
    State,
)
from labctl_drivers.planned.device import Planned

#: Bytes of one spectrum with its tables.
_SPECTRUM: Final = 30_000


class PlannedPotentiostat(Planned):
    """Takes as long as the spectra take; no file is made."""

    role = "potentiostat"
    capabilities = frozenset({SERIES, SWEEPS})

    async def open_circuit_voltage(self) -> float:
        """What the leads show."""
        return float(self._device.voltage())

    def _seconds(self, request: ImpedanceRequest) -> float:
        above, most = request.points_per_decade, request.periods
        return float(
            self._device.seconds(
                request.frequency_start,
                request.frequency_end,
                above,
                request.points_per_decade_low or above,
                most,
                request.periods_low or most,
            )
        )

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Begin."""
        self._claim()
        before = await self.open_circuit_voltage()
        sweeps = 1 + (request.linearity is not None) + request.repeat
        self._device.start(token, request.rest_before + sweeps * self._seconds(request))
        return Handle(token, token, self._now(), {"before": before, "sweeps": sweeps})

    async def start_dynamic(self, token: str, request: DynamicRequest) -> Handle:
        """Begin a series under direct current."""
        self._claim()
        before = await self.open_circuit_voltage()
        if (before - request.cutoff) * request.current >= 0:
            raise Refused(f"{before:.4f} V are at or beyond the cut-off", instrument=self._context.name)
        each = self._seconds(request.spectrum())
        self._device.start_series(token, request.current, request.cutoff, request.spectra, each, request.pause)
        return Handle(token, token, self._now(), {"before": before, "sweeps": 0})

    def _claim(self) -> None:
        if self._device.busy():
            raise Busy("something is being measured", instrument=self._context.name)

    async def poll(self, handle: Handle) -> Progress:
        """Look."""
        found = self._device.look(handle.token)
        if found is None:
            return Progress(State.FAILED, "nothing of it is there")
        left, run = found
        if left > 0:
            return Progress(State.RUNNING, remaining=left)
        return Progress(State.DONE, values={"voltage_V": run.voltage} if not handle.data["sweeps"] else {})

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Tell what was measured; no files."""
        _, run = self._device.look(handle.token)
        before, sweeps = handle.data["before"], int(handle.data["sweeps"])
        summary: dict[str, Any] = {"voltage_before_V": before, "bytes": _SPECTRUM * (sweeps or run.spectra)}
        if not sweeps:
            end = "cut-off" if run.cut_off else "all spectra"
            summary |= {"spectra": run.spectra, "end": end, "charge_C": run.charge, "voltage_after_V": run.voltage}
            summary |= {"duration_s": run.ends - run.began}
        return Fetched((), summary=summary)

    async def abort(self, handle: Handle) -> None:
        """Source off."""
        self._device.halt(handle.token)

    async def find(self, token: str) -> Handle | None:
        """A plan is never taken up again."""
        return None
