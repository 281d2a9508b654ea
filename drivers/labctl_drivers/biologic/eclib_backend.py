"""The way in through the vendor's library: it runs its own kernel on the channel, and labctl takes the records away.

The instrument keeps no name of ours and gives its records once, so what was started stands in the files of
:mod:`labctl_drivers.biologic.runs`, and what came out of the buffer in :mod:`labctl_drivers.biologic.eclib_records`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    Busy,
    CannotSay,
    DriverContext,
    Hiccup,
    Identity,
    NotIdentified,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.biologic import eclib_codes as codes
from labctl_drivers.biologic.backend import ChannelStatus, Doing, Point, Record, Run, Technique
from labctl_drivers.biologic.eclib import ChannelInfos, LibraryError
from labctl_drivers.biologic.eclib_records import BlockFile, Decoder, block_of, parts_of
from labctl_drivers.biologic.eclib_session import FIRMWARE_WITHIN, LINE_FAULTS, Session
from labctl_drivers.biologic.eclib_techniques import link
from labctl_drivers.biologic.runs import Runs
from labctl_drivers.biologic.station import Settings

#: Pauses, real s, between looks at a channel that was told to start or stop.
_LOOKS: Final = (0.0, 0.1, 0.3, 1.0)
#: Calls after which a buffer that never empties is left for the next look.
_MOST_CALLS: Final = 400
#: s by which a channel may seem to have run before it was told to.
_SLACK: Final = 60.0
_FIRMWARE_HINT: Final = (
    "'firmware: replace' in the station file lets labctl replace it; EC-Lab then has to load its own again"
)
_DOING: Final = {0: Doing.STOPPED, 1: Doing.RUNNING, 2: Doing.PAUSED}


class EclibBackend:
    """Satisfies :class:`labctl_drivers.biologic.backend.Backend`.

    Parameters
    ----------
    context : DriverContext
        Name, clock, log, reports.
    settings : Settings
        Of the station file.
    runs : Runs
        Shared with the driver, which writes them.
    """

    def __init__(self, context: DriverContext, settings: Settings, runs: Runs) -> None:
        self._context = context
        self._settings = settings
        self._runs = runs
        self._session = Session(context, settings)
        self._taken: dict[str, tuple[Decoder, list[Record]]] = {}
        self._files: dict[str, BlockFile] = {}

    async def connect(self) -> Identity:
        """Connect and identify; nothing on any channel is changed."""
        session, settings = self._session, self._settings
        device = await session.connect()
        model = codes.DEVICES.get(device.DeviceCode)
        if model is None or (settings.model and settings.model != model):
            await session.close()
            wanted = settings.model or "an instrument of the VMP3 family"
            raise session.fault(
                NotIdentified, f"{model or f'device code {device.DeviceCode}'} answers, expected is {wanted}"
            )
        there = await session.survive(lambda library, link: library.plugged(link))
        missing = [channel for channel in settings.channels if channel - 1 not in there]
        if missing:
            await session.close()
            raise session.fault(NotIdentified, f"the station names channel {missing[0]}, which is not plugged")
        infos = [await self._infos(channel) for channel in settings.channels]
        details = {
            "library": session.version,
            "channels": ", ".join(
                f"{channel}: {codes.FIRMWARE.get(one.FirmwareCode, 'unknown firmware')}, board {one.BoardSerialNumber}"
                for channel, one in zip(settings.channels, infos, strict=True)
            ),
        }
        serial = str(infos[0].BoardSerialNumber) if infos else ""
        firmware = str(device.FirmwareVersion)
        return Identity("BioLogic", model, serial, firmware, settings.address, details)

    async def close(self) -> None:
        """Disconnect; what runs goes on."""
        await self._session.close()

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel that is plugged."""
        there = await self._session.survive(lambda library, link: library.plugged(link))
        return {index + 1: (await self.status(index + 1)).doing.value for index in there}

    async def status(self, channel: int) -> ChannelStatus:
        """Look at a channel."""
        values = await self._session.survive(lambda library, link: library.values(link, channel - 1))
        if values.State not in _DOING:
            raise self._session.fault(CannotSay, f"channel {channel} is in state {values.State}, which is not known")
        said = [f"hardware error {values.OptErr}"] if values.OptErr else []
        said += ["voltage beyond its range"] if values.Eoverflow else []
        said += ["current beyond its range"] if values.Ioverflow else []
        return ChannelStatus(
            doing=_DOING[values.State],
            voltage=float(values.Ewe),
            counter=float(values.Ece),
            current=float(values.I) if values.State != codes.STOP else 0.0,
            elapsed=float(values.ElapsedTime),
            message=", ".join(said),
            failed=bool(values.OptErr),
        )

    async def load(self, token: str, channel: int, techniques: Sequence[Technique]) -> Mapping[str, Any]:
        """Link techniques on an idle channel; its kernel is loaded where there is none, or where the station says so.

        What the run before has left in the buffer is taken away first.
        """
        await self._idle(channel)
        await self._empty(channel)
        # Ranges are the board's, whatever firmware is on it: nothing is loaded for what can't be run.
        linked = link(techniques, await self._infos(channel), self._settings.bandwidth)
        await self._kernel(channel)
        for index, one in enumerate(linked):
            await self._session.call(
                lambda library, identifier, one=one, index=index: library.load_technique(  # type: ignore[misc]
                    identifier,
                    channel - 1,
                    one.file,
                    one.parameters,
                    first=index == 0,
                    last=index == len(linked) - 1,
                )
            )
        loaded = (await self._infos(channel)).NbOfTechniques
        if loaded != len(linked):
            raise self._session.fault(
                Refused, f"channel {channel}: {len(linked)} techniques were loaded, it tells of {loaded}"
            )
        return {"loaded": [one.to_json() for one in linked]}

    async def _idle(self, channel: int) -> None:
        status = await self.status(channel)
        if status.doing is not Doing.STOPPED:
            raise self._session.fault(Busy, f"channel {channel} is {status.doing.value}")

    async def _empty(self, channel: int) -> None:
        before = self._runs.newest(channel)
        run = self._runs.read(before) if before is not None else None
        if run is not None:
            await self.records(run, 0)

    async def _kernel(self, channel: int) -> None:
        firmware = (await self._infos(channel)).FirmwareCode
        if firmware == codes.KERNEL:
            return
        name = codes.FIRMWARE.get(firmware, f"code {firmware}")
        if firmware != codes.EMPTY and self._settings.firmware != "replace":
            raise self._session.fault(
                Refused,
                f"channel {channel} has {name} firmware on it, and EClib needs its own",
                hint=_FIRMWARE_HINT,
            )
        self._context.log.warning("firmware replaced", instrument=self._context.name, channel=channel, was=name)
        await self._session.call(
            lambda library, link: library.load_firmware(link, channel - 1, force=False), within=FIRMWARE_WITHIN
        )
        if (now := (await self._infos(channel)).FirmwareCode) != codes.KERNEL:
            raise self._session.fault(
                Refused, f"channel {channel}: after loading the kernel it tells of firmware {now}"
            )

    async def start(self, runs: Sequence[Run]) -> None:
        """Start channels by one order; seen on each that it runs, or has run."""
        channels = [run.channel - 1 for run in runs]
        for run in runs:
            # What is started may be a further part of a run that is known already.
            self._taken.pop(run.token, None)
        unanswered: InstrumentError | None = None
        for attempt in (1, 2):
            try:
                await self._session.call(lambda library, link: library.start(link, channels))
            except LINE_FAULTS as fault:
                self._session.survived(fault)
                unanswered = fault if isinstance(fault, TimedOut) else unanswered
            except Busy as fault:
                # A running channel refuses a second start: the first one may have come through without an answer.
                if attempt == 1:
                    await self._take_back(runs, fault)
                    raise
                self._session.survived(fault)
            except Refused as fault:
                await self._take_back(runs, fault)
                raise
            for pause in _LOOKS:
                await asyncio.sleep(self._context.clock.patience(pause))
                seen = [await self._seen_to_run(run) for run in runs]
                if all(seen):
                    return
            if any(seen):
                break
        silent = ", ".join(str(run.channel) for run, ran in zip(runs, seen, strict=True) if not ran)
        # An order that was not answered may still be carried out: whoever hears of a refusal relies on it.
        for run in runs:
            await self.stop(run.channel)
        if unanswered is not None:
            raise unanswered
        raise self._session.fault(Refused, f"channel {silent} was told to start, but does not run")

    async def _seen_to_run(self, run: Run) -> bool:
        try:
            return await self._has_run(run)
        except Refused as refusal:
            # It was told to start: a look that is declined does not take that back.
            self._session.survived(refusal)
            return False

    async def _take_back(self, runs: Sequence[Run], fault: InstrumentError) -> None:
        """Stop, verified, what an order to several channels has started although another declined it."""
        cause = fault.__cause__
        begun = cause.started if isinstance(cause, LibraryError) else ()
        for run in runs:
            # Where no channel was told apart, those that run are ours, unless one was running before.
            if run.channel - 1 in begun or (isinstance(fault, Refused) and not begun and len(runs) > 1):
                await self.stop(run.channel)

    async def _has_run(self, run: Run) -> bool:
        status = await self.status(run.channel)
        if status.doing is not Doing.STOPPED or status.elapsed > 0:
            return True
        part = len(run.sent.get("continued", ()))
        return any(isinstance(one, Point) or one.part == part for one in await self.records(run, 0))

    async def stop(self, channel: int) -> None:
        """To open circuit, verified by two looks; an order or a look that fails is repeated like one without effect."""
        unseen: InstrumentError | None = None
        why = ""
        for pause in _LOOKS:
            try:
                await self._session.call(lambda library, link: library.stop(link, channel - 1))
            except (*LINE_FAULTS, Busy, Refused) as fault:
                # Whatever was answered, as of a channel that stands already: what it does counts.
                self._session.survived(fault)
                why = f" ({fault.message})"
            await asyncio.sleep(self._context.clock.patience(pause))
            try:
                # One value that arrived wrong must not make a source that is on look off.
                if all([await self._is_off(channel) for _ in range(2)]):
                    return
                unseen = None
            except (*LINE_FAULTS, Busy, Refused) as fault:
                self._session.survived(fault)
                unseen = fault
        if unseen is not None:
            raise unseen
        raise self._session.fault(
            VendorAlarm, f"channel {channel} was told to stop and goes on{why}", hint="switch it off at the instrument"
        )

    async def _is_off(self, channel: int) -> bool:
        values = await self._session.call(lambda library, link: library.values(link, channel - 1))
        return int(values.State) == codes.STOP

    async def started(self, run: Run) -> bool:
        """Judge by what came out of the channel, by what it does, and by whether its memory still has the run."""
        if not self._runs.is_newest(run):
            if await self.records(run, 0):
                return True
            raise self._session.fault(
                CannotSay, f"channel {run.channel} was given something else since, and nothing of {run.token} is here"
            )
        if await self.records(run, 0):
            return True
        status, infos = await self.status(run.channel), await self._infos(run.channel)
        if infos.FirmwareCode != codes.KERNEL or infos.NbOfTechniques != len(run.sent["loaded"]):
            raise self._session.fault(
                CannotSay,
                f"channel {run.channel} has forgotten what was loaded on it, and nothing that it recorded is here",
            )
        age = (self._context.clock.now() - run.begun).total_seconds()
        if status.elapsed > age + _SLACK:
            raise self._session.fault(CannotSay, f"channel {run.channel} has run for longer than {run.token} can")
        return status.doing is not Doing.STOPPED or status.elapsed > 0

    async def records(self, run: Run, after: int) -> Sequence[Record]:
        """Take away what the channel has, if the run is the newest there, and give the records beyond ``after``."""
        if run.token not in self._taken:
            decoder, found = Decoder(parts_of(run.sent)), []
            for block in self._file(run).read():
                found += decoder.take(block)
            self._taken[run.token] = decoder, found
        if self._runs.is_newest(run):
            await self._drain(run)
        return self._taken[run.token][1][after:]

    async def _drain(self, run: Run) -> None:
        decoder, found = self._taken[run.token]
        file, lost = self._file(run), decoder.lost
        file.settle()
        for _ in range(_MOST_CALLS):
            try:
                infos, values, words = await self._session.survive(
                    lambda library, link: library.data(link, run.channel - 1)
                )
            except Refused:
                if (await self._infos(run.channel)).FirmwareCode != codes.KERNEL:
                    break  # Switched off and on, or given to EC-Lab: there is nothing left to take.
                raise
            if values.State != codes.STOP and values.ElapsedTime + _SLACK < decoder.recorded:
                raise self._session.fault(
                    CannotSay,
                    f"channel {run.channel} has run for {values.ElapsedTime:.0f} s, {decoder.recorded:.0f} s are "
                    f"recorded of {run.token}: it was started by somebody else",
                    hint="find out who else uses the instrument, and stop the channel",
                )
            since = (self._context.clock.now() - run.begun).total_seconds()
            running = values.State != codes.STOP and values.MemFilled == 0
            counter = self._settings.electrodes == 3 and running
            block = block_of(infos, values, words, since, len(run.sent.get("continued", ())), counter=counter)
            if block is None:
                break
            # Kept before it is told to anybody: the instrument will not give it again.
            found += decoder.take(block)
            file.append(block)
        if decoder.lost > lost:
            message = f"channel {run.channel} has lost {decoder.lost} records, as its buffer was full"
            self._context.report(Hiccup(self._context.name, "records lost", message))

    async def files(self, run: Run, folder: Path) -> tuple[str, ...]:
        """Copy the blocks as they came, and what was loaded. Raises ``DataError`` where a block is not understood."""
        await self.records(run, 0)
        if problems := self._taken[run.token][0].problems:
            raise DataError(f"{self._blocks(run)}: {problems[0]}")
        pairs = ((self._blocks(run), f"{run.token}.eclib"), (self._runs.path(run.token, "json"), f"{run.token}.json"))
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in pairs:
            try:
                content = source.read_bytes()
            except OSError as error:
                raise DataError(f"{source}: can't be read ({error.strerror})") from error
            part = folder / f"{name}.part"
            part.write_bytes(content)
            part.replace(folder / name)
        return tuple(name for _, name in pairs)

    async def inspect(self) -> tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]:
        """Tell versions, firmware, ranges and messages of every channel of the station."""
        facts, against = {"library": self._session.version}, []
        if (device := self._session.device) is not None:
            facts["connected PCs"] = str(device.NbOfConnectedPC)
        for channel in self._settings.channels:
            infos = await self._infos(channel)
            board = await self._session.survive(lambda library, link, channel=channel: library.board(link, channel - 1))  # type: ignore[misc]
            message = await self._session.survive(
                lambda library, link, channel=channel: library.message(link, channel - 1)  # type: ignore[misc]
            )
            name = codes.FIRMWARE.get(infos.FirmwareCode, "unknown")
            facts[f"channel {channel}"] = (
                f"{name} firmware {infos.FirmwareVersion}, board type {board}, memory {infos.MemSize} bytes, "
                f"up to {codes.CURRENT_RANGES.get(infos.MaxIRange, 0.0):g} A, "
                f"{'with' if infos.Zboard else 'without'} impedance{f', says: {message}' if message else ''}"
            )
            if infos.FirmwareCode not in (codes.KERNEL, codes.EMPTY) and self._settings.firmware != "replace":
                against.append(
                    f"channel {channel} has {name} firmware, so that every start is refused; {_FIRMWARE_HINT}"
                )
        return facts, tuple(against), UNVERIFIED

    async def _infos(self, channel: int) -> ChannelInfos:
        if channel not in self._settings.channels:
            raise self._session.fault(OutOfRange, f"channel {channel} is not one that the station gave us")
        return await self._session.survive(lambda library, link: library.infos(link, channel - 1))

    def _file(self, run: Run) -> BlockFile:
        return self._files.setdefault(run.token, BlockFile(self._blocks(run)))

    def _blocks(self, run: Run) -> Path:
        return self._runs.path(run.token, "eclib")


UNVERIFIED: Final = (
    "that VMP-3e and SP-150e take the plain technique files; load one rest on a dummy cell",
    "whether limits of a negative current compare with its sign; run one discharge hold on a dummy cell",
    "that a record is made at the end of a technique; look at the last record before and after a limit",
    "whether an amplitude is a peak value; compare the current at a resistor of known size",
    "that a direct current flows on between linked techniques; look at a dummy cell between two spectra of a series",
    "that the channel runs on when the PC is gone; pull the cable while a dummy cell is charged",
)
