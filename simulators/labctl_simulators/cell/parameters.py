"""The constants that all virtual cells share, each with its source, and what is drawn for one cell.

What tells one chemistry from another stands in :mod:`labctl_simulators.cell.chemistries`. "Invented" means chosen so
that the whole behaves as P1 (Wichmann et al., Nat. Commun. 2025) describes, without a number there to read. Amounts are
per cm2 and are multiplied by the cell's area on drawing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl_simulators.cell.chemistries import (
    ELECTROLYTES,
    LAYERS,
    MAH_PER_UM,
    NMC622,
    SUBSTRATES,
    USUAL,
    Chemistry,
    Layer,
    Substrate,
    find,
)

GAS_CONSTANT = 8.314462618
"""J/(mol K)."""

REFERENCE_K = 293.15
"""Temperature of the rate constants: P1 cycles at 20 degC."""

CAPACITY_MAH = NMC622.capacity
"""Initial charge capacity per cm2 of the usual cell; other positive electrodes have their own."""

CAPACITY_SPREAD = 0.012
"""Relative spread of the capacity between cells: invented (P1 gives no spread of the capacity)."""

RESISTANCE_KOHM = 0.06
"""Total polarisation resistance of the direct-current model, kOhm cm2: invented."""

KINETIC_AGEING = 0.009
"""Relative loss of a positive electrode's limiting current per cycle: invented, so that the capacity fades from the
start on."""

KINETIC_EXPONENT = 1.5
"""Power of s in the limiting current: invented."""

ANODE_REACH_MAH = 0.006
"""Connected lithium, mAh/cm2, below which the lithium side limits a discharge: invented; it rounds the passage from
cathode-limited to anode-limited discharges."""

STRIPPING_H = 0.15
"""Time constant of the last lithium's stripping in a voltage hold at 20 degC, hours: invented, so that the hold of
P1 at 40 degC ends below 1 uA within half an hour to an hour."""

ACTIVATION_J_MOL = 50e3
"""Activation energy of both limits: invented, a usual value; a factor 3.7 from 20 to 40 degC."""

LEAK_MA = 1e-5
"""Current that a hold shows when nothing is left to strip, mA/cm2: invented, far below the 1 uA of P1."""

NUCLEATION_REACH_MAH = 0.02
"""Charge, mAh/cm2, over which the nucleation overvoltage fades: invented."""

T90_RANGE_S = (6.5e-6, 7.5e-6)
"""Range of the pi/2 pulse at 80 W over cells: P1."""

SEED_MAH = 0.06
"""Lithium equivalent, mAh/cm2, of the deposits' roots that keep the copper wetted after a discharge: invented."""

SEED_CYCLE = (21.0, 2.0)
"""Cycle by which half of the roots are lost, and the width in cycles: invented, so that the resistance on bare copper
rises between cycles 15 and 30 as P1's impedance does."""

LITHIUM_NUCLEATION_V = 0.012
"""Nucleation overvoltage on lithium in LHCE: assumed."""

AGED_OHM = (745.0, 3.0)
"""Growth of the polarisation resistance of lithium against NMC622 in carbonate electrolyte when its layer's SOH80 is
reached, Ohm cm2, and its power of the cycle: assumed so that P2's SOH80 at 0.2 mA/cm2 (Fig. 6a) and late, steep rise of
the polarisation (Fig. 6c) come about."""

EARLY_CYCLES = 8.0
"""Cycles over which the extra interphase of coated copper forms: invented."""

