"""Spectra while a direct current flows: the channel runs the series, this keeps its cut-off and judges its end."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments import DriverContext, DynamicRequest, Fetched, Handle, Progress, Refused, State
from labctl_drivers.biologic.backend import ChannelStatus, Doing, Run
from labctl_drivers.biologic.driver import ABORTED, BiologicInstrument, Order
from labctl_drivers.biologic.series import ALL, CUT_OFF, Course, how_stopped, why_past
from labctl_drivers.biologic.series_plan import GUARD, compile_series, expected_duration, longest_without_record
from labctl_drivers.biologic.series_tables import Ended, store
from labctl_drivers.biologic.station import Settings

#: Longest wait between looks, s; the same where the mean voltage is within so many V of the cut-off.
_WATCH_EVERY: Final = 15.0
_WATCH_NEAR: Final = 1.0
_NEAR: Final = 0.3
#: s by which the instrument's clock may seem to run ahead of this PC's.
_SLACK: Final = 2.0
#: s by which two clocks may differ that were compared at the start.
_CLOSE: Final = 0.05
#: s after the order to start within which a channel may tell that no time has passed.
_FRESH: Final = 10.0


class DynamicPart(BiologicInstrument):
    """Takes series of spectra under a direct current on the one channel of the entry.

    Whatever this knows of a series is in what was written down before its start and in the channel's records, so a new
    process goes on where the old one stopped; without any, the channel goes on by itself to the series' end.
    """

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        super().__init__(context, settings)
        self._courses: dict[str, Course] = {}

    async def start_dynamic(self, token: str, request: DynamicRequest) -> Handle:
        """Start a series of spectra, the direct current with the first; never twice.

        Raises
        ------
        Busy
            The channel is running something.
        OutOfRange
            Beyond what the channel can do.
        Refused
            The voltage is outside the cell's limits or at the cut-off already, or in the vendor's words.
        """
        # Through EC-Lab no technique can end the whole run at the cut-off: a stretch without a pause would be idle.
        techniques = compile_series(request, GUARD if self._settings.backend == "eclib" else 0.0)
        channel = self._settings.channels[0]
        async with self._lock:
            if await self._was_started(token):
                return self._handle(self._run(token))
            before = (await self._backend.status(channel)).voltage
            if not request.voltage_min <= before <= request.voltage_max:
                limits = f"{request.voltage_min:g} V to {request.voltage_max:g} V"
                raise self._fault(Refused, f"{before:.4f} V at the leads, outside the cell's limits {limits}")
            if (before >= request.cutoff) if request.current > 0 else (before <= request.cutoff):
                raise self._fault(
                    Refused, f"{before:.4f} V at the leads, the cut-off of {request.cutoff:g} V is reached already"
                )
            facts = {"name": request.name, "voltage_before_V": before, "series": asdict(request)}
            handle = (await self._begin([Order(token, channel, techniques, facts)]))[0]
            await self._note_clock(self._run(token))
            return handle

    def _request(self, token: str) -> DynamicRequest | None:
        """What was asked of a series; None for any other run."""
        asked = self._runs.facts(token).get("series")
        return None if asked is None else DynamicRequest(**asked)

    async def _poll_series(self, run: Run, request: DynamicRequest) -> Progress:
        """Look once at a series that has no verdict yet."""
        if not self._runs.is_newest(run):
            return self._judged(run.token, f"channel {run.channel} was given something else", "")
        status = await self._look(run)
        if status.doing is not Doing.STOPPED:
            self._clock(run, status)
        # What waits in the channel after an absence is old, and would pass for the present.
        recent = status.elapsed - longest_without_record(run.techniques)
        course = await self._course(run, request, inf if status.doing is Doing.STOPPED else recent)
        facts = self._runs.facts(run.token)
        if "ending" in facts:
            # The process ended between the note and the verdict: what was to be stopped may run still.
            return await self._end(run, str(facts["ending"]), status)
        if status.failed and status.doing is not Doing.STOPPED:
            # Seen twice, as for all that ends a series: one value that arrived wrong is no reason to.
            status = await self._look(run)
        if status.failed:
            return await self._end(run, f"channel {run.channel} is {status.doing.value}: {status.message}", status)
        if status.doing is Doing.STOPPED:
            course = await self._course(run, request, inf)
            return await self._end(run, how_stopped(course, run.techniques, request, status.message), status)
        mean = course.last.voltage if course.last is not None else None
        why = why_past(request, mean, status.voltage, course.swing())
        if why:
            status = await self._backend.status(run.channel)
            if status.doing is Doing.RUNNING:
                why = why_past(request, mean, status.voltage, course.swing())
                if why:
                    return await self._end(run, why, status)
        return self._progress(run, request, course, status)

    def _progress(self, run: Run, request: DynamicRequest, course: Course, status: ChannelStatus) -> Progress:
        since = course.last.at if course.last is not None else 0.0
        elapsed = max(status.elapsed, since)
        left = max(1.0, expected_duration(run.techniques, request.spectra) - elapsed)
        mean = course.last.voltage if course.last is not None else status.voltage
        values = {
            "voltage_V": mean,
            "spectra_done": float(course.done),
            "charge_C": course.charge + request.current * (elapsed - since),
            "series_remaining_s": left,
        }
        if course.spectra:
            newest = course.spectra[-1].points
            values |= {"frequency_Hz": newest[-1].frequency, "points_done": float(len(newest))}
        near = min(abs(voltage - request.cutoff) for voltage in (mean, status.voltage)) < _NEAR
        remaining = min(left, _WATCH_NEAR if near else _WATCH_EVERY)
        return Progress(State.RUNNING, status.message or "running", remaining, values)

    async def _end(self, run: Run, end: str, status: ChannelStatus | None) -> Progress:
        """Source off, verified; only then is there a verdict."""
        if status is None or status.doing is not Doing.STOPPED:
            ordered = off = self._since_on(run)
            self._runs.note(run.token, ending=end, ordered_s=ordered, off_s=off)
            await self._backend.stop(run.channel)
            off = self._since_on(run)
            stands = await self._glance(run)
            if stands is not None and ordered - _CLOSE <= stands.elapsed <= off + _CLOSE:
                ordered = off = stands.elapsed
            self._runs.note(run.token, ordered_s=ordered, off_s=off)
        elif (told := self._stopped_at(run, status)) is not None:
            self._runs.note(run.token, ordered_s=told, off_s=told)
        if end not in (ALL, CUT_OFF):
            return self._judged(run.token, end, "")
        self._runs.note(run.token, end=end)
        return self._judged(run.token, "", end)

    async def _abort(self, token: str, message: str) -> Progress:
        run = self._runs.read(token)
        if run is None or self._request(token) is None:
            return await super()._abort(token, message)
        if self._runs.is_newest(run) and "verdict" not in self._runs.facts(token):
            return await self._end(run, message, None)
        return Progress(State.FAILED, message)

    async def _note_clock(self, run: Run) -> None:
        """Look at what was just started, for its clock alone; no fault of the line may take the start back."""
        status = await self._glance(run)
        if status is not None and status.doing is not Doing.STOPPED:
            self._clock(run, status)

    async def _glance(self, run: Run) -> ChannelStatus | None:
        """Look at a channel; None where nothing comes back, as nothing hangs on it."""
        try:
            return await self._backend.status(run.channel)
        except InstrumentError as fault:
            self._context.log.warning("a look has failed", instrument=self._context.name, why=fault.message)
            return None

    def _clock(self, run: Run, status: ChannelStatus) -> None:
        """Write down when the current was switched on, by the first look that can tell; asked right after it."""
        now = self._context.clock.now()
        fresh = now - run.begun < timedelta(seconds=_FRESH)
        if "on_at" in self._runs.facts(run.token) or not (status.elapsed > 0 or fresh):
            return
        on = now - timedelta(seconds=status.elapsed)
        slack = timedelta(seconds=_SLACK)
        if run.begun - slack <= on <= now:
            self._runs.note(run.token, on_at=on.isoformat())

    def _stopped_at(self, run: Run, status: ChannelStatus) -> float | None:
        """When a channel that stands has stopped, s: as it tells itself, where that fits its records."""
        request, course = self._request(run.token), self._courses.get(run.token)
        if request is None or course is None or course.last is None:
            return None
        between = min(longest_without_record(run.techniques), self._since_on(run) - course.last.at)
        return status.elapsed if 0 < status.elapsed - course.last.at <= between + _SLACK else None

    def _since_on(self, run: Run) -> float:
        return (self._context.clock.now() - self._on_at(run)).total_seconds()

    def _on_at(self, run: Run) -> datetime:
        told = self._runs.facts(run.token).get("on_at")
        return datetime.fromisoformat(told) if told is not None else run.begun

    async def _course(self, run: Run, request: DynamicRequest, until: float) -> Course:
        """Bring the course of a series up to a record at ``until`` s at least, or to the newest that there is."""
        course = self._courses.get(run.token) or Course(run.techniques, request)
        while records := await self._backend.records(run, course.seen):
            course.feed(records)
            self._courses[run.token] = course
            if course.last is not None and course.last.at >= until:
                break
        return course

    async def _fetch_series(self, run: Run, request: DynamicRequest, folder: Path) -> Fetched:
        """Lay spectra, stamps and the record of the direct current into ``folder``."""
        verdict, facts = self._verdict(run.token), self._runs.facts(run.token)
        course = await self._course(run, request, inf)
        if course.last is None:
            raise DataError(f"{self._context.name}: channel {run.channel} has recorded nothing of {run.token}")
        raws = await self._backend.files(run, folder)
        failed = verdict.message if verdict is not None and verdict.state is State.FAILED else ""
        ended = Ended(
            started=self._on_at(run),
            off=facts.get("off_s"),
            ordered=facts.get("ordered_s"),
            end=str(facts.get("end") or ("aborted" if failed == ABORTED else "ended early")),
            failed=failed,
            before=float(facts["voltage_before_V"]),
            after=await self._voltage_after(run),
        )
        sent = {"channel": run.channel, **run.sent}
        return store(course, request, ended, raws, folder, sent, longest_without_record(run.techniques))

    async def _voltage_after(self, run: Run) -> float | None:
        """Voltage in V at the leads of a channel that has stopped; None where it is not to be had."""
        if not self._runs.is_newest(run):
            return None
        status = await self._glance(run)
        return status.voltage if status is not None and status.doing is Doing.STOPPED else None
