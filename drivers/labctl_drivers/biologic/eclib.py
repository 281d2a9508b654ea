"""The vendor's library through ctypes: its structures, and one method for each call that labctl needs.

Nothing here waits, repeats or judges; a call blocks as long as the library lets it. Structures are packed to 4 bytes
as the vendor's own Python modules have them: the start time of data lies at offset 28.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Sequence
from ctypes import Structure, byref, c_bool, c_char, c_double, c_float, c_int32, c_uint8, c_uint32, c_void_p
from pathlib import Path
from typing import Any, ClassVar, Final

from labctl.errors import UsageError

WORDS: Final = 1000
#: What may be selected in one order to several channels.
CHANNELS: Final = 16


class DeviceInfos(Structure):
    """What an instrument says of itself."""

    _pack_ = 4
    _fields_: ClassVar = [
        (name, c_int32)
        for name in (
            *("DeviceCode", "RAMSize", "CPU", "NumberOfChannels", "NumberOfSlots", "FirmwareVersion"),
            *("FirmwareDate_yyyy", "FirmwareDate_mm", "FirmwareDate_dd", "HTdisplayOn", "NbOfConnectedPC"),
        )
    ]


class ChannelInfos(Structure):
    """What a channel says of itself."""

    _pack_ = 4
    _fields_: ClassVar = [
        (name, c_int32)
        for name in (
            *("Channel", "BoardVersion", "BoardSerialNumber", "FirmwareCode", "FirmwareVersion", "XilinxVersion"),
            *("AmpCode", "NbAmps", "Lcboard", "Zboard", "Reserved1", "Reserved2", "MemSize", "MemFilled", "State"),
            *("MaxIRange", "MinIRange", "MaxBandwidth", "NbOfTechniques"),
        )
    ]


class CurrentValues(Structure):
    """What a channel does and measures now."""

    _pack_ = 4
    _fields_: ClassVar = [
        ("State", c_int32),
        ("MemFilled", c_int32),
        ("TimeBase", c_float),
        ("Ewe", c_float),
        ("EweRangeMin", c_float),
        ("EweRangeMax", c_float),
        ("Ece", c_float),
        ("EceRangeMin", c_float),
        ("EceRangeMax", c_float),
        ("Eoverflow", c_int32),
        ("I", c_float),
        ("IRange", c_int32),
        ("Ioverflow", c_int32),
        ("ElapsedTime", c_float),
        ("Freq", c_float),
        ("Rcomp", c_float),
        ("Saturation", c_int32),
        ("OptErr", c_int32),
        ("OptPos", c_int32),
    ]


class DataInfos(Structure):
    """What data words are."""

    _pack_ = 4
    _fields_: ClassVar = [
        ("IRQskipped", c_int32),
        ("NbRows", c_int32),
        ("NbCols", c_int32),
        ("TechniqueIndex", c_int32),
        ("TechniqueID", c_int32),
        ("ProcessIndex", c_int32),
        ("loop", c_int32),
        ("StartTime", c_double),
        ("MuxPad", c_int32),
    ]


class EccParam(Structure):
    """One parameter of a technique."""

    _pack_ = 4
    _fields_: ClassVar = [
        ("ParamStr", c_char * 64),
        ("ParamType", c_int32),
        ("ParamVal", c_int32),
        ("ParamIndex", c_int32),
    ]


class EccParams(Structure):
    """A list of parameters, handed over by value."""

    _pack_ = 4
    _fields_: ClassVar = [("len", c_int32), ("pParams", ctypes.POINTER(EccParam))]


#: Label, value and index of a parameter; the kind of the value says the kind of the parameter.
Parameter = tuple[str, bool | int | float, int]


class LibraryError(Exception):
    """A call that did not give 0.

    Attributes
    ----------
    call : str
        Which.
    code : int
        What it gave.
    started : tuple of int
        Channels that an order to several has started for all that.
    """

    def __init__(self, call: str, code: int, started: tuple[int, ...] = ()) -> None:
        super().__init__(f"{call} gives {code}")
        self.call, self.code, self.started = call, code, started


def load(name: str) -> Any:
    """Load the library.

    Parameters
    ----------
    name : str
        Path of ``EClib64.dll``; or ``package.module:factory`` for something of Python that has the same calls, such as
        a bridge to a PC on which the vendor's library runs.

    Raises
    ------
    UsageError
        There is no such library, or it does not run on this computer.
    """
    module, _, factory = name.partition(":")
    if factory and module.replace(".", "").isidentifier():
        try:
            return vars(importlib.import_module(module))[factory](name)
        except (ImportError, KeyError) as error:
            raise UsageError(f"library: '{name}' can't be loaded ({error})") from error
    if sys.platform == "win32":
        try:
            return ctypes.WinDLL(str(Path(name)))
        except OSError as error:
            raise UsageError(
                f"library: '{name}' can't be loaded ({error})",
                hint="give the path of EClib64.dll of the EC-Lab Development Package, for a 64-bit Python",
            ) from error
    raise UsageError(
        f"library: '{name}' runs on Windows only",
        hint="run labctl on a Windows PC, or use EC-Lab itself with 'backend: olecom'",
    )


class Library:
    """The calls, each raising :class:`LibraryError` where it does not give 0; channels are counted from 0 here."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def _call(self, name: str, *arguments: Any) -> None:
        function = self._loaded[name]
        function.restype = c_int32
        code = int(function(*arguments))
        if code != 0:
            raise LibraryError(name, code)

    def version(self) -> str:
        """Version of the library."""
        text, size = ctypes.create_string_buffer(64), c_uint32(64)
        self._call("BL_GetLibVersion", byref(text), byref(size))
        return text.value.decode("latin-1")

    def connect(self, address: str, timeout: int) -> tuple[int, DeviceInfos]:
        """Connect to ``192.0.2.20`` or ``USB0`` within ``timeout`` s; gives the connection's number."""
        identifier, infos = c_int32(), DeviceInfos()
        text = ctypes.create_string_buffer(address.encode("ascii"))
        self._call("BL_Connect", byref(text), c_uint8(timeout), byref(identifier), byref(infos))
        return identifier.value, infos

    def disconnect(self, identifier: int) -> None:
        """Disconnect; what runs goes on."""
        self._call("BL_Disconnect", c_int32(identifier))

    def plugged(self, identifier: int) -> list[int]:
        """Which channels there are."""
        found = (c_uint8 * CHANNELS)()
        self._call("BL_GetChannelsPlugged", c_int32(identifier), byref(found), c_uint8(CHANNELS))
        return [index for index, there in enumerate(found) if there]

    def infos(self, identifier: int, channel: int) -> ChannelInfos:
        """What a channel is."""
        infos = ChannelInfos()
        self._call("BL_GetChannelInfos", c_int32(identifier), c_uint8(channel), byref(infos))
        return infos

    def board(self, identifier: int, channel: int) -> int:
        """Board of a channel: 1 essential, 2 premium, 3 premium with its own number format."""
        board = c_uint32()
        self._call("BL_GetChannelBoardType", c_int32(identifier), c_uint8(channel), byref(board))
        return board.value

    def load_firmware(self, identifier: int, channel: int, *, force: bool) -> None:
        """Put the library's kernel on a channel, from the files beside the library."""
        chosen, results = (c_uint8 * CHANNELS)(), (c_int32 * CHANNELS)()
        chosen[channel] = 1
        self._call(
            "BL_LoadFirmware",
            c_int32(identifier),
            byref(chosen),
            byref(results),
            c_uint8(CHANNELS),
            c_bool(False),
            c_bool(force),
            c_void_p(),
            c_void_p(),
        )
        if results[channel] != 0:
            raise LibraryError("BL_LoadFirmware", results[channel])

    def load_technique(
        self, identifier: int, channel: int, file: str, parameters: Sequence[Parameter], *, first: bool, last: bool
    ) -> None:
        """Link a technique on a channel."""
        made = (EccParam * len(parameters))()
        for slot, (label, value, index) in zip(made, parameters, strict=True):
            self._define(slot, label, value, index)
        listed = EccParams(len(parameters), ctypes.cast(made, ctypes.POINTER(EccParam)))
        name = ctypes.create_string_buffer(file.encode("ascii"))
        self._call(
            "BL_LoadTechnique",
            c_int32(identifier),
            c_uint8(channel),
            byref(name),
            listed,
            c_bool(first),
            c_bool(last),
            c_bool(False),
        )

    def _define(self, slot: EccParam, label: str, value: bool | int | float, index: int) -> None:
        text = ctypes.create_string_buffer(label.encode("ascii"))
        call, given = (
            ("BL_DefineBoolParameter", c_bool(value))
            if isinstance(value, bool)
            else ("BL_DefineIntParameter", c_int32(value))
            if isinstance(value, int)
            else ("BL_DefineSglParameter", c_float(value))
        )
        self._call(call, byref(text), given, c_int32(index), byref(slot))

    def start(self, identifier: int, channels: Sequence[int]) -> None:
        """Start channels, several by one order."""
        if len(channels) == 1:
            self._call("BL_StartChannel", c_int32(identifier), c_uint8(channels[0]))
            return
        chosen, results = (c_uint8 * CHANNELS)(), (c_int32 * CHANNELS)()
        for channel in channels:
            chosen[channel] = 1
        try:
            self._call("BL_StartChannels", c_int32(identifier), byref(chosen), byref(results), c_uint8(CHANNELS))
        except LibraryError as error:
            # Where the line failed, no channel has an answer of its own, and nothing is known of any.
            told = [channel for channel in channels if results[channel] == 0]
            raise LibraryError(error.call, error.code, tuple(told) if len(told) < len(channels) else ()) from error

    def stop(self, identifier: int, channel: int) -> None:
        """Stop a channel."""
        self._call("BL_StopChannel", c_int32(identifier), c_uint8(channel))

    def values(self, identifier: int, channel: int) -> CurrentValues:
        """What a channel does and measures now."""
        values = CurrentValues()
        self._call("BL_GetCurrentValues", c_int32(identifier), c_uint8(channel), byref(values))
        return values

    def data(self, identifier: int, channel: int) -> tuple[DataInfos, CurrentValues, tuple[int, ...]]:
        """Take records out of a channel's buffer; they are gone from there afterwards."""
        words, infos, values = (c_uint32 * WORDS)(), DataInfos(), CurrentValues()
        self._call("BL_GetData", c_int32(identifier), c_uint8(channel), byref(words), byref(infos), byref(values))
        return infos, values, tuple(words[: max(0, infos.NbRows * infos.NbCols)])

    def message(self, identifier: int, channel: int) -> str:
        """Give the oldest message of a channel's firmware; empty where there is none."""
        text, size = ctypes.create_string_buffer(1024), c_uint32(1024)
        self._call("BL_GetMessage", c_int32(identifier), c_uint8(channel), byref(text), byref(size))
        return text.value.decode("latin-1") if size.value else ""
