"""What ends a step on a cycler, as a channel is told: one of several ends, or all of them. Pure."""

from __future__ import annotations

from labctl.instruments import End
from labctl.protocol import Cycling, PlannedOperation, Together


def step_ends(asked: Cycling, charging: bool, at_most: float | None) -> tuple[End | None, tuple[End, ...]]:
    """Give what must come true before any end counts, if anything, and the ends.

    Of ends that must all be true, time and capacity stay true once they are: the later of them comes first, and the
    voltage or the current is waited for after it.
    """
    own: list[End] = []
    if asked.end_voltage is not None:
        own.append(End("voltage", charging, asked.end_voltage))
    if asked.end_current is not None:
        own.append(End("current", False, asked.end_current, held=asked.end_current_for))
    rising = [End("capacity", True, asked.end_capacity)] if asked.end_capacity is not None else []
    if asked.duration is not None and (at_most is None or asked.duration <= at_most):
        rising.append(End("time", True, asked.duration))
    if asked.end_together and rising:
        latest = max(rising, key=lambda end: _seconds(end, asked))
        if not own:
            own = [latest]
        elif at_most is None or _seconds(latest, asked) < at_most:
            left = () if at_most is None else (End("time", True, at_most - _seconds(latest, asked), guard=True),)
            return latest, (*own, *left)
        else:
            # The guard time comes first, whatever else is true by then.
            own = []
    else:
        own += rising
    # A time that ends the step and is no longer than the guard time leaves nothing to guard.
    if at_most is not None and not any(end.what == "time" for end in own):
        own.append(End("time", True, at_most, guard=True))
    return None, tuple(own)


def _seconds(end: End, asked: Cycling) -> float:
    """When a time or a capacity comes true; the latter at constant current."""
    return end.value if end.what == "time" else end.value / asked.current


def ends_by_time(planned: PlannedOperation) -> bool:
    """Whether a time that the protocol asks for ends a step, so that its end by time is no time-out."""
    asked = planned.parameters.cycling if isinstance(planned.parameters, Together) else planned.parameters
    if not isinstance(asked, Cycling):
        return False
    _, ends = step_ends(asked, True, planned.at_most)
    return any(end.what == "time" and not end.guard for end in ends)
