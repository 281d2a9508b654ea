"""How far the sweeps of one handle have come, and what a handle must hold so that another process can go on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from labctl.instruments import DynamicRequest, Handle, ImpedanceRequest, Progress, State
from labctl_drivers.zahner.display import Point
from labctl_drivers.zahner.plan import Place, Plan, grid, series_of, sweeps_of

#: Seconds after which a cell under direct current is looked at again.
WATCH_EVERY: Final = 15.0
#: The same where the mean voltage is within so many V of the cut-off: there it may fall within seconds.
WATCH_NEAR: Final = 1.0
NEAR: Final = 0.3
CUT_OFF: Final = "cut-off"
ALL: Final = "all spectra"


@dataclass
class Run:
    """The sweeps of one handle.

    Attributes
    ----------
    plans : tuple of Plan
        All of them, in order.
    series : DynamicRequest, optional
        Where a direct current flows through all of them.
    index : int
        The sweep that runs, or is next.
    begun : datetime, optional
        When the running sweep was started; None while none runs.
    due : datetime, optional
        When the next one may start.
    points : list of Point
        Of the running sweep, as displayed.
    voltage : float, optional
        Latest mean voltage, V.
    doubted : bool
        Whether a late sweep was asked for on a new connection already.
    verdict : Progress, optional
        What has become of it all.
    end : str
        Why a series has ended.
    off_at : datetime, optional
        When the source was switched off at the end.
    readings : dict
        ``voltage_before_V``, ``sent`` and ``read_back`` where the handle was made before they were known.
    """

    plans: tuple[Plan, ...]
    series: DynamicRequest | None = None
    index: int = 0
    begun: datetime | None = None
    due: datetime | None = None
    points: list[Point] = field(default_factory=list)
    voltage: float | None = None
    doubted: bool = False
    verdict: Progress | None = None
    end: str = ""
    off_at: datetime | None = None
    readings: dict[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The sweep that runs, or is next."""
        return self.plans[self.index]

    @property
    def unwatched(self) -> bool:
        """Whether nobody but this driver would end it: a series, or sweeps that are still to be started."""
        waits = self.begun is None or self.index + 1 < len(self.plans)
        return bool(self.plans) and self.verdict is None and (self.series is not None or waits)

    def started(self, at: datetime) -> None:
        """Note that the sweep has started."""
        self.begun, self.due, self.doubted = at, None, False
        self.points.clear()

    def completed(self, at: datetime, pause: float) -> None:
        """Note that the sweep has left its file."""
        self.index += 1
        self.begun, self.due = None, at + timedelta(seconds=pause)

    def show(self, points: list[Point]) -> None:
        """Take in what was displayed."""
        self.points += points
        if points:
            self.voltage = points[-1].voltage

    def elapsed(self, now: datetime) -> float:
        """Seconds that the running sweep has taken."""
        return 0.0 if self.begun is None else (now - self.begun).total_seconds()

    def outside(self) -> str | None:
        """Say where a displayed voltage lies outside the cell's limits."""
        if self.voltage is None:
            return None
        asked = self.plans[0].request
        for voltage in (self.voltage, *(point.voltage for point in self.points)):
            if self.series is not None and beyond(self.series, voltage):
                continue  # the cut-off ends the series, however far the cell has gone past it between two looks
            if not asked.voltage_min <= voltage <= asked.voltage_max:
                limits = f"{asked.voltage_min:g} V to {asked.voltage_max:g} V"
                return f"{voltage:.4f} V at the leads, outside {limits}; ended"
        return None

    def cut_off(self) -> bool:
        """Whether the latest mean voltage has reached the series' cut-off."""
        return self.series is not None and self.voltage is not None and beyond(self.series, self.voltage)

    def values(self, now: datetime, began: str) -> dict[str, float]:
        """Live values of a progress report."""
        values: dict[str, float] = {}
        if self.voltage is not None:
            values["voltage_V"] = self.voltage
        if self.points:
            newest = self.points[-1].frequency
            values["frequency_Hz"] = newest
            asked = self.plan.request
            expected = grid(*self.plan.limits, *self.plan.densities)
            rising = asked.frequency_start < asked.frequency_end
            done = ((frequency <= 1.001 * newest if rising else frequency >= 0.999 * newest) for frequency in expected)
            values["points_done"] = float(sum(done))
        if self.series is not None:
            values["spectra_done"] = float(self.index)
            # The mean current of the latest point, until there is one that which was set.
            values["current_A"] = self.points[-1].current if self.points else self.series.current
            values["charge_C"] = self.series.current * (now - datetime.fromisoformat(began)).total_seconds()
            values["capacity_C"] = abs(values["charge_C"])
            values["series_remaining_s"] = self.remaining(now)
        return values

    def remaining(self, now: datetime) -> float:
        """Expected seconds to the end of all sweeps, where no cut-off comes first."""
        pause = 0.0 if self.series is None else self.series.pause
        plans = self.plans[self.index :]
        # The spectra of a series are alike, and can be hundreds.
        alike = self.series is not None and plans
        still = [plans[0].expected] * len(plans) if alike else [plan.expected for plan in plans]
        wait = 0.0 if self.due is None else max(0.0, (self.due - now).total_seconds())
        return max(1.0, sum(still) + pause * max(0, len(still) - 1) + wait - self.elapsed(now))

    def _sweep_ends(self, now: datetime) -> float:
        """Seconds until the running sweep ends, or until a cell under a steady bias is to be looked at."""
        ends = self.plan.expected - self.elapsed(now) if self.begun is not None else 0.0
        return ends if self.plan.request.bias == 0 else min(ends, WATCH_EVERY)

    def progress(self, now: datetime, began: str) -> Progress:
        """Report that it runs, and when to look again."""
        plan_ends = self._sweep_ends(now)
        if self.due is not None:
            plan_ends = (self.due - now).total_seconds()
        remaining = max(1.0, plan_ends)
        if self.series is not None:
            near = self.voltage is not None and abs(self.voltage - self.series.cutoff) < NEAR
            remaining = min(remaining, WATCH_NEAR if near else WATCH_EVERY)
        return Progress(State.RUNNING, remaining=remaining, values=self.values(now, began))


def beyond(series: DynamicRequest, voltage: float) -> bool:
    """Whether a mean voltage (V) has reached the cut-off of a series."""
    return voltage >= series.cutoff if series.current > 0 else voltage <= series.cutoff


def first_data(request: ImpedanceRequest | DynamicRequest) -> dict[str, Any]:
    """What a handle holds so that :func:`run_of` can rebuild the run."""
    kind = "series" if isinstance(request, DynamicRequest) else "spectrum"
    return {"kind": kind, "asked": asdict(request)}


def run_of(token: str, data: Mapping[str, Any], place: Place) -> Run:
    """Rebuild a run from its handle; without sweeps where the handle was found by its token alone."""
    asked = data.get("asked")
    if asked is None:
        return Run(())
    if data["kind"] == "series":
        series = DynamicRequest(**asked)
        return Run(series_of(series, token, place), series)
    return Run(sweeps_of(ImpedanceRequest(**asked), token, place))


def resting(handle: Handle) -> bool:
    """Whether the handle was made before its first sweep."""
    return bool(handle.data.get("rest_s"))
