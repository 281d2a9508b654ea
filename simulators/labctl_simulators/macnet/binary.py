"""The binary port: the same messages as on the JSON port, in the layouts of :mod:`labctl_simulators.macnet.layouts`,
and those that only this port has: files, and the compiler's words.

Guessed: that an unknown message, and a reading of something that is not there, gets an empty answer, and that a command
whose data can't be read is an invalid entry.
"""

from __future__ import annotations

import struct
from typing import Final

from labctl_simulators.macnet import files, layouts, messages
from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.codes import INVALID, Outcome
from labctl_simulators.macnet.members import RpcError
from labctl_simulators.macnet.tester import Tester

_START, _CHECK, _NAMES, _GENERAL = (6, 2), (6, 11), (4, 6), (1, 2)
_SELECTED_ONLY, _ONE_CHANNEL = 1, 2
_INVALID: Final = struct.pack("<H", INVALID)


def answer(
    tester: Tester, client: Client, message: tuple[int, int], channel: int, length: int, payload: bytes
) -> bytes:
    """Give the data of the reply to one message."""
    if message == (0, 0):
        return payload
    if not messages.admitted(tester, message, client):
        return b""
    if message in ((1, 6), (1, 7)):
        return files.transfer(tester, client, payload)
    if message == (6, 12):
        lines = tester.complaints.get(channel + 1, [])
        return lines.pop(0).encode("latin-1", "replace") if lines else b""
    if message not in layouts.REPLIES:
        return b""
    params = layouts.read(message, payload)
    result_wanted = layouts.REPLIES[message] == (("Result", "H"),)
    if params is None or (message in (_START, _CHECK) and not _addressed(params)):
        return _INVALID if result_wanted else b""
    try:
        members = messages.result(tester, message, {"Chan": channel, "Len": length, **params}, client)
    except RpcError:
        return _INVALID if result_wanted else b""
    if message == _NAMES:
        test = tester.channels[channel].test
        members |= {"Comment": "" if test is None else test.comment, "ProcDesc": ""}
    if message == _GENERAL:
        members |= {"ChannelNumberOffset": tester.settings.number_offset}
    return layouts.write(
        message, {key: value.code if isinstance(value, Outcome) else value for key, value in members.items()}
    )


def _addressed(params: dict[str, object]) -> bool:
    """Take a start's type into account: the first knows no channel and starts what is selected."""
    if params["Type"] == _SELECTED_ONLY:
        params["Chan"] = 65535
    return params["Type"] in (_SELECTED_ONLY, _ONE_CHANNEL)
