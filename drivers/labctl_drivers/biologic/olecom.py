"""EC-Lab's OLE-COM server: one method for each call that labctl needs. Waits and repeats nothing.

All of it runs in one thread, which is the apartment of the object. Devices and channels are counted from 0 here. Out
values come before the vendor's 1 (done) or 0 (failed), as ``comtypes`` gives them; a call that gives 0 is
:class:`CallFailed`.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from labctl.errors import UsageError
from labctl_drivers.biologic.olecom_status import JUDGED

PROG_ID: Final = "EClabCOM.EClabExe"
#: Values of a status.
STATUS_VALUES: Final = 32


class CallFailed(Exception):
    """A call that EC-Lab did not carry out, or whose answer is none.

    Attributes
    ----------
    call : str
        Which.
    """

    def __init__(self, call: str, why: str = "EC-Lab gives 0") -> None:
        super().__init__(f"{call}: {why}")
        self.call = call


class ServerGone(Exception):
    """The object itself answers no more: EC-Lab was closed, or never ran."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What EC-Lab says of the newest experiment of a channel.

    Attributes
    ----------
    began, ended : str
        ``YYYY-MM-DD HH:MM:SS.mmm``, local time of the PC; empty where it has not.
    folder : str
        Where its files lie.
    files : tuple of str
        Their names.
    """

    began: str
    ended: str
    folder: str
    files: tuple[str, ...]


def load(source: str, address: str) -> EcLab:
    """Give EC-Lab by its COM object.

    Parameters
    ----------
    source : str
        ProgID of the server; or ``package.module:factory`` for something that has the same calls, such as a bridge to
        the PC on which EC-Lab runs, which is called with ``address``.
    address : str
        Of the instrument, as in the station file.

    Raises
    ------
    UsageError
        There is no such thing, or it does not run on this computer.
    ServerGone
        EC-Lab is not there.
    """
    module, _, factory = source.partition(":")
    if factory and module.replace(".", "").isidentifier():
        try:
            make = vars(importlib.import_module(module))[factory]
        except (ImportError, KeyError) as error:
            raise UsageError(f"com: '{source}' can't be loaded ({error})") from error
        try:
            return EcLab(make(address), (OSError,))
        except OSError as error:
            raise ServerGone(str(error)) from error
    if sys.platform != "win32":
        raise UsageError(
            f"com: '{source}' runs on Windows only",
            hint="run labctl on the PC on which EC-Lab runs, in the same session",
        )
    try:
        comtypes = importlib.import_module("comtypes")
        client = importlib.import_module("comtypes.client")
    except ImportError as error:
        raise UsageError("com: the package comtypes is not installed", hint="pip install comtypes") from error
    # Every thread that talks to COM must say so for itself.
    comtypes.CoInitialize()
    try:
        return EcLab(client.CreateObject(source), (OSError, comtypes.COMError))
    except OSError as error:
        raise ServerGone(f"{error}; run 'eclab /regserver' once as administrator, and start EC-Lab") from error


class EcLab:
    """The calls, each raising :class:`CallFailed` or :class:`ServerGone`.

    Parameters
    ----------
    server
        EC-Lab's object.
    faults : tuple of exception types
        What it raises where it is not there any more.
    """

    def __init__(self, server: Any, faults: tuple[type[Exception], ...]) -> None:
        self._server = server
        self._faults = faults

    def _call(self, name: str, act: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Call, and give everything that came back; a lone value as a tuple of one."""
        try:
            answer = act(self._server)
        except self._faults as error:
            raise ServerGone(f"{name}: {error}") from error
        return answer if isinstance(answer, tuple) else (answer,)

    def _done(self, name: str, act: Callable[[Any], Any], values: int = 0) -> tuple[Any, ...]:
        answer = self._call(name, act)
        if len(answer) != values + 1:
            raise CallFailed(name, f"EC-Lab gives {len(answer)} values instead of {values + 1}")
        if answer[-1] != 1:
            raise CallFailed(name)
        return answer[:-1]

    def messages(self, *, shown: bool) -> None:
        """Let EC-Lab show its questions and messages, or not."""
        self._call("EnableMessagesWindows", lambda server: server.EnableMessagesWindows(int(shown)))

    def connect(self, device: int) -> None:
        """Let EC-Lab connect to the instrument at ``device`` in its list."""
        self._done("ConnectDevice", lambda server: server.ConnectDevice(device))

    def connect_by_address(self, address: str) -> int:
        """Let EC-Lab connect to an IP address; gives the instrument's place in its list."""
        return int(self._done("ConnectDeviceByIP", lambda server: server.ConnectDeviceByIP(address), 1)[0])

    def serials(self, device: int) -> tuple[int, tuple[int, ...]]:
        """Serial number of the instrument and of its channels, 0 where there is none."""
        serial, channels = self._done("GetDeviceSN", lambda server: server.GetDeviceSN(device), 2)
        return int(serial), tuple(int(one) for one in channels)

    def plugged(self, device: int) -> tuple[bool, ...]:
        """Which channels there are."""
        found = self._done("GetDeviceChannelList", lambda server: server.GetDeviceChannelList(device), 1)[0]
        return tuple(bool(one) for one in found)

    def select(self, device: int, channel: int) -> None:
        """Bring a channel to the front, as loading and starting want it."""
        self._done("SelectChannel", lambda server: server.SelectChannel(device, channel))

    def load_settings(self, device: int, channel: int, path: str) -> None:
        """Load a settings file on a channel and accept it."""
        self._done("LoadSettings", lambda server: server.LoadSettings(device, channel, path))

    def run(self, device: int, channel: int, path: str) -> None:
        """Start what is loaded; EC-Lab makes the names of its files from ``path``."""
        self._done("RunChannel", lambda server: server.RunChannel(device, channel, path))

    def stop(self, device: int, channel: int) -> None:
        """Stop a channel."""
        self._done("StopChannel", lambda server: server.StopChannel(device, channel))

    def status(self, device: int, channel: int) -> tuple[float, ...]:
        """Give the 32 values of a channel's status; nothing but zeros is a call that failed."""
        values = self._call("MeasureStatus", lambda server: server.MeasureStatus(device, channel))
        if len(values) < STATUS_VALUES:
            raise CallFailed("MeasureStatus", f"EC-Lab gives {len(values)} values instead of {STATUS_VALUES}")
        found = tuple(float(value) for value in values[:STATUS_VALUES])
        if not any(found):
            raise CallFailed("MeasureStatus", "EC-Lab gives nothing but zeros")
        if not all(math.isfinite(found[index]) for index in JUDGED):
            raise CallFailed("MeasureStatus", "EC-Lab gives no numbers")
        return found

    def data_file(self, device: int, channel: int, technique: int) -> str:
        """Path of the data file of a technique of the newest experiment."""
        found = self._done("GetDataFileName", lambda server: server.GetDataFileName(device, channel, technique), 1)
        return str(found[0] or "")

    def experiment(self, device: int, channel: int) -> Experiment:
        """What the newest experiment of a channel is."""
        began, ended, folder, files = self._done(
            "GetExperimentInfos", lambda server: server.GetExperimentInfos(device, channel), 4
        )
        names = tuple(str(one) for one in files or () if one)
        return Experiment(str(began or ""), str(ended or ""), str(folder or ""), names)
