"""A bath or oven with a temperature that takes time: first order towards the set point, with a limited ramp and a door.

Analytic in time, so nothing ticks. All constants are invented, of the order of a laboratory circulator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

TAU_S = 480.0
"""Time constant of the regulated bath."""

TAU_OFF_S = 3600.0
"""Time constant towards the room when it is stopped."""

RAMP_K_S = 2.0 / 60.0
"""Fastest change."""

TAU_DOOR_S = 240.0
"""Time constant while the door is open."""

DOOR_SHARE = 0.4
"""How far towards the room a regulated chamber is drawn while its door is open; 1 would be all the way."""

NOISE_K = 0.015
"""Amplitude of the regulation's wobble."""


class ThermalPlant:
    """One temperature-controlled bath.

    Parameters
    ----------
    time : callable
        Laboratory time now, s.
    ambient_K : float
        Temperature of the room, where it starts and goes back to when stopped.
    phase : float
        Radians; sets one plant's wobble apart from another's.
    """

    def __init__(self, time: Callable[[], float], ambient_K: float, phase: float = 0.0) -> None:
        self._time = time
        self._ambient = ambient_K
        self._phase = phase
        self._since = 0.0
        self._from = ambient_K
        self._ramp = RAMP_K_S
        self._tau = TAU_S
        self.set_point: float | None = None
        self.running = False
        #: Without wobble, and at its set point for good once it is there: nothing then depends on how long one waits.
        self.steady = False
        #: Neither heats nor cools, whatever it is told.
        self.broken = False
        #: Whether its door is open.
        self.door_open = False

    def build(self, *, ramp_K_min: float | None = None, tau_s: float | None = None) -> None:
        """Make it another chamber than the usual one: fastest change in K/min, time constant in s."""
        self._anchor()
        self._ramp = RAMP_K_S if ramp_K_min is None else ramp_K_min / 60.0
        self._tau = TAU_S if tau_s is None else tau_s

    @property
    def temperature(self) -> float:
        """Temperature now, K."""
        return self.temperature_at(self._time())

    def temperature_at(self, t: float) -> float:
        """Temperature in K at laboratory time ``t``, under the present regulation."""
        if self.steady:
            return self._smooth(t)
        wobble = math.sin(t / 37.0 + self._phase) + 0.5 * math.sin(t / 11.3 + 2 * self._phase)
        return self._smooth(t) + NOISE_K / 1.5 * wobble

    def regulate(self, set_point_K: float) -> None:
        """Go to ``set_point_K`` from now on."""
        self._anchor()
        self.set_point = set_point_K
        self.running = True

    def stop(self) -> None:
        """Stop regulating: the bath drifts to the room's temperature; the set point is kept for reading."""
        self._anchor()
        self.running = False

    def break_down(self, *, broken: bool) -> None:
        """Have heater and cooler fail from now on, or work again."""
        self._anchor()
        self.broken = broken

    def door(self, *, is_open: bool) -> None:
        """Open or close its door."""
        self._anchor()
        self.door_open = is_open

    def save(self) -> dict[str, Any]:
        """Give the whole state as plain data."""
        return {
            "since": self._since,
            "from": self._from,
            "set_point": self.set_point,
            "running": self.running,
            "broken": self.broken,
            "door_open": self.door_open,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`."""
        self._since, self._from = data["since"], data["from"]
        self.set_point, self.running = data["set_point"], data["running"]
        self.broken, self.door_open = bool(data.get("broken", False)), bool(data.get("door_open", False))

    def _anchor(self) -> None:
        now = self._time()
        self._from, self._since = self._smooth(now), now

    def _smooth(self, t: float) -> float:
        elapsed = max(0.0, t - self._since)
        regulated = self.running and self.set_point is not None and not self.broken
        target = self.set_point if regulated and self.set_point is not None else self._ambient
        if self.door_open:
            drawn = target + DOOR_SHARE * (self._ambient - target)
            return drawn + (self._from - drawn) * math.exp(-elapsed / TAU_DOOR_S)
        tau = self._tau if regulated else TAU_OFF_S
        distance = target - self._from
        if self.steady:
            return target - math.copysign(max(0.0, abs(distance) - self._ramp * elapsed), distance)
        reach = self._ramp * tau  # Within this distance the exponential is slower than the ramp.
        ramp = max(0.0, (abs(distance) - reach) / self._ramp)
        if elapsed < ramp:
            return self._from + math.copysign(self._ramp * elapsed, distance)
        rest = math.copysign(min(abs(distance), reach), distance)
        return target - rest * math.exp(-(elapsed - ramp) / tau)
