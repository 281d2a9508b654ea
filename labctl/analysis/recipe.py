"""How a decay becomes a spectrum and an integral: apodisation, phase, baseline, windows. Data, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Apodisation:
    """What the decay is multiplied with before its transform, counted from the pulse.

    Attributes
    ----------
    kind : str
        ``none``; ``exponential``: exp(-π L t); ``gaussian``: exp(-(π G t)² / (4 ln 2)); ``lorentz-gauss``: both, where
        a negative L sharpens; ``cosine squared``: cos²(π t / 2 T), which is zero at the decay's end T, so that no line
        that outlasts the record leaves feet.
    lorentz_Hz, gauss_Hz : float
        L and G: the width at half maximum that a line gains.
    """

    kind: Literal["none", "exponential", "gaussian", "lorentz-gauss", "cosine squared"] = "cosine squared"
    lorentz_Hz: float = 0.0
    gauss_Hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase that was settled beforehand and is used again.

    Attributes
    ----------
    angle_rad : float
        The spectrum is multiplied by exp(i angle), counted at the pulse: what dead time and digital filter add, linear
        in frequency, is taken out besides.
    shift_s : float
        What is left linear in frequency, as a time: exp(2πi (ν - ν₀) shift).
    pivot_ppm : float
        ν₀, where ``angle_rad`` holds.
    source : str
        Which spectrum it comes from.
    sd_rad : float
        Standard deviation of the angle.
    """

    angle_rad: float
    shift_s: float = 0.0
    pivot_ppm: float = 250.0
    source: str = "given"
    sd_rad: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every decay of a cell, alike in all states. Shifts in ppm.

    Attributes
    ----------
    metal : tuple of float
        Integration window of lithium metal.
    baseline : tuple of windows
        Where only baseline is; a polynomial through these parts is drawn under the metal.
    order : int
        Of that polynomial. Lower is less noisy; higher follows a rolling baseline.
    flanks : tuple of windows
        Where the metal's absorption has ended and its dispersion has not: they give the phase.
    flank_order : int
        Order of the complex polynomial that is taken out of the flanks before.
    zero_fill : int
        The decay is filled with zeros to this many times its length, itself rounded up to a power of two.
    apodisation : Apodisation
        Before the transform.
    first_point : float or None
        Factor of the first point. None: 1/2 where it was taken at the pulse itself, since the transform's sum counts
        it whole and the integral that it stands for by half; 1 everywhere else.
    dead_time : str
        ``phase``: what was lost before the first point is left out, and the spectrum turned back to the pulse;
        ``extrapolate``: it is put back from damped waves fitted to what follows, which is only as good as the fit.
    dead_time_s : float or None
        Instead of the dataset's own DE.
    pulse_share : float
        The lines also turn during the pulse, as if for this share of its length: 2/π for a rectangular π/2 pulse near
        resonance (M. H. Levitt, Spin Dynamics, 2nd ed., 2008, appendix A). 0 counts from the pulse's end.
    remove_filter : bool
        Whether the digital filter's delay is taken out; without it the spectrum shows what the console recorded.
    phase : Phase or str
        ``own line``: from this spectrum's own metal line, a start value for a cell that has no recipe yet;
        ``automatic``: least entropy, refused where it runs away; ``magnitude``: none, the absolute value is shown.
    cell_phase : str
        How the states of one cell are phased. ``electrolyte``: each after the electrolyte's line in it, with an offset
        and a lag of the metal that the strong states tell. ``strongest``: all as the state with the most metal, which
        is a little less noisy and wrong where the metal lags (skin effect) or the receiver's phase has moved.
    lag_sd_rad : float
        How far the metal of the strongest state may be expected to lag, before anything was measured; 15 degrees.
    zero_Hz : float or None
        The frequency of 0 ppm, from the session's LiCl spectrum.
    sr_Hz : float or None
        The same as a distance from BF1, as TopSpin counts it. Without either: SF of the dataset, then BF1.
    shown : str or tuple of float
        What part the spectrum keeps: ``span``, what the recipe looks at; ``all``; or a window.
    """

    metal: Window = (215.0, 310.0)
    baseline: tuple[Window, ...] = ((80.0, 200.0), (320.0, 395.0))
    order: int = 5
    flanks: tuple[Window, ...] = ((110.0, 215.0), (300.0, 395.0))
    flank_order: int = 2
    zero_fill: int = 4
    apodisation: Apodisation = Apodisation()
    first_point: float | None = None
    dead_time: Literal["phase", "extrapolate"] = "phase"
    dead_time_s: float | None = None
    pulse_share: float = 0.0
    remove_filter: bool = True
    phase: Phase | Literal["own line", "automatic", "magnitude"] = "own line"
    cell_phase: Literal["electrolyte", "strongest"] = "electrolyte"
    lag_sd_rad: float = 0.26
    zero_Hz: float | None = None
    sr_Hz: float | None = None
    shown: Window | Literal["span", "all"] = "span"

    @property
    def span(self) -> Window:
        """Everything that the recipe looks at."""
        parts = (self.metal, *self.baseline, *self.flanks)
        return min(low for low, _ in parts), max(high for _, high in parts)


#: The set-up of the paper: 7Li metal on copper at 4.7 T, static. It leaves the share of a line that falls outside the
#: window equal within 0.2 % between the states of a cell, and what the electrolyte's line and the lost first
#: microseconds put under the metal below 0.01 % of it; that takes an order of 3, and 5 would only add noise.
METAL = Recipe(order=3)
