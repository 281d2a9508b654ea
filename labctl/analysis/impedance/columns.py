"""What columns of an impedance table mean: their names and units as programs write them. No files here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.analysis.impedance.spectrum import Complexes, Floats
from labctl.errors import DataError

#: Prefixes of the units; the letter before ``hz``, ``ohm``, ``s``, ``v`` or ``a``, where case counts.
_PREFIXES: Final = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
_KINDS: Final = {"hz": "Hz", "ohm": "ohm", "ohms": "ohm", "ω": "ohm", "s": "s", "sec": "s", "v": "V", "a": "A"}
_ANGLES: Final = {"deg": np.pi / 180, "degree": np.pi / 180, "degrees": np.pi / 180, "°": np.pi / 180, "rad": 1.0}
_UNIT: Final = re.compile(r"^([nuµμmkKM]?)(hz|ohms?|Ω|Ω|s|sec|v|a)$", re.IGNORECASE)
_PARTS: Final = re.compile(
    r"^(?P<name>.*?)\s*(?:[\[({]\s*(?P<bracket>[^\[\](){}]+?)\s*[\])}]|/\s*(?P<slash>[^/()]+))?$"
)
_TAIL: Final = re.compile(r"^(?P<name>.+)[_ ](?P<unit>[^_ ]+)$")
#: What a bracket without a unit belongs to: ``Re(Z)``.
_FUNCTIONS: Final = ("re", "im", "phase", "abs", "real", "imag")

_ELECTRODES: Final = {
    **dict.fromkeys(("we", "working"), "working"),
    **dict.fromkeys(("ce", "counter"), "counter"),
    **dict.fromkeys(("we-ce", "wece", "cell"), "cell"),
}

_QUANTITIES: Final = {
    "frequency": ("f", "freq", "frequency", "frequenz", "nu"),
    "angular": ("omega", "ω", "w"),
    "real": ("re", "real", "zre", "zreal", "z'", "rez", "realz", "z_re", "z_real", "zr", "real_part", "z′", "z1"),
    "imaginary": (
        *("im", "imag", "imaginary", "zim", "zimag", "z''", 'z"', "imz", "imagz", "z_im", "z_imag", "zi"),
        *("imaginary_part", "z″", "z′′", "z2"),
    ),
    "magnitude": ("z", "|z|", "mag", "magnitude", "modulus", "zmod", "absz", "impedance", "z_mod", "z_abs"),
    "phase": ("phase", "phasez", "phi", "φ", "theta", "θ", "zphz", "phasenwinkel", "arg", "argz", "phase_angle"),
    "time": ("time", "t", "elapsed"),
    "voltage": ("voltage", "ewe", "<ewe>", "u", "e", "vdc", "v", "edc"),
    "current": ("current", "<i>", "i", "idc"),
}
_DIMENSIONS: Final = {"frequency": "Hz", "angular": "rad", "phase": "rad", "time": "s", "voltage": "V", "current": "A"}
_MEANINGS: Final = {name: quantity for quantity, names in _QUANTITIES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is understood.

    Attributes
    ----------
    quantity : str
        A key of the table of names.
    electrode : str
        ``cell``, ``working`` or ``counter``.
    factor : float
        Makes the value Hz, ohm, rad, s, V or A, with its own sign.
    """

    quantity: str
    electrode: str
    factor: float


def understand(title: str) -> Column | None:
    """Say what a column is, None where its name is not known, or its unit is none of what it measures.

    Names as of labctl, EC-Lab, Thales, ZView, Gamry, RelaxIS and common hand-made tables; unit behind ``/`` or ``_``
    or in brackets; a minus before the name means that the opposite is stored.
    """
    whole = _PARTS.match(title.strip().strip('"').strip())
    if whole is None:
        return None
    name, text = whole["name"], whole["bracket"] or whole["slash"]
    if whole["bracket"] is not None and name.strip("-").lower() in _FUNCTIONS and _unit(whole["bracket"]) is None:
        name, text = whole[0], None
    if text is None and (tail := _TAIL.match(name)) is not None and _unit(tail["unit"]) is not None:
        name, text = tail["name"], tail["unit"]
    sign = 1.0
    if name[:1] in ("-", "−", "–"):
        sign, name = -1.0, name[1:].strip()
    name, electrode = _electrode(name)
    quantity = _MEANINGS.get(name.lower().replace(" ", "_")) or _MEANINGS.get(re.sub(r"[ ()]", "", name.lower()))
    if quantity is None:
        return None
    if text is None:
        return Column(quantity, electrode, sign * (np.pi / 180 if quantity == "phase" else 1.0))
    unit = _unit(text)
    if unit is None or unit[0] != _DIMENSIONS.get(quantity, "ohm"):
        return None
    return Column(quantity, electrode, sign * unit[1])