DEAD_SD = 0.08
"""Relative spread of the dead lithium between cells: invented."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """One cell's own constants; amounts in mAh and currents in mA for the whole cell, not per area.

    ``relaxation`` is a factor on the times in which the voltage relaxes, ``alloy`` the most lithium that the substrate
    alloys with, ``metal`` the lithium that the first electrode is built with (``foil`` of it as foil) and ``second``
    that of the other, ``soc`` the state of charge of the positive electrode when the cell is built.
    """

    substrate: Substrate
    area_cm2: float
    capacity: float
    resistance_kohm: float
    kinetic_limit: float
    anode_reach: float
    leak: float
    interphase_factor: float
    dead_factor: float
    soc_factor: float
    t90_s: float
    relaxation: float
    chemistry: Chemistry
    layer: Layer
    electrolyte: str
    alloy: float
    foil: float
    metal: float
    second: float
    soc: float
    soft_short: float | None

    @property
    def curve(self) -> str:
        """Open-circuit curve of the positive electrode."""
        return self.chemistry.host.curve if self.chemistry.host is not None else ""

    @property
    def ages(self) -> bool:
        """Whether lithium metal ages as its layer says."""
        return not self.chemistry.copper and self.electrolyte == "carbonate"

    @property
    def nucleation_V(self) -> float:
        """Nucleation overvoltage on the first electrode."""
        return self.substrate.nucleation_V if self.chemistry.copper else self.lithium_nucleation_V

    @property
    def lithium_nucleation_V(self) -> float:
        """Nucleation overvoltage on lithium metal."""
        return self.layer.nucleation_V if self.electrolyte == "carbonate" else LITHIUM_NUCLEATION_V

    def resistance(self, cycle: int) -> float:
        """Polarisation resistance against a positive electrode, kOhm."""
        if not self.ages:
            return self.resistance_kohm
        ohm, power = AGED_OHM
        return self.resistance_kohm + ohm * 1e-3 / self.area_cm2 * (cycle / self.layer.soh80) ** power

    def unalloyed(self, alloyed: float) -> float:
        """Lithium that the substrate still alloys with, mAh."""
        return max(0.0, self.alloy - alloyed)

    def interphase_total(self, cycle: int) -> float:
        """Interphase that has formed by the end of the charge of ``cycle``, mAh."""
        if cycle < 1:
            return 0.0
        first, slope, early = self.substrate.interphase
        fraction = first + slope * (cycle - 1) + early * -math.expm1(-(cycle - 1) / EARLY_CYCLES)
        return self.capacity * self.interphase_factor * fraction

    def dead_total(self, cycle: int) -> float:
        """Dead lithium by the end of the discharge of ``cycle``, mAh."""
        if cycle < 1:
            return 0.0
        first, slope = self.substrate.dead
        return self.capacity * self.dead_factor * (first + slope * (cycle - 1))

    def kinetic(self, cycle: int, temperature_K: float) -> float:
        """Limiting current of the cathode at full charge, mA; multiply by s^1.5."""
        return self.kinetic_limit * arrhenius(temperature_K) / (1 + KINETIC_AGEING * max(0, cycle - 1))

    def seed(self, cycle: int) -> float:
        """Lithium equivalent of the deposits' roots that a discharge of ``cycle`` leaves, mAh."""
        centre, width = SEED_CYCLE
        return SEED_MAH * self.area_cm2 / (1 + math.exp((cycle - centre) / width))


def arrhenius(temperature_K: float) -> float:
    """How much faster both limits are than at 20 degC."""
    return math.exp(ACTIVATION_J_MOL / GAS_CONSTANT * (1 / REFERENCE_K - 1 / temperature_K))


