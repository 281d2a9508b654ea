"""The way in through EC-Lab: it loads a settings file, runs it, and writes the data files that labctl reads.

EC-Lab keeps its own firmware on the channel and its own account of the run. Every run has a folder of its own, named
after its token, which goes with the order to start: that EC-Lab names that folder, or has written data into it, is the
proof that a run was started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    Busy,
    CannotSay,
    DriverContext,
    Garbled,
    Identity,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.biologic import mpr, mps, mpt, olecom_status
from labctl_drivers.biologic.backend import ChannelStatus, Doing, Loop, Record, Run, Technique
from labctl_drivers.biologic.mps_techniques import Writer, safety_of
from labctl_drivers.biologic.olecom import CallFailed
from labctl_drivers.biologic.olecom_records import records_of
from labctl_drivers.biologic.olecom_session import Session
from labctl_drivers.biologic.olecom_settings import EcLabSettings
from labctl_drivers.biologic.runs import Runs
from labctl_drivers.biologic.station import Settings

LINE_FAULTS: Final = (NotReachable, TimedOut, Garbled)
#: Real s between looks at a channel that was told to start or stop.
_LOOKS: Final = (0.0, 0.1, 0.3, 1.0)
#: Number of the technique, from 1, in a name that EC-Lab gave.
_NUMBERED: Final = re.compile(r"_(\d{2})_[A-Za-z0-9 ]+_C\d{2}$")


class EcLabBackend:
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
        self._own = EcLabSettings.read(context, settings)
        self._session = Session(context, settings, self._own.com)
        self._device: int | None = None
        self._taken: dict[str, list[Record]] = {}

    async def connect(self) -> Identity:
        """Let EC-Lab connect, and identify; nothing on any channel is changed."""
        self._device = None
        device = await self._at()
        serial, channels = await self._session.look(lambda lab: lab.serials(device), "the serial numbers")
        if serial == 0:
            raise self._session.fault(
                NotIdentified, f"place {device} of EC-Lab's list is not connected, or a virtual instrument"
            )
        plugged = await self._session.look(lambda lab: lab.plugged(device), "the list of channels")
        missing = [one for one in self._settings.channels if one > len(plugged) or not plugged[one - 1]]
        if missing:
            raise self._session.fault(NotIdentified, f"the station names channel {missing[0]}, which is not plugged")
        wanted = str(self._settings.entry.get("serial", ""))
        if wanted and wanted != str(serial):
            raise self._session.fault(NotIdentified, f"serial number {serial} answers, expected is {wanted}")
        details = {"channels": ", ".join(f"{one}: board {channels[one - 1]}" for one in self._settings.channels)}
        # EC-Lab does not tell models or its own version: they are in what it writes.
        model = self._settings.model or "not told by EC-Lab"
        return Identity("BioLogic", model, str(serial), "EC-Lab's own", self._settings.address, details)

    async def close(self) -> None:
        """Let go of EC-Lab; it stays connected, and what runs goes on."""
        self._device = None
        await self._session.close()

    async def channels(self) -> Mapping[int, str]:
        """Status word of every channel of the station."""
        return {channel: olecom_status.word(await self._values(channel)) for channel in self._settings.channels}

    async def status(self, channel: int) -> ChannelStatus:
        """Look at a channel."""
        values = await self._values(channel)
        status = olecom_status.status_of(values)
        if status is None:
            raise self._session.fault(CannotSay, f"channel {channel} is {olecom_status.word(values)}, not known")
        return status

    async def load(self, token: str, channel: int, techniques: Sequence[Technique]) -> Mapping[str, Any]:
        """Write the settings file and let EC-Lab load it; a channel that a safety limit paused is stopped first."""
        status = await self.status(channel)
        if status.doing is Doing.PAUSED and status.failed:
            await self.stop(channel)
        elif status.doing is not Doing.STOPPED:
            raise self._session.fault(Busy, f"channel {channel} is {status.doing.value}")
        own = self._own
        if own.own_times and any(isinstance(one, Loop) for one in techniques):
            raise self._session.fault(OutOfRange, "a loop can't be put in order with 'file_times: technique'")
        writer = Writer(own.mark, own.voltage_range, self._settings.bandwidth, own.template)
        path = self._fresh(token) / f"{token}.mps"
        content = mps.document(
            writer.blocks(techniques),
            path=str(path),
            device=self._settings.model or "VMP-3e",
            voltage_range=own.voltage_range,
            safety=safety_of(techniques, own.safety_margin),
            record_counter=self._settings.electrodes == 3,
            mark=own.mark,
            template=own.template,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.replace(path)
        device = await self._selected(channel)
        await self._session.call(
            lambda lab: lab.load_settings(device, channel - 1, str(path)), f"{path.name} on channel {channel}"
        )
        return {"folder": path.parent.name, "settings": content.decode(mps.ENCODING)}

    async def start(self, runs: Sequence[Run]) -> None:
        """Start one channel after the other: EC-Lab has no order for several; if one is refused, all are stopped."""
        for index, run in enumerate(runs):
            try:
                await self._start(run)
            except InstrumentError:
                for begun in runs[:index]:
                    await self.stop(begun.channel)
                raise

    async def _start(self, run: Run) -> None:
        path = str(self._folder(run) / f"{run.token}.mpr")
        device = await self._selected(run.channel)
        why, unanswered = "EC-Lab says that it has done so", None
        for pause in _LOOKS:
            await self._session.wait(pause)
            try:
                await self._session.once(lambda lab: lab.run(device, run.channel - 1, path))
            except CallFailed as failed:
                why = str(failed)
            except LINE_FAULTS as fault:
                self._session.survived(fault)
                why, unanswered = fault.message, fault if isinstance(fault, TimedOut) else unanswered
            # Whatever the answer was: what the channel does counts, or the order would be given twice.
            if await self._has_run(run):
                return
        # An order that was not answered may still be carried out: whoever hears of a refusal relies on it.
        await self.stop(run.channel)
        if unanswered is not None:
            raise unanswered
        raise self._session.fault(
            Refused, f"channel {run.channel} was told to start {run.token}, but does not run ({why})"
        )

    async def _has_run(self, run: Run) -> bool:
        for pause in _LOOKS[:-1]:
            await self._session.wait(pause)
            if await self.started(run):
                return True
        return False

    async def stop(self, channel: int) -> None:
        """Stop, verified by two looks; an order or a look that fails is repeated like one without effect."""
        unseen: InstrumentError | None = None
        for pause in _LOOKS:
            try:
                device = await self._at()
                await self._session.once(lambda lab, device=device: lab.stop(device, channel - 1))  # type: ignore[misc]
            except CallFailed as failed:
                self._context.log.debug("call repeated", instrument=self._context.name, why=str(failed))
            except LINE_FAULTS as fault:
                self._session.survived(fault)
            await self._session.wait(pause)
            try:
                # One value that arrived wrong must not make a source that is on look off.
                if all([(await self.status(channel)).doing is Doing.STOPPED for _ in range(2)]):
                    return
                unseen = None
            except (*LINE_FAULTS, CannotSay) as fault:
                self._session.survived(fault)
                unseen = fault
        if unseen is not None:
            raise unseen
        raise self._session.fault(
            VendorAlarm, f"channel {channel} was told to stop and goes on", hint="stop it in EC-Lab, or switch it off"
        )

    async def started(self, run: Run) -> bool:
        """Judge by the folder that EC-Lab names and by the data that lie in the run's own."""
        if self._files(run):
            return True
        if not self._runs.is_newest(run):
            # EC-Lab creates its data files as it starts.
            return False
        device = await self._at()
        try:
            experiment = await self._session.once(lambda lab: lab.experiment(device, run.channel - 1))
        except CallFailed as failed:
            if (await self.status(run.channel)).doing is Doing.STOPPED:
                return False
            raise self._session.fault(
                CannotSay, f"channel {run.channel} runs, and EC-Lab does not say what ({failed})"
            ) from failed
        return bool(experiment.folder) and _same(experiment.folder, self._folder(run))

    async def records(self, run: Run, after: int) -> Sequence[Record]:
        """Read the data files as far as they go, and give the records beyond ``after``."""
        before = self._taken.get(run.token, [])
        try:
            files = {technique: self._read(path, whole=False) for technique, path in self._files(run).items()}
        except OSError as error:
            # EC-Lab holds a file while it writes; what was read before is still true.
            self._session.survived(self._session.fault(Garbled, f"a data file can't be read now ({error.strerror})"))
            return before[after:]
        filled = {key: one for key, one in files.items() if one.rows}
        found = records_of(filled, own_times=self._own.own_times, known=before)
        if len(found) < len(before) or (before and not _alike(before[-1], found[len(before) - 1])):
            raise DataError(f"{self._context.name}: the data files of {run.token} do not hold what they held before")
        self._taken[run.token] = found
        return found[after:]

    async def files(self, run: Run, folder: Path) -> tuple[str, ...]:
        """Copy the settings file and the data files, each found whole."""
        found = self._files(run)
        if not found:
            raise DataError(f"{self._folder(run)}: EC-Lab has written no data of {run.token}")
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        try:
            for path in found.values():
                self._read(path, whole=True)
            for source in sorted(self._folder(run).iterdir()):
                if source.suffix in (".mps", ".mpr", ".mpt"):
                    part = folder / f"{source.name}.part"
                    part.write_bytes(source.read_bytes())
                    part.replace(folder / source.name)
                    names.append(source.name)
        except OSError as error:
            raise DataError(f"{self._folder(run)}: can't be copied ({error.strerror})") from error
        return tuple(names)

    async def inspect(self) -> tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]:
        """Tell what EC-Lab says of the instrument and of every channel of the station."""
        device = await self._at()
        serial, boards = await self._session.look(lambda lab: lab.serials(device), "the serial numbers")
        facts = {"EC-Lab's list": f"place {device}, serial number {serial}"}
        for channel in self._settings.channels:
            values = await self._values(channel)
            facts[f"channel {channel}"] = f"board {boards[channel - 1]}, {olecom_status.word(values)}"
        return facts, (), UNVERIFIED

    async def _at(self) -> int:
        """Place of the instrument in EC-Lab's list, connected."""
        if self._device is None:
            address, place = self._settings.address, self._own.device
            if address:
                self._device = await self._session.look(
                    lambda lab: lab.connect_by_address(address), "to connect to the instrument"
                )
            else:
                await self._session.look(lambda lab: lab.connect(place), "to connect to the instrument")
                self._device = place
        return self._device

    async def _values(self, channel: int) -> tuple[float, ...]:
        if channel not in self._settings.channels:
            raise self._session.fault(OutOfRange, f"channel {channel} is not one that the station gave us")
        device = await self._at()
        values = await self._session.look(lambda lab: lab.status(device, channel - 1), f"channel {channel}")
        if not olecom_status.connected(values):
            self._device = None
            raise self._session.fault(NotReachable, "EC-Lab has lost the connection to the instrument")
        return values

    async def _selected(self, channel: int) -> int:
        """Bring a channel to the front of EC-Lab, which needs its time for it."""
        device = await self._at()
        await self._session.call(lambda lab: lab.select(device, channel - 1), f"channel {channel}")
        await self._session.wait(self._own.selected_for)
        return device

    def _fresh(self, token: str) -> Path:
        """Folder in which nothing lies of an attempt before, which would pass for the next."""
        folder = self._runs.path(token, "eclab").absolute()
        attempts = [int(one.name) for one in folder.iterdir() if one.name.isdigit()] if folder.is_dir() else []
        return folder / str(max(attempts, default=0) + 1)

    def _folder(self, run: Run) -> Path:
        return self._runs.path(run.token, "eclab").absolute() / str(run.sent["folder"])

    def _files(self, run: Run) -> dict[int, Path]:
        """Data files by technique, from 0; a lone technique's bears no number."""
        found: dict[int, Path] = {}
        folder = self._folder(run)
        for path in sorted(folder.glob("*.mpr")) if folder.is_dir() else ():
            numbered = _NUMBERED.search(path.stem)
            technique = int(numbered.group(1)) - 1 if numbered else 0
            if not 0 <= technique < len(run.techniques) or technique in found:
                raise DataError(f"{path}: is not a data file of {run.token}, by its name")
            found[technique] = path
        return found

    def _read(self, path: Path, *, whole: bool) -> mpr.Measured:
        text = path.with_suffix(".mpt")
        if text.is_file():
            return mpt.read(text.read_bytes(), text.name)
        return mpr.read(path.read_bytes(), path.name, whole=whole)


def _alike(one: Record, other: Record) -> bool:
    """Whether two records are the same; passes of a loop may be known only later."""
    return (one.number, one.technique, one.at, one.voltage) == (other.number, other.technique, other.at, other.voltage)


def _same(told: str, ours: Path) -> bool:
    """Whether a folder that EC-Lab names is ours, with or without its last separator, in any case of letters."""

    def plain(text: str) -> str:
        return text.replace("/", "\\").rstrip("\\").casefold()

    return plain(told) == plain(str(ours))


UNVERIFIED: Final = (
    "that this version of EC-Lab lists VMP-3e and SP-150e over OLE-COM; look at the serial number above",
    "that EC-Lab takes the generated settings file; load one in EC-Lab by hand, or name a template saved there",
    "how EC-Lab names its data files; look at those of one rest",
    "that times in the data files run through all linked techniques; look at two rests, else 'file_times: technique'",
    "that the counter electrode's impedance is recorded as Zwe-ce; look at the columns of one spectrum",
    "that EC-Lab pauses at a safety limit with the leads open; run one on a dummy cell",
    "that a direct current flows on where a spectrum is looped; run three spectra of a series on a dummy cell",
    "that the channel runs on when the PC is gone; pull the cable while a dummy cell is charged",
)
