"""What a channel says of itself in (4,7), and what can be foretold from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.instruments.faults import Garbled
from labctl_drivers.maccor.codes import DISCHARGING
from labctl_drivers.maccor.members import BYTE, listed, number, text, whole
from labctl_drivers.maccor.procedure import TesterStep

_STATE: Final = "(4,7)"
_CHARGING: Final = frozenset({1, 8, 19})
#: A guess of when a voltage or a current arrives is never longer than this share of what the step took so far, so that
#: somebody who looks again by it sees the end late by that share at most. In s: the shortest and the longest guess.
_SHARE: Final = 1.0
_SHORTEST: Final = 30.0
_LONGEST: Final = 1800.0
#: No channel of any tester comes near so many volts or amperes.
_HIGHEST: Final = 1e4
#: Seconds within which the tester's clock and this PC's agree about the time between two looks.
_CLOCKS_AGREE: Final = 5.0


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One answer to (4,7).

    Attributes
    ----------
    status, doing, reason : int
        ``Stat``, ``RF1`` and ``RF2``.
    last_record, step : int
        Number of the latest record, and of the tester's step from 1.
    test_time, step_time : float
        In s, by the tester.
    voltage, current, capacity : float
        V; A, charging positive; C of the tester's step, as a magnitude.
    """

    status: int
    doing: int
    reason: int
    last_record: int
    step: int
    test_time: float
    step_time: float
    voltage: float
    current: float
    capacity: float

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> ChannelState:
        """Read a result. Raises ``Garbled`` where a member is missing or not exactly what it should be.

        The sign of the current comes from what the step does: whether the tester reports discharges as negative is
        not documented. Where the step is of a kind that is not known here, the sign is the tester's.
        """
        doing = whole(result, "RF1", _STATE, BYTE)
        current = number(result, "Current", _STATE)
        if doing in DISCHARGING:
            current = -abs(current)
        elif doing in _CHARGING:
            current = abs(current)
        state = cls(
            status=whole(result, "Stat", _STATE, BYTE),
            doing=doing,
            reason=whole(result, "RF2", _STATE, BYTE),
            last_record=whole(result, "LastRecNum", _STATE),
            step=whole(result, "Step", _STATE),
            test_time=_seconds(result, "TestTime"),
            step_time=_seconds(result, "StepTime"),
            voltage=number(result, "Voltage", _STATE),
            current=current,
            capacity=abs(number(result, "Capacity", _STATE)) * 3600.0,
        )
        if abs(state.voltage) > _HIGHEST or abs(state.current) > _HIGHEST:
            raise Garbled("the answer to (4,7) holds a value that no channel has")
        return state

    def values(self) -> dict[str, float]:
        """Live values in the contract's keys."""
        return {
            "voltage_V": self.voltage,
            "current_A": self.current,
            "capacity_C": self.capacity,
            "step_time_s": self.step_time,
            "test_time_s": self.test_time,
        }


def continues(now: ChannelState, before: ChannelState, elapsed: float) -> bool:
    """Whether two looks, ``elapsed`` seconds apart, must have seen the same test.

    They have where the test's clock has gone on by just that time: another test would have begun in between, and its
    clock would stand at less. A test that was suspended, or is very young, cannot be told so.
    """
    return before.test_time > 2 * _CLOCKS_AGREE and abs(now.test_time - before.test_time - elapsed) < _CLOCKS_AGREE


def began(now: ChannelState, ago: float) -> bool:
    """Whether the test that runs is the one that was seen to begin ``ago`` seconds before.

    It is where the test's clock has run since then: no other test could have begun before that one, and a later one's
    clock stands at less. A test that was suspended, or is very young, cannot be told so.
    """
    return now.test_time > 2 * _CLOCKS_AGREE and abs(now.test_time - ago) < _CLOCKS_AGREE


def _seconds(result: Mapping[str, Any], member: str) -> float:
    found = number(result, member, _STATE)
    if found < 0:
        raise Garbled(f"the answer to {_STATE} tells {found:g} s for {member}")
    return found


def test_name(result: Mapping[str, Any]) -> str:
    """Test name in an answer to (4,6), empty where there is none. Raises ``Garbled``."""
    return text(result, "TestName", "(4,6)")


def truth(result: Mapping[str, Any], member: str) -> bool:
    """Read one of the texts TRUE and FALSE. Raises ``Garbled``."""
    text = str(result.get(member)).upper()
    if text not in ("TRUE", "FALSE"):
        raise Garbled(f"'{text}' stands where {member} should be TRUE or FALSE")
    return text == "TRUE"


def statuses(result: Mapping[str, Any], count: int) -> list[int]:
    """``Stat`` of each of ``count`` channels in an answer to (4,1). Raises ``Garbled``."""
    entries = listed(result, "Status", "(4,1)", count)
    return [whole(entry if isinstance(entry, dict) else {}, "Stat", "(4,1)", BYTE) for entry in entries]


def remaining(now: ChannelState, before: ChannelState | None, plan: Sequence[TesterStep]) -> float | None:
    """Expected seconds to the end of the program, or None.

    Exact for steps that end by time. For the others half of a straight line through the last two looks (of the
    voltage, or of the current's logarithm), and cautious: it is meant for planning the next look.
    """
    if not 0 < now.step <= len(plan):
        return None
    step, later = plan[now.step - 1], plan[now.step :]
    time = step.limit("StepTime")
    left = None if time is None else max(0.0, time - now.step_time)
    if step.confirm:
        rest = [one for one in later if one.program > step.program]
        return left if not rest else None
    if step.kind == "Rest":
        if left is None or any(one.kind != "Rest" for one in later):
            return None
        return left + sum(one.limit("StepTime") or 0.0 for one in later)
    guess = _soonest(_guess(now, before, step), _filled(now, step))
    if guess is None:
        return None if left is None else min(left, max(_SHORTEST, _SHARE * now.step_time))
    guess = min(max(guess, _SHORTEST), max(_SHORTEST, _SHARE * now.step_time), _LONGEST)
    return guess if left is None else min(guess, left)


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def _filled(now: ChannelState, step: TesterStep) -> float | None:
    """Seconds until the charge of the step ends it, at the present current."""
    limit = step.limit("Capacity")
    if limit is None or not now.current:
        return None
    return max(0.0, limit * 3600.0 - now.capacity) / abs(now.current)


def _guess(now: ChannelState, before: ChannelState | None, step: TesterStep) -> float | None:
    if before is None or before.step != now.step:
        return None
    elapsed = now.step_time - before.step_time
    if elapsed <= 0:
        return None
    if step.voltage is None:
        limit = step.limit("Voltage")
        if limit is None:
            return None
        distance, slope = limit - now.voltage, (now.voltage - before.voltage) / elapsed
    else:
        limit = step.limit("Current")
        if limit is None or not limit > 0 or not (now.current and before.current):
            return None
        distance = math.log(limit / abs(now.current))
        slope = (math.log(abs(now.current)) - math.log(abs(before.current))) / elapsed
    if slope == 0 or distance / slope <= 0:
        return None
    return 0.5 * distance / slope
