"""What a deconvolution may be told, and what it answers. Data, next to no arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.morphology import voigt

Value = TypeVar("Value")

Window = tuple[float, float]
BASELINES: Final = {"none": -1, "constant": 0, "linear": 1, "quadratic": 2, "cubic": 3}


class Phases(NamedTuple, Generic[Value]):
    """One value for each kind of deposit."""

    dense: Value
    mossy: Value
    dendritic: Value


#: Wichmann et al. 2025, Methods: charged state, 4.7 T.
_CHARGED: Final[Phases[Window]] = Phases((244.0, 249.0), (254.0, 259.0), (264.0, 269.0))


@dataclass(frozen=True, slots=True)
class MorphologySettings:
    """Choices of a deconvolution. Shifts and widths in ppm; the defaults hold for the charged state at 4.7 T.

    Attributes
    ----------
    windows_ppm : Phases of tuple of float
        Where the centre of each line may lie at full state of charge of the NMC (Wichmann et al. 2025, Methods).
    shift_ppm_per_soc : float
        The windows, and the range, move up by this for a state of charge lower by 1 (3.3 ppm from 100 % to 0 %).
    width_cap_ppm : float
        Largest full width at half height of a line, Voigt's by Olivero and Longbothum. The paper takes it from pristine
        foil and prints it in a figure of its supplement only: 14 ppm is a stand-in until a laboratory has its own.
    width_floor_ppm : float
        Smallest one; about the resolution of the paper's decays of 3.3 ms, so that no spike of noise is a line.
    range_ppm : tuple of float
        What part of the spectrum is fitted, at full state of charge.
    baseline : {"none", "constant", "linear", "quadratic", "cubic"}
        What is fitted along with the lines. A baseline that was drawn through parts where the lines still have tails
        has taken these for its own: with a polynomial of third order from 80 to 200 and 320 to 395 ppm, fractions come
        out wrong by up to 6 points. Fitted along over all of that range the same polynomial leaves nothing of it.
    relative_to : {"fit", "data"}
        What the fractions are parts of: the sum of the lines, tails and all, or the integral of the data over the
        range. In the second case a line counts with what lies in the range, and fractions and residual add up to 1.
    quotable_snr : float
        Ratio of peak height to noise below which fractions are flagged as not quotable.
    detection_sigma : float
        A sum of lines below so many of its standard deviations is refused as no metal.
    residual_limit : float
        Part of the signal in no line from which on that is flagged.
    calibrated : bool
        Whether windows and cap were measured with this set-up.
    source : str
        Where windows and cap are from: a calibration's id, or a publication.
    """

    windows_ppm: Phases[Window] = _CHARGED
    shift_ppm_per_soc: float = 3.3
    width_cap_ppm: float = 14.0
    width_floor_ppm: float = 4.0
    range_ppm: Window = (215.0, 310.0)
    baseline: Literal["none", "constant", "linear", "quadratic", "cubic"] = "none"
    relative_to: Literal["fit", "data"] = "fit"
    quotable_snr: float = 100.0
    detection_sigma: float = 5.0
    residual_limit: float = 0.02
    calibrated: bool = False
    source: str = "windows: Wichmann et al. 2025; width cap: assumed"


@dataclass(frozen=True, slots=True)
class Fractions:
    """Parts of the metal's signal, and everything they rest on.

    Attributes
    ----------
    dense, mossy, dendritic : float
        Fractions, 0 to 1, of what ``settings.relative_to`` names.
    residual : float
        Signal of the range that no line took up, integral of data minus lines, as a fraction of the same.
    sd : Phases of float
        Standard deviations of the fractions from the noise, the correlation between the lines and the width of the
        bounds. They hold for the model as told: see :func:`labctl.analysis.morphology.sensitivity`.
    residual_sd : float
        Standard deviation of ``residual`` from the noise.
    areas, areas_sd : Phases of float
        Integrals of the lines, intensity times ppm.
    positions_ppm, positions_sd_ppm, fwhm_ppm, fwhm_sd_ppm : Phases of float
        Centres and full widths at half height. They mean nothing for a line of no area.
    lorentz_share : Phases of float
        Width of a line's Lorentzian part over its full width.
    fit_sum, data_integral : float
        Sum of ``areas``; integral of the data above the baseline over ``range_ppm``.
    baseline : tuple of float
        Fitted baseline at the lower and the upper end of ``range_ppm``; zeros where none was fitted.
    snr : float
        Height of the fitted peak over ``noise_sd``.
    noise_sd : float
        Standard deviation of one point, and whether it was measured or is that of the residual:
    noise_from : {"given", "residual"}
        See ``noise_sd``.
    chi_square : float
        Mean squared residual over that of the noise; 1 where the residual tells the noise.
    state : str
        State of the cell in which the spectrum was taken.
    soc : float
        State of charge of the NMC that the windows were moved for, 0 to 1.
    windows_ppm : Phases of tuple of float
        As they were used.
    line_kernel : tuple of (offset, weight)
        What the spectrum's apodisation makes of a line; widths and their cap are those of the line itself.
    range_ppm : tuple of float
        As it was used.
    at_bound : tuple of str
        Parameters that ended at a bound, such as ``width of mossy at its cap``.
    evaluations : int
        Of the lines, during the search.
    flags : tuple of str
        What a reader has to know before quoting.
    settings : MorphologySettings
        As they were used.
    """

    dense: float
    mossy: float
    dendritic: float
    residual: float
    sd: Phases[float]
    residual_sd: float
    areas: Phases[float]
    areas_sd: Phases[float]
    positions_ppm: Phases[float]
    positions_sd_ppm: Phases[float]
    fwhm_ppm: Phases[float]
    fwhm_sd_ppm: Phases[float]
    lorentz_share: Phases[float]
    fit_sum: float
    data_integral: float
    baseline: tuple[float, float]
    snr: float
    noise_sd: float
    noise_from: Literal["given", "residual"]
    chi_square: float
    state: str
    soc: float
    windows_ppm: Phases[Window]
    line_kernel: voigt.Kernel
    range_ppm: Window
    at_bound: tuple[str, ...]
    evaluations: int
    flags: tuple[str, ...]
    settings: MorphologySettings

    @property
    def fractions(self) -> Phases[float]:
        """The three fractions together."""
        return Phases(self.dense, self.mossy, self.dendritic)

    def lines(self, ppm: ArrayLike) -> Phases[NDArray[np.float64]]:
        """Give each fitted line at the shifts ``ppm``, for a figure."""
        unit = voigt.smeared(
            np.asarray(ppm, dtype=np.float64),
            np.array(self.positions_ppm),
            np.array(self.fwhm_ppm),
            np.array(self.lorentz_share),
            self.line_kernel,
        )
        dense, mossy, dendritic = np.array(self.areas)[:, None] * unit
        return Phases(dense, mossy, dendritic)

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain data."""
        plain = asdict(self)
        for name, value in plain.items():
            if isinstance(value, Phases):
                plain[name] = value._asdict()
        plain["settings"]["windows_ppm"] = self.settings.windows_ppm._asdict()
        return plain
