"""The potentiostat role: one spectrum at a time on the one channel of the entry, or a series of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import Busy, Fetched, Handle, ImpedanceRequest, Progress, Refused, State
from labctl_drivers.biologic.backend import (
    Doing,
    GalvanostaticImpedance,
    Point,
    PotentiostaticImpedance,
    Run,
)
from labctl_drivers.biologic.driver import Order, put
from labctl_drivers.biologic.dynamic import DynamicPart
from labctl_drivers.biologic.plan import compile_request, sweep_duration
from labctl_drivers.biologic.tables import electrode_impedance_table, impedance_table

#: Longest wait between looks, s; and where a direct current flows or a voltage is held, whose limits labctl watches.
_LOOK_EVERY: Final = 60.0
_WATCH_EVERY: Final = 15.0


class BiologicPotentiostat(DynamicPart):
    """Measures impedance, at rest or while a direct current flows; else the channel is at open circuit."""

    @property
    def _channel(self) -> int:
        return self._settings.channels[0]

    async def open_circuit_voltage(self) -> float:
        """Voltage in V at the leads, working electrode against reference, source off.

        Raises
        ------
        Busy
            The channel is running something.
        """
        async with self._lock:
            status = await self._backend.status(self._channel)
            if status.doing is not Doing.STOPPED:
                raise self._fault(Busy, f"channel {self._channel} is {status.doing.value}")
            return status.voltage

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Start the sweep; never twice.

        Raises
        ------
        Busy
            The channel is running something.
        OutOfRange
            Beyond what the channel can do.
        Refused
            The voltage is outside the cell's limits, or in the vendor's words.
        """
        technique = compile_request(request)
        async with self._lock:
            before = (await self._backend.status(self._channel)).voltage
            if not request.voltage_min <= before <= request.voltage_max:
                raise self._fault(
                    Refused,
                    f"{before:.4f} V at the leads, outside the cell's limits {request.voltage_min:g} V to "
                    f"{request.voltage_max:g} V",
                )
            facts = {
                "name": request.name,
                "voltage_before_V": before,
                "voltage_limits_V": [request.voltage_min, request.voltage_max],
            }
            return (await self._begin([Order(token, self._channel, (technique,), facts)]))[0]

    async def poll(self, handle: Handle) -> Progress:
        """Look once. ``values``: frequency_Hz, points_done, voltage_V, current_A.

        Of a series: spectra_done, voltage_V (mean), frequency_Hz, points_done, charge_C, series_remaining_s.
        """
        token = handle.token
        async with self._lock:
            if (verdict := self._verdict(token)) is not None:
                return verdict
            run = self._run(token)
            if (series := self._request(token)) is not None:
                return await self._poll_series(run, series)
            if not self._runs.is_newest(run):
                return self._judged(token, f"channel {run.channel} was given something else", "")
            status = await self._look(run)
            points = await self._points(run)
            low, high = self._runs.facts(token)["voltage_limits_V"]
            if status.doing is Doing.STOPPED:
                wanted = self._technique(run).points
                problem = "" if len(points) >= wanted else f"the sweep ended after {len(points)} of {wanted} points"
                if problem and status.message:
                    problem += f": {status.message}"
                return self._judged(token, problem, "completed")
            if status.failed and status.doing is Doing.PAUSED:
                return await self._abort(token, f"channel {run.channel} was paused: {status.message}; ended")
            # Twice, as one value that arrived wrong is no reason to break a sweep off.
            if not low <= status.voltage <= high:
                status = await self._backend.status(run.channel)
            if status.doing is Doing.RUNNING and not low <= status.voltage <= high:
                return await self._abort(
                    token, f"{status.voltage:.4f} V at the leads, outside {low:g} V to {high:g} V; ended"
                )
            values = {**self._values(status), "points_done": float(len(points))}
            if points:
                values["frequency_Hz"] = points[-1].frequency
            technique = self._technique(run)
            left = max(1.0, sweep_duration(technique) - status.elapsed)
            longest = _WATCH_EVERY if technique.bias else _LOOK_EVERY
            return Progress(State.RUNNING, status.message or "running", min(left, longest), values)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the raw records and ``impedance.csv`` into ``folder``, and both electrodes' impedances if measured.

        Of a series: a table for each complete spectrum, ``spectra.csv`` and ``direct.csv``.

        Raises
        ------
        DataError
            No point was measured, or the frequencies are not those asked for.
        """
        async with self._lock:
            run = self._run(handle.token)
            if (series := self._request(run.token)) is not None:
                return await self._fetch_series(run, series, folder)
            points = await self._points(run)
            technique = self._technique(run)
            if not points:
                raise DataError(f"{self._context.name}: no point was measured of {run.token}")
            if any(after.frequency >= before.frequency for before, after in pairwise(points)):
                raise DataError(f"{self._context.name}: the frequencies of {run.token} do not fall from point to point")
            facts = self._runs.facts(run.token)
            began = max(0.0, points[0].at - 1.0 / points[0].frequency)
            files = [*await self._backend.files(run, folder)]
            files.append(put(folder / "impedance.csv", impedance_table(points, began)))
            if any(point.counter is not None for point in points):
                files.append(put(folder / "impedance_electrodes.csv", electrode_impedance_table(points)))
        summary: dict[str, Any] = {
            "points": len(points),
            "frequency_max_Hz": points[0].frequency,
            "frequency_min_Hz": points[-1].frequency,
            "voltage_before_V": facts["voltage_before_V"],
            "duration_s": points[-1].at - began,
        }
        missing = technique.points - len(points)
        warnings = (f"{missing} points of {technique.points} are missing",) if missing > 0 else ()
        return Fetched(tuple(files), {"channel": run.channel, **run.sent}, {}, summary, warnings)

    async def _points(self, run: Run) -> list[Point]:
        return [record for record in await self._backend.records(run, 0) if isinstance(record, Point)]

    def _technique(self, run: Run) -> PotentiostaticImpedance | GalvanostaticImpedance:
        for technique in run.techniques:
            if isinstance(technique, (PotentiostaticImpedance, GalvanostaticImpedance)):
                return technique
        raise DataError(f"{self._context.name}: {run.token} is no spectrum")
