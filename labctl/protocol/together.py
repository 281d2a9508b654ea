"""What an ``operando`` or ``deis`` step comes to for one cell: SI, everything resolved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from labctl.documents import Sizes
    from labctl.protocol.acquisition import Acquisition
    from labctl.protocol.combined import Deis, Operando
    from labctl.protocol.plan import Cycling, Impedance

#: No instrument is asked for more spectra in one series.
_MOST: Final = 999


@dataclass(frozen=True, slots=True)
class Together:
    """A cycler and a spectrometer at work on one cell.

    Attributes
    ----------
    cycling : Cycling
        What the cycler is asked.
    discharging : bool
        Which way its current flows.
    during : Acquisition
        The spectrum that is taken again and again while current flows.
    pausing : Acquisition or None
        The spectrum of the pauses; None where there are none.
    every : float or None
        Seconds of current between two pauses.
    at_end : bool
        Whether one more of ``pausing`` is taken when the current has come to its end.
    """

    cycling: Cycling
    discharging: bool
    during: Acquisition
    pausing: Acquisition | None
    every: float | None
    at_end: bool


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Impedance spectra under direct current.

    Attributes
    ----------
    sweep : Impedance
        One spectrum.
    sweep_duration : float
        Seconds of its signal.
    current : float
        Magnitude of the direct current in A.
    discharging : bool
        Which way it flows.
    cutoff : float
        Mean voltage in V that ends the series.
    count : int
        Spectra wanted.
    keep_on : bool
        Whether the series goes on to the cut-off, the last ``count`` being the ones that are wanted.
    at_most : float
        Guard time in s.
    pause : float
        Seconds between two spectra.
    capacity : float or None
        C at state of charge 1; None for what the cell's own first charge put in.
    current_max : float
        The protocol's limit in A.
    """

    sweep: Impedance
    sweep_duration: float
    current: float
    discharging: bool
    cutoff: float
    count: int
    keep_on: bool
    at_most: float
    pause: float
    capacity: float | None
    current_max: float

    @property
    def most(self) -> int:
        """Spectra after which the series ends, whatever the voltage."""
        fits = max(1, math.ceil(self.at_most / (self.sweep_duration + self.pause)))
        return min(fits, _MOST) if self.keep_on else min(self.count, fits)

    @property
    def duration(self) -> float:
        """Seconds that the wanted spectra take."""
        return self.count * self.sweep_duration + max(0, self.count - 1) * self.pause


def together(body: Operando, cycling: Cycling, acquisition: Callable[[str], Acquisition]) -> Together:
    """Resolve an ``operando`` step; ``acquisition`` resolves the experiment of a name."""
    pauses = body.pauses
    return Together(
        cycling=cycling,
        discharging=body.direction == "discharge",
        during=acquisition(body.experiment),
        pausing=acquisition(pauses.experiment) if pauses is not None else None,
        every=pauses.every if pauses is not None else None,
        at_end=pauses is not None and pauses.at_end,
    )


def dynamic(body: Deis, sweep: Impedance, cell: Sizes, cutoff: float, current_max: float) -> Dynamic:
    """Resolve a ``deis`` step for a cell."""
    return Dynamic(
        sweep=sweep,
        sweep_duration=sweep.duration - sweep.rest_before,
        current=body.current.on(cell),
        discharging=body.direction == "discharge",
        cutoff=cutoff,
        count=body.count,
        keep_on=body.keep_on,
        at_most=body.at_most,
        pause=body.pause,
        capacity=body.capacity.on(cell) if body.capacity is not None else None,
        current_max=current_max,
    )
