"""What the other evaluations find beside the inventory: deposits, impedance, series under current, ageing, groups.

Data only. Like ``model``, it is what figures, reports, files and the document are made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.impedance.spectrum import ImpedanceSpectrum

if TYPE_CHECKING:
    from labctl.analysis.control_chart import ControlChart
    from labctl.analysis.electrochemistry import Efficiency
    from labctl.analysis.impedance.fitting import CircuitFit
    from labctl.analysis.impedance.linear_kk import KramersKronig
    from labctl.analysis.impedance.three_electrodes import ElectrodeCheck
    from labctl.analysis.loss_rates import LossRates
    from labctl.analysis.morphology import Fractions
    from labctl.analysis.nmr import Integral
    from labctl.analysis.nucleation import Nucleation
    from labctl.analysis.pooling import Pooled
    from labctl.analysis.statistics import Comparison

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EvaluatedImpedance:
    """One sweep, tested and fitted.

    Attributes
    ----------
    spectrum : ImpedanceSpectrum
        As measured.
    test : KramersKronig or None
        None where the spectrum is too short for it.
    fit : CircuitFit or None
        Of the points above the cut-off; None where it failed, and a flag of the cell says why.
    electrodes : mapping of str to ImpedanceSpectrum
        ``working`` and ``counter`` of a three-electrode cell.
    electrode_fits : mapping of str to CircuitFit
        Of these.
    electrode_check : ElectrodeCheck or None
        Whether they add up to the cell.
    token : str
        The bundle.
    """

    spectrum: ImpedanceSpectrum
    test: KramersKronig | None = None
    fit: CircuitFit | None = None
    electrodes: Mapping[str, ImpedanceSpectrum] = field(default_factory=dict)
    electrode_fits: Mapping[str, CircuitFit] = field(default_factory=dict)
    electrode_check: ElectrodeCheck | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class DynamicSeries:
    """Impedance spectra taken while direct current flowed, of one step.

    Attributes
    ----------
    token, step : str
        The bundle and its step.
    cycle : int
        Of the cell.
    direction : str
        ``charge`` or ``discharge``.
    spectra : tuple of ImpedanceSpectrum
        In the order of measurement.
    fits : tuple of CircuitFit or None
        One for each.
    charge_mAh, voltage_V : ndarray, shape (n,)
        At the middle of each; charge counts from the start of the step, positive when charging.
    soc : ndarray, shape (n,)
        State of charge at the middle, a fraction; not a number where it is not known.
    numbers : tuple of int
        Of the spectra, as their stamps count them from 1; one that was not to be read is missing.
    tests : tuple of KramersKronig or None
        One for each.
    """

    token: str
    step: str
    cycle: int
    direction: str
    spectra: tuple[ImpedanceSpectrum, ...]
    fits: tuple[CircuitFit | None, ...]
    charge_mAh: Floats
    voltage_V: Floats
    soc: Floats
    numbers: tuple[int, ...] = ()
    tests: tuple[KramersKronig | None, ...] = ()


@dataclass(frozen=True, slots=True)
class OperandoSpectra:
    """NMR spectra taken while a cell was charged, of one step, on one axis of shifts.

    Attributes
    ----------
    token, step : str
        The bundle and its step.
    cycle : int
        Of the cell.
    ppm : ndarray, shape (m,)
        Falling, of a window around the metal.
    intensity : ndarray, shape (n, m)
        Per scan and receiver gain.
    sort : tuple of str
        ``during`` the flow of current, in a ``pause``, or at the ``end``.
    start_h, middle_h, end_h : ndarray, shape (n,)
        Hours of this PC's clock since the step began.
    charge_start_mAh, charge_mAh, charge_end_mAh : ndarray, shape (n,)
        That had passed at the start, the middle and the end of each acquisition.
    integral : tuple of Integral
        Of the metal, per scan and receiver gain.
    recycle_delay_s : ndarray, shape (n,)
        Of each: integrals of different delays are not comparable before that is corrected.
    deposits : tuple of Fractions or None
        Of each.
    course_h, course_voltage_V, course_current_mA : ndarray, shape (k,)
        The cycler's record on the same axis of hours. In a pause the current is 0 and the voltage not a number: it is
        not recorded then.
    numbers : tuple of int
        Of the spectra, as their stamps count them from 1; one that was not to be read is missing.
    soc : ndarray, shape (n,)
        State of charge at the middle of each, a fraction of the most that the cell has held; the windows of the
        deposits were moved for it. Not a number where it is not known.
    """

    token: str
    step: str
    cycle: int
    ppm: Floats
    intensity: Floats
    sort: tuple[str, ...]
    start_h: Floats
    middle_h: Floats
    end_h: Floats
    charge_start_mAh: Floats
    charge_mAh: Floats
    charge_end_mAh: Floats
    integral: tuple[Integral, ...]
    recycle_delay_s: Floats
    deposits: tuple[Fractions | None, ...]
    course_h: Floats
    course_voltage_V: Floats
    course_current_mA: Floats
    numbers: tuple[int, ...] = ()
    soc: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True)
class Ageing:
    """Electrochemistry of a cycle beside its capacities.

    Attributes
    ----------
    efficiency : Efficiency or None
        Coulombic, energy and voltage efficiency.
    charge_energy_mWh, discharge_energy_mWh : float or None
        Magnitudes.
    nucleation : Nucleation or None
        Of the charge, from the cell's voltage unless there is a reference electrode.
    """

    efficiency: Efficiency | None = None
    charge_energy_mWh: float | None = None
    discharge_energy_mWh: float | None = None
    nucleation: Nucleation | None = None


@dataclass(frozen=True, slots=True)
class ShareComparison:
    """Two groups at one measured cycle.

    Attributes
    ----------
    share : str
        Such as ``dead``.
    cycle : int
        At which.
    first, second : str
        Names of the groups.
    result : Comparison
        In percent of the first charge.
    p_adjusted : float
        By Holm over all comparisons of the analysis.
    """

    share: str
    cycle: int
    first: str
    second: str
    result: Comparison
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Linear loss rates of a group, in percent of the first charge per cycle.

    Attributes
    ----------
    group : str
        Whose.
    rates : mapping of str to LossRates
        By share: ``dead`` and ``interphase``.
    """

    group: str
    rates: Mapping[str, LossRates]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The factor k (mAh per unit of integral) over all cells of one campaign.

    Attributes
    ----------
    campaign : str
        Whose.
    pooled : Pooled or None
        The hierarchical estimate; None with fewer than two cells.
    chart : ControlChart or None
        In the order of measurement; None with fewer than three values.
    names : tuple of str
        Cell and cycle of the chart's values.
    values : tuple of float
        The chart's values.
    """

    campaign: str
    pooled: Pooled | None
    chart: ControlChart | None
    names: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
