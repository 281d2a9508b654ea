"""The tester itself, whatever the port: channels, folders of procedures and tests, and what starts are refused for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from labctl_simulators.macnet.channel import ACTIVE, AVAILABLE, STATES, SUSPENDED
from labctl_simulators.macnet.clients import Clients
from labctl_simulators.macnet.codes import (
    IN_USE,
    INVALID,
    NO_PROCEDURE,
    NONE_SELECTED,
    NOT_ACTIVE,
    NOT_SUSPENDED,
    NOT_UNIQUE,
    TOO_LONG,
)
from labctl_simulators.macnet.direct import DirectMode
from labctl_simulators.macnet.procedure import CompileError, Step, compile_procedure
from labctl_simulators.macnet.settings import Settings
from labctl_simulators.macnet.steering import SteeredChannel

SELECTED: Final = 1
VERSION: Final = (2, 0, 2041)

_FORBIDDEN: Final = set('\\/:*?"<>|')
_LONGEST: Final = 250
# Of an archived test, for a restart.
_KEPT: Final = (
    "procedure",
    "comment",
    "file",
    "step",
    "cycle",
    "loops",
    "records",
    "charge",
    "energy",
    "written",
    "one_c",
)


def legal(name: str) -> bool:
    """Whether a file can be called that."""
    printable = name.isprintable() and name.isascii() and len(name) <= _LONGEST
    return bool(name) and printable and not _FORBIDDEN & set(name)


class Tester:
    """State of the whole machine."""

    def __init__(
        self,
        laboratory: Any,
        name: str,
        count: int,
        procedures: Path,
        exports: Path,
        settings: Settings,
    ) -> None:
        self.laboratory = laboratory
        self.name = name
        self.procedures = procedures
        self.exports = exports
        self.settings = settings
        self.clients = Clients()
        self.direct = DirectMode(laboratory, name, settings.watchdog, settings.system_type)
        self.archive: dict[str, int] = {}
        self.archived: dict[str, dict[str, Any]] = {}
        self._cleared: list[dict[str, Any]] = []
        self.complaints: dict[int, list[str]] = {}
        self.channels = [
            SteeredChannel(
                laboratory, name, number, exports, self.archive.__setitem__, settings.current_error, settings.dialect
            )
            for number in range(1, count + 1)
        ]
        self.flags = 0
        self._misstated: dict[int, int] = {}
        self._errors = 0
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
        if not legal(name) or not path.is_file():
            return None
        return path.read_bytes()

    def check(
        self, channels: Sequence[SteeredChannel], test: str, procedure: str, chamber: int = 0, one_c: float = 1.0
    ) -> int:
        """Dry start, (6,11): 0 where a start would succeed."""
        for channel in channels:
            channel.advance(self.laboratory.time())
            self.complaints[channel.number] = []
        if not channels or any(channel.stat > SELECTED for channel in channels):
            return 1
        content = self.procedure(procedure)
        if content is None:
            return 2
        if test != "Random":
            if self.known(test):
                return 4
            if not legal(test):
                return 5
        if not 0 <= chamber <= self.settings.chambers:
            return 6
        return 7 if self._compiled(channels, content, one_c) is None else 0

    def start(self, channel: SteeredChannel, test: str, procedure: str, comment: str, one_c: float = 1.0) -> int:
        """Start a test on one channel: 0, or a code."""
        return self.start_together([channel], test, procedure, comment, one_c=one_c)

    def start_together(
        self,
        channels: Sequence[SteeredChannel],
        test: str,
        procedure: str,
        comment: str,
        chamber: int = 0,
        one_c: float = 1.0,
    ) -> int:
        """Start one test on these channels, (6,2): 0, or a code."""
        for channel in channels:
            channel.advance(self.laboratory.time())
        if not channels:
            return NONE_SELECTED
        if any(channel.stat > SELECTED for channel in channels):
            return IN_USE
        name = self.fresh(test)
        if isinstance(name, int):
            return name
        content = self.procedure(procedure)
        if content is None:
            return NO_PROCEDURE
        if not 0 <= chamber <= self.settings.chambers:
            return INVALID
        steps = self._compiled(channels, content, one_c)
        if steps is None:
            return INVALID
        for channel in channels:
            channel.start(name, procedure, comment[:80], content, steps, one_c)
        return 0

    def fresh(self, test: str) -> str | int:
        """Give the name that a new test gets, or the code of what is against it."""
        if len(test) > _LONGEST:
            return TOO_LONG
        if test == "Random":
            return self._random_name()
        if not legal(test):
            return INVALID
        return NOT_UNIQUE if self.known(test) else test

    def _compiled(self, channels: Sequence[SteeredChannel], content: bytes, one_c: float) -> tuple[Step, ...] | None:
        try:
            return compile_procedure(content, one_c)
        except CompileError as error:
            for channel in channels:
                self.complaints[channel.number] = list(error.lines)
            return None

    def selected(self) -> list[SteeredChannel]:
        """Channels that were selected and not started since."""
        return [channel for channel in self.channels if channel.stat == SELECTED]

    def select(self, channels: Sequence[SteeredChannel]) -> int:
        """Select these channels and no others, (6,1). Gives a code."""
        if any(channel.stat > SELECTED for channel in channels):
            return IN_USE
        for channel in self.channels:
            if channel.stat == SELECTED and channel not in channels:
                channel.stat = AVAILABLE
        for channel in channels:
            channel.stat = SELECTED
        return 0

    def _random_name(self) -> str:
        while True:
            self._random += 1
            name = f"RND{self._random:06d}"
            if not self.known(name):
                return name

    def suspend(self, channel: SteeredChannel) -> int:
        """Suspend, (6,3)."""
        channel.advance(self.laboratory.time())
        if channel.stat != ACTIVE:
            return NOT_ACTIVE
        channel.suspend()
        return 0

    def resume(self, channel: SteeredChannel) -> int:
        """Resume, (6,4)."""
        if channel.stat != SUSPENDED:
            return NOT_SUSPENDED
        channel.resume()
        self.direct.resumed(channel)
        return 0

    def clear(self, channel: SteeredChannel) -> int:
        """Reset, (6,5), and archive, (6,6)."""
        channel.advance(self.laboratory.time())
        if channel.stat == ACTIVE:
            channel.suspend()
        test, before = channel.test, channel.stat
        channel.clear()
        if channel.stat != AVAILABLE:
            # It agrees and does nothing.
            return 0
        if test is not None:
            entry = {"channel": channel.number, "test": test.name, "records": test.records}
            self._cleared.append(entry)
            self.laboratory.record(self.name, "cleared", **entry)
        elif before != AVAILABLE:
            self.laboratory.record(self.name, "cleared", channel=channel.number)
        if test is not None:
            ended = self.laboratory.time() if test.ended is None else test.ended
            clocks = {"test_s": ended - test.began, "step_s": ended - test.step_began}
            self.archived[test.name] = {**{key: getattr(test, key) for key in _KEPT}, **clocks}
        return 0

    def unarchive(self, name: str) -> None:
        """Take a test out of the archive that a channel goes on with."""
        number = self.archive.pop(name)
        del self.archived[name]
        self._cleared = [one for one in self._cleared if (one["test"], one["channel"]) != (name, number)]

    # What a real tester does not do on request

    def shown(self, channel: SteeredChannel) -> int:
        """``Stat`` as clients see it."""
        return self._misstated.get(channel.number, channel.stat)

    def misstate(self, channel: SteeredChannel, stat: int | None) -> None:
        """Have a channel show another ``Stat`` than its own; None for its own again."""
        self._misstated.pop(channel.number, None)
        if stat is not None:
            self._misstated[channel.number] = stat

    def stumble(self, count: int) -> None:
        """Answer the next ``count`` JSON requests with an error object."""
        self._errors = count

    def stumbles(self) -> bool:
        """Whether this request is one of those; counts it."""
        if self._errors == 0:
            return False
        self._errors -= 1
        return True

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
            "archived": dict(self.archived),
            "flags": self.flags,
            "direct": self.direct.save(),
            "channels": [channel.save() for channel in self.channels],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`."""
        self.archive.update(state["archive"])
        self._random = state["random"]
        self._cleared = list(state.get("cleared", ()))
        self.archived = dict(state.get("archived", {}))
        self.flags = int(state.get("flags", 0))
        for channel, saved in zip(self.channels, state["channels"], strict=True):
            channel.restore(saved)
        self.direct.restore(state.get("direct", {}), self.channels)
