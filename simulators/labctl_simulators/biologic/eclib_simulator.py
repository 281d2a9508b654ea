"""A BioLogic potentiostat of the VMP3 family behind its library: what EClib's calls do to it, over a loopback port.

A client loads :class:`labctl_simulators.biologic.eclib.EClib` where it would load the vendor's library; every call
that the vendor's library sends to the instrument comes here as a line of JSON, and the answer carries the structures
as the bytes that the vendor's library fills in. The lines themselves are ours: what travels between the vendor's
library and an instrument is not published.

From the vendor's manual and from clients that run unmodified on this: calls, structures, labels, codes, columns, time
bases, states. Guessed: see the channel; besides which code answers which mistake, that a channel that lost its
connection runs on, that a second load forgets the first, that start times are told in s from the start of the run.
Left out: VMP-300 families, external control, staircase impedance, voltammetry, and updates of running parameters
beyond their being accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from labctl_simulators.biologic import eclib_rows
from labctl_simulators.biologic import structures as wire
from labctl_simulators.biologic.asked import read
from labctl_simulators.biologic.channel import BUFFER, RUNNING, Channel
from labctl_simulators.biologic.eclib_techniques import Declined, steps_of
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.lines import LineServer

#: Device codes of the vendor's table.
DEVICES: Final = {"VMP3": 5, "SP-150": 14, "VMP-3e": 33, "VSP-3e": 34, "SP-50e": 35, "SP-150e": 36}
LIBRARY: Final = "labctl_simulators.biologic.eclib:EClib"
_MEMORY: Final = 8_000_000
_SERIAL: Final = 1042
_MOST_CHANNELS: Final = 255
_SLOWEST_RANGE, _FASTEST_RANGE = 3, 10


class BiologicSimulator:
    """One instrument.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        Its station entry; ``simulate`` may hold ``model`` (``VMP-3e``), ``channels`` (how many are plugged),
        ``firmware`` (``eclab``, ``kernel`` or ``none``: what is on the channels), ``start_time`` (``s`` or ``ms``),
        ``buffer`` (records that a channel holds), ``time_base`` (``records`` or ``running``: which technique's is
        told with records).
    laboratory : Laboratory
        Cells, relays and time.

    Breakdowns
    ----------
    ``overload`` (a channel stops with an error of its hardware), ``stop`` (somebody stops it at the instrument),
    ``stubborn`` (it no longer obeys the order to stop); option ``channel``, from 1.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Laboratory) -> None:
        options = settings.get("simulate") or {}
        self.name = name
        self._laboratory = laboratory
        self._model = DEVICES[str(options.get("model", "VMP-3e"))]
        self._scale = 1000.0 if options.get("start_time") == "ms" else 1.0
        self._running_base = options.get("time_base") == "running"
        count, electrodes = int(options.get("channels", 8)), int(settings.get("electrodes", 2))
        alone = settings.get("channels", 1) if settings.get("role") == "potentiostat" else None
        self.channels = [
            Channel(laboratory, name, number, electrodes, alone=str(alone).strip("[]") == str(number))
            for number in range(1, count + 1)
        ]
        for channel in self.channels:
            channel.buffer = int(options.get("buffer", BUFFER))
        self._firmware = [{"none": 0, "kernel": 5}.get(str(options.get("firmware", "kernel")), 1)] * count
        self._loaded: list[list[tuple[str, bytes]]] = [[] for _ in self.channels]
        self._ready = [False] * count
        self._errors = [0] * count
        self._stubborn: set[int] = set()
        self._connected: set[int] = set()
        self._next = 0
        self._server = LineServer(self._answer, end_received=b"\n", end_sent=b"\n")

    async def start(self) -> dict[str, Any]:
        """Listen; gives ``address`` and ``library`` for the station's entry."""
        port = await self._laboratory.expose(self.name, await self._server.start(), "eclib")
        self._laboratory.register_breakdowns(self.name, self._break_down)
        self._laboratory.register_restart(self.name, self.power_cycle)
        for channel in self.channels:
            channel.advance(self._laboratory.time())
        return {"address": f"127.0.0.1:{port}", "library": LIBRARY}

    async def stop(self) -> None:
        """Close everything; what runs stays where it is."""
        for channel in self.channels:
            channel.close()
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values."""
        return {
            "channels": [channel.save() for channel in self.channels],
            "firmware": self._firmware,
            "ready": self._ready,
            "errors": self._errors,
            "loaded": [[[file, blob.hex()] for file, blob in one] for one in self._loaded],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up :meth:`save` again, before the start."""
        for channel, saved in zip(self.channels, state["channels"], strict=True):
            channel.restore(saved)
        self._firmware, self._ready, self._errors = state["firmware"], state["ready"], state["errors"]
        self._loaded = [[(file, bytes.fromhex(blob)) for file, blob in one] for one in state["loaded"]]

    def power_cycle(self) -> None:
        """Switch it off and on: connections, programs, records and firmware are gone."""
        for index, channel in enumerate(self.channels):
            channel.stop()
            channel.load([])
            self._loaded[index], self._ready[index], self._firmware[index] = [], False, wire.NO_FIRMWARE
        self._connected.clear()

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        index = int(options.get("channel", 1)) - 1
        if kind == "overload":
            self.channels[index].stop()
            self._errors[index] = 100
        elif kind == "stop":
            self.channels[index].stop()
        elif kind == "stubborn":
            self._stubborn.add(index)
        else:
            raise ValueError(f"unknown breakdown {kind!r} of a potentiostat")

    # Calls

    def _answer(self, line: str) -> str | None:
        asked = read(line, _TAKES)
        if asked is None:
            return None
        code, outputs = wire.INVALID_PARAMETERS, list[bytes]()
        if asked.fits:
            code, outputs = _CALLS[asked.call](self, asked.arguments)
        return json.dumps({"n": asked.number, "code": code, "out": [output.hex() for output in outputs]})

    def _connect(self, _: Sequence[Any]) -> tuple[int, list[bytes]]:
        self._next += 1
        self._connected.add(self._next)
        return self._next, [
            wire.DEVICE_INFOS.pack(self._model, 128, 1, len(self.channels), 16, 1139, 2024, 1, 15, 0, 1)
        ]

    def _disconnect(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        if arguments[0] not in self._connected:
            return wire.NOT_CONNECTED, []
        self._connected.discard(arguments[0])
        return wire.OK, []

    def _test(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return (wire.OK if arguments[0] in self._connected else wire.NOT_CONNECTED), []

    def _speed(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, lambda _: (wire.OK, [b"\1\0\0\0", b"\2\0\0\0"]))

    def _on(self, arguments: Sequence[Any], act: Callable[[int], tuple[int, list[bytes]]]) -> tuple[int, list[bytes]]:
        """Act on the channel of a call, if there is one."""
        if arguments[0] not in self._connected:
            return wire.NOT_CONNECTED, []
        if not 0 <= arguments[1] < len(self.channels):
            return wire.NOT_PLUGGED, []
        return act(arguments[1])

    def _on_kernel(
        self, arguments: Sequence[Any], act: Callable[[int], tuple[int, list[bytes]]]
    ) -> tuple[int, list[bytes]]:
        def checked(index: int) -> tuple[int, list[bytes]]:
            firmware = self._firmware[index]
            if firmware == wire.KERNEL_FIRMWARE:
                return act(index)
            return (wire.ECLAB_LOADED if firmware == wire.ECLAB_FIRMWARE else wire.NO_FIRMWARE_LOADED), []

        return self._on(arguments, checked)

    def _selected(
        self, arguments: Sequence[Any], act: Callable[[int], tuple[int, list[bytes]]]
    ) -> tuple[int, list[bytes]]:
        """Act on every selected channel; gives the answers of all as 32-bit numbers."""
        if arguments[0] not in self._connected:
            return wire.NOT_CONNECTED, []
        chosen = bytes.fromhex(arguments[1])
        if not any(chosen):
            return wire.NO_CHANNEL_SELECTED, []
        codes = [act(index)[0] if on else 0 for index, on in enumerate(chosen)]
        worst = min(codes)
        results = b"".join(code.to_bytes(4, "little", signed=True) for code in codes)
        return worst, [results]

    def _load_firmware(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        force = bool(arguments[2])

        def load(index: int) -> tuple[int, list[bytes]]:
            if not index < len(self.channels):
                return wire.NOT_PLUGGED, []
            if self._firmware[index] != wire.KERNEL_FIRMWARE or force:
                self.channels[index].stop()
                self._firmware[index], self._loaded[index], self._ready[index] = wire.KERNEL_FIRMWARE, [], False
                self._laboratory.record(self.name, "firmware", channel=index + 1, code=wire.KERNEL_FIRMWARE)
            return wire.OK, []

        return self._selected(arguments, load)

    def _plugged(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        size = max(0, min(int(arguments[1]), _MOST_CHANNELS))
        return self._test(arguments)[0], [bytes(int(index < len(self.channels)) for index in range(size))]

    def _is_plugged(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return int(arguments[0] in self._connected and 0 <= arguments[1] < len(self.channels)), []

    def _board(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, lambda _: (wire.OK, [b"\1\0\0\0"]))

    def _infos(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        def tell(index: int) -> tuple[int, list[bytes]]:
            channel = self.channels[index]
            channel.advance(self._laboratory.time())
            kernel = self._firmware[index] == wire.KERNEL_FIRMWARE
            state = wire.RUN if channel.state == RUNNING else wire.STOP
            return wire.OK, [
                wire.CHANNEL_INFOS.pack(
                    *(index, 2, _SERIAL + index, self._firmware[index], 1139, 437, 0, 0, 0, 1, 0, 0),
                    *(_MEMORY, self._filled(index), state, _FASTEST_RANGE, _SLOWEST_RANGE, 7),
                    len(self._loaded[index]) if kernel else 0,
                )
            ]

        return self._on(arguments, tell)

    def _message(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, lambda _: (wire.OK, [b""]))

    def _option_error(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        def tell(index: int) -> tuple[int, list[bytes]]:
            code, self._errors[index] = self._errors[index], 0
            return wire.OK, [code.to_bytes(4, "little"), b"\0\0\0\0"]

        return self._on(arguments, tell)

    def _not_here(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, lambda _: (wire.DEVICE_NOT_ALLOWED, []))

    def _load_technique(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        _, _, file, blob, first, last = arguments

        def load(index: int) -> tuple[int, list[bytes]]:
            if self.channels[index].state == RUNNING:
                return wire.CHANNEL_RUNNING, []
            before = [] if first else self._loaded[index]
            linked = [*before, (str(file), bytes.fromhex(blob))]
            try:
                steps = steps_of(linked)
            except Declined as declined:
                return declined.code, []
            self._loaded[index], self._ready[index] = linked, bool(last)
            if last:
                self.channels[index].load(steps)
            return wire.OK, []

        return self._on_kernel(arguments, load)

    def _update(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        def update(index: int) -> tuple[int, list[bytes]]:
            return (wire.OK if self.channels[index].state == RUNNING else wire.UPDATE_PARAMETERS), []

        return self._on_kernel(arguments, update)

    def _start_one(self, index: int) -> tuple[int, list[bytes]]:
        if index >= len(self.channels):
            return wire.NOT_PLUGGED, []
        if self._firmware[index] != wire.KERNEL_FIRMWARE:
            return wire.NO_FIRMWARE_LOADED, []
        if self.channels[index].state == RUNNING:
            return wire.CHANNEL_RUNNING, []
        if not self._ready[index]:
            return wire.FUNCTION_FAILED, []
        self._errors[index] = 0
        self.channels[index].start()
        return wire.OK, []

    def _stop_one(self, index: int) -> tuple[int, list[bytes]]:
        if index >= len(self.channels):
            return wire.NOT_PLUGGED, []
        if index not in self._stubborn:
            self.channels[index].stop()
        return wire.OK, []

    def _start(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on_kernel(arguments, self._start_one)

    def _stop(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, self._stop_one)

    def _start_several(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._selected(arguments, self._start_one)

    def _stop_several(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._selected(arguments, self._stop_one)

    # Data

    def _filled(self, index: int) -> int:
        channel = self.channels[index]
        return sum(4 * eclib_rows.width(row, channel.steps[row.step]) for row in channel.rows)

    def _values(self, index: int) -> bytes:
        channel = self.channels[index]
        ewe, ece, current = channel.reading()
        running = channel.state == RUNNING
        timebase = channel.steps[channel.step].timebase if channel.steps else 20e-6
        return wire.CURRENT_VALUES.pack(
            *(wire.RUN if running else wire.STOP, self._filled(index), timebase),
            *(ewe, -5.0, 5.0, ece, -5.0, 5.0, 0, current, 7, 0),
            *(channel.elapsed(), channel.frequency(), 0.0, 0, self._errors[index], 0),
        )

    def _current_values(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        return self._on(arguments, lambda index: (wire.OK, [self._values(index)]))

    def _data(self, arguments: Sequence[Any]) -> tuple[int, list[bytes]]:
        def take(index: int) -> tuple[int, list[bytes]]:
            channel = self.channels[index]
            channel.advance(self._laboratory.time())
            if not channel.rows:
                return wire.OK, [wire.DATA_INFOS.pack(channel.lost, 0, 0, 0, 0, 0, 0, 0.0, 0), self._values(index), b""]
            first = channel.rows[0]
            step = channel.steps[first.step]
            width = eclib_rows.width(first, step)
            most, taken = wire.DATA_WORDS // width, 0
            while taken < min(most, len(channel.rows)) and channel.rows[taken][:4] == first[:4]:
                taken += 1
            rows = channel.rows[:taken]
            del channel.rows[:taken]
            infos = wire.DATA_INFOS.pack(
                *(channel.lost, taken, width, first.step, step.identifier, first.process, first.loop),
                *(first.start * self._scale, 0),
            )
            values = bytearray(self._values(index))
            if not self._running_base:
                values[8:12] = wire.single_bits(step.timebase).to_bytes(4, "little")
            content = [word for row in rows for word in eclib_rows.words(row, step)]
            return wire.OK, [infos, bytes(values), wire.words(content)]

        return self._on_kernel(arguments, take)


_CALLS: Final[dict[str, Callable[[BiologicSimulator, Sequence[Any]], tuple[int, list[bytes]]]]] = {
    "BL_Connect": BiologicSimulator._connect,
    "BL_Disconnect": BiologicSimulator._disconnect,
    "BL_TestConnection": BiologicSimulator._test,
    "BL_TestCommSpeed": BiologicSimulator._speed,
    "BL_LoadFirmware": BiologicSimulator._load_firmware,
    "BL_GetChannelsPlugged": BiologicSimulator._plugged,
    "BL_IsChannelPlugged": BiologicSimulator._is_plugged,
    "BL_GetChannelBoardType": BiologicSimulator._board,
    "BL_GetChannelInfos": BiologicSimulator._infos,
    "BL_GetMessage": BiologicSimulator._message,
    "BL_GetOptErr": BiologicSimulator._option_error,
    "BL_GetHardConf": BiologicSimulator._not_here,
    "BL_SetHardConf": BiologicSimulator._not_here,
    "BL_LoadTechnique": BiologicSimulator._load_technique,
    "BL_UpdateParameters": BiologicSimulator._update,
    "BL_StartChannel": BiologicSimulator._start,
    "BL_StartChannels": BiologicSimulator._start_several,
    "BL_StopChannel": BiologicSimulator._stop,
    "BL_StopChannels": BiologicSimulator._stop_several,
    "BL_GetCurrentValues": BiologicSimulator._current_values,
    "BL_GetData": BiologicSimulator._data,
}
_TAKES: Final = {
    **dict.fromkeys(_CALLS, "ii"),
    "BL_Connect": "",
    "BL_Disconnect": "i",
    "BL_TestConnection": "i",
    "BL_LoadFirmware": "ihb",
    "BL_LoadTechnique": "iishbb",
    "BL_UpdateParameters": "iiish",
    "BL_StartChannels": "ih",
    "BL_StopChannels": "ih",
}
"""Arguments of each call, as :func:`labctl_simulators.biologic.asked.read` has them."""
