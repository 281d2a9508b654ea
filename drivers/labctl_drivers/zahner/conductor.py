"""Takes one handle's sweeps through: starts them, watches voltage, time and heartbeat, judges them, ends them.

Nothing here runs by itself: every step is taken when the handle is looked at, so a new process goes on where the old
one stopped, by what the instrument and its files show.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext, Handle, OutOfRange, Progress, Refused, State, TimedOut, VendorAlarm
from labctl_drivers.zahner import replies
from labctl_drivers.zahner.plan import Place, Plan
from labctl_drivers.zahner.run import ALL, CUT_OFF, Run, beyond, resting, run_of
from labctl_drivers.zahner.session import ATTEMPTS
from labctl_drivers.zahner.thales import Thales

# Beyond its expected duration times a factor plus a grace in s, a sweep is doubted, then given up.
_DOUBT: Final = (1.1, 20.0)
_OVERDUE: Final = (1.5, 120.0)
# Settings that are not sent again while a direct current flows: they could switch the control for a moment.
_SOURCE: Final = frozenset(("Gal", "Cset", "Pset"))


class Conductor:
    """All sweeps of one instrument, as far as this process knows.

    Parameters
    ----------
    context : DriverContext
        Clock and names.
    thales : Thales
        The instrument.
    place : Place
        Of the results.
    heartbeat : float
        Age of the last sign of life, s, at which a measurement is taken to hang.
    """

    def __init__(self, context: DriverContext, thales: Thales, place: Place, heartbeat: float) -> None:
        self._context = context
        self._thales = thales
        self._place = place
        self._heartbeat = heartbeat
        self._runs: dict[str, Run] = {}
        self._newest: str | None = None

    @property
    def keeps_source_on(self) -> bool:
        """Whether a series of this process is under way, whose direct current is meant to flow."""
        return any(run.series is not None and run.verdict is None for run in self._runs.values())

    @property
    def engaged(self) -> bool:
        """Whether sweeps are still to be started by this process, or a direct current flows between them."""
        return any(run.unwatched for run in self._runs.values())

    def may_run(self) -> bool:
        """Whether a sweep that this process started may still be measured."""
        return self._newest is not None and self._runs[self._newest].verdict is None

    def adopt(self, token: str, run: Run) -> None:
        """Keep a run that was started."""
        self._runs[token] = run
        self._newest = token

    async def run(self, handle: Handle) -> Run:
        """Give the handle's run, rebuilt from the instrument's state and files where this process has none."""
        run = self._runs.get(handle.token)
        if run is None:
            run = await self._rebuilt(handle)
            self._runs[handle.token] = run
            if run.begun is not None:
                self._newest = handle.token
        return run

    # Starting.

    async def look(self, plan: Plan) -> tuple[float, replies.Setup]:
        """Open-circuit voltage in V and the set-up, source off, both compared with what is asked."""
        await self._thales.set("Pot", "0")
        before = await self._thales.potential()
        shown = await self._thales.setup()
        plan.check(shown, before)
        plan.inside(before, "with the source off")
        return before, shown

    async def begin(self, run: Run) -> dict[str, Any]:
        """Set the run's next sweep up and start it; give what a handle keeps of it.

        Raises
        ------
        OutOfRange, Refused
            What is asked cannot be, or a setting did not read back.
        TimedOut
            The connection was lost again and again meanwhile.
        """
        session = self._thales.session
        for _ in range(ATTEMPTS):
            generation = session.generation
            data = await self._prepare(run)
            if generation != session.generation:
                continue  # the instrument may have lost settings with the connection
            await self._thales.points()  # from here on nothing shall be missed
            launched = self._context.clock.now()
            run.started(launched)
            if await self._thales.launch(run.plan.file):
                return {**data, "launched": launched.isoformat()}
            run.begun = None
        raise session.fault(TimedOut, "the connection was lost again and again while the sweep was prepared")

    async def _prepare(self, run: Run) -> dict[str, Any]:
        plan, series, thales = run.plan, run.series, self._thales
        if series is not None and run.index > 0:
            settings = plan.settings(0.0)
            for name, value in settings.items():
                if name not in _SOURCE:
                    await thales.set(name, value)
            plan.compare(await thales.setup(), settings, on=True)
            return {}
        before, _ = await self.look(plan)
        if series is not None and beyond(series, before):
            raise Refused(f"{before:.4f} V at the leads, the cut-off of {series.cutoff:g} V is reached already")
        settings = plan.settings(before)
        for name, value in settings.items():
            await thales.set(name, value)
        shown = await thales.setup()
        plan.compare(shown, settings)
        await thales.set("Pot", "-1")
        on_at = self._context.clock.now()
        voltage = await thales.potential()
        plan.inside(voltage, "with the source on")
        if series is not None and beyond(series, voltage):
            raise Refused(f"{voltage:.4f} V under {series.current:g} A: the cut-off of {series.cutoff:g} V is reached")
        data = plan.data(before, settings, shown)
        return data if series is None else {**data, "on_at": on_at.isoformat()}

    async def _rebuilt(self, handle: Handle) -> Run:
        """By files and script: what was measured, what is, and what nobody has watched meanwhile."""
        run, thales, now = run_of(handle.token, handle.data, self._place), self._thales, self._context.clock.now()
        if not run.plans:
            return run
        await self._count_files(run)
        word = await thales.word()
        if word is not None:
            await self._count_files(run)  # it may have come to its end between the two looks
        number, last = run.index + 1, len(run.plans)
        first_of_all = run.index == 0 and not resting(handle)
        if run.index == last:
            if word is not None:
                await thales.off()
            run.verdict, run.end = Progress(State.DONE, remaining=0.0), ALL
        elif word is None:
            run.begun = datetime.fromisoformat(handle.started) if first_of_all else now
        elif run.series is not None:
            why = f"spectrum {number} of {last} was not started: nobody watched the cut-off; source off"
            await self._end(run, State.FAILED, why)
        elif first_of_all:
            await self._end(run, State.FAILED, "the sweep has ended without a result")
        else:
            rest = timedelta(seconds=float(handle.data.get("rest_s", 0.0)))
            run.due = datetime.fromisoformat(handle.started) + rest if run.index == 0 else now
        return run

    async def _count_files(self, run: Run) -> None:
        while run.index < len(run.plans) and await self._thales.file(run.plan.file):
            run.index += 1

    # Watching.

    async def poll(self, handle: Handle) -> Progress:
        """Look once, and take the next step; raises ``VendorAlarm`` where Thales hangs."""
        run = await self.run(handle)
        if run.verdict is not None:
            return run.verdict
        if not run.plans:
            return await self._judge_found(handle, run)
        if run.begun is None:
            return await self._advance(handle, run)
        word = await self._thales.word()
        if word is None and not run.doubted and self._beyond(run, *_DOUBT):
            # The reply may have been lost on its way: a new connection asks whether the script is free.
            run.doubted = True
            word = await self._thales.word_anew("no reply when the sweep should have ended")
        run.show(await self._thales.points())
        if word is None:
            return await self._running(handle, run)
        command, reply = word
        if command == "EIS" and "ERROR" in reply:
            return await self._end(run, State.FAILED, f"Thales answers {reply}")
        if run.series is None:
            await self._thales.off()
        if not await self._left_file(run):
            return await self._end(run, State.FAILED, "the sweep has ended without a result")
        run.completed(self._context.clock.now(), 0.0 if run.series is None else run.series.pause)
        return await self._advance(handle, run)

    async def _running(self, handle: Handle, run: Run) -> Progress:
        message, thales = run.outside(), self._thales
        # The instrument shows one voltage per point, and a cell that is nearly empty falls far within a slow one: what
        # has passed the cut-off and the cell's limit behind it has come to its end, and the result says how far.
        if run.cut_off():
            await thales.survive(thales.session.force)
            return await self._end(run, State.DONE, "", CUT_OFF)
        if message is not None:
            await thales.survive(thales.session.force)
            return await self._end(run, State.FAILED, message)
        if thales.session.heartbeat > self._heartbeat:
            silent = f"Thales has given no sign of life for {thales.session.heartbeat:.0f} s"
            raise thales.session.fault(VendorAlarm, silent)
        now = self._context.clock.now()
        if self._beyond(run, *_OVERDUE):
            message = f"the sweep should take {run.plan.expected:.0f} s and has taken {run.elapsed(now):.0f} s"
            raise thales.session.fault(VendorAlarm, message)
        return run.progress(now, handle.started)

    async def _left_file(self, run: Run) -> bool:
        """Whether the sweep has left its file; the source is off where that cannot be found out."""
        try:
            return bool(await self._thales.file(run.plan.file))
        except InstrumentError:
            await self._thales.off()
            raise

    async def _advance(self, handle: Handle, run: Run) -> Progress:
        """No sweep runs: end, wait, or start the next."""
        if run.index == len(run.plans):
            return await self._end(run, State.DONE, "", ALL)
        if run.series is not None:
            run.voltage = await self._thales.potential()
            if run.cut_off():
                return await self._end(run, State.DONE, "", CUT_OFF)
            message = run.outside()
            if message is not None:
                return await self._end(run, State.FAILED, message)
        elif await self._thales.word() is None:
            return run.progress(self._context.clock.now(), handle.started)
        if run.due is None or self._context.clock.now() >= run.due:
            try:
                began = await self.begin(run)
                run.readings = run.readings or began
            except (OutOfRange, Refused) as refusal:
                return await self._end(run, State.FAILED, refusal.message)
        return run.progress(self._context.clock.now(), handle.started)

    async def _judge_found(self, handle: Handle, run: Run) -> Progress:
        """Judge a handle that was found by its token alone."""
        if await self._thales.word() is None:
            return Progress(State.RUNNING)
        if handle.data.get("kind") == "series":
            why = "labctl ended before the series was written down, so nothing kept its cut-off; source off"
            return await self._end(run, State.FAILED, why)
        if await self._thales.file(handle.place):
            return await self._end(run, State.DONE, "")
        return await self._end(run, State.FAILED, "the sweep has ended without a result")

    def _beyond(self, run: Run, factor: float, grace: float) -> bool:
        # Where simulated time hurries, a busy machine and its wires must not look like a sweep that hangs.
        grace = max(grace, self._context.clock.patience(grace / 20.0))
        return run.elapsed(self._context.clock.now()) > factor * run.plan.expected + grace

    # Ending.

    async def _end(self, run: Run, state: State, message: str, end: str = "") -> Progress:
        """Source off, verified; only then is there a verdict."""
        await self._thales.off()
        run.off_at, run.end = self._context.clock.now(), end
        run.verdict = Progress(state, message, remaining=0.0 if state is State.DONE else None)
        return run.verdict

    async def abort(self, handle: Handle) -> None:
        """End what runs under the handle, source off, verified."""
        if self._newest not in (None, handle.token):
            return
        thales = self._thales
        try:
            run = await self.run(handle)
        except InstrumentError:
            run = Run(())  # nothing is known of it; what matters is that the source goes off
        if not await thales.is_free():
            free = False
            if run.verdict is not None:
                return  # somebody else measures; this run's source was seen to be off when it ended
            if run.begun is not None and await self._has(run.plan.file):
                thales.session.lost(TimedOut("the sweep has its file, and its reply is missing"))
                free = await thales.is_free()
            elif not run.plans and await self._has(handle.place):
                return
            if not free:
                await thales.survive(thales.session.force)
        await thales.off()
        if run.verdict is None and not await self._has(run.plans[-1].file if run.plans else handle.place):
            run.verdict, run.off_at = Progress(State.FAILED, "aborted"), self._context.clock.now()

    async def _has(self, path: str) -> bool:
        """Whether a file is there; one that is not handed over is taken for none, since an abort must not wait."""
        try:
            return bool(await self._thales.file(path))
        except InstrumentError:
            return False

    async def undo(self, run: Run) -> None:
        """Source off after a start that failed; a spectrum that may run for all that is broken off if it is a series'.

        A single sweep is left to run: it is found again by its name, and moves no charge that matters.
        """
        if not await self._thales.is_free():
            if run.series is None:
                return
            await self._thales.survive(self._thales.session.force)
        await self._thales.off()

    async def end_series(self, why: str) -> None:
        """End the series that is under way, source off, verified."""
        for run in self._runs.values():
            if run.series is not None and run.verdict is None:
                if not await self._thales.is_free():
                    await self._thales.survive(self._thales.session.force)
                await self._end(run, State.FAILED, f"{why}, and nothing else would keep the cut-off; source off")

    # Results.

    async def files(self, handle: Handle) -> list[tuple[str, bytes]]:
        """Name and content of every result that is there, in order; none where the first is missing."""
        run = await self.run(handle)
        names = [(f"{plan.token}.ism", plan.file) for plan in run.plans]
        found = []
        first = f"{handle.token}{'-001' if handle.data.get('kind') == 'series' else ''}.ism"
        for name, path in names or [(first, handle.place)]:
            content = await self._thales.file(path)
            if not content:
                break
            found.append((name, content))
        return found
