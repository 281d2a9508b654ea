"""Program messages of SCPI instruments: splitting, long and short headers, channel lists. No instrument's state.

After IEEE 488.2 and SCPI-99 as instruments of the 34970A family apply them: units of a message are parted by ``;``; a
header without a leading colon goes on from the path of the one before it; common commands (``*OPC?``) leave the path
alone; every node has a long form and, in its capitals, a short one, and nothing in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass


class ScpiError(Exception):
    """An entry for the error queue.

    Parameters
    ----------
    code : int
        As the standard or the vendor numbers it.
    text : str
        In the instrument's words.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code},{text}")
        self.code = code
        self.text = text


UNDEFINED_HEADER = (-113, "Undefined header")
MISSING_PARAMETER = (-109, "Missing parameter")
PARAMETER_NOT_ALLOWED = (-108, "Parameter not allowed")
SYNTAX_ERROR = (-102, "Syntax error")
ILLEGAL_PARAMETER = (-224, "Illegal parameter value")
OUT_OF_RANGE = (-222, "Parameter data out of range")
SLOT_OUT_OF_RANGE = (111, "Channel list: slot number out of range")
CHANNEL_OUT_OF_RANGE = (112, "Channel list: channel number out of range")


@dataclass(frozen=True, slots=True)
class Unit:
    """One command or query of a message: its full header in capitals, with ``?`` for a query, and its parameters."""

    header: str
    parameters: str


def units(message: str) -> Iterator[Unit]:
    """Take a message apart; headers come out whole, from the root, in capitals."""
    path = ""
    for piece in _split(message):
        header, *rest = piece.split(maxsplit=1)
        header, parameters = header.upper(), "".join(rest)
        if header.startswith("*"):
            yield Unit(header, parameters)
            continue
        full = header[1:] if header.startswith(":") else path + header
        path = full.rpartition(":")[0]
        path = f"{path}:" if path else ""
        yield Unit(full, parameters)


def _split(message: str) -> Iterator[str]:
    """Part at semicolons that stand neither in quotes nor in brackets."""
    piece, depth, quote = "", 0, ""
    for letter in message:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == ";" and depth == 0:
            if piece.strip():
                yield piece.strip()
            piece = ""
            continue
        piece += letter
    if piece.strip():
        yield piece.strip()


def spelling(pattern: str) -> re.Pattern[str]:
    """Compile ``ROUTe:CLOSe:EXCLusive`` into all that may be written for it."""
    nodes = []
    for node in pattern.rstrip("?").split(":"):
        short = "".join(letter for letter in node if not letter.islower())
        rest = node[len(short) :].upper()
        nodes.append(re.escape(short) + (f"(?:{rest})?" if rest else ""))
    return re.compile(":".join(nodes) + (r"\?" if pattern.endswith("?") else ""))


class Commands:
    """A table of commands by their spelling.

    Parameters
    ----------
    table : mapping of str to callable
        The pattern, such as ``ROUTe:CLOSe?``, and what is done with the parameters' text; it gives an answer or None.
    """

    def __init__(self, table: dict[str, Callable[[str], str | None]]) -> None:
        self._table = [(spelling(pattern), action) for pattern, action in table.items()]
        self._known: dict[str, Callable[[str], str | None]] = {}

    def find(self, header: str) -> Callable[[str], str | None]:
        """Give what a header in capitals stands for. Raises :class:`ScpiError` for none."""
        action = self._known.get(header)
        if action is None:
            action = next((action for form, action in self._table if form.fullmatch(header)), None)
            if action is None:
                raise ScpiError(*UNDEFINED_HEADER)
            self._known[header] = action
        return action


_CHANNEL = re.compile(r"[0-9]{1,9}")
_LIST = re.compile(r"\(@([\d,:\s]*)\)")


def channel_list(text: str, channels: Collection[int]) -> tuple[list[int], list[ScpiError]]:
    """Read ``(@101,103:105)``.

    Parameters
    ----------
    text : str
        The parameter.
    channels : collection of int
        The channels that exist.

    Returns
    -------
    list of int
        The channels in the order of the list.
    list of ScpiError
        One for each channel that does not exist; the command must then not be performed at all.

    Raises
    ------
    ScpiError
        It is missing, or no channel list.
    """
    if not text:
        raise ScpiError(*MISSING_PARAMETER)
    match = _LIST.fullmatch(text)
    if match is None:
        raise ScpiError(*SYNTAX_ERROR)
    found: list[int] = []
    for item in match[1].replace(" ", "").split(","):
        first, colon, last = item.partition(":")
        if not _CHANNEL.fullmatch(first) or (colon and not _CHANNEL.fullmatch(last)):
            raise ScpiError(*SYNTAX_ERROR)
        if not colon:
            found.append(int(first))
        elif int(first) // 100 == int(last) // 100:
            found.extend(range(int(first), int(last) + 1))
        else:
            found.extend(channel for channel in sorted(channels) if int(first) <= channel <= int(last))
    slots = {channel // 100 for channel in channels}
    errors = [
        ScpiError(*(CHANNEL_OUT_OF_RANGE if channel // 100 in slots else SLOT_OUT_OF_RANGE))
        for channel in found
        if channel not in channels
    ]
    return found, errors
