"""EC-Lab with a BioLogic potentiostat on a virtual cell, as its OLE-COM calls show it, over a loopback port.

A client has :class:`labctl_simulators.biologic.eclabcom.EClabExe` where it would have the vendor's object; every call
comes here as a line of JSON, which is ours. Settings files are read from and data files written to the disk of this
computer, as EC-Lab does.

From the vendor's table and from a client that runs unmodified on this: calls, their values, the 32 of a status, that
nothing but zeros is a call that failed, that values of a run that ended stay. From names of files that EC-Lab made: a
number, the technique and the channel behind the path, or the channel alone for a lone technique. Guessed: when files
are written (at every look and at the end), that a safety limit is met only when somebody looks, that it leaves the
leads open, and that times run through all linked techniques. Left out: grouping, external devices, batch files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from labctl_simulators.biologic import mpr_writer, mps_reader
from labctl_simulators.biologic.asked import read
from labctl_simulators.biologic.channel import RUNNING, Channel
from labctl_simulators.biologic.channel_steps import step_from_json
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.lines import LineServer

COM: Final = "labctl_simulators.biologic.eclabcom:EClabExe"
_SERIAL, _BOARD = 21042, 1042
_UNLIMITED: Final = 10**9
_STOP, _RUN, _SAFETY_PAUSE = 0, 1, 6
_KINDS: Final = {"open": "open", "current": "driven", "voltage": "driven", "peis": "spectrum", "geis": "spectrum"}
_LONG_NAMES: Final = {short: name for name, (_, short) in mps_reader.CODES.items()}
_NUMBERS: Final = {short: number for number, short in mps_reader.CODES.values()}
_SAFETY: Final = {"Ewe max": 1, "Ewe min": 2, "|I|": 3}


class _Experiment:
    """What EC-Lab knows of a channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.settings = mps_reader.Settings()
        self.loaded = False
        self.base = ""
        self.began: float | None = None
        self.rows: list[list[mpr_writer.Row]] = []
        self.written: list[tuple[int, bool]] = []
        self.limit = 0
        self.stale = [0.0] * 32


