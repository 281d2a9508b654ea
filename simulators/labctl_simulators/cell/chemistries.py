"""What virtual cells can be made of: every number that tells one chemistry from another, each with its source.

P1 is Wichmann et al., Nat. Commun. 2025, doi:10.1038/s41467-025-62289-6. P2 is Bela et al., J. Mater. Chem. A 2025,
doi:10.1039/d4ta06366j. "Assumed" means chosen so that the whole behaves as the paper describes, without a number there
to read. Amounts are per cm2 of electrode. ``markdown()`` gives all of it as the table that stands in
docs/virtual-cell.md. Numbers that all chemistries share stand in :mod:`labctl_simulators.cell.parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

MAH_PER_UM: Final = 0.2062
"""Lithium metal, mAh/cm2 per um: 3861 mAh/g (the Faraday constant over 6.94 g/mol) times 0.534 g/cm3."""

Sources = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Host:
    """A positive electrode that takes lithium up.

    Attributes
    ----------
    capacity : float
        Initial charge capacity, mAh/cm2.
    window : tuple of float
        Lower and upper cut-off, V, that the paper uses with it.
    curve : str
        Which open-circuit curve of :mod:`labctl_simulators.cell.curves`.
    kinetic_mA : float
        Its re-lithiation is limited to this times s^1.5, mA/cm2 at 20 degC.
    soc_factor : tuple of float
        Mean and spread of f(0), by which lithium beside the fully lithiated electrode gives too small a signal.
    shift_ppm : tuple of float
        By how much it shifts lithium metal when empty of lithium, and how much more when full.
    """

    name: str
    capacity: float
    window: tuple[float, float]
    curve: str
    kinetic_mA: float
    soc_factor: tuple[float, float]
    shift_ppm: tuple[float, float]
    sources: Sources = field(repr=False)


NMC622: Final = Host(
    "NMC622",
    capacity=2.62,
    window=(3.0, 4.3),
    curve="nmc622",
    kinetic_mA=0.6 / 0.121**1.5,
    soc_factor=(1.08, 0.015),
    shift_ppm=(3.8, 3.3),
    sources={
        "capacity": "P1, Methods, operando cell: 13 h 07 min at 0.2 mA/cm2; nominal 2.3 mAh/cm2 (Methods, Materials)",
        "window": "P1, Methods, Charge/discharge cycling",
        "curve": "shape assumed; steep at both ends, so that 0.2 and 0.4 mA/cm2 both end within 0.01 % of full",
        "kinetic_mA": "assumed so that 0.6 mA/cm2 leaves 8.8 % of the first charge in cycle 1 (P1, Fig. 2b)",
        "soc_factor": "P1, Methods, 7Li NMR spectroscopy: 1.08; spread: what P1's 6 to 8 % (Fig. 1d) leave open",
        "shift_ppm": "P1, Fig. 1: 242.9 alone, 246.7 beside charged, 3.3 more beside discharged NMC622",
    },
)

LFP: Final = Host(
    "LFP",
    capacity=2.3,
    window=(2.0, 3.8),
    curve="lfp",
    kinetic_mA=0.6 / 0.024**1.5,
    soc_factor=(1.0, 0.0),
    shift_ppm=(3.8, 0.0),
    sources={
        "capacity": "P1, Methods, Materials: areal capacity 2.3 mAh/cm2 (14.7 mg/cm2, 92.5 % LFP)",
        "window": "P1, Methods, Charge/discharge cycling",
        "curve": "Afshar et al. 2017, arXiv:1709.03970 (plateau 3.40 V); its last 0.1 % before full assumed",
        "kinetic_mA": "so that 0.6 mA/cm2 leaves 2.4 % of the first charge with lithium metal (P1, Suppl. Fig. 5)",
        "soc_factor": "assumed none: P1 calibrates NMC622 only",
        "shift_ppm": "assumed as beside charged NMC622, whatever the state of charge: P1 calibrates NMC622 only",
    },
)

LNMO: Final = Host(
    "LNMO",
    capacity=2.3,
    window=(3.0, 4.95),
    curve="lnmo",
    kinetic_mA=0.6 / 0.002**1.5,
    soc_factor=(1.0, 0.0),
    shift_ppm=(3.8, 0.0),
    sources={
        "capacity": "P1, Methods, Materials: areal capacity 2.3 mAh/cm2 (16.5 mg/cm2, 95 % LNMO)",
        "window": "P1, Methods, Charge/discharge cycling",
        "curve": "shape assumed: manganese step near 4.0 V (5 % of the charge), nickel plateaus 4.69 and 4.74 V",
        "kinetic_mA": "assumed: P1 sees a limit with NMC only (Results, after Fig. 2)",
        "soc_factor": "assumed none: P1 calibrates NMC622 only",
        "shift_ppm": "assumed as beside charged NMC622, whatever the state of charge: P1 calibrates NMC622 only",
    },
)

HOSTS: Final = {host.name: host for host in (NMC622, LFP, LNMO)}


@dataclass(frozen=True, slots=True)
class Substrate:
    """What lithium is plated on.

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
    alloy_mAh : float
        Lithium, mAh/cm2, that alloys before any metal is plated, and shows as a line and a voltage plateau.
    """

    name: str
    interphase: tuple[float, float, float]
    dead: tuple[float, float]
    rate_sd: float
    nucleation_V: float
    bare: bool
    alloy_mAh: float = 0.0
    sources: Sources = field(default_factory=dict, repr=False)


_LOSSES: Final = (
    "P1, Fig. 3: interphase after 30 cycles 20.5 +- 1.0 % (bare) and 18.9 +- 0.2 % (coated), linear on bare copper, "
    "at first higher on coated"
)
_DEAD: Final = "inferred from P1's SOH80 of 35 and 50 cycles and its 60 % less dead lithium (Fig. 3)"
_TIP: Final = "assumed; P1 (Suppl. Fig. 9): clear on bare copper, alleviated by the coating"

SUBSTRATES: Final = {
    "bare": Substrate(
        "bare", (0.031, 0.0060, 0.0), (0.002, 0.00179), 0.035, 0.045, bare=True,
        sources={"interphase": _LOSSES, "dead": _DEAD, "rate_sd": "P1: +- 1.0 % after 30 cycles",
                 "nucleation_V": _TIP, "bare": "P1, Fig. 5", "alloy_mAh": "none: copper does not alloy"},
    ),
    "coated": Substrate(
        "coated", (0.045, 0.0036, 0.0407), (0.001, 0.00071), 0.008, 0.012, bare=False,
        sources={"interphase": _LOSSES + "; its 0.05 mAh/cm2 of alloy included", "dead": _DEAD,
                 "rate_sd": "P1: +- 0.2 % after 30 cycles", "nucleation_V": _TIP, "bare": "P1, Fig. 5",
                 "alloy_mAh": "0 unless 'alloy_mAh' is said: P1 sees none in spectra that quantify the metal"},
    ),
    "SrF2": Substrate(
        "SrF2", (0.031, 0.0060, 0.0), (0.002, 0.00179), 0.035, 0.035, bare=True,
        sources={"interphase": "assumed as bare: only SrF2 and Sn together help (P1, Suppl. Fig. 29)",
                 "dead": "assumed as bare, see interphase", "rate_sd": "assumed as bare",
                 "nucleation_V": "assumed, between bare and coated", "bare": "assumed as bare",
                 "alloy_mAh": "none: P1 sees no plateau and no line (Fig. 6)"},
    ),
    "Sn": Substrate(
        "Sn", (0.031, 0.0060, 0.0), (0.002, 0.00179), 0.035, 0.012, bare=False, alloy_mAh=0.05,
        sources={"interphase": "assumed as bare, beside the alloy (P1, Suppl. Fig. 29)",
                 "dead": "assumed as bare, see interphase", "rate_sd": "assumed as bare",
                 "nucleation_V": "assumed as coated: P1 sees a similar initial plateau (Fig. 6a)",
                 "bare": "assumed as coated: P1 ascribes the interface to the alloy",
                 "alloy_mAh": "P1, Results, Structural analysis: 0.05 mAh/cm2"},
    ),
}  # fmt: skip

ALLOY_PLATEAUS: Final = ((0.40, 0.760), (1.00, 0.660), (2.33, 0.530), (2.60, 0.485), (3.50, 0.420), (4.40, 0.380))
"""Lithium per tin at the end of a plateau, and its potential against lithium in V, up to Li22Sn5 at room temperature:
Huggins, in: Besenhard (ed.), Handbook of Battery Materials, ch. 14, Fig. 14.16."""

FRESH_COPPER_V: Final = (2.8, 0.002)
"""Potential of copper that has seen no lithium against lithium, V, and the charge in mAh/cm2 over which the reduction
of its surface and of the electrolyte brings it down: assumed."""

STRIPPED_COPPER_V: Final = (0.6, 0.0005)
"""Potential of copper whose lithium is gone, V, and the mAh/cm2 below which it is felt: assumed."""


@dataclass(frozen=True, slots=True)
class Foil:
    """Lithium metal that a cell is built with."""

    name: str
    thickness_um: float
    sources: Sources = field(repr=False)


FOILS: Final = {
    "thin": Foil("thin", 20.0, {"thickness_um": "P1, Fig. 1 and Methods, Cells: 20 um lithium on 10 um copper"}),
    "rolled": Foil("rolled", 130.0, {"thickness_um": "P2, Experimental, Materials: roll-pressed to 130 um"}),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """A protective layer on lithium metal, in P2's carbonate electrolyte.

    Attributes
    ----------
    nucleation_V : float
        Tip minus plateau of the first deposition at 0.5 mA/cm2.
    life : tuple of float
        Cycles of 0.5 mAh/cm2 until a symmetric cell reaches 1.5 V, at 1 and at 2 mA/cm2.
    soh80 : float
        Cycles until a cell against NMC622 has lost 20 % of its first discharge capacity at 0.2 mA/cm2.
    ohm : tuple of float
        Interphase resistance of one electrode, Ohm cm2: before cycling, after the first cycles, and after 50.
    cycles : float
        Cycles over which the first becomes the second.
    """

    name: str
    nucleation_V: float
    life: tuple[float, float]
    soh80: float
    ohm: tuple[float, float, float]
    cycles: float
    sources: Sources = field(repr=False)


_TWO: Final = "at 2 mA/cm2 "
_OHM: Final = "values assumed (P2, Fig. 4g shows them, the text gives none); course as there: "

LAYERS: Final = {
    "none": Layer(
        "none", 0.26, (200.0, 70.0), 70.0, (120.0, 30.0, 30.0), 2.0,
        {"nucleation_V": "P2, Fig. 4f: 0.26 V", "life": "P2, Table S1: 200 cycles at 1 mA/cm2; " + _TWO + "assumed",
         "soh80": "P2, Fig. 6a: 70", "ohm": _OHM + "high at first, then a rapid fall", "cycles": "assumed"},
    ),
    "LiN": Layer(
        "LiN", 0.19, (260.0, 80.0), 71.0, (180.0, 60.0, 30.0), 4.0,
        {"nucleation_V": "P2, Fig. 4f: 0.19 V", "life": "assumed between the others, as P2 says (Fig. 4a, b)",
         "soh80": "P2, Fig. 6a: 71", "ohm": _OHM + "higher than bare, falls to bare between cycles 30 and 50",
         "cycles": "assumed"},
    ),
    "dual": Layer(
        "dual", 0.20, (360.0, 99.4), 105.0, (200.0, 80.0, 80.0), 4.0,
        {"nucleation_V": "P2, Fig. 4f: 0.20 V",
         "life": "P2, Table S1: 360 cycles at 1 mA/cm2; " + _TWO + "42 % more than without",
         "soh80": "P2, Fig. 6a: 105", "ohm": _OHM + "falls within ten cycles, then constant to 50",
         "cycles": "P2, Fig. 4g: within the first ten cycles"},
    ),
}  # fmt: skip

SYMMETRIC_CAPACITY: Final = 0.5
"""mAh/cm2 of a half cycle that a layer's life is given for: P2, Experimental."""

