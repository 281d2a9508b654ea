"""The constants of the virtual cell, each with its source, and what is drawn for one cell.

P1 is Wichmann et al., Nat. Commun. 2025; P2 is Bela et al. 2025. "Invented" means chosen so that the whole behaves as
P1 describes, without a number there to read. Amounts are per cm2 and are multiplied by the cell's area on drawing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

GAS_CONSTANT = 8.314462618
"""J/(mol K)."""

REFERENCE_K = 293.15
"""Temperature of the rate constants: P1 cycles at 20 degC."""

CAPACITY_MAH = 2.62
"""Initial charge capacity per cm2: P1's operando cell took 13 h 07 min at 0.2 mA/cm2."""

CAPACITY_SPREAD = 0.012
"""Relative spread of the capacity between cells: invented (P1 gives no spread of the capacity)."""

RESISTANCE_KOHM = 0.06
"""Total polarisation resistance of the direct-current model, kOhm cm2: invented."""

KINETIC_LIMIT_MA = 0.6 / 0.121**1.5
"""Limiting current of the NMC's re-lithiation is this times s^1.5, mA/cm2 at 20 degC: chosen so that a discharge at
0.6 mA/cm2 leaves 8.8 % of the first charge as excess lithium in cycle 1 (P1, figure 2)."""

KINETIC_AGEING = 0.009
"""Relative loss of that limiting current per cycle: invented, so that the capacity fades from the start on."""

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

SOC_FACTOR = (1.08, 0.015)
"""Mean and spread of f(0), the loss of 7Li signal beside fully lithiated NMC: P1's 1.08; the spread is what P1's
own decays of 6 to 8 % leave open."""

T90_RANGE_S = (6.5e-6, 7.5e-6)
"""Range of the pi/2 pulse at 80 W over cells: P1."""

SEED_MAH = 0.06
"""Lithium equivalent, mAh/cm2, of the deposits' roots that keep the copper wetted after a discharge: invented."""

SEED_CYCLE = (21.0, 2.0)
"""Cycle by which half of the roots are lost, and the width in cycles: invented, so that the resistance on bare copper
rises between cycles 15 and 30 as P1's impedance does."""


@dataclass(frozen=True, slots=True)
class Substrate:
    """What tells bare from coated copper.

    Attributes
    ----------
    interphase : tuple of float
        First cycle, per further cycle, and extra over the first cycles; fractions of the capacity.
    dead : tuple of float
        First cycle, and per further cycle; fractions of the capacity.
    rate_sd : float
        Relative spread of the interphase between cells.
    nucleation_V : float
        Nucleation overvoltage.
    bare : bool
        Whether the impedance rises where the lithium has gone.
    """

    name: str
    interphase: tuple[float, float, float]
    dead: tuple[float, float]
    rate_sd: float
    nucleation_V: float
    bare: bool


SUBSTRATES = {
    # Interphase after 30 cycles 20.5 +- 1.0 % (bare) and 18.9 +- 0.2 % (coated), linear on bare copper, at first higher
    # on coated copper: P1. Dead lithium: inferred from P1's SOH80 of 35 and 50 cycles and its 60 % less dead lithium.
    "bare": Substrate("bare", (0.031, 0.0060, 0.0), (0.002, 0.00179), 0.035, 0.045, bare=True),
    "coated": Substrate("coated", (0.045, 0.0036, 0.0407), (0.001, 0.00071), 0.008, 0.012, bare=False),
}

EARLY_CYCLES = 8.0
"""Cycles over which the extra interphase of coated copper forms: invented."""

DEAD_SD = 0.08
"""Relative spread of the dead lithium between cells: invented."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """One cell's own constants; amounts in mAh and currents in mA for the whole cell, not per area.

    ``relaxation`` is a factor on the times in which the voltage relaxes.
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
    relaxation: float = 1.0

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


OPTIONS = ("substrate", "soc_factor", "leak_A", "capacity_mAh", "relaxation")


def draw(seed: int, cell_id: str, area_m2: float, options: Mapping[str, Any] | None = None) -> Parameters:
    """Draw the constants of one cell.

    Parameters
    ----------
    seed, cell_id
        Of the laboratory and of the cell; the same two always give the same cell.
    area_m2 : float
        Electrode area in m2.
    options : mapping
        ``substrate`` (``bare`` or ``coated``), ``soc_factor`` (true f(0)), ``leak_A`` (A, whole cell),
        ``capacity_mAh`` (mAh, whole cell) set instead of drawn; ``relaxation`` (a factor, 1) makes the voltage relax
        faster or slower after a change of current.

    Raises
    ------
    ValueError
        For an unknown option or substrate, or an area or a relaxation that is not positive, naming it.
    """
    options = dict(options or {})
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"cell {cell_id}: unknown simulation option {name!r}; known are {', '.join(OPTIONS)}")
    if not area_m2 > 0:
        raise ValueError(f"cell {cell_id}: area is {area_m2} m2; it must be greater than 0")
    name = options.get("substrate", "bare")
    if name not in SUBSTRATES:
        raise ValueError(f"cell {cell_id}: unknown substrate {name!r}; known are {', '.join(SUBSTRATES)}")
    relaxation = float(options.get("relaxation", 1.0))
    if not relaxation > 0:
        raise ValueError(f"cell {cell_id}: relaxation is {relaxation:g}; it must be greater than 0")
    substrate = SUBSTRATES[name]
    area = area_m2 * 1e4
    rng = generator(seed, cell_id, "cell")
    spread = np.clip(rng.standard_normal(4), -3, 3)
    t90 = float(rng.uniform(*T90_RANGE_S))
    capacity = options.get("capacity_mAh")
    soc_factor = options.get("soc_factor")
    leak = options.get("leak_A")
    return Parameters(
        substrate=substrate,
        area_cm2=area,
        capacity=float(CAPACITY_MAH * area * (1 + CAPACITY_SPREAD * spread[0]) if capacity is None else capacity),
        resistance_kohm=RESISTANCE_KOHM / area,
        kinetic_limit=KINETIC_LIMIT_MA * area,
        anode_reach=ANODE_REACH_MAH * area,
        leak=float(LEAK_MA * area if leak is None else leak * 1e3),
        interphase_factor=float(1 + substrate.rate_sd * spread[1]),
        dead_factor=float(1 + DEAD_SD * spread[2]),
        soc_factor=float(SOC_FACTOR[0] + SOC_FACTOR[1] * spread[3] if soc_factor is None else soc_factor),
        t90_s=t90,
        relaxation=relaxation,
    )