class EcLabSimulator:
    """EC-Lab with one instrument.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        Its station entry; ``decimal`` is the PC's too. ``simulate`` may hold ``channels`` (how many are plugged),
        ``fails_every`` (every so manieth call gives 0, or zeros), ``export`` (``text`` for a ``.mpt`` beside every
        data file that is closed).
    laboratory : Laboratory
        Cells, relays and time.

    Breakdowns
    ----------
    ``safety`` (a safety limit pauses a channel), ``stop`` (somebody stops it in EC-Lab), ``stubborn`` (it no longer
    obeys the order to stop), ``declines`` (EC-Lab starts nothing on it), each with the option ``channel``, from 1;
    ``lost`` (EC-Lab loses the instrument), ``hang`` (EC-Lab answers nothing any more), ``well`` (all of these are
    over, but for what is stubborn).
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Laboratory) -> None:
        options = settings.get("simulate") or {}
        self.name = name
        self._laboratory = laboratory
        self._mark = "," if settings.get("decimal") == "comma" else "."
        self._fails_every = int(options.get("fails_every", 0))
        self._export = options.get("export") == "text"
        count, electrodes = int(options.get("channels", 8)), int(settings.get("electrodes", 2))
        alone = settings.get("channels", 1) if settings.get("role") == "potentiostat" else None
        self.channels = [
            Channel(laboratory, name, number, electrodes, alone=str(alone).strip("[]") == str(number))
            for number in range(1, count + 1)
        ]
        for channel in self.channels:
            channel.buffer = _UNLIMITED
        self._experiments = [_Experiment(channel) for channel in self.channels]
        self._selected = 0
        self._calls = 0
        self._lost = self._hangs = False
        self._stubborn: set[int] = set()
        self._declines: set[int] = set()
        self._server = LineServer(self._answer, end_received=b"\n", end_sent=b"\n")

    async def start(self) -> dict[str, Any]:
        """Listen; gives ``address`` and ``com`` for the station's entry."""
        port = await self._laboratory.expose(self.name, await self._server.start(), "eclabcom")
        self._laboratory.register_breakdowns(self.name, self._break_down)
        self._laboratory.register_restart(self.name, self.power_cycle)
        for channel in self.channels:
            channel.advance(self._laboratory.time())
        return {"address": f"127.0.0.1:{port}", "com": COM}

    async def stop(self) -> None:
        """Close everything; what runs stays where it is."""
        for channel in self.channels:
            channel.close()
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values."""
        for index in range(len(self.channels)):
            self._flush(index)
        return {
            "channels": [channel.save() for channel in self.channels],
            "selected": self._selected,
            "experiments": [
                {
                    "settings": asdict(one.settings),
                    "loaded": one.loaded,
                    "base": one.base,
                    "began": one.began,
                    "rows": [[[*asdict(row).values()] for row in rows] for rows in one.rows],
                    "limit": one.limit,
                    "stale": one.stale,
                }
                for one in self._experiments
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up :meth:`save` again, before the start."""
        self._selected = state["selected"]
        for one, channel, saved in zip(self._experiments, state["channels"], state["experiments"], strict=True):
            one.channel.restore(channel)
            steps = [step_from_json(step) for step in saved["settings"]["steps"]]
            one.settings = mps_reader.Settings(**{**saved["settings"], "steps": steps})
            one.loaded, one.base, one.began = saved["loaded"], saved["base"], saved["began"]
            one.limit, one.stale = saved["limit"], saved["stale"]
            one.rows = [[mpr_writer.Row(*row[:3], values=tuple(row[3])) for row in rows] for rows in saved["rows"]]
            one.written = [(-1, False)] * len(one.rows)

    def power_cycle(self) -> None:
        """Switch the instrument off and on: what ran is over, EC-Lab keeps its files."""
        for index, channel in enumerate(self.channels):
            channel.stop()
            self._flush(index)
            self._experiments[index].loaded = False

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        index = int(options.get("channel", 1)) - 1
        if kind == "safety":
            self._pause(index, "Ewe max")
        elif kind == "stop":
            self.channels[index].stop()
        elif kind == "stubborn":
            self._stubborn.add(index)
        elif kind == "declines":
            self._declines.add(index)
        elif kind in ("lost", "hang", "well"):
            self._lost, self._hangs = kind == "lost", kind == "hang"
            self._declines.clear()
        else:
            raise ValueError(f"unknown breakdown {kind!r} of EC-Lab")

    # Calls

    def _answer(self, line: str) -> str | None:
        if self._hangs:
            return None
        asked = read(line, _TAKES)
        if asked is None:
            return None
        self._calls += 1
        fails = self._fails_every and self._calls % self._fails_every == 0
        answer = _CALLS[asked.call](self, asked.arguments) if asked.fits and not fails else []
        return json.dumps({"n": asked.number, "out": answer})

    def _on(self, arguments: Sequence[Any], act: Callable[[int], list[Any]]) -> list[Any]:
        device, index = arguments[:2]
        return act(index) if device == 0 and 0 <= index < len(self.channels) else []

    def _yes(self, arguments: Sequence[Any]) -> list[Any]:
        return [1]

    def _there(self, arguments: Sequence[Any]) -> list[Any]:
        return [int(arguments[0] == 0 and not self._lost)]

    def _serials(self, arguments: Sequence[Any]) -> list[Any]:
        if arguments[0] != 0:
            return []
        boards = [_BOARD + index if index < len(self.channels) else 0 for index in range(16)]
        return [_SERIAL, boards, 1]

    def _plugged(self, arguments: Sequence[Any]) -> list[Any]:
        return [[index < len(self.channels) for index in range(16)], 1] if arguments[0] == 0 else []

    def _select(self, arguments: Sequence[Any]) -> list[Any]:
        def select(index: int) -> list[Any]:
            self._selected = index
            return [1]

        return self._on(arguments, select)

    def _busy(self, index: int) -> bool:
        """Whether an order to a channel fails: it runs, or another does and this one is not in front."""
        running = [one for one, channel in enumerate(self.channels) if channel.state == RUNNING]
        return index in running or (bool(running) and self._selected != index)

    def _load(self, arguments: Sequence[Any]) -> list[Any]:
        def load(index: int) -> list[Any]:
            self._flush(index)
            one = self._experiments[index]
            if self._busy(index) or one.limit:
                return [0]
            try:
                one.settings = mps_reader.read(Path(arguments[2]).read_bytes(), self._mark)
            except (OSError, ValueError, mps_reader.Declined) as error:
                self._laboratory.record(self.name, "declined", channel=index + 1, why=str(error))
                return [0]
            one.loaded = True
            return [1]

        return self._on(arguments, load)

    def _run(self, arguments: Sequence[Any]) -> list[Any]:
        def run(index: int) -> list[Any]:
            one, path = self._experiments[index], str(arguments[2])
            if (
                index in self._declines
                or self._busy(index)
                or not one.loaded
                or one.limit
                or not Path(path).parent.is_dir()
            ):
                return [0]
            one.base, one.began = path.removesuffix(".mpr"), self._laboratory.time()
            one.rows = [[] for _ in one.settings.names]
            one.written = [(-1, False)] * len(one.rows)
            one.channel.load(one.settings.steps)
            one.channel.start()
            self._flush(index)
            return [1]

        return self._on(arguments, run)

    def _stop(self, arguments: Sequence[Any]) -> list[Any]:
        def stop(index: int) -> list[Any]:
            if index not in self._stubborn:
                self.channels[index].stop()
                self._experiments[index].limit = 0
                self._flush(index)
            return [1]

        return self._on(arguments, stop)

    def _status(self, arguments: Sequence[Any]) -> list[Any]:
        def tell(index: int) -> list[Any]:
            one = self._experiments[index]
            if not self._lost:
                self._look(index)
            values = list(one.stale)
            values[31] = float(self._lost)
            return [*values, 1]

        return self._on(arguments, tell)

    def _look(self, index: int) -> None:
        """Bring a channel, its files and its status up to date; what a stopped one no longer has stays as it was."""
        one, channel = self._experiments[index], self.channels[index]
        self._flush(index)
        # Read last: the technique that is told below is the one in which this was read.
        ewe, ece, current = channel.reading()
        safety = one.settings.safety
        if channel.state == RUNNING:
            beyond = {
                "Ewe max": ewe >= safety.get("Ewe max", ewe + 1),
                "Ewe min": ewe <= safety.get("Ewe min", ewe - 1),
                "|I|": abs(current) >= safety.get("|I|", abs(current) + 1),
            }
            for what in [what for what, met in beyond.items() if met][:1]:
                self._pause(index, what)
                self._flush(index)
        values, running = one.stale, channel.state == RUNNING
        values[0] = _RUN if running else (_SAFETY_PAUSE if one.limit else _STOP)
        # Buffer size and range never are 0: a status that is nothing but zeros has failed.
        values[14], values[16], values[17], values[18], values[30] = 40000.0, ewe, ece, ewe, float(one.limit)
        values[2], values[3] = float(running), 1.0
        if running:
            technique = one.settings.owners[channel.step]
            values[4], values[5] = float(technique), float(_NUMBERS[one.settings.names[technique]])
            values[15], values[19], values[25] = channel.elapsed(), current, channel.frequency()
            values[1], values[23] = float(current < 0), 1e-3

    def _pause(self, index: int, what: str) -> None:
        self.channels[index].stop()
        self._experiments[index].limit = _SAFETY[what]

    def _file_name(self, arguments: Sequence[Any]) -> list[Any]:
        def tell(index: int) -> list[Any]:
            one, technique = self._experiments[index], int(arguments[2])
            if one.began is None or not 0 <= technique < len(one.settings.names):
                return []
            return [str(self._path(one, technique)), 1]

        return self._on(arguments, tell)

    def _infos(self, arguments: Sequence[Any]) -> list[Any]:
        def tell(index: int) -> list[Any]:
            one, channel = self._experiments[index], self.channels[index]
            self._flush(index)
            if one.began is None:
                return []
            folder = str(Path(one.base).parent).replace("/", "\\") + "\\"
            names = [self._path(one, technique).name for technique in range(len(one.settings.names))]
            end = None if channel.state == RUNNING else self._clock(one.began + channel.elapsed())
            return [self._clock(one.began), end, folder, names, 1]

        return self._on(arguments, tell)

    def _clock(self, t: float) -> str:
        return f"{self._laboratory.at(t):%Y-%m-%d %H:%M:%S.%f}"[:-3]

    # Files

    def _path(self, one: _Experiment, technique: int) -> Path:
        channel = f"C{one.channel.number:02d}"
        if len(one.settings.names) == 1:
            return Path(f"{one.base}_{channel}.mpr")
        return Path(f"{one.base}_{technique + 1:02d}_{one.settings.names[technique]}_{channel}.mpr")

    def _flush(self, index: int) -> None:
        """Take what a channel has recorded and write the files that have more to hold."""
        one, channel = self._experiments[index], self.channels[index]
        channel.advance(self._laboratory.time())
        if one.began is None:
            return
        for row in channel.rows:
            found = mpr_writer.Row(row.start + row.at, row.loop, row.process == 1, row.values)
            one.rows[one.settings.owners[row.step]].append(found)
        channel.rows.clear()
        closed = channel.state != RUNNING
        for technique, rows in enumerate(one.rows):
            if (rows or technique == 0) and one.written[technique] != (len(rows), closed):
                self._write(one, technique, closed=closed)
                one.written[technique] = len(rows), closed

    def _write(self, one: _Experiment, technique: int, *, closed: bool) -> None:
        rows, short = one.rows[technique], one.settings.names[technique]
        kind = one.settings.steps[one.settings.owners.index(technique)].kind
        began = (one.began or 0.0) + (rows[0].at if rows else 0.0)
        file = mpr_writer.DataFile(
            technique=_NUMBERS[short],
            name=_LONG_NAMES[short],
            kind=_KINDS[kind],
            channel=one.channel.number - 1,
            serial=_BOARD + one.channel.number - 1,
            counter=one.settings.record_counter,
            started=self._laboratory.at(began).replace(tzinfo=None),
            rows=rows,
        )
        path = self._path(one, technique)
        path.write_bytes(mpr_writer.binary(file, closed=closed))
        if closed and self._export:
            path.with_suffix(".mpt").write_bytes(mpr_writer.text(file, self._mark))


