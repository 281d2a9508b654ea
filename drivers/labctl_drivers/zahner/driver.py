"""The Zahner potentiostat over Thales Remote: spectra at rest, and series of them under direct current.

The instrument stores our token as the name of the result file, which is how a sweep is found again; it has no other
memory of it. Its script channel is silent while it measures, so silence is never taken for absence.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    SERIES,
    SWEEPS,
    Busy,
    CannotSay,
    DriverContext,
    DynamicRequest,
    Fetched,
    Garbled,
    Handle,
    Identity,
    ImpedanceRequest,
    Inspection,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Progress,
    TimedOut,
)
from labctl_drivers.zahner import replies
from labctl_drivers.zahner.conductor import Conductor
from labctl_drivers.zahner.plan import Place, output_path, series_of, sweeps_of
from labctl_drivers.zahner.run import Run, first_data
from labctl_drivers.zahner.session import Session
from labctl_drivers.zahner.thales import PROBE, Thales

PORT: Final = 260
_CONNECT_WITHIN: Final = 4.5
# Silence of script and display after which nothing can be running: longer than the slowest point of usual spectra.
_QUIET: Final = 900.0
_HEARTBEAT: Final = 60.0
_LOOK_EVERY: Final = 5.0
_MOST_SPECTRA: Final = 999
#: By Thales' number. By a table is not offered: it stands on the Term PC, where nobody reads it back.
STRATEGIES: Final = ("single", "multi")


class ZahnerPotentiostat:
    r"""Drives a Zahner workstation through the Term program of its PC.

    Settings
    --------
    address : str
        Host, or ``host:port``.
    port : int
        260 unless said otherwise.
    output_path : str
        An existing folder on a local drive of the Term PC, such as ``c:\thales\labctl``.
    naming : str
        ``individual`` (default: the file is named by our token) or ``counter`` (Thales adds ``_0001`` to it).
    strategy : str
        ``single`` (default: one frequency after the other) or ``multi`` (several slow ones at once).
    serial : str
        The workstation's number; others are refused.
    quiet_s : float
        Seconds without an answer and without a measured point after which a silent Thales is taken to measure nothing
        and is forced into the Remote script; 900 unless said otherwise.
    heartbeat_s : float
        Age of Thales' last sign of life, in s, at which a measurement is taken to hang; 60 unless said otherwise.
    """

    role = "potentiostat"
    capabilities = frozenset({SERIES, SWEEPS})

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        host, _, named = str(settings["address"]).partition(":")
        port = settings.get("port", PORT)
        self._context = context
        naming = str(settings.get("naming", "individual"))
        if naming not in ("individual", "counter"):
            raise ValueError(f"naming '{naming}' is neither individual nor counter; others cannot be found again")
        folder = output_path(str(settings.get("output_path", "c:\\thales\\labctl")))
        strategy = str(settings.get("strategy", "single"))
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy '{strategy}' is neither of {', '.join(STRATEGIES)}")
        self._place = Place(folder, naming == "counter", STRATEGIES.index(strategy))
        self._session = Session(context, host, int(named or port), str(settings.get("serial", "")))
        self._thales = Thales(context, self._session, float(settings.get("quiet_s", _QUIET)))
        heartbeat = float(settings.get("heartbeat_s", _HEARTBEAT))
        self._conductor = Conductor(context, self._thales, self._place, heartbeat)
        # A start of which nobody knows yet how far it came: its caller may have been cancelled.
        self._starting: Run | None = None
        self._lock = asyncio.Lock()

    async def connect(self) -> Identity:
        """Connect and identify; where nothing is being measured, read the limits and see that the source is off.

        A running measurement is left alone: Thales is never forced into its Remote script here.

        Raises
        ------
        NotReachable, NotIdentified
            With instrument and address, within 5 s.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(self._context.clock.patience(_CONNECT_WITHIN)):
                    word = await self._thales.word()
                    if word is None or word[0] != "SENDSETUP":
                        return self._identity("", {"script": "silent: measuring, or not started"})
                    _, model = await self._thales.ask("ALLNUM", replies.identity, PROBE)
                    shown = replies.setup(word[1])
                    if not shown.off and not self._context.read_only and not self._conductor.keeps_source_on:
                        self._context.log.warning("source was on", instrument=self._context.name, setup=shown.text)
                        shown = await self._thales.off()
            except (TimeoutError, TimedOut) as error:
                raise self._session.fault(NotReachable, "the connection stands, but nothing answers") from error
            except Garbled as error:
                raise self._session.fault(NotIdentified, error.message) from error
        return self._identity(model, {"script": "ready", **_safety(shown)})

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell what the script shows of source and limits, and what is unverified; nothing moves."""
        from labctl_drivers.zahner.inspection import inspect

        async with self._lock:
            word = await self._thales.word()
        return inspect(None if word is None or word[0] != "SENDSETUP" else replies.setup(word[1]))

    async def close(self) -> None:
        """Sign off; a running sweep goes on.

        A series under direct current is ended, its source off: without this driver nothing would keep its cut-off. The
        same goes for a start that was cancelled before it had begun to measure.
        """
        async with self._lock:
            try:
                if self._starting is not None:
                    await self._conductor.undo(self._starting)
                if self._conductor.keeps_source_on:
                    await self._conductor.end_series("labctl was closed")
            except InstrumentError as fault:
                self._context.log.error("the source may be on", instrument=self._context.name, why=fault.message)
            self._starting = None
        self._session.leave()
        await asyncio.sleep(0)

    async def open_circuit_voltage(self) -> float:
        """Voltage in V at the leads, source off.

        Raises
        ------
        Busy
            Something is being measured.
        """
        async with self._lock:
            await self._claim()
            return await self._thales.potential()

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Start the sweep, or the rest before it.

        Raises
        ------
        Busy
            Something is being measured.
        OutOfRange
            Beyond the instrument's limits.
        Refused
            The cell's voltage is outside its limits, a setting did not read back, or the instrument declined.
        """
        if request.linearity is not None and not 0 < request.linearity != 1:
            raise OutOfRange(f"a second amplitude of {request.linearity:g} times the first shows nothing")
        run = Run(sweeps_of(request, token, self._place))
        return await self._start(token, run, first_data(request), request.rest_before)

    async def start_dynamic(self, token: str, request: DynamicRequest) -> Handle:
        """Switch the direct current on and start the first spectrum of a series.

        Raises
        ------
        Busy, OutOfRange, Refused
            As :meth:`start`; also where the cut-off is reached already.
        """
        if request.current == 0 or not 1 <= request.spectra <= _MOST_SPECTRA or request.pause < 0:
            asked = f"{request.spectra} spectra under {request.current:g} A, {request.pause:g} s apart"
            raise OutOfRange(f"{asked}: 1 to {_MOST_SPECTRA} spectra under a current other than 0")
        run = Run(series_of(request, token, self._place), request)
        return await self._start(token, run, first_data(request), 0.0)

    async def _start(self, token: str, run: Run, asked: dict[str, object], rest: float) -> Handle:
        plan = run.plans[0]
        async with self._lock:
            await self._claim()
            self._starting = run
            try:
                if rest > 0:
                    before, shown = await self._conductor.look(plan)
                    now = self._context.clock.now()
                    run.due = now + timedelta(seconds=rest)
                    data = {**plan.data(before, plan.settings(before), shown), **asked, "rest_s": rest}
                else:
                    data = {**await self._conductor.begin(run), **asked}
                    now = run.begun or self._context.clock.now()
            except InstrumentError as error:
                with contextlib.suppress(Busy):
                    await self._conductor.undo(run)
                    self._starting = None
                raise self._session.fault(type(error), error.message) from error
            handle = Handle(token, plan.file, data.pop("on_at", now.isoformat()), data)
            self._conductor.adopt(token, run)
            self._starting = None
            return handle

    async def poll(self, handle: Handle) -> Progress:
        """Look once, and start the next sweep where one has come to its end and more were asked for.

        ``values``: frequency_Hz, points_done, voltage_V; of a series also current_A, spectra_done, charge_C,
        capacity_C, series_remaining_s.

        Raises
        ------
        VendorAlarm
            The sweep is long overdue and Thales keeps silent, or has given no sign of life for ``heartbeat_s``.
        """
        async with self._lock:
            return await self._conductor.poll(handle)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the files and their tables into ``folder``, and show that the source is off.

        Raises
        ------
        DataError
            There is no file, one cannot be read, or it is not what was asked for.
        """
        async with self._lock:
            raws = await self._conductor.files(handle)
            if not raws:
                why = f"Thales has no file {handle.place}: no spectrum was complete when it ended"
                raise DataError(f"{self._context.name}: {why}")
            shown = await self._thales.off()
            after = await self._thales.potential()
            run = await self._conductor.run(handle)
        from labctl_drivers.zahner import result, series  # bring numpy, which a look at the status does not need

        if run.series is not None:
            return series.store(handle, run, raws, folder, shown, after)
        return result.store(handle, run.readings, raws, folder, shown, after)

    async def abort(self, handle: Handle) -> None:
        """End the sweep by force if it runs, and switch the source off, verified. Idempotent."""
        async with self._lock:
            await self._conductor.abort(handle)

    async def find(self, token: str) -> Handle | None:
        """Find the file that carries ``token``; a busy script channel is waited for before judging.

        None means that no sweep under that name has come to its end; one that was broken off leaves no trace. The
        source is off where the script is free.

        Raises
        ------
        CannotSay
            Thales has neither answered nor shown a point for ``quiet_s`` seconds.
        """
        from labctl_drivers.zahner import result  # as in fetch

        places = (self._place.file(token), self._place.file(f"{token}-001"))
        async with self._lock:
            if self._starting is not None and self._starting.series is not None:
                # Whoever started it was cancelled: nobody watches the cut-off while its spectrum is waited for.
                await self._conductor.undo(self._starting)
                self._starting = None
        quiet_since = self._context.clock.now()
        while True:
            async with self._lock:
                found = await self._first(places)
                word = await self._thales.word()
                if word is not None:
                    found = found or await self._first(places)
                    if not self._conductor.keeps_source_on and not (await self._thales.setup()).off:
                        await self._thales.off()
                shown = not found and word is None and bool(await self._thales.points())
            if found:
                return result.found(token, *found, series=found[0] == places[1])
            if word is not None:
                return None
            now = self._context.clock.now()
            if shown:
                quiet_since = now
            elif now - quiet_since > timedelta(seconds=self._thales.quiet):
                quiet = self._thales.quiet
                raise self._session.fault(
                    CannotSay, f"neither a file {places[0]} nor a word from the script for {quiet:g} s"
                )
            await asyncio.sleep(_LOOK_EVERY)

    async def _first(self, places: tuple[str, ...]) -> tuple[str, bytes] | None:
        for place in places:
            content = await self._thales.file(place)
            if content:
                return place, content
        return None

    async def _claim(self) -> None:
        if self._conductor.engaged:
            raise self._session.fault(Busy, "sweeps of this driver are still under way")
        shown = await self._thales.claim(self._conductor.may_run)
        if not shown.off:
            await self._thales.off()

    def _identity(self, model: str, details: dict[str, str]) -> Identity:
        session = self._session
        return Identity("Zahner", model, session.serial, f"Thales {session.version}", session.address, details)


def _safety(shown: replies.Setup) -> dict[str, str]:
    return {
        "source": "off" if shown.off else "on",
        "current limits": f"{shown['Cmin']:g} A to {shown['Cmax']:g} A",
        "voltage limits": f"{shown['Pmin']:g} V to {shown['Pmax']:g} V",
    }
