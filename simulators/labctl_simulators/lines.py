"""A TCP server of lines: one line in, one line out or none, on the running loop. Knows no instrument's language."""

from __future__ import annotations

from collections.abc import Callable

from labctl_simulators.listening import Listening

_LONGEST_LINE = 65536


class LineServer(Listening):
    """Listens on a loopback port and answers line by line.

    Parameters
    ----------
    answer : callable
        Gives the answer to a line (both without their ends), or None for silence.
    end_received, end_sent : bytes
        What ends a line in each direction, as the instrument has it.
    """

    def __init__(self, answer: Callable[[str], str | None], *, end_received: bytes, end_sent: bytes) -> None:
        super().__init__()
        self.answer = answer
        self.end_received = end_received
        self.end_sent = end_sent

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Answer every whole line; what never ends is forgotten."""
        *lines, rest = data.split(self.end_received)
        told = [self.answer(line.strip(b"\r\n").decode("latin-1")) for line in lines]
        answers = b"".join(one.encode("latin-1") + self.end_sent for one in told if one is not None)
        return answers, rest if len(rest) <= _LONGEST_LINE else b""
