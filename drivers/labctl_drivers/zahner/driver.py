"""The Zahner potentiostat over Thales Remote: one galvanostatic or potentiostatic spectrum at a time.

The instrument stores our token as the name of the result file, which is how a sweep is found again; it has no other
memory of it. Its script channel is silent while it measures, so silence is never taken for absence.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    Busy,
    CannotSay,
    DriverContext,
    Fetched,
    Garbled,
    Handle,
    Identity,
    ImpedanceRequest,
    Inspection,
    NotIdentified,
    NotReachable,
    Progress,
    State,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.zahner import replies
from labctl_drivers.zahner.display import Point, latest
from labctl_drivers.zahner.plan import Plan, file_of, grid, output_path
from labctl_drivers.zahner.session import ATTEMPTS, Session

PORT: Final = 260
_CONNECT_WITHIN: Final = 4.5
# An answer of an idle script takes milliseconds.
_PROBE: Final = 1.0
_ANSWER: Final = 5.0
_LAUNCHED: Final = 0.4
# Silence of script and display after which nothing can be running: longer than the slowest point of usual spectra.
_QUIET: Final = 900.0
_LOOK_EVERY: Final = 5.0
# Beyond its expected duration times a factor plus a grace in s, a sweep is doubted, then given up.
_DOUBT: Final = (1.1, 20.0)
_OVERDUE: Final = (1.5, 120.0)

T = TypeVar("T")


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
    serial : str
        The workstation's number; others are refused.
    quiet_s : float
        Seconds without an answer and without a measured point after which a silent Thales is taken to measure nothing
        and is forced into the Remote script; 900 unless said otherwise.
    """

    role = "potentiostat"

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        host, _, port = str(settings["address"]).partition(":")
        self._context = context
        self._folder = output_path(str(settings.get("output_path", "c:\\thales\\labctl")))
        self._quiet = float(settings.get("quiet_s", _QUIET))
        self._session = Session(context, host, int(port or settings.get("port", PORT)), str(settings.get("serial", "")))
        self._lock = asyncio.Lock()
        self._verdicts: dict[str, Progress] = {}
        self._points: dict[str, Point] = {}
        self._newest: str | None = None
        self._doubted: set[str] = set()

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
                    word = await self._survive(lambda: self._session.word(_PROBE))
                    if word is None or word[0] != "SENDSETUP":
                        return self._identity("", {"script": "silent: measuring, or not started"})
                    _, model = await self._ask("ALLNUM", replies.identity, _PROBE)
                    shown = replies.setup(word[1])
                    if not shown.off and not self._context.read_only:
                        self._context.log.warning("source was on", instrument=self._context.name, setup=shown.text)
                        shown = await self._source_off()
            except (TimeoutError, TimedOut) as error:
                raise self._session.fault(NotReachable, "the connection stands, but nothing answers") from error
            except Garbled as error:
                raise self._session.fault(NotIdentified, error.message) from error
        return self._identity(model, {"script": "ready", **_safety(shown)})

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell what the script shows of source and limits, and what is unverified; nothing moves."""
        from labctl_drivers.zahner.inspection import inspect

        async with self._lock:
            word = await self._survive(lambda: self._session.word(_PROBE))
        return inspect(None if word is None or word[0] != "SENDSETUP" else replies.setup(word[1]))

    async def close(self) -> None:
        """Sign off; a running sweep goes on."""
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
            shown = await self._claim()
            if not shown.off:
                await self._source_off()
            return await self._ask("POTENTIAL", replies.potential)

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Start the sweep.

        Raises
        ------
        Busy
            Something is being measured.
        OutOfRange
            Beyond the instrument's limits.
        Refused
            The cell's voltage is outside its limits, a setting did not read back, or the instrument declined.
        """
        plan = Plan(request, token, self._folder)
        async with self._lock:
            await self._claim()
            try:
                return await self._begin(plan)
            except InstrumentError as error:
                with contextlib.suppress(Busy):
                    await self._source_off()
                raise self._session.fault(type(error), error.message) from error

    async def poll(self, handle: Handle) -> Progress:
        """Look once. ``values``: frequency_Hz, points_done, voltage_V.

        Raises
        ------
        VendorAlarm
            The sweep is long overdue and Thales keeps silent.
        """
        async with self._lock:
            if handle.token in self._verdicts:
                return self._verdicts[handle.token]
            word = await self._survive(lambda: self._session.word(_PROBE))
            if word is None and handle.token not in self._doubted and self._beyond(handle, *_DOUBT):
                # The reply may have been lost on its way: a new connection asks whether the script is free.
                self._doubted.add(handle.token)
                self._session.lost(TimedOut("no reply when the sweep should have ended"))
                word = await self._survive(lambda: self._session.word(_PROBE))
            if word is not None:
                return await self._judge(handle, *word)
            await self._read_display(handle.token)
        return await self._running(handle)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay ``<token>.ism`` and ``impedance.csv`` into ``folder``, and show that the source is off.

        Raises
        ------
        DataError
            There is no file, it cannot be read, or it is not what was asked for.
        """
        async with self._lock:
            raw = await self._file(handle.place)
            if not raw:
                raise DataError(f"{self._context.name}: Thales has no file {handle.place}")
            shown = await self._source_off()
        from labctl_drivers.zahner import result  # brings numpy, which a look at the status does not need

        return result.store(handle, raw, folder, shown)

    async def abort(self, handle: Handle) -> None:
        """End the sweep by force if it runs, and switch the source off, verified. Idempotent."""
        async with self._lock:
            if self._newest not in (None, handle.token):
                return
            if await self._survive(lambda: self._session.word(_PROBE)) is None:
                if await self._file(handle.place):
                    return
                await self._survive(self._session.force)
            await self._source_off()
            if not await self._file(handle.place):
                self._verdicts[handle.token] = Progress(State.FAILED, "aborted")

    async def find(self, token: str) -> Handle | None:
        """Find the file that carries ``token``; a busy script channel is waited for before judging.

        None means that no sweep under that name has come to its end; one that was broken off leaves no trace.

        Raises
        ------
        CannotSay
            Thales has neither answered nor shown a point for ``quiet_s`` seconds.
        """
        from labctl_drivers.zahner import result  # as in fetch

        path, quiet_since = file_of(self._folder, token), self._context.clock.now()
        while True:
            async with self._lock:
                content = await self._file(path)
                word = None if content else await self._survive(lambda: self._session.word(_PROBE))
                if word is not None:
                    content = await self._file(path)
                shown = not content and word is None and await self._read_display(token)
            if content:
                return result.found(token, path, content)
            if word is not None:
                return None
            now = self._context.clock.now()
            if shown:
                quiet_since = now
            elif now - quiet_since > timedelta(seconds=self._quiet):
                raise self._session.fault(
                    CannotSay, f"neither a file {path} nor a word from the script for {self._quiet:g} s"
                )
            await asyncio.sleep(_LOOK_EVERY)

    # Starting.

    async def _begin(self, plan: Plan) -> Handle:
        for _ in range(ATTEMPTS):
            generation = self._session.generation
            data = await self._prepare(plan)
            if generation != self._session.generation:
                continue  # the instrument may have lost settings with the connection
            self._newest = plan.token
            started = self._context.clock.now()
            if await self._launch(plan):
                return Handle(plan.token, plan.file, started.isoformat(), data)
        raise self._session.fault(TimedOut, "the connection was lost again and again while the sweep was prepared")

    async def _prepare(self, plan: Plan) -> dict[str, Any]:
        await self._set("Pot", "0")
        before = await self._ask("POTENTIAL", replies.potential)
        plan.check(await self._ask("SENDSETUP", replies.setup), before)
        plan.inside(before, "with the source off")
        settings = plan.settings(before)
        for name, value in settings.items():
            await self._set(name, value)
        shown = await self._ask("SENDSETUP", replies.setup)
        plan.compare(shown, settings)
        await self._set("Pot", "-1")
        plan.inside(await self._ask("POTENTIAL", replies.potential), "with the source on")
        return plan.data(before, settings, shown)

    async def _launch(self, plan: Plan) -> bool:
        """Send ``EIS`` once; whether it has taken effect."""
        try:
            reply = await self._session.launch("EIS", _LAUNCHED)
        except (NotReachable, TimedOut, Garbled) as fault:
            # Whether it has taken effect, only Thales knows: it is silent while it measures, or has the file already.
            self._session.lost(fault)
            word = await self._survive(lambda: self._session.word(_PROBE))
            return word is None or bool(await self._file(plan.file))
        if reply is not None:
            replies.checked("EIS", reply)
            self._verdicts[plan.token] = await self._ended()
        return True

    async def _claim(self) -> replies.Setup:
        """Make sure that the script answers and nothing is being measured."""
        quiet_since, forced = self._context.clock.now(), False
        while True:
            word = await self._survive(lambda: self._session.word(_PROBE))
            if word is not None:
                return await self._ask("SENDSETUP", replies.setup)
            if forced:
                raise self._session.fault(TimedOut, "the Remote script keeps silent, although it was started")
            if await self._read_display("") or self._newest not in (None, *self._verdicts):
                raise self._session.fault(Busy, "a measurement is running")
            if self._context.clock.now() - quiet_since > timedelta(seconds=self._quiet):
                await self._survive(self._session.force)
                forced = True
            else:
                await asyncio.sleep(_LOOK_EVERY)

    # Watching.

    async def _judge(self, handle: Handle, command: str, reply: str) -> Progress:
        """The script is free again: what has become of the sweep?"""
        await self._read_display(handle.token)
        if command == "EIS" and "ERROR" in reply:
            await self._source_off()
            progress = Progress(State.FAILED, f"Thales answers {reply}")
        elif await self._file(handle.place):
            progress = await self._ended()
        else:
            await self._source_off()
            progress = Progress(State.FAILED, "the sweep has ended without a result")
        self._verdicts[handle.token] = progress
        return progress

    async def _ended(self) -> Progress:
        await self._source_off()
        return Progress(State.DONE, remaining=0.0)

    async def _running(self, handle: Handle) -> Progress:
        data, point = handle.data, self._points.get(handle.token)
        values: dict[str, float] = {}
        if point is not None:
            values |= {"frequency_Hz": point.frequency, "voltage_V": point.voltage}
            if "frequency_Hz" in data:
                high, low = data["frequency_Hz"]
                expected = grid(high, low, data["points_per_decade"])
                values["points_done"] = float(sum(frequency >= 0.999 * point.frequency for frequency in expected))
            lowest, highest = data.get("voltage_limits_V", (-1e9, 1e9))
            if not lowest <= point.voltage <= highest:
                await self.abort(handle)
                message = f"{point.voltage:.4f} V at the leads, outside {lowest:g} V to {highest:g} V; ended"
                self._verdicts[handle.token] = Progress(State.FAILED, message)
                return self._verdicts[handle.token]
        if self._beyond(handle, *_OVERDUE):
            message = f"the sweep should take {data['expected_s']:.0f} s and has taken {self._elapsed(handle):.0f} s"
            raise self._session.fault(VendorAlarm, message)
        remaining = max(1.0, data["expected_s"] - self._elapsed(handle)) if "expected_s" in data else None
        return Progress(State.RUNNING, remaining=remaining, values=values)

    def _elapsed(self, handle: Handle) -> float:
        return (self._context.clock.now() - datetime.fromisoformat(handle.started)).total_seconds()

    def _beyond(self, handle: Handle, factor: float, grace: float) -> bool:
        expected = handle.data.get("expected_s")
        # Where simulated time hurries, a busy machine and its wires must not look like a sweep that hangs.
        grace = max(grace, self._context.clock.patience(grace / 20.0))
        return expected is not None and self._elapsed(handle) > factor * expected + grace

    async def _read_display(self, token: str) -> bool:
        """Take in what the online display shows; whether it showed a point."""
        try:
            point = latest(await self._session.display())
        except (NotReachable, Garbled) as fault:
            self._session.lost(fault, everything=False)
            return False
        if point is not None:
            self._points[token] = point
        return point is not None

    # Exchanges.

    async def _survive(self, exchange: Callable[[], Any]) -> Any:
        return await self._session.survive(exchange)

    async def _ask(self, command: str, parse: Callable[[str], T], timeout: float = _ANSWER) -> T:
        async def once() -> T:
            return parse(await self._session.command(command, timeout))

        return await self._session.survive(once)

    async def _set(self, name: str, value: str) -> None:
        assignment = f"{name}={value}"
        await self._ask(assignment, lambda reply: replies.done(assignment, reply))

    async def _file(self, path: str) -> bytes:
        return await self._session.survive(lambda: self._session.file(path))

    async def _source_off(self) -> replies.Setup:
        """Switch off, amplitude to 0, and look whether it is so. Raises ``VendorAlarm`` where it isn't."""
        await self._set("Pot", "0")
        await self._set("Ampl", "0")
        shown = await self._ask("SENDSETUP", replies.setup)
        if not shown.off:
            raise self._session.fault(VendorAlarm, "the source was switched off, but still shows as on")
        return shown

    def _identity(self, model: str, details: dict[str, str]) -> Identity:
        session = self._session
        return Identity("Zahner", model, session.serial, f"Thales {session.version}", session.address, details)


def _safety(shown: replies.Setup) -> dict[str, str]:
    return {
        "source": "off" if shown.off else "on",
        "current limits": f"{shown['Cmin']:g} A to {shown['Cmax']:g} A",
        "voltage limits": f"{shown['Pmin']:g} V to {shown['Pmax']:g} V",
    }
