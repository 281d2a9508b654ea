"""What an evaluation gives: analysis, cells, cycles, measurements. Data only; ``document`` writes it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.analysis.cycling import Course, CycleCapacities, LedgerLine
from labctl.analysis.electrochemistry import CycleLife
from labctl.analysis.factor import FactorCurve, two_points
from labctl.analysis.findings import (
    Ageing,
    Conversion,
    DynamicSeries,
    EvaluatedImpedance,
    GroupRates,
    OperandoSpectra,
    ShareComparison,
)
from labctl.analysis.inventory import Allocation
from labctl.analysis.morphology import Fractions
from labctl.analysis.nmr import Integral, Spectrum
from labctl.analysis.nutation import Nutation
from labctl.analysis.settings import Settings

#: States of a measured cell in their order, as spectra are labelled.
STATES = ("pristine", "charged", "discharged", "dead")


@dataclass(frozen=True, slots=True)
class SocFactor:
    """By how much the charged positive electrode enhances the metal's signal, and where the number is from.

    Attributes
    ----------
    value, sd : float
        Beside an empty positive electrode, with 1 beside a full one.
    source : str
        In words.
    calibration : FactorCurve or None
        A calibration of the set-up's own, where there is one; then ``value`` is its factor at 0.
    """

    value: float
    sd: float
    source: str
    calibration: FactorCurve | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the number was measured on this set-up."""
        told = "calibrated" in self.source and "not calibrated" not in self.source
        return told or (self.calibration is not None and bool(self.calibration.id))

    @property
    def curve(self) -> FactorCurve:
        """The factor over the state of charge."""
        return self.calibration or two_points(self.value, self.sd, self.source)


@dataclass(frozen=True, slots=True)
class State:
    """The evaluated spectrum of one state of a cell.

    Attributes
    ----------
    token : str
        Of the bundle it is from.
    integral : Integral
        Of the metal, per scan, receiver gain and sine of the flip angle, with all corrections.
    spectrum : Spectrum
        For figures.
    scans : int
        NS.
    temperature_K : float or None
        Of the sample.
    corrections : mapping
        What the integral was multiplied by, by reason; ``blank`` is what was taken from it.
    electrolyte, electrolyte_sd, electrolyte_ppm : float or None
        Integral of the electrolyte's line, its deviation, and its shift; None where it is not to be seen.
    phase_deg, phase_source : float, str
        What the spectrum was turned by, and who said so.
    phase_sd_deg : float or None
        Its standard deviation.
    """

    token: str
    integral: Integral
    spectrum: Spectrum
    scans: int
    temperature_K: float | None
    corrections: Mapping[str, float] = field(default_factory=dict)
    electrolyte: float | None = None
    electrolyte_sd: float | None = None
    electrolyte_ppm: float | None = None
    phase_deg: float | None = None
    phase_source: str = ""
    phase_sd_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What NMR adds to a cycle.

    Attributes
    ----------
    states : mapping
        By label; ``pristine`` too, where there is one.
    allocation : Allocation or None
        None where a state is missing or the data does not carry it; the cell's flags say why.
    detection_limit_percent : float or None
        Dead lithium below this, in percent of the first charge, is not distinguished from none.
    excess_coulometric_percent, excess_coulometric_percent_sd : float or None
        The stripping hold's charge.
    reference_token, nutation_token : str or None
        The bundles that gave 0 ppm and the π/2 pulse.
    nutation : Nutation or None
        The fitted curve.
    soc_mode : str
        How the positive electrode's state of charge was told: ``paper`` or ``coulomb``.
    state_of_charge, soc_factors : tuple of float or None
        Of the charged, the discharged and the dead state as they were used.
    deposits : mapping of str to Fractions
        How the metal was plated, by state; of the charged one at least, where it could be told.
    """

    states: Mapping[str, State]
    allocation: Allocation | None = None
    detection_limit_percent: float | None = None
    excess_coulometric_percent: float | None = None
    excess_coulometric_percent_sd: float | None = None
    reference_token: str | None = None
    nutation_token: str | None = None
    nutation: Nutation | None = None
    soc_mode: str = "paper"
    state_of_charge: tuple[float, float, float] | None = None
    soc_factors: tuple[float, float, float] | None = None
    deposits: Mapping[str, Fractions] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CycleResult:
    """One cycle of one cell; ``impedance`` by state (``charged``, ``discharged``, ``stripped``), never mixed."""

    cycle: int
    capacities: CycleCapacities
    ledger: LedgerLine
    started: str | None = None
    ended: str | None = None
    measured: Measured | None = None
    charge_course: Course | None = None
    discharge_course: Course | None = None
    ageing: Ageing = field(default_factory=Ageing)
    impedance: Mapping[str, EvaluatedImpedance] = field(default_factory=dict)
    dynamic: tuple[DynamicSeries, ...] = ()
    operando: tuple[OperandoSpectra, ...] = ()


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell of one campaign, measured or not."""

    campaign: str
    cell: str
    group: str
    chemistry: str
    area_m2: float
    soc_factor: SocFactor
    measure_at: tuple[int, ...]
    flags: tuple[str, ...]
    cycles: tuple[CycleResult, ...]
    life: CycleLife | None = None

    @property
    def first_charge_mAh(self) -> float | None:
        """The capacity of the first charge, to which all shares refer."""
        return next((one.capacities.charge for one in self.cycles if one.cycle == 1), None)

    @property
    def allocated(self) -> tuple[CycleResult, ...]:
        """The cycles that have shares."""
        return tuple(one for one in self.cycles if one.measured is not None and one.measured.allocation is not None)


@dataclass(frozen=True, slots=True)
class Share:
    """A share over the cells of a group, in percent of the first charge.

    Attributes
    ----------
    mean : float
        Over the cells.
    sd : float or None
        Sample standard deviation (n - 1) between cells; None for a single cell.
    sd_common : float
        What the common SOC factor leaves uncertain in all cells alike; replicates do not average it down.
    """

    mean: float
    sd: float | None
    sd_common: float


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Replicates of one group at one measured cycle.

    Attributes
    ----------
    shares : mapping of str to Share
        By name of the share.
    amounts : mapping of str to tuple
        Mean and sample standard deviation (None for a single cell) of capacities and shares in mAh and of the
        Coulombic efficiency, by the names of the document.
    """

    group: str
    cycle: int
    cells: tuple[str, ...]
    shares: Mapping[str, Share]
    amounts: Mapping[str, tuple[float, float | None]]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """Everything that an evaluation found.

    Attributes
    ----------
    mode : str
        ``simulated`` or ``live``.
    campaigns : tuple of str
        Their names.
    cells, groups : tuple
        In the order of the campaigns' files; groups by name and cycle.
    settings : Settings
        What was chosen.
    notes : tuple of str
        What holds for all results.
    flags : tuple of str
        What a reader must know about single cells or groups, with their names.
    comparisons, rates, conversions : tuple
        Groups against each other, loss rates of each group, the conversion factor of each campaign.
    bundles : mapping of str to str
        Folder of each raw bundle by its token, relative to the laboratory's results, with ``/``.
    """

    mode: str
    campaigns: tuple[str, ...]
    cells: tuple[CellResult, ...]
    groups: tuple[GroupResult, ...]
    settings: Settings
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    comparisons: tuple[ShareComparison, ...] = ()
    rates: tuple[GroupRates, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    bundles: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, *, truth: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give the ``labctl.analysis/1`` document.

        Parameters
        ----------
        truth : mapping, optional
            A simulated laboratory's truth; then each share has ``_truth`` beside it.
        """
        from labctl.analysis.document import to_json

        return to_json(self, truth)