CUT_OFF_V: Final = 1.5
"""Voltage at which a layer's life ends: P2, Experimental."""

ELECTROLYTES: Final = {
    "LHCE": "P1, Methods: LiFSI, DME, TTE 1:1.2:3; nothing of lithium's ageing is seen in the voltage (assumed)",
    "carbonate": "P2, Experimental: 1 M LiPF6 in EC:EMC 3:7; lithium ages as its layer says",
}


@dataclass(frozen=True, slots=True)
class Chemistry:
    """A combination that a cell can be made of; the first electrode is the negative one, as in ``Cu||NMC622``.

    Attributes
    ----------
    host : Host or None
        Positive electrode, None where it is lithium metal.
    copper : bool
        Whether the first electrode is copper, coated or not.
    foil : Foil or None
        Lithium that it is built with, of each electrode that is lithium metal.
    electrolyte : str
        Unless ``simulate`` says another.
    """

    name: str
    host: Host | None
    copper: bool
    foil: Foil | None
    electrolyte: str
    sources: Sources = field(repr=False)


def _chemistries() -> dict[str, Chemistry]:
    made = [
        Chemistry(f"Cu||{host.name}", host, copper=True, foil=None, electrolyte="LHCE", sources={"electrolyte": "P1"})
        for host in HOSTS.values()
    ]
    made += [
        Chemistry("Li||NMC622", NMC622, copper=False, foil=FOILS["rolled"], electrolyte="carbonate",
                  sources={"electrolyte": "P2; P1's comparator (Fig. 5c) is in LHCE: say 'electrolyte: LHCE'"}),
        Chemistry("Li||LFP", LFP, copper=False, foil=FOILS["thin"], electrolyte="LHCE", sources={"electrolyte": "P1"}),
        Chemistry("Li||LNMO", LNMO, copper=False, foil=FOILS["thin"], electrolyte="LHCE",
                  sources={"electrolyte": "P1"}),
        Chemistry("Li||Li", None, copper=False, foil=FOILS["rolled"], electrolyte="carbonate",
                  sources={"electrolyte": "P2"}),
        Chemistry("Cu||Li", None, copper=True, foil=FOILS["thin"], electrolyte="LHCE",
                  sources={"electrolyte": "P1, T-cell: copper is the counter electrode"}),
    ]  # fmt: skip
    return {one.name: one for one in made}


