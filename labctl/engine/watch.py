"""What the engine itself watches while an operation runs, beside the instrument's own limits.

Each look is judged by what came before it; a single bad look is looked at again before it counts, as an instrument may
overshoot for one sample. Pure but for the memory of the last looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.units import show

#: A test clock that has gone on by less than this share of the time between two looks stands still.
_MOVES: Final = 0.1
#: Looks closer together than this (s) say nothing about whether data still come.
_TOO_SOON: Final = 30.0
#: How long (s) beyond its guard time a step may still be on before the instrument counts as not obeying.
GRACE: Final = 300.0
#: Seconds until a bad look is confirmed or not.
LOOK_AGAIN: Final = 0.5
#: How far a step may overshoot the guard time, relative, where the instrument's clock is its own.
_CLOCKS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no look may show. None: not watched.

    Attributes
    ----------
    voltage : tuple of float or None
        Lowest and highest cell voltage in V.
    current : float or None
        Largest magnitude in A.
    temperature : tuple of float or None
        Lowest and highest temperature in K.
    at_most : float or None
        Guard time of the step in s.
    """

    voltage: tuple[float, float] | None = None
    current: float | None = None
    temperature: tuple[float, float] | None = None
    at_most: float | None = None


class Watch:
    """Judges the looks at one running operation.

    Parameters
    ----------
    bounds : Bounds
        What no look may show.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._clock: tuple[float, float] | None = None
        self._standing = 0

    def judge(self, now: float, values: Mapping[str, float], *, suspended: bool = False) -> str | None:
        """Say what is wrong with a look, or None.

        Parameters
        ----------
        now : float
            When it was taken, in s on any steady clock.
        values : mapping of str to float
            ``voltage_V``, ``current_A``, ``temperature_K``, ``step_time_s``, ``test_time_s``, as far as known.
        suspended : bool
            Whether the instrument has interrupted the program: its clock may stand then.
        """
        return self._limits(values) or self._stopped(now, values, suspended=suspended)

    def _limits(self, values: Mapping[str, float]) -> str | None:
        bounds = self._bounds
        voltage, current, temperature = (values.get(key) for key in ("voltage_V", "current_A", "temperature_K"))
        if voltage is not None and bounds.voltage is not None and not bounds.voltage[0] <= voltage <= bounds.voltage[1]:
            low, high = (show(one, "V", 4) for one in bounds.voltage)
            return f"{show(voltage, 'V', 5)} at the cell, outside {low} to {high}"
        if current is not None and bounds.current is not None and not abs(current) <= bounds.current:
            return f"{show(current, 'mA')} through the cell, above {show(bounds.current, 'mA')}"
        if temperature is not None and bounds.temperature is not None:
            low_K, high_K = bounds.temperature
            if not low_K <= temperature <= high_K:
                return (
                    f"{show(temperature, 'degC')} at the cell, outside {show(low_K, 'degC')} to {show(high_K, 'degC')}"
                )
        step_time = values.get("step_time_s")
        if step_time is not None and bounds.at_most is not None:
            last = bounds.at_most * (1 + _CLOCKS) + GRACE
            if step_time > last:
                return f"still on after {show(step_time, 'h')}, although its guard time is {show(bounds.at_most, 'h')}"
        return None

    def _stopped(self, now: float, values: Mapping[str, float], *, suspended: bool) -> str | None:
        """Tell whether data have stopped coming: the test's clock stands although the instrument answers."""
        clock = values.get("test_time_s")
        if clock is None or suspended:
            self._clock = None
            return None
        if self._clock is None:
            self._clock = now, clock
            return None
        passed, went_on = now - self._clock[0], clock - self._clock[1]
        if passed < _TOO_SOON:
            return None
        if went_on > _MOVES * passed:
            self._clock = now, clock
            return None
        return f"no new data for {passed:.0f} s, although the instrument says that it runs"
