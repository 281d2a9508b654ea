"""The cycler role on a MACCOR Series 4000.

A program becomes a procedure file in the tester's own folder, is read back and dry-started there, and then runs on the
tester by itself, with safety limits that the channel watches. Our token is the test's name: unique in the tester's
archive, so that no test can be started twice and every test can be found again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments.common import DriverContext, Fetched, Handle, Identity, Progress, State
from labctl.instruments.cycler import CyclerProgram, Reading, SafetyLimits
from labctl.instruments.faults import (
    Busy,
    CannotSay,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
)
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.procedure import TesterStep, compile_program, one_c, read, write
from labctl_drivers.maccor.readings import ChannelState, began, continues, remaining, statuses, test_name, truth
from labctl_drivers.maccor.session import ATTEMPTS, LINE_FAULTS, Session
from labctl_drivers.maccor.station import ChannelSpec, Settings, limits_message

_TOKEN: Final = re.compile(r"[a-z0-9-]{1,25}\Z")
#: Relative tolerance of a read-back: the tester stores single precision.
_SINGLE: Final = 1e-6
#: Pauses, real s, between looks at a channel that was told to change its state.
_LOOKS: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)


class MaccorCycler:
    """Charges and discharges cells on the numbered channels of one tester.

    Parameters
    ----------
    context : DriverContext
        Its settings: ``address``, ``json_port`` (57570), ``binary_port`` (57560), ``channels`` (``"1-16"`` or a list),
        ``export_folder``, ``tester_clock`` (what the tester's clock is ahead of UTC, such as ``"1 h"``).
    """

    role = "cycler"

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._settings = Settings.read(context)
        self._session = Session(context, self._settings.host, self._settings.json_port, self._settings.binary_port)
        self._specs: dict[int, ChannelSpec] = {}
        self._plans: dict[str, tuple[TesterStep, ...]] = {}
        self._looks: dict[str, tuple[datetime, ChannelState]] = {}
        self._last_records: dict[str, int] = {}

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
                raise self._fault(
                    NotIdentified,
                    f"the station names channel {beyond[0]}, this tester has {self._session.test_channels}",
                )
            if not folder.is_dir():
                raise self._fault(
                    NotReachable,
                    f"its export folder {folder} is not there",
                    hint="share the folder that MacTest exports text files to, and name it as export_folder",
                )
        except InstrumentError:
            await self._session.close()
            raise
        details = {**identity.details, "export folder": str(folder)}
        return Identity(identity.vendor, identity.model, identity.serial, identity.firmware, identity.address, details)

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
            raise self._fault(Refused, f"'{token}' is no token: at most 25 of a-z, 0-9 and -")
        spec = await self._spec(channel)
        steps = compile_program(program, spec.scale)
        if (beyond := limits_message(spec, program)) is not None:
            raise self._fault(OutOfRange, f"channel {channel}: {beyond}")
        started = self._context.clock.now().isoformat()
        if await self._clear(channel, token):
            return Handle(token, str(channel), started, {})
        await self._upload(token, write(steps))
        sent, back = await self._set_safety(channel, program.safety, spec)
        order = {
            "Chan": channel - 1,
            "TestName": token,
            "ProcName": token,
            "Comment": program.name[:80],
            "Crate": one_c(program),
            "ChamberNum": 0,
        }
        await self._dry_start(channel, order)
        started = self._context.clock.now().isoformat()
        await self._launch(token, channel, order)
        self._plans[token] = steps
        return Handle(token, str(channel), started, {"safety": sent, "safety_read_back": back})

    async def _clear(self, channel: int, token: str) -> bool:
        """Make the channel ready for a start; True where our test already runs there."""
        state = await self._state(channel)
        name = await self._name(channel)
        if name == token and state.status not in codes.IDLE:
            return True
        if state.status == codes.COMPLETED:
            self._context.log.info("archiving a completed test", channel=channel, test=name)
            await self._act(channel, name, 6, codes.IDLE, "be archived")
            return False
        if state.status in codes.IDLE:
            return False
        word = codes.STATUS.get(state.status, str(state.status))
        if state.status in codes.RUNNING or state.status == codes.SUSPENDED:
            raise self._fault(Busy, f"channel {channel} is {word} with test '{name}'")
        reason = codes.reason(state.reason)
        raise self._fault(
            Refused, f"channel {channel} is {word}, {reason}", hint="clear it at the tester, then try again"
        )

    async def _upload(self, token: str, content: bytes) -> None:
        await self._session.put_file(f"{token}.000", content)
        if await self._session.get_file(f"{token}.000") != content:
            raise self._fault(Refused, f"procedure {token} did not read back as it was sent")
        # The tester spells the member without the e.
        if not await self._session.ask_as(lambda reply: truth(reply, "ProcedurExists"), 1, 3, ProcName=token):
            raise self._fault(Refused, f"the tester does not list procedure {token} after its upload")

    async def _set_safety(
        self, channel: int, safety: SafetyLimits, spec: ChannelSpec
    ) -> tuple[dict[str, float], dict[str, float]]:
        sent = {
            "VSafeMax": safety.voltage_max,
            "VSafeMin": safety.voltage_min,
            "ISafeChg": safety.charge_current,
            "ISafeDis": safety.discharge_current,
            "PBatSafeChg": spec.charge_power,
            "PBatSafeDis": spec.discharge_power,
        }
        reply = await self._session.ask(6, 10, Chan=channel - 1, **sent)
        back: dict[str, float] = {}
        for key, value in sent.items():
            echo = reply.get(key)
            if not isinstance(echo, (int, float)) or abs(echo - value) > _SINGLE * abs(value):
                raise self._fault(
                    Refused, f"channel {channel}: safety limit {key} was sent as {value:g} and read back as {echo}"
                )
            back[key] = float(echo)
        return sent, back

    async def _dry_start(self, channel: int, order: dict[str, Any]) -> None:
        reply = await self._session.ask(6, 11, **order)
        words = codes.refusal(reply.get("Result"), codes.CHECK_START)
        if words is None:
            return
        try:
            detail = await self._session.compiler_words(channel - 1)
        except (*LINE_FAULTS, Refused):
            # The refusal counts; what the compiler would have added is lost.
            detail = ""
        raise self._fault(Refused, f"channel {channel}: dry start declined: {words}{f' ({detail})' if detail else ''}")

    async def _launch(self, token: str, channel: int, order: dict[str, Any]) -> None:
        """Give the order to start, and make sure that it was followed exactly once."""
        last: InstrumentError | None = None
        for _ in range(ATTEMPTS):
            words = None
            try:
                reply = await self._session.command(6, 2, **order, **_START_DEFAULTS)
                words = codes.refusal(reply.get("Result"), codes.COMMAND)
                if words is not None and last is None:
                    raise self._fault(Busy if "in use" in words.lower() else Refused, f"start declined: {words}")
            except LINE_FAULTS as fault:
                last = fault
                self._session.survived(fault)
            # Whether the order arrived is for the tester to say; one that is still on its way gets time to arrive,
            # and the tester itself refuses a second test of this name.
            for pause in _LOOKS:
                await asyncio.sleep(self._context.clock.patience(pause))
                if await self._knows(token, channel):
                    return
                if words is not None:
                    raise self._fault(Refused, f"start declined: {words}")
            if last is None:
                raise self._fault(Refused, "the tester agreed to start, but does not run the test")
        raise last or self._fault(TimedOut, "no answer to the start")

    async def _ours_still(self, handle: Handle, state: ChannelState) -> bool:
        """Whether the channel runs our test; the tester is asked for its name only where that is not certain."""
        if state.status in codes.RUNNING:
            now, before = self._context.clock.now(), self._looks.get(handle.token)
            if before is not None and continues(state, before[1], (now - before[0]).total_seconds()):
                return True
            if before is None and began(state, (now - datetime.fromisoformat(handle.started)).total_seconds()):
                return True
        return await self._owns(int(handle.place), handle.token)

    async def _owns(self, channel: int, token: str) -> bool:
        # Twice, as a name that arrived mangled must not pass for another test's.
        return await self._name(channel) == token or await self._name(channel) == token

    async def _knows(self, token: str, channel: int) -> bool:
        return await self._name(channel) == token or await self._archived(token)

    async def poll(self, handle: Handle) -> Progress:
        """Look once. Suspended by an operator counts as running, and the message says so."""
        channel = int(handle.place)
        # State before name: names never come back, so a name that is ours now was ours a moment ago.
        state = await self._state(channel)
        if state.status in codes.IDLE or not await self._ours_still(handle, state):
            return await self._gone(handle)
        values = state.values()
        if state.status == codes.COMPLETED:
            return Progress(State.DONE, codes.STATUS[state.status], 0.0, values)
        if state.status == codes.SUSPENDED:
            return Progress(State.RUNNING, f"suspended, {codes.reason(state.reason)}", None, values)
        if state.status not in codes.RUNNING:
            word = codes.STATUS.get(state.status, str(state.status))
            return Progress(State.FAILED, f"{word}: {codes.reason(state.reason)}", None, values)
        before = self._looks.get(handle.token)
        # What an earlier process started is only looked at first: of hundreds of tests each is known to run before
        # their procedures are read back, which tell how long they take.
        known = before is not None or handle.token in self._plans
        left = remaining(state, before[1] if before else None, await self._plan(handle.token)) if known else None
        self._looks[handle.token] = self._context.clock.now(), state
        return Progress(State.RUNNING, codes.STATUS[state.status], left, values)

    async def _gone(self, handle: Handle) -> Progress:
        """Judge a test that is not on its channel any more by its file."""
        if not await self._archived(handle.token):
            return Progress(State.FAILED, f"the tester does not know test '{handle.token}'")
        from labctl_drivers.maccor.export import parse

        file = self._file(handle)
        try:
            records = parse(file.read_bytes(), file.name)
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

        state = await self._state(int(handle.place))
        last = self._last_records.get(handle.token)
        if state.status not in codes.IDLE and await self._owns(int(handle.place), handle.token):
            last = state.last_record
        raw, records = await deliver.wait_for_records(self._file(handle), last, self._context.clock.patience)
        plan = await self._plan(handle.token)
        self._looks.pop(handle.token, None)
        return deliver.bundle(folder, handle, self._file(handle).name, raw, records, plan)

    async def abort(self, handle: Handle) -> None:
        """To open circuit, now: suspend, reset, and see that both were done. Idempotent."""
        channel = int(handle.place)
        state = await self._state(channel)
        if state.status in codes.IDLE | {codes.COMPLETED} or not await self._owns(channel, handle.token):
            return
        if state.status in codes.RUNNING:
            await self._act(channel, handle.token, 3, {codes.SUSPENDED, codes.COMPLETED, codes.PROBLEM}, "suspend")
            state = await self._state(channel)
        self._last_records[handle.token] = state.last_record
        await self._act(channel, handle.token, 5, codes.IDLE, "reset")

    async def suspend(self, handle: Handle) -> None:
        """Interrupt the test: the cell goes to open circuit, the program can go on later."""
        goal = {codes.SUSPENDED, codes.COMPLETED, codes.PROBLEM}
        await self._act(int(handle.place), handle.token, 3, goal, "suspend")

    async def resume(self, handle: Handle) -> None:
        """Go on with a suspended test."""
        await self._act(int(handle.place), handle.token, 4, codes.RUNNING | {codes.COMPLETED}, "resume")

    async def _act(self, channel: int, token: str, number: int, goal: frozenset[int] | set[int], verb: str) -> None:
        """Give (6,``number``) until the channel is where it should be, or is no longer ours."""
        words: str | None = None
        for _ in range(ATTEMPTS):
            state = await self._state(channel)
            if state.status in goal or not await self._owns(channel, token):
                return
            try:
                reply = await self._session.command(6, number, Chan=channel - 1)
                words = codes.refusal(reply.get("Result"), codes.COMMAND)
            except LINE_FAULTS as fault:
                self._session.survived(fault)
            for pause in _LOOKS:
                await asyncio.sleep(self._context.clock.patience(pause))
                if (state := await self._state(channel)).status in goal:
                    return
                if words is not None:
                    break
        now = codes.STATUS.get(state.status, str(state.status))
        said = f" ('{words}')" if words else ""
        raise self._fault(Refused, f"channel {channel} does not {verb}: it is {now}{said}")

    async def find(self, token: str) -> Handle | None:
        """Find a test by its name: on the channels first, then in the archive.

        Raises
        ------
        CannotSay
            The tester does not answer, or knows the name and neither channel nor export file tells where it ran.
        """
        try:
            for channel in self._settings.channels:
                if await self._name(channel) == token:
                    state = await self._state(channel)
                    if state.status not in codes.IDLE:
                        begun = self._context.clock.now() - timedelta(seconds=state.test_time)
                        return Handle(token, str(channel), begun.isoformat(), {"found": True})
            archived = await self._archived(token)
        except (*LINE_FAULTS, Refused) as fault:
            raise self._fault(CannotSay, f"whether test '{token}' was started: {fault.message}") from fault
        return self._from_archive(token) if archived else None

    def _from_archive(self, token: str) -> Handle:
        from labctl_drivers.maccor.export import begun_at

        for channel in self._settings.channels:
            file = self._settings.export_folder / f"{token}.{channel:03d}"
            if file.is_file():
                begun = begun_at(file.read_bytes())
                started = self._context.clock.now() if begun is None else begun - self._settings.tester_clock
                return Handle(token, str(channel), started.isoformat(), {"found": True})
        raise self._fault(
            CannotSay,
            f"test '{token}' is in the tester's archive, but none of our channels exported it",
            hint=f"look for {token}.* in {self._settings.export_folder}",
        )

    async def reading(self, channel: int) -> Reading:
        """Read voltage and current of a channel, idle or not."""
        self._ours(channel)
        state = await self._state(channel)
        return Reading(state.test_time, state.voltage, state.current)

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that the station gave us."""
        words: dict[int, str] = {}
        highest = max(self._settings.channels)
        for first in range(0, highest, 128):
            count = min(128, highest - first)
            listed = await self._session.ask_as(statuses, 4, 1, Chan=first, Len=count)
            for index, status in enumerate(listed):
                words[first + index + 1] = codes.STATUS.get(status, str(status))
        return {channel: words.get(channel, "not told") for channel in self._settings.channels}

    async def _state(self, channel: int) -> ChannelState:
        return await self._session.ask_as(ChannelState.read, 4, 7, Chan=channel - 1)

    async def _name(self, channel: int) -> str:
        return await self._session.ask_as(test_name, 4, 6, Chan=channel - 1)

    async def _archived(self, token: str) -> bool:
        return await self._session.ask_as(lambda reply: truth(reply, "TestNameExists"), 1, 4, TestName=token)

    async def _plan(self, token: str) -> tuple[TesterStep, ...]:
        """Our procedure's steps; after a restart they are read back from the tester."""
        if token not in self._plans:
            try:
                self._plans[token] = read(await self._session.get_file(f"{token}.000"))
            except (Refused, ValueError) as error:
                self._context.log.warning("procedure not readable any more", token=token, why=str(error))
                self._plans[token] = ()
        return self._plans[token]

    async def _spec(self, channel: int) -> ChannelSpec:
        self._ours(channel)
        if channel not in self._specs:
            self._specs[channel] = await self._session.ask_as(ChannelSpec.read, 3, 1, Chan=channel - 1)
        return self._specs[channel]

    def _ours(self, channel: int) -> None:
        if channel not in self._settings.channels:
            raise self._fault(OutOfRange, f"channel {channel} is not one that the station gave us")

    def _file(self, handle: Handle) -> Path:
        return self._settings.export_folder / f"{handle.token}.{int(handle.place):03d}"

    def _fault(self, kind: Callable[..., InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        return kind(message, instrument=self._context.name, address=self._session.address, hint=hint)


_START_DEFAULTS: Final[dict[str, Any]] = {
    "StartCycle": 0,
    "TotCycles": 0,
    "Mass": 1,
    "VGain": 0,
    "AbsTRepAlign": 0,
    "ParallelR": 0,
    "VDivHiR": 0,
    "VDivLoR": 0,
    "CANpos": -1,
    "CANprof": "",
    "RegimeName": "",
}