CHEMISTRIES: Final = _chemistries()

USUAL: Final = "Cu||NMC622"
"""Where nothing is said."""

_COATED: Final = "coated "


def find(name: str) -> tuple[Chemistry, str]:
    """Give a chemistry and the substrate that its name implies: ``coated Cu||LFP`` is ``Cu||LFP``, coated.

    ``NMC622||Li`` means ``Li||NMC622``: a full cell's positive electrode is the one that takes lithium up.

    Raises
    ------
    ValueError
        There is none of that name; the message lists those that there are.
    """
    plain = name.strip().removeprefix(_COATED)
    first, _, second = plain.partition("||")
    if plain not in CHEMISTRIES and first in HOSTS:
        plain = f"{second}||{first}"
    if plain not in CHEMISTRIES:
        alone = ", ".join(("Cu", "Li", *HOSTS))
        raise ValueError(f"unknown chemistry {name!r}; known are {', '.join(CHEMISTRIES)}; of electrodes alone {alone}")
    found = CHEMISTRIES[plain]
    if name.strip().startswith(_COATED) and not found.copper:
        raise ValueError(f"unknown chemistry {name!r}; only copper can be 'coated '")
    return found, "coated" if name.strip().startswith(_COATED) else "bare"


def of_electrode(name: str) -> tuple[str, str | None]:
    """Give the chemistry that an electrode alone could be in, and its side there; of a cell its own name and None."""
    plain = name.strip().removeprefix(_COATED)
    if plain == "Cu":
        return name.replace("Cu", USUAL), "negative"
    if name.strip() == "Li":
        return "Li||LFP", "negative"
    return (f"Cu||{plain}", "positive") if name.strip() in HOSTS else (name, None)


# As a table


def rows() -> list[tuple[str, str, str, str]]:
    """Give what, which quantity, its value and its source, for everything above."""
    found = []
    for kind, table in (
        ("positive electrode", HOSTS), ("substrate", SUBSTRATES), ("foil", FOILS), ("layer", LAYERS),
    ):  # fmt: skip
        for name, entry in table.items():
            for what, value in asdict(entry).items():
                if what not in ("name", "sources"):
                    found.append((f"{kind} {name}", what, _shown(value), entry.sources.get(what, "")))
    found += [(f"electrolyte {name}", "ageing", "", source) for name, source in ELECTROLYTES.items()]
    for chemistry in CHEMISTRIES.values():
        made = f"{chemistry.electrolyte}" + (f", {chemistry.foil.name} foil" if chemistry.foil else "")
        found.append((chemistry.name, "made with", made, chemistry.sources["electrolyte"]))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown() -> str:
    """Give :func:`rows` as a table in Markdown."""
    lines = ["| of | what | value | source |", "|---|---|---|---|"]
    lines += [
        f"| {of.replace('||', '&#124;&#124;')} | {what} | {value} | {source} |" for of, what, value, source in rows()
    ]
    return "\n".join(lines) + "\n"