_CALLS: Final[dict[str, Callable[[EcLabSimulator, Sequence[Any]], list[Any]]]] = {
    "EnableMessagesWindows": EcLabSimulator._yes,
    "ConnectDevice": EcLabSimulator._there,
    "DisconnectDevice": EcLabSimulator._there,
    "TestConnection": EcLabSimulator._there,
    "GetDeviceSN": EcLabSimulator._serials,
    "GetDeviceChannelList": EcLabSimulator._plugged,
    "SelectChannel": EcLabSimulator._select,
    "LoadSettings": EcLabSimulator._load,
    "RunChannel": EcLabSimulator._run,
    "StopChannel": EcLabSimulator._stop,
    "MeasureStatus": EcLabSimulator._status,
    "GetDataFileName": EcLabSimulator._file_name,
    "GetExperimentInfos": EcLabSimulator._infos,
}
_TAKES: Final = {
    **dict.fromkeys(_CALLS, "i"),
    **dict.fromkeys(("SelectChannel", "StopChannel", "MeasureStatus", "GetExperimentInfos"), "ii"),
    "LoadSettings": "iis",
    "RunChannel": "iis",
    "GetDataFileName": "iii",
}
"""Arguments of each call, as :func:`labctl_simulators.biologic.asked.read` has them."""
