"""How far a series of spectra under a direct current has come, by its records, and what ends it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from labctl.instruments import DynamicRequest
from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    GalvanostaticImpedance,
    Point,
    Record,
    Sample,
    Technique,
)
from labctl_drivers.biologic.series_plan import spectrum_of

#: How far the last record of a pause may lie from the limit that ended it, V.
NEAR_LIMIT: Final = 0.003
#: V, while no point of a spectrum tells how far the alternating current swings.
_UNKNOWN_SWING: Final = 0.1
CUT_OFF: Final = "cut-off"
ALL: Final = "all spectra"


@dataclass(slots=True)
class Spectrum:
    """A spectrum of a series, as far as it has come.

    Attributes
    ----------
    number : int
        From 1.
    technique, passed : int
        That made it, and how often the loop had gone back.
    began : float
        s since the start of the run.
    points : list of Point
        So far.
    """

    number: int
    technique: int
    passed: int
    began: float
    points: list[Point] = field(default_factory=list)


class Course:
    """Goes through the records of a series, in order.

    Parameters
    ----------
    techniques : sequence of Technique
        Of the run.
    request : DynamicRequest
        What was asked.
    """

    def __init__(self, techniques: Sequence[Technique], request: DynamicRequest) -> None:
        self._request = request
        self._wanted = spectrum_of(techniques).points
        self._final = len(techniques) - 1 if isinstance(techniques[-1], GalvanostaticImpedance) else -1
        #: The first record of direct current since the last point, by the technique that makes them now.
        self._fresh: Sample | None = None
        self.seen = 0
        self.last: Record | None = None
        self.spectra: list[Spectrum] = []
        self.charge = 0.0
        #: How many spectra are complete.
        self.done = 0
        #: Of the direct current: s, V, A, C.
        self.direct: list[tuple[float, float, float, float]] = []

    @property
    def ended(self) -> bool:
        """Whether the last point of the last spectrum is there."""
        newest = self.spectra[-1] if self.spectra else None
        if newest is None or newest.number < self._request.spectra:
            return False
        return newest.points[-1].frequency <= self._request.frequency_end * 1.001

    @property
    def _open(self) -> Spectrum | None:
        """The spectrum to which the newest record belongs."""
        return self.spectra[-1] if self.spectra and isinstance(self.last, Point) else None

    @property
    def unfinished(self) -> Spectrum | None:
        """The newest spectrum, where it is not complete."""
        newest = self.spectra[-1] if self.spectra else None
        return newest if newest is not None and not self.is_complete(newest) else None

    def is_complete(self, spectrum: Spectrum) -> bool:
        """Whether no point of a spectrum is missing."""
        return len(spectrum.points) == self._wanted

    def swing(self) -> float:
        """Largest voltage in V by which the alternating current may show the cell beside its mean.

        By the points of one spectrum back, whose lowest frequencies have the largest impedance. The next point of a
        first spectrum may have a larger one: no passive cell's grows faster than the frequency falls.
        """
        latest = [point for spectrum in self.spectra[-2:] for point in spectrum.points][-self._wanted :]
        largest = max((abs(point.working) for point in latest), default=0.0)
        return 1.1 * 10 ** (1 / self._request.points_per_decade) * self._request.amplitude * largest

    def feed(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        for record in records:
            before = self.direct[-1] if self.direct else (0.0, record.voltage, self._request.current, 0.0)
            self.charge += (record.at - before[0]) * (before[2] + record.current) / 2
            self.direct.append((record.at, record.voltage, record.current, self.charge))
            if isinstance(record, Point):
                self._point(record)
                self._fresh = None
            elif self._fresh is None or self._fresh.technique != record.technique:
                self._fresh = record
            self.last = record
            self.seen += 1

    def _point(self, point: Point) -> None:
        spectrum = self._open
        if (
            spectrum is None
            or (point.technique, point.passed) != (spectrum.technique, spectrum.passed)
            or point.frequency >= spectrum.points[-1].frequency
        ):
            spectrum = Spectrum(self._number(point), point.technique, point.passed, self._began(point))
            self.spectra.append(spectrum)
        spectrum.points.append(point)
        self.done += self.is_complete(spectrum)

    def _number(self, point: Point) -> int:
        """Number of a spectrum that begins; one of which nothing is left is counted, too."""
        before = self.spectra[-1] if self.spectra else None
        if before is None:
            return 1
        if point.technique != before.technique:
            return max(before.number + 1, self._request.spectra if point.technique == self._final else 0)
        return before.number + max(1, point.passed - before.passed)

    def _began(self, point: Point) -> float:
        """When a spectrum began: its record of the direct current tells, or the end of what was before it."""
        if self._fresh is not None and self._fresh.technique == point.technique:
            return self._fresh.at
        # Records may be missing in between: no point takes longer than this.
        earliest = point.at - 1.0 - 2.0 * (self._request.periods + 1) / point.frequency
        return max(self.last.at if self.last is not None else 0.0, earliest)


def is_past(limit: float, above: bool, mean: float | None, live: float, swing: float) -> bool:
    """Whether the mean voltage is at or beyond a limit.

    Neither a record that arrived wrong nor the alternating current's swing may say so: the voltage of the moment must
    allow it, or, where no point tells yet, prove it by lying further beyond than the swing.

    Parameters
    ----------
    limit, above
        V, and whether it is an upper one.
    mean : float or None
        Of the newest record, V.
    live : float
        Of the moment, V, alternating part included.
    swing : float
        As :meth:`Course.swing` says; 0 where it is not known.
    """
    way = 1.0 if above else -1.0
    excess = way * (live - limit)
    if mean is not None and way * (mean - limit) >= 0:
        return excess >= -(swing or _UNKNOWN_SWING)
    return swing > 0 and excess >= swing


def why_past(request: DynamicRequest, mean: float | None, live: float, swing: float) -> str:
    """Say why a series is to end: ``cut-off``, or what is wrong; empty for nothing."""
    if is_past(request.cutoff, request.current > 0, mean, live, swing):
        return CUT_OFF
    for limit, above in ((request.voltage_min, False), (request.voltage_max, True)):
        if is_past(limit, above, mean, live, swing):
            shown = live if mean is None else mean
            return f"{shown:.4f} V at the leads, outside {request.voltage_min:g} V to {request.voltage_max:g} V; ended"
    return ""


def how_stopped(course: Course, techniques: Sequence[Technique], request: DynamicRequest, message: str) -> str:
    """Say why a series has come to its end on a channel that has stopped by itself.

    Gives ``all spectra``, ``cut-off``, or what is wrong.

    Parameters
    ----------
    message : str
        What the instrument says of it.
    """
    if course.ended:
        return ALL
    last = course.last
    if isinstance(last, Sample) and isinstance(techniques[last.technique], ConstantCurrent):
        way = 1.0 if request.current > 0 else -1.0
        if way * (last.voltage - request.cutoff) >= -NEAR_LIMIT:
            return CUT_OFF
        if not request.voltage_min + NEAR_LIMIT < last.voltage < request.voltage_max - NEAR_LIMIT:
            return f"{last.voltage:.4f} V between two spectra, at the cell's limits"
    told = f"the series ended after {course.done} of {request.spectra} spectra"
    return f"{told}: {message}" if message else told
