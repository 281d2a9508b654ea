"""The tester itself, whatever the port: channels, folders of procedures and tests, and what starts are refused for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labctl_simulators.macnet.channel import ACTIVE, AVAILABLE, CURRENT_ERROR, STATES, Channel
from labctl_simulators.macnet.procedure import CompileError, Step, compile_procedure

#: Texts of refusals, from the table of the binary port; that JSON uses the same words is a guess.
NO_PROCEDURE, NOT_UNIQUE, IN_USE, TOO_LONG, INVALID = 14, 19, 23, 18, 22
REFUSALS: Final[Mapping[int, str]] = {
    14: "No test procedure was selected",
    15: "Channel not Active",
    16: "Channel not Selected",
    17: "Channel not Suspended",
    18: "File name too long",
    19: "Name is not a unique filename",
    22: "Invalid entry",
    23: "Channel in use",
}
CHECKS: Final[Mapping[int, str]] = {
    1: "Channel not available or selected",
    2: "Procedure does not exist",
    4: "File name exists in Archive",
    5: "Invalid file name",
    7: "Compile error",
}
SYSTEM_ID: Final = "LABCTL-SIM-4000"
VERSION: Final = (2, 0, 2041)

_FORBIDDEN: Final = set('\\/:*?"<>|')


class Tester:
    """State of the whole machine."""

    def __init__(
        self,
        laboratory: Any,
        name: str,
        count: int,
        procedures: Path,
        exports: Path,
        current_error: float = CURRENT_ERROR,
    ) -> None:
        self.laboratory = laboratory
        self.name = name
        self.procedures = procedures
        self.exports = exports
        self.archive: dict[str, int] = {}
        self._cleared: list[dict[str, Any]] = []
        self.complaints: dict[int, list[str]] = {}
        self.channels = [
            Channel(laboratory, name, number, exports, self.archive.__setitem__, current_error)
            for number in range(1, count + 1)
        ]
        self.listing: list[tuple[int, Path]] = []
        self._random = 0

    def update(self, t: float) -> None:
        """Bring every channel up to laboratory time ``t``."""
        for channel in self.channels:
            channel.bring_up(t)

    def known(self, name: str) -> bool:
        """Whether a test of this name is in the archive or on a channel; file names know no case there."""
        folded = name.casefold()
        running = (channel.test.name.casefold() for channel in self.channels if channel.test is not None)
        return folded in running or any(folded == old.casefold() for old in self.archive)

    def procedure(self, name: str) -> bytes | None:
        """Content of a procedure, without its ``.000``; None where there is none."""
        path = self.procedures / f"{name}.000"
        if not name or _FORBIDDEN & set(name) or not path.is_file():
            return None
        return path.read_bytes()

    def check(self, channel: Channel, test: str, procedure: str, one_c: float = 1.0) -> int:
        """Dry start, (6,11): 0 where a start would succeed."""
        channel.advance(self.laboratory.time())
        self.complaints[channel.number] = []
        if channel.stat > 1:
            return 1
        content = self.procedure(procedure)
        if content is None:
            return 2
        if test != "Random":
            if self.known(test):
                return 4
            if not test or _FORBIDDEN & set(test):
                return 5
        try:
            compile_procedure(content, one_c)
        except CompileError as error:
            self.complaints[channel.number] = list(error.lines)
            return 7
        return 0

    def start(self, channel: Channel, test: str, procedure: str, comment: str, one_c: float = 1.0) -> int:
        """Start, (6,2): 0, or a code of :data:`REFUSALS`."""
        channel.advance(self.laboratory.time())
        if channel.stat > 1:
            return IN_USE
        if len(test) > 250:
            return TOO_LONG
        if test == "Random":
            test = self._random_name()
        if not test or _FORBIDDEN & set(test):
            return INVALID
        if self.known(test):
            return NOT_UNIQUE
        content = self.procedure(procedure)
        if content is None:
            return NO_PROCEDURE
        try:
            steps: tuple[Step, ...] = compile_procedure(content, one_c)
        except CompileError as error:
            self.complaints[channel.number] = list(error.lines)
            return INVALID
        channel.start(test, procedure, comment[:80], content, steps, one_c)
        return 0

    def _random_name(self) -> str:
        while True:
            self._random += 1
            name = f"RND{self._random:06d}"
            if not self.known(name):
                return name

    def suspend(self, channel: Channel) -> int:
        """Suspend, (6,3)."""
        channel.advance(self.laboratory.time())
        if channel.stat != 2:
            return 15
        channel.suspend()
        return 0

    def resume(self, channel: Channel) -> int:
        """Resume, (6,4)."""
        if channel.stat != 3:
            return 17
        channel.resume()
        return 0

    def clear(self, channel: Channel) -> int:
        """Reset, (6,5), and archive, (6,6)."""
        channel.advance(self.laboratory.time())
        if channel.stat == ACTIVE:
            channel.suspend()
        if channel.test is not None:
            entry = {"channel": channel.number, "test": channel.test.name, "records": channel.test.records}
            self._cleared.append(entry)
            self.laboratory.record(self.name, "cleared", **entry)
        elif channel.stat != AVAILABLE:
            self.laboratory.record(self.name, "cleared", channel=channel.number)
        channel.clear()
        return 0

    def tests(self) -> list[dict[str, Any]]:
        """Every test there ever was, with the number of its last record."""
        self.update(self.laboratory.time())
        on_channels = [
            {
                "channel": channel.number,
                "test": channel.test.name,
                "records": channel.test.records,
                "state": STATES[channel.stat],
            }
            for channel in self.channels
            if channel.test is not None
        ]
        return [*({**entry, "state": "cleared"} for entry in self._cleared), *on_channels]

    def save(self) -> dict[str, Any]:
        """Whole state as JSON values."""
        return {
            "archive": dict(self.archive),
            "random": self._random,
            "cleared": list(self._cleared),
            "channels": [channel.save() for channel in self.channels],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`."""
        self.archive.update(state["archive"])
        self._random = state["random"]
        self._cleared = list(state.get("cleared", ()))
        for channel, saved in zip(self.channels, state["channels"], strict=True):
            channel.restore(saved)
