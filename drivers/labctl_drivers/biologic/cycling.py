"""The cycler role: a program becomes linked techniques that the channel runs by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import (
    CyclerProgram,
    DriverContext,
    Fetched,
    Handle,
    OutOfRange,
    Progress,
    Reading,
    Refused,
    State,
)
from labctl_drivers.biologic.backend import (
    ChannelStatus,
    ConstantCurrent,
    ConstantVoltage,
    Doing,
    Loop,
    OpenCircuit,
    Run,
    Sample,
    Technique,
)
from labctl_drivers.biologic.driver import BiologicInstrument, Order, put
from labctl_drivers.biologic.plan import beyond, compile_program
from labctl_drivers.biologic.station import Settings
from labctl_drivers.biologic.tables import Account, electrodes_table, records_table

#: Longest wait between looks, s: the channel's buffer is emptied at each.
_LOOK_EVERY: Final = 600.0


class BiologicCycler(BiologicInstrument):
    """Charges and discharges cells on the channels that the station gives it."""

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        super().__init__(context, settings)
        self._accounts: dict[str, tuple[Account, int]] = {}

    async def start(self, token: str, channel: int, program: CyclerProgram) -> Handle:
        """Start ``program`` on ``channel`` under the name ``token``; never twice.

        Raises
        ------
        Busy
            The channel is running something.
        Refused
            In the vendor's words, or for EC-Lab's firmware on the channel.
        OutOfRange
            Beyond what the channel can do.
        """
        return (await self.start_together({token: (channel, program)}))[0]

    async def start_together(self, programs: Mapping[str, tuple[int, CyclerProgram]]) -> list[Handle]:
        """Start programs on several channels by one order, by token: all of them, or none.

        Raises
        ------
        Busy, Refused, OutOfRange
            As for :meth:`start`.
        """
        orders = []
        for token, (channel, program) in programs.items():
            compiled = compile_program(program)
            orders.append(Order(token, channel, compiled.techniques, compiled.facts(program)))
        async with self._lock:
            return await self._begin(orders)

    async def poll(self, handle: Handle) -> Progress:
        """Look once, and take away what the channel has recorded."""
        token = handle.token
        async with self._lock:
            if (verdict := self._verdict(token)) is not None:
                return verdict
            run = self._run(token)
            if not self._runs.is_newest(run):
                return self._judged(token, f"channel {run.channel} was given something else", "")
            status = await self._look(run)
            account, new = await self._account(run, whole=status.doing is Doing.STOPPED)
            safety = self._runs.facts(token)["safety"]
            if (bad := beyond(new, run.techniques, safety) or account.tripped) is not None:
                message = (
                    f"{bad.voltage:.4f} V and {bad.current:.3g} A after {bad.at:.0f} s, at or beyond the safety limits "
                    f"{safety['voltage_min_V']:g} V to {safety['voltage_max_V']:g} V; ended"
                )
                return await self._abort(token, message)
            if status.failed and status.doing is Doing.PAUSED:
                return await self._abort(token, f"channel {run.channel} was paused: {status.message}; ended")
            if status.failed and status.doing is Doing.STOPPED:
                return self._judged(token, f"channel {run.channel} stopped: {status.message}", "")
            suspended = bool(self._runs.facts(token).get("suspended"))
            if status.doing is Doing.STOPPED and not suspended:
                return self._judged(token, self._problem(run, account), "completed")
            elapsed = _elapsed(run, account, status)
            values = {
                **self._values(status),
                "test_time_s": elapsed,
                "capacity_C": account.capacity,
                "step_time_s": max(0.0, elapsed - account.began),
            }
            if status.doing is Doing.STOPPED:
                return Progress(State.RUNNING, "suspended", None, values)
            if account.has_lasted:
                await self._backend.stop(run.channel)
                await self._account(run, whole=True)
                return self._judged(token, "", "completed")
            if suspended:
                # The process ended between the note and the order to stop, or after a resumption.
                self._runs.note(token, suspended=False)
            message = "paused" if status.doing is Doing.PAUSED else status.message or "running"
            return Progress(State.RUNNING, message, self._remaining(run, account, elapsed), values)

    def _problem(self, run: Run, account: Account) -> str:
        """What is wrong with a run that has ended; empty for nothing."""
        last, recorded = account.last, [one for one in run.techniques if not isinstance(one, Loop)]
        if last is None:
            return f"channel {run.channel} has stopped without a record"
        if run.techniques[last.technique] is not recorded[-1]:
            return f"channel {run.channel} stopped in step {self._step(run, last)}, before the program's end"
        how = account.ended(last)
        if how == "stopped":
            return f"channel {run.channel} was stopped in its last step, after {last.at:.0f} s"
        return f"a safety limit ended the last step at {last.voltage:.4f} V" if how == "safety" else ""

    def _step(self, run: Run, sample: Sample) -> int:
        return int(self._runs.facts(run.token)["steps"][sample.technique])

    def _remaining(self, run: Run, account: Account, elapsed: float) -> float | None:
        last = account.last
        if last is None:
            return None
        technique = run.techniques[last.technique]
        if isinstance(technique, OpenCircuit) and last.technique == len(run.techniques) - 1:
            return min(max(1.0, account.began + technique.duration - elapsed), _LOOK_EVERY)
        return None

    async def _account(self, run: Run, *, whole: bool = False) -> tuple[Account, list[Sample]]:
        """Bring the account of a run up to date; gives its new records too.

        One call may leave records behind; ``whole`` goes on until there are none, which is for a channel that stands.
        """
        facts = self._runs.facts(run.token)
        account, seen = self._accounts.get(run.token) or (Account(run.techniques, facts), 0)
        new: list[Sample] = []
        while records := await self._backend.records(run, seen):
            new += account.feed(records)
            seen += len(records)
            self._accounts[run.token] = account, seen
            if not whole:
                break
        return account, new

    async def records(self, handle: Handle, after: int | None) -> str:
        """Give the rows beyond record ``after``, as the cycler contract says; the newest waits for its successor."""
        async with self._lock:
            account, _ = await self._account(self._run(handle.token))
            return records_table([row for row in account.rows if after is None or row.number > after])

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay the raw records, ``records.csv`` and, with a reference electrode, ``electrodes.csv`` into ``folder``.

        Raises
        ------
        DataError
            Nothing was recorded, or what was can't be read.
        """
        async with self._lock:
            run = self._run(handle.token)
            account, _ = await self._account(run, whole="verdict" in self._runs.facts(run.token))
            verdict, facts = self._verdict(run.token), self._runs.facts(run.token)
            end = account.finish()
            last = account.last
            if last is None:
                raise DataError(f"{self._context.name}: channel {run.channel} has recorded nothing of {run.token}")
            files = [*await self._backend.files(run, folder), put(folder / "records.csv", records_table(account.rows))]
            if self._settings.electrodes == 3:
                files.append(put(folder / "electrodes.csv", electrodes_table(await self._backend.records(run, 0))))
        if verdict is not None and verdict.state is State.FAILED:
            end = "aborted" if verdict.message == "aborted" else "fault"
        end = {"safety": "fault", "stopped": "aborted"}.get(end, end)
        warnings = []
        if end == "time" and facts["guards"][last.technique]:
            warnings.append(
                f"the time limit of step {facts['steps'][last.technique]} ended it, not the condition it waits for"
            )
        warnings += [f"no records between {before:.0f} s and {after:.0f} s" for before, after in account.gaps]
        rows = account.rows
        summary: dict[str, Any] = {
            "end": end,
            "records": len(rows),
            "first_record": rows[0].number,
            "last_record": rows[-1].number,
            "capacity_C": rows[-1].capacity,
            "voltage_V": rows[-1].voltage,
            "duration_s": rows[-1].time,
        }
        sent = {"channel": run.channel, "safety": facts["safety"], **run.sent}
        return Fetched(tuple(files), sent, {}, summary, tuple(warnings))

    async def suspend(self, handle: Handle) -> None:
        """Stop the channel, verified, so that the rest of the program can be loaded and started later. Safe to repeat.

        Raises
        ------
        Refused
            The program has loops, or the way in can't continue one.
        """
        async with self._lock:
            run, facts = self._run(handle.token), self._runs.facts(handle.token)
            if "verdict" in facts or not self._runs.is_newest(run):
                return
            if self._settings.backend != "eclib" or any(isinstance(one, Loop) for one in run.techniques):
                raise self._fault(Refused, "this program can't be interrupted so that it goes on; abort it instead")
            # Even where it is noted already: the process may have ended before the order to stop.
            if (await self._look(run)).doing is Doing.STOPPED:
                return
            self._runs.note(run.token, suspended=True)
            await self._backend.stop(run.channel)
            await self._account(run)

    async def resume(self, handle: Handle) -> None:
        """Load what is left of a suspended program and start it. Safe to repeat.

        Raises
        ------
        Busy, Refused
            In the vendor's words; it stays suspended.
        """
        async with self._lock:
            run, facts = self._run(handle.token), self._runs.facts(handle.token)
            if "verdict" in facts or not facts.get("suspended"):
                return
            status = await self._look(run)
            if status.doing is not Doing.STOPPED:
                # It was started, and the process ended before that was written down; or never stopped.
                self._runs.note(run.token, suspended=False)
                return
            account, _ = await self._account(run)
            first, left = _left(run, account)
            at = _elapsed(run, account, status)
            sent = await self._backend.load(run.token, run.channel, left)
            loaded = [{**one, "technique": one["technique"] + first} for one in sent["loaded"]]
            continued = [*run.sent.get("continued", ()), {"loaded": loaded, "at": at}]
            run = replace(run, sent={**run.sent, "continued": continued})
            self._runs.write(run, facts)
            await self._backend.start([run])
            self._runs.note(run.token, suspended=False)

    async def reading(self, channel: int) -> Reading:
        """Read voltage and current of a channel, idle or not."""
        if channel not in self._settings.channels:
            raise self._fault(OutOfRange, f"channel {channel} is not one that the station gave us")
        async with self._lock:
            status = await self._backend.status(channel)
        return Reading(status.elapsed, status.voltage, status.current)

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that the station gave us."""
        async with self._lock:
            words = await self._backend.channels()
        return {channel: words.get(channel, "not plugged") for channel in self._settings.channels}


def _elapsed(run: Run, account: Account, status: ChannelStatus) -> float:
    """Seconds for which a run has run, interruptions left out: the channel counts from its last start."""
    parts = run.sent.get("continued", ())
    recorded = account.last.at if account.last is not None else 0.0
    return max(status.elapsed + (float(parts[-1]["at"]) if parts else 0.0), recorded)


def _left(run: Run, account: Account) -> tuple[int, list[Technique]]:
    """What is left of a program that was interrupted, and which of its techniques that begins with.

    The technique in which it was interrupted is never taken for ended, however near its end it was: one that was ends
    again at once.
    """
    last = account.last
    if last is None:
        return 0, list(run.techniques)
    technique = run.techniques[last.technique]
    if isinstance(technique, (OpenCircuit, ConstantCurrent, ConstantVoltage)):
        technique = replace(technique, duration=max(1.0, technique.duration - account.lasted))
    return last.technique, [technique, *run.techniques[last.technique + 1 :]]
