"""The cycler role on a MACCOR Series 4000.

A program becomes a procedure file in the tester's own folder, is read back and dry-started there, and then runs on the
tester by itself, with safety limits that the channel watches. Our token is the test's name: unique in the tester's
archive, so that no test can be started twice and every test can be found again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments.abilities import CHARGE_ENDS, ENDS_TOGETHER, SUSPENDS, TEST_CLOCK
from labctl.instruments.common import DriverContext, Fetched, Handle, Hiccup, Identity, Inspection, Progress, State
from labctl.instruments.cycler import CyclerProgram, Mode, Reading, SafetyLimits
from labctl.instruments.faults import CannotSay, NotIdentified, NotReachable, OutOfRange, Refused
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.channels import RESET, RESUME, SUSPEND, Channels
from labctl_drivers.maccor.procedure import Sensor, TesterStep, compile_program, one_c, read, write
from labctl_drivers.maccor.readings import ChannelState, began, continues, remaining
from labctl_drivers.maccor.session import LINE_FAULTS, Session
from labctl_drivers.maccor.starting import START_DEFAULTS, dry_start, launch, limits, make_ready, order, upload
from labctl_drivers.maccor.station import Settings, limits_message

if TYPE_CHECKING:
    from labctl.instruments.steering import Steered
    from labctl_drivers.maccor.tail import Tail

_TOKEN: Final = re.compile(r"[a-z0-9-]{1,25}\Z")
#: Where a test has come to that was told to suspend: it may have ended by itself on the way.
_INTERRUPTED: Final = frozenset({codes.SUSPENDED, codes.COMPLETED, codes.PROBLEM})


class MaccorCycler:
    """Charges and discharges cells on the numbered channels of one tester.

    Parameters
    ----------
    context : DriverContext
        Its settings: ``address``, ``json_port`` (57570), ``binary_port`` (57560), ``channels`` (``"1-16"`` or a list),
        ``export_folder``, ``tester_clock`` (what the tester's clock is ahead of UTC, such as ``"1 h"``).
    """

    role = "cycler"
    capabilities = frozenset({SUSPENDS, TEST_CLOCK, CHARGE_ENDS, ENDS_TOGETHER})

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._settings = Settings.read(context)
        self._session = Session(context, self._settings)
        self._channels = Channels(context, self._session, self._settings.channels, self._settings.temperature)
        self._plans: dict[str, tuple[TesterStep, ...]] = {}
        self._looks: dict[str, tuple[datetime, ChannelState]] = {}
        self._last_records: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._tails: dict[str, Tail] = {}
        self._said: list[str] = []

    async def connect(self) -> Identity:
        """Connect both ports, identify, and see that channels and export folder are there.

        Raises
        ------
        NotReachable, NotIdentified
            Within 5 s.
        """
        identity = await self._session.connect()
        beyond = [channel for channel in self._settings.channels if channel > self._session.test_channels]
        folder = self._settings.export_folder
        try:
            if beyond:
                raise self._session.fault(
                    NotIdentified,
                    f"the station names channel {beyond[0]}, this tester has {self._session.test_channels}",
                )
            if not folder.is_dir():
                raise self._session.fault(
                    NotReachable,
                    f"its export folder {folder} is not there",
                    hint="share the folder that MacTest exports text files to, and name it as export_folder",
                )
        except InstrumentError:
            await self._session.close()
            raise
        details = {**identity.details, "export folder": str(folder)}
        return Identity(identity.vendor, identity.model, identity.serial, identity.firmware, identity.address, details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell ranges, limits, clock and what is unverified; with ``exercise``, limits of an idle channel rewritten."""
        from labctl_drivers.maccor.inspection import inspect

        return await inspect(self._context, self._session, self._settings, exercise=exercise)

    async def close(self) -> None:
        """Disconnect. Running tests go on, on the tester."""
        await self._session.close()

    async def start(self, token: str, channel: int, program: CyclerProgram) -> Handle:
        """Start ``program`` on ``channel`` under the name ``token``; never twice.

        Raises
        ------
        Busy
            The channel is running something else.
        Refused
            The tester's compiler or the start declined, or the safety limits did not read back.
        OutOfRange
            Beyond what the channel can do.
        """
        if not _TOKEN.match(token):
            raise self._session.fault(Refused, f"'{token}' is no token: at most 25 of a-z, 0-9 and -")
        channels = self._channels
        spec = await channels.spec(channel)
        steps = compile_program(program, spec.scale, self._sensor())
        if (beyond := limits_message(spec, program.safety, program.steps)) is not None:
            raise channels.fault(OutOfRange, f"channel {channel}: {beyond}")
        content = write(steps, self._settings.capacity_end)
        started = self._context.clock.now().isoformat()
        if await make_ready(self._context, channels, channel, token):
            return Handle(token, str(channel), started, {})
        # Whoever wants the temperature watched finds out before current flows that it can't be.
        await channels.temperature(channel)
        await upload(self._session, token, content)
        sent = limits(program.safety, spec)
        back = await channels.set_limits(channel, sent)
        told = order(channels.wire(channel), token, program.name, one_c(program))
        await dry_start(self._session, channel, told)
        started = self._context.clock.now().isoformat()
        await launch(self._context, self._session, channels, token, channel, {**told, **START_DEFAULTS})
        self._plans[token] = steps
        return Handle(token, str(channel), started, {"safety": sent, "safety_read_back": back})

    async def _ours_still(self, handle: Handle, state: ChannelState) -> bool:
        """Whether the channel runs our test; the tester is asked for its name only where that is not certain."""
        if state.status in codes.RUNNING:
            now, before = self._context.clock.now(), self._looks.get(handle.token)
            if before is not None and continues(state, before[1], (now - before[0]).total_seconds()):
                return True
            if before is None and began(state, (now - datetime.fromisoformat(handle.started)).total_seconds()):
                return True
        return await self._channels.owns(int(handle.place), handle.token)

    async def poll(self, handle: Handle) -> Progress:
        """Look once. Suspended by an operator counts as running, and the message says so."""
        channel = int(handle.place)
        # State before name: names never come back, so a name that is ours now was ours a moment ago.
        state = await self._channels.clear_state(channel)
        if state.status in codes.IDLE or not await self._ours_still(handle, state):
            return await self._gone(handle)
        values = state.values()
        if state.status == codes.COMPLETED:
            self._ended[handle.token] = state.last_record
            return await self._completed(channel, values)
        if state.status in codes.STOPPED:
            word = codes.status_word(state.status)
            return Progress(State.FAILED, f"{word}: {codes.reason(state.reason)}", None, values)
        if (temperature := await self._channels.temperature(channel)) is not None:
            values["temperature_K"] = temperature
        if state.status == codes.SUSPENDED:
            return Progress(State.RUNNING, f"suspended, {codes.reason(state.reason)}", None, values)
        before = self._looks.get(handle.token)
        # What an earlier process started is only looked at first: of hundreds of tests each is known to run before
        # their procedures are read back, which tell how long they take.
        known = before is not None or handle.token in self._plans
        left = remaining(state, before[1] if before else None, await self._plan(handle.token)) if known else None
        self._looks[handle.token] = self._context.clock.now(), state
        return Progress(State.RUNNING, codes.STATUS[state.status], left, values)

    async def _completed(self, channel: int, values: dict[str, float]) -> Progress:
        """Judge a test that is at its end by the End step that it came to."""
        word = codes.STATUS[codes.COMPLETED]
        try:
            end = await self._channels.end_status(channel)
        except Refused as fault:
            # A tester whose version has no such message; its word that the test is complete stands.
            self._context.log.info("no end status", channel=channel, why=fault.message)
            return Progress(State.DONE, word, 0.0, values)
        if end.failed:
            said = f"{word} at End step {end.reached} of {end.ends}, which stands for FAIL"
            return Progress(State.FAILED, said, None, values)
        return Progress(State.DONE, word, 0.0, values)

    async def _gone(self, handle: Handle) -> Progress:
        """Judge a test that is not on its channel any more by its file."""
        if not await self._channels.archived(handle.token):
            return Progress(State.FAILED, f"the tester does not know test '{handle.token}'")
        from labctl_drivers.maccor.deliver import read_beside

        try:
            _, records = await read_beside(self._file(handle), self._context.clock)
        except (OSError, DataError) as error:
            return Progress(State.FAILED, f"cleared from channel {handle.place}, its export is not readable: {error}")
        code = int(records.end[-1]) if records.closed() else -1
        if code == codes.NORMAL_END:
            return Progress(State.DONE, "completed and archived", 0.0)
        said = codes.reason(code) if code >= 0 else "without an end"
        return Progress(State.FAILED, f"cleared from channel {handle.place} after its last record, {said}")

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the raw export, the procedure and ``records.csv`` into ``folder``.

        The channel is left as it is, so that the tester goes on knowing the test; the next start archives it.

        Raises
        ------
        DataError
            A record is missing, or the file contradicts the channel.
        """
        from labctl_drivers.maccor import deliver

        # The look that saw the test at its end told it; once only, so that whoever doubts it has the channel asked.
        last = self._ended.pop(handle.token, None)
        if last is None:
            last = await self._last_record(handle)
        raw, records = await deliver.wait_for_records(self._file(handle), last, self._context.clock)
        plan = await self._plan(handle.token)
        self._looks.pop(handle.token, None)
        self._tails.pop(handle.token, None)
        return deliver.bundle(folder, handle, self._file(handle).name, raw, records, plan)

    async def _last_record(self, handle: Handle) -> int | None:
        state = await self._channels.state(int(handle.place))
        if state.status not in codes.IDLE and await self._channels.owns(int(handle.place), handle.token):
            return state.last_record
        return self._last_records.get(handle.token)

    async def records(self, handle: Handle, after: int | None) -> str:
        """Give what the export has beyond record ``after``, as the cycler contract says; nothing is asked twice.

        Raises
        ------
        DataError
            The export is not understood, or a record is missing in it.
        """
        from labctl_drivers.maccor.tail import Tail, nothing

        if handle.token not in self._tails:
            plan = await self._plan(handle.token)
            if not plan:
                # Without the procedure steps can't be numbered as the program's; the fetch says so.
                return nothing()
            self._tails[handle.token] = Tail(self._file(handle), plan, self._said.append)
        tail = self._tails[handle.token]
        # Beside the loop: the folder is another computer's, which may take its time.
        with self._context.clock.exchange():
            table = await asyncio.to_thread(tail.table, after)
        while self._said:
            self._context.report(Hiccup(self._context.name, "export", self._said.pop(0)))
        return table

    async def abort(self, handle: Handle) -> None:
        """To open circuit, now: suspend, reset, and see that both were done. Idempotent."""
        channel, channels = int(handle.place), self._channels
        state = await channels.sure_state(channel)
        if state.status in codes.IDLE | {codes.COMPLETED} or not await channels.owns(channel, handle.token):
            return
        if state.status in codes.RUNNING:
            await channels.act(channel, handle.token, SUSPEND, _INTERRUPTED, "suspend")
            state = await channels.state(channel)
        self._last_records[handle.token] = state.last_record
        await channels.act(channel, handle.token, RESET, codes.IDLE, "reset")

    async def suspend(self, handle: Handle) -> None:
        """Interrupt the test: the cell goes to open circuit, the program can go on later."""
        await self._channels.act(int(handle.place), handle.token, SUSPEND, _INTERRUPTED, "suspend")

    async def resume(self, handle: Handle) -> None:
        """Go on with a suspended test."""
        goal = codes.RUNNING | {codes.COMPLETED}
        await self._channels.act(int(handle.place), handle.token, RESUME, goal, "resume")

    def steer(
        self, channel: int, name: str, mode: Mode, current: float, voltage: float, safety: SafetyLimits
    ) -> AbstractAsyncContextManager[Steered]:
        """Have a person steer a channel in direct mode; see :class:`labctl.instruments.steering.Steerable`."""
        from labctl_drivers.maccor.direct import Output
        from labctl_drivers.maccor.steering import steer

        return steer(self._context, channel, name, Output(mode, current=current, voltage=voltage), safety)

    async def find(self, token: str) -> Handle | None:
        """Find a test by its name: on the channels first, then in the archive.

        Raises
        ------
        CannotSay
            The tester does not answer, or knows the name and neither channel nor export file tells where it ran.
        """
        try:
            for channel in self._settings.channels:
                if await self._channels.owns(channel, token):
                    state = await self._channels.state(channel)
                    if state.status not in codes.IDLE:
                        begun = self._context.clock.now() - timedelta(seconds=state.test_time)
                        return Handle(token, str(channel), begun.isoformat(), {"found": True})
            archived = await self._channels.archived(token)
        except (*LINE_FAULTS, Refused) as fault:
            raise self._session.fault(CannotSay, f"whether test '{token}' was started: {fault.message}") from fault
        return self._from_archive(token) if archived else None

    def _from_archive(self, token: str) -> Handle:
        from labctl_drivers.maccor.export import begun_at

        for channel in self._settings.channels:
            file = self._settings.export_folder / f"{token}.{channel:03d}"
            if file.is_file():
                begun = begun_at(file.read_bytes())
                started = self._context.clock.now() if begun is None else begun - self._settings.tester_clock
                return Handle(token, str(channel), started.isoformat(), {"found": True})
        raise self._session.fault(
            CannotSay,
            f"test '{token}' is in the tester's archive, but none of our channels exported it",
            hint=f"look for {token}.* in {self._settings.export_folder}",
        )

    async def reading(self, channel: int) -> Reading:
        """Read voltage and current of a channel, idle or not."""
        state = await self._channels.state(channel)
        return Reading(state.test_time, state.voltage, state.current)

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that the station gave us."""
        found = await self._channels.statuses()
        return {channel: codes.status_word(status) for channel, status in found.items()}

    async def _plan(self, token: str) -> tuple[TesterStep, ...]:
        """Our procedure's steps; after a restart they are read back from the tester."""
        if token not in self._plans:
            try:
                content = await self._session.get_file(f"{token}.000")
                self._plans[token] = read(content, self._settings.capacity_end)
            except Refused as error:
                # Perhaps it can be got later, so nothing is concluded from it.
                self._context.log.warning("the tester does not give the procedure", token=token, why=error.message)
                return ()
            except ValueError as error:
                self._context.log.warning("the procedure is not one of labctl's", token=token, why=str(error))
                self._plans[token] = ()
        return self._plans[token]

    def _file(self, handle: Handle) -> Path:
        return self._settings.export_folder / f"{handle.token}.{int(handle.place):03d}"

    def _sensor(self) -> Sensor | None:
        index = self._settings.temperature
        return None if index is None else Sensor(index, self._settings.temperature_end)