def _electrode(name: str) -> tuple[str, str]:
    """Take the electrode out of a name such as ``Re(Zwe-ce)``, ``working_real``, ``|Zce|``."""
    first, _, rest = name.partition("_")
    if first.lower() in _ELECTRODES and rest:
        return rest, _ELECTRODES[first.lower()]
    found = re.search(r"z(we-ce|wece|we|ce)\b", name, re.IGNORECASE)
    if found is None:
        return name, ""
    return name[: found.start() + 1] + name[found.end() :], _ELECTRODES[found[1].lower()]


def _unit(text: str) -> tuple[str, float] | None:
    """Dimension and factor to Hz, ohm, rad, s, V or A."""
    lower = text.strip().lower()
    if lower in ("rad/s", "1/s", "s-1"):
        return "rad", 1.0
    if lower in _ANGLES:
        return "rad", float(_ANGLES[lower])
    found = _UNIT.match(text.strip())
    if found is None or found[1] not in _PREFIXES:
        return None
    return _KINDS[found[2].lower()], _PREFIXES[found[1]]


def impedances(
    found: Mapping[str, Column], values: Mapping[str, Floats], where: str
) -> tuple[Floats, dict[str, Complexes], dict[str, Floats]]:
    """Put frequency, impedance of each electrode and the tracks together from columns that are understood.

    Parameters
    ----------
    found : mapping
        Title to meaning.
    values : mapping
        Title to values, in the file's units.
    where : str
        File, for messages.

    Returns
    -------
    tuple
        Frequency in Hz; impedance in ohm under ``""`` where the table names no electrode, ``working``, ``counter`` and
        ``cell``; and ``time``, ``voltage`` and ``current``.

    Raises
    ------
    DataError
        A needed column is missing; says which were found.
    """
    by: dict[tuple[str, str], Floats] = {}
    for title, column in found.items():
        by.setdefault((column.quantity, column.electrode), values[title] * column.factor)
    frequency = by.get(("frequency", ""))
    if frequency is None and ("angular", "") in by:
        frequency = by["angular", ""] / (2 * np.pi)
    made: dict[str, Complexes] = {}
    for electrode in ("", "working", "counter", "cell"):
        if ("real", electrode) in by and ("imaginary", electrode) in by:
            with np.errstate(all="ignore"):  # what is not finite is refused by its point later
                made[electrode] = by["real", electrode] + 1j * by["imaginary", electrode]
        elif ("magnitude", electrode) in by and ("phase", electrode) in by:
            with np.errstate(all="ignore"):
                made[electrode] = by["magnitude", electrode] * np.exp(1j * by["phase", electrode])
    if frequency is None or not made:
        raise DataError(missing(tuple(values), found, where))
    return frequency, made, {name: by[name, ""] for name in ("time", "voltage", "current") if (name, "") in by}


def missing(titles: Sequence[str], found: Mapping[str, Column], where: str) -> str:
    """Say which columns an impedance table lacks, and which it has."""
    has = {column.quantity for column in found.values()}
    wanted = [] if has & {"frequency", "angular"} else ["frequency_Hz"]
    if "magnitude" in has or "phase" in has:
        pair = (("magnitude", "magnitude_ohm"), ("phase", "phase_deg"))
    else:
        pair = (("real", "real_ohm"), ("imaginary", "imaginary_ohm"))
    wanted += [name for quantity, name in pair if quantity not in has]
    return (
        f"{where}: the columns {', '.join(wanted) or 'real_ohm and imaginary_ohm of one electrode'} are missing; found "
        f"{', '.join(title.strip() or '(no name)' for title in titles) or 'none'}; names with units such as "
        "frequency_Hz, Re(Z)/Ohm, -Im(Z)/Ohm, |Z|/Ohm, Phase(Z)/deg are understood"
    )
