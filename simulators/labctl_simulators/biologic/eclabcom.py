"""A stand-in for EC-Lab's OLE-COM object: its methods, out values before the vendor's 1 or 0, as comtypes has them.

What the vendor's object would do in EC-Lab, this asks the simulated EC-Lab at ``host:port``, and waits for the answer
as the vendor's does. Call :class:`EClabExe` where a client would call ``CreateObject("EClabCOM.EClabExe")``.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final

#: Real s after which an EC-Lab that keeps silent counts as gone, as a server that was closed.
ANSWER_WITHIN: Final = 1.5
CHANNELS, TECHNIQUES, LISTED = 16, 20, 128


class EClabExe:
    """The object.

    Parameters
    ----------
    address : str
        Of the simulated EC-Lab.
    """

    def __init__(self, address: str) -> None:
        self._socket: socket.socket | None = None
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port)), ANSWER_WITHIN)
        self._rest = b""
        self._number = 0
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """End with the object, as a COM reference does."""
        self.close()

    def close(self) -> None:
        """Let go of EC-Lab."""
        held, self._socket = self._socket, None
        if held is not None:
            held.close()

    def _ask(self, call: str, *arguments: Any) -> list[Any]:
        with self._lock:
            if self._socket is None:
                raise ConnectionError("EC-Lab was closed")
            self._number += 1
            question = json.dumps({"n": self._number, "call": call, "with": arguments})
            try:
                self._socket.sendall(question.encode() + b"\n")
                while True:
                    answer = self._read(self._socket)
                    # What is no answer, or an old one, is passed over; one without values leaves them empty.
                    if answer is not None and answer.get("n") == self._number:
                        return list(answer["out"]) if isinstance(answer.get("out"), list) else []
            except OSError:
                self.close()
                raise

    def _read(self, held: socket.socket) -> dict[str, Any] | None:
        """Read a line; None where it is no answer."""
        while b"\n" not in self._rest:
            chunk = held.recv(65536)
            if not chunk:
                raise ConnectionError("EC-Lab was closed")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer = json.loads(line.decode("ascii"))
        except (ValueError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None

    def _one(self, call: str, *arguments: Any) -> int:
        values = self._ask(call, *arguments)
        return _whole(values[0]) if values else 0

    def EnableMessagesWindows(self, shown: int) -> int:
        """Show questions and messages, or not."""
        return self._one("EnableMessagesWindows", shown)

    def ConnectDevice(self, device: int) -> int:
        """Connect to the instrument at a place of the list."""
        return self._one("ConnectDevice", device)

    def ConnectDeviceByIP(self, address: str) -> tuple[int, int]:
        """Connect to an address; here whatever EC-Lab has at the first place."""
        done = self._one("ConnectDevice", 0)
        return 0, done

    def DisconnectDevice(self, device: int) -> int:
        """Disconnect; what runs goes on."""
        return self._one("DisconnectDevice", device)

    def TestConnection(self, device: int) -> int:
        """Ask whether the instrument is connected."""
        return self._one("TestConnection", device)

    def GetDeviceSN(self, device: int) -> tuple[int, tuple[int, ...], int]:
        """Serial numbers of the instrument and of its channels."""
        values = _of(self._ask("GetDeviceSN", device), (int, list, int)) or [0, [0] * CHANNELS, 0]
        return _whole(values[0]), tuple(map(_whole, values[1])), _whole(values[2])

    def GetDeviceChannelList(self, device: int) -> tuple[tuple[bool, ...], int]:
        """Which channels are plugged."""
        values = _of(self._ask("GetDeviceChannelList", device), (list, int)) or [[], 0]
        listed = [bool(one) for one in values[0]]
        return tuple(listed + [False] * (LISTED - len(listed))), _whole(values[1])

    def SelectDevice(self, device: int) -> int:
        """Bring an instrument to the front."""
        return self._one("TestConnection", device)

    def SelectChannel(self, device: int, channel: int) -> int:
        """Bring a channel to the front."""
        return self._one("SelectChannel", device, channel)

    def LoadSettings(self, device: int, channel: int, path: str) -> int:
        """Load a settings file."""
        return self._one("LoadSettings", device, channel, path)

    def RunChannel(self, device: int, channel: int, path: str) -> int:
        """Start what is loaded."""
        return self._one("RunChannel", device, channel, path)

    def StopChannel(self, device: int, channel: int) -> int:
        """Stop a channel."""
        return self._one("StopChannel", device, channel)

    def MeasureStatus(self, device: int, channel: int) -> tuple[float, ...]:
        """Status of a channel; nothing but zeros where the call fails."""
        return tuple(_of(self._ask("MeasureStatus", device, channel), ((int, float),) * 33) or [0.0] * 33)

    def GetDataFileName(self, device: int, channel: int, technique: int) -> tuple[str, int]:
        """Path of a technique's data file."""
        values = _of(self._ask("GetDataFileName", device, channel, technique), (str, int)) or ["", 0]
        return str(values[0]), _whole(values[1])

    def GetExperimentInfos(
        self, device: int, channel: int
    ) -> tuple[str | None, str | None, str | None, tuple[str | None, ...], int]:
        """Beginning, end, folder and files of the newest experiment."""
        text = (str, type(None))
        told = self._ask("GetExperimentInfos", device, channel)
        values = _of(told, (text, text, text, list, int)) or [None, None, None, [], 0]
        files = [*values[3], *[None] * (TECHNIQUES - len(values[3]))]
        return values[0], values[1], values[2], tuple(files), _whole(values[4])


def _of(values: list[Any], kinds: Sequence[Any]) -> list[Any]:
    """Give values that are of the kinds of a call's out values, else nothing."""
    return values if len(values) == len(kinds) and all(map(isinstance, values, kinds)) else []


def _whole(value: Any) -> int:
    """Give a whole number of 32 bits; 0 for what is none."""
    return int(value) if isinstance(value, int) and -(2**31) <= value < 2**31 else 0