def generator(seed: int, cell_id: str, token: str) -> np.random.Generator:
    """Random numbers that depend on nothing but seed, cell and token, so that order and restarts change nothing."""
    digest = hashlib.sha256(f"{seed}\0{cell_id}\0{token}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


OPTIONS = (
    "substrate",
    "soc_factor",
    "leak_A",
    "capacity_mAh",
    "relaxation",
    "layer",
    "electrolyte",
    "foil_um",
    "alloy_mAh",
    "deposit_mAh",
    "soc",
    "soft_short",
)


def draw(
    seed: int, cell_id: str, area_m2: float, options: Mapping[str, Any] | None = None, chemistry: str = USUAL
) -> Parameters:
    """Draw the constants of one cell.

    Parameters
    ----------
    seed, cell_id
        Of the laboratory and of the cell; the same two always give the same cell.
    area_m2 : float
        Electrode area in m2.
    options : mapping
        Set instead of drawn or usual; amounts are of the whole cell: ``substrate`` (as in ``SUBSTRATES``), ``layer``
        (as in ``LAYERS``), ``electrolyte`` (as in ``ELECTROLYTES``), ``soc_factor`` (true f(0)), ``leak_A`` (A),
        ``capacity_mAh``, ``alloy_mAh``; ``foil_um`` (um of lithium that it is built with), ``deposit_mAh`` (lithium
        plated before it was built), ``soc`` (of the positive electrode when it is built, 0 to 1), ``soft_short``
        (cycle from which lithium against lithium is bridged); ``relaxation`` (a factor, 1) makes the voltage relax
        faster or slower after a change of current.
    chemistry : str
        One of ``CHEMISTRIES``.

    Raises
    ------
    ValueError
        For an unknown chemistry, option, substrate, layer or electrolyte, or an area or an amount that cannot be,
        naming it.
    """
    options = dict(options or {})
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"cell {cell_id}: unknown simulation option {name!r}; known are {', '.join(OPTIONS)}")
    if not area_m2 > 0:
        raise ValueError(f"cell {cell_id}: area is {area_m2} m2; it must be greater than 0")
    try:
        kind, implied = find(chemistry)
    except ValueError as error:
        raise ValueError(f"cell {cell_id}: {error}") from None
    substrate = _chosen(cell_id, "substrate", options.get("substrate", implied), SUBSTRATES)
    layer = _chosen(cell_id, "layer", options.get("layer", "none"), LAYERS)
    electrolyte = str(options.get("electrolyte", kind.electrolyte))
    _chosen(cell_id, "electrolyte", electrolyte, ELECTROLYTES)
    relaxation = float(options.get("relaxation", 1.0))
    if not relaxation > 0:
        raise ValueError(f"cell {cell_id}: relaxation is {relaxation:g}; it must be greater than 0")
    soc = float(options.get("soc", 0.0))
    if not 0.0 <= soc <= 1.0:
        raise ValueError(f"cell {cell_id}: soc is {soc:g}; it must be between 0 and 1")
    area = area_m2 * 1e4
    rng = generator(seed, cell_id, "cell")
    spread = np.clip(rng.standard_normal(4), -3, 3)
    t90 = float(rng.uniform(*T90_RANGE_S))
    host = kind.host or NMC622
    foil = 0.0
    if kind.foil is not None:
        foil = _amount(cell_id, options, "foil_um", kind.foil.thickness_um) * MAH_PER_UM * area
    deposit = _amount(cell_id, options, "deposit_mAh", 0.0)
    mean, sd = host.soc_factor
    capacity = options.get("capacity_mAh")
    soc_factor = options.get("soc_factor")
    leak = options.get("leak_A")
    return Parameters(
        substrate=substrate,
        area_cm2=area,
        capacity=float(host.capacity * area * (1 + CAPACITY_SPREAD * spread[0]) if capacity is None else capacity),
        resistance_kohm=RESISTANCE_KOHM / area,
        kinetic_limit=host.kinetic_mA * area,
        anode_reach=ANODE_REACH_MAH * area,
        leak=float(LEAK_MA * area if leak is None else leak * 1e3),
        interphase_factor=float(1 + substrate.rate_sd * spread[1]),
        dead_factor=float(1 + DEAD_SD * spread[2]),
        soc_factor=float(mean + sd * spread[3] if soc_factor is None else soc_factor),
        t90_s=t90,
        relaxation=relaxation,
        chemistry=kind,
        layer=layer,
        electrolyte=electrolyte,
        alloy=_amount(cell_id, options, "alloy_mAh", substrate.alloy_mAh * area) if kind.copper else 0.0,
        foil=0.0 if kind.copper else foil,
        metal=deposit + (0.0 if kind.copper else foil),
        second=foil if kind.host is None else 0.0,
        soc=soc if kind.host is not None else 0.0,
        soft_short=_amount(cell_id, options, "soft_short", 0.0) or None,
    )


def _chosen(cell_id: str, what: str, name: Any, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"cell {cell_id}: unknown {what} {name!r}; known are {', '.join(known)}")
    return known[name]


def _amount(cell_id: str, options: Mapping[str, Any], name: str, usual: float) -> float:
    value = float(options.get(name, usual))
    if not value >= 0:
        raise ValueError(f"cell {cell_id}: {name} is {value:g}; it must not be negative")
    return value
