"""Direct mode: a person or a program at the controls of one channel, (6,7) and (6,8), and the watchdog over both.

Known: set points limit each other, one outside its range is ignored, one that (6,7) did not have can't be used later,
at most three at once, 100 ms between commands, result codes, and that the watchdog suspends a channel that got no
update for so long. Guessed: that an output holds until the next one, that direct mode is ready 100 ms after its start,
that the watchdog's code is the operator's, 192.

The tester makes a pseudo procedure, and so does this stand-in. A command from a connection that is not known to be one
with the one that started direct mode is refused and is a violation; a real tester would obey it. Where that connection
is gone, the next to command takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from labctl_simulators.macnet import pseudo
from labctl_simulators.macnet.channel import ACTIVE, SUSPENDED
from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.codes import CHANNEL_NOT_ACTIVE, ILLEGAL_TYPE, NOT_DIRECT, NOT_READY, TOO_FAST
from labctl_simulators.macnet.procedure import compile_procedure
from labctl_simulators.macnet.steering import SteeredChannel

APART: Final = 0.1
"""Seconds between two commands, at least."""

POINTS: Final = ("Current", "Voltage", "Power", "Resistance")

_NOT_AVAILABLE, _NO_PSEUDO = 2, 3
# Intervals come as multiples of 10 ms.
_EARLY: Final = 1e-6


@dataclass
class Output:
    """What a channel was told last.

    Attributes
    ----------
    test : str
        The test that direct mode runs as.
    usable : tuple of str
        Set points that were active at the start.
    asked : list
        Mode, range and the active set points as they are in force.
    reports : list of float
        Increments that make a record: s, V, A; 0 for none.
    began, at : float
        Laboratory time of the start and of the last command that was obeyed.
    """

    test: str
    usable: tuple[str, ...]
    asked: list[Any]
    reports: list[float]
    began: float
    at: float


class DirectMode:
    """Direct mode on all channels of a tester. ``watchdog`` in s; 0 for none."""

    def __init__(self, laboratory: Any, name: str, watchdog: float, system_type: int) -> None:
        self._laboratory = laboratory
        self._name = name
        self._watchdog = watchdog
        self._system_type = system_type
        self._outputs: dict[int, Output] = {}
        self._owners: dict[int, Client] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def refusal(self, channel: SteeredChannel) -> int:
        """Code for which direct mode can't be started on a channel whatever is asked of it; 0 where it can."""
        if self._system_type != 0:
            return ILLEGAL_TYPE
        channel.advance(self._laboratory.time())
        return _NOT_AVAILABLE if channel.stat > 1 else 0

    def start(self, channel: SteeredChannel, client: Client, test: str, wanted: Mapping[str, Any]) -> int:
        """Begin, (6,7); the caller has made sure of a fresh name. Gives a code."""
        points = pseudo.active(wanted, POINTS)
        if not points or len(points) == len(POINTS):
            return _NO_PSEUDO
        now = self._laboratory.time()
        asked = [wanted["ChMode"], str(wanted["CurrentRange"]), points]
        reports = [wanted["DataTime"], wanted["DataV"], wanted["DataI"]]
        content = pseudo.content(asked, reports, channel.reading())
        channel.start(test, "Direct", "", content, compile_procedure(content))
        self._outputs[channel.number] = Output(test, tuple(points), asked, reports, now, now)
        self._owners[channel.number] = client
        self._watch(channel)
        return 0

    def set(self, channel: SteeredChannel, client: Client, wanted: Mapping[str, Any]) -> int:
        """Set the output, (6,8). Gives a code; whatever it refuses changes nothing."""
        if self._system_type != 0:
            return ILLEGAL_TYPE
        now = self._laboratory.time()
        channel.advance(now)
        output = self._output(channel)
        owner = self._owners.get(channel.number)
        if channel.stat != ACTIVE or output is None:
            code = CHANNEL_NOT_ACTIVE if channel.stat != ACTIVE else NOT_DIRECT
            self._violation("direct command to a channel without direct mode", channel, client, code)
            return code
        if owner is not None and owner.connected and not client.is_one_with(owner):
            self._violation("direct command to the channel of somebody else", channel, client, NOT_DIRECT)
            return NOT_DIRECT
        if now < output.began + APART - _EARLY:
            return NOT_READY
        if now < output.at + APART - _EARLY:
            return TOO_FAST
        asked = [wanted["ChMode"], str(wanted["CurrentRange"]), pseudo.active(wanted, output.usable)]
        output.at = now
        if owner is None or not owner.connected:
            self._owners[channel.number] = client
        if asked != output.asked:
            content = pseudo.content(asked, output.reports, channel.reading())
            channel.change(content, compile_procedure(content))
            output.asked = asked
            self._laboratory.record(self._name, "output", channel=channel.number, mode=asked[0], **asked[2])
        self._watch(channel)
        return 0

    def resumed(self, channel: SteeredChannel) -> None:
        """A suspended channel runs again: the watchdog begins anew."""
        output = self._output(channel)
        if output is not None:
            output.at = self._laboratory.time()
            self._watch(channel)

    def _output(self, channel: SteeredChannel) -> Output | None:
        output = self._outputs.get(channel.number)
        if output is None:
            return None
        if channel.test is None or channel.test.name != output.test or channel.stat not in (ACTIVE, SUSPENDED):
            del self._outputs[channel.number]
            self._owners.pop(channel.number, None)
            return None
        return output

    def _violation(self, kind: str, channel: SteeredChannel, client: Client, code: int) -> None:
        self._laboratory.note_violation(
            kind, instrument=self._name, channel=channel.number, port=client.kind, host=client.host, code=code
        )

    # The watchdog

    def _watch(self, channel: SteeredChannel) -> None:
        self._unwatch(channel.number)
        output = self._outputs[channel.number]
        if self._watchdog > 0:
            left = max(0.0, output.at + self._watchdog - self._laboratory.time())
            self._timers[channel.number] = asyncio.get_running_loop().call_later(left, self._bark, channel)

    def _unwatch(self, number: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _bark(self, channel: SteeredChannel) -> None:
        self._timers.pop(channel.number, None)
        channel.advance(self._laboratory.time())
        if self._output(channel) is not None and channel.stat == ACTIVE:
            self._laboratory.record(self._name, "watchdog", channel=channel.number)
            channel.suspend()

    def stop(self) -> None:
        """Let go of every timer. Idempotent."""
        for number in tuple(self._timers):
            self._unwatch(number)

    # Between two runs

    def save(self) -> dict[str, Any]:
        """Whole state as JSON values; who steers a channel is forgotten, as every connection is lost."""
        return {str(number): asdict(output) for number, output in self._outputs.items()}

    def restore(self, state: Mapping[str, Any], channels: list[SteeredChannel]) -> None:
        """Take up a state of :meth:`save`."""
        self._outputs = {
            int(number): Output(**{**output, "usable": tuple(output["usable"])}) for number, output in state.items()
        }
        for number in tuple(self._outputs):
            if self._output(channels[number - 1]) is not None:
                self._watch(channels[number - 1])
