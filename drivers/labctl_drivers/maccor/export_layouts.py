"""How the tester's text exports are laid out: the known headings, and how their numbers and times are spelt.

Data and small functions only. A heading belongs to a layout where every column that a record needs is there under the
layout's own name, once; other columns (auxiliary inputs, variables, flags) may stand beside them. What is known of each
layout is in the driver's page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: What a record is made of, in the order of :class:`Layout` columns.
ROLES: Final = ("record", "step", "time", "capacity", "current", "voltage", "state", "end")
#: Names under which plain numbers of the test's time are seconds; under any other they would be of an unknown unit.
IN_SECONDS: Final = frozenset({"Test (Sec)", "Test Time (s)", "Test Time (sec)"})

_LAYOUTS: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "text export": (
        ("Rec#",),
        ("Step",),
        ("TestTime", "Test (Sec)"),
        ("Amp-hr",),
        ("Amps",),
        ("Volts",),
        ("State",),
        ("ES",),
    ),
    "Export 2": (
        ("Rec",),
        ("Step",),
        ("Test Time (s)",),
        ("Capacity (Ah)",),
        ("Current (A)",),
        ("Voltage (V)",),
        ("MD",),
        ("ES",),
    ),
    "MIMS Client 1": (
        ("Rec",),
        ("Step",),
        ("TestTime",),
        ("Cap. [Ah]",),
        ("Current [A]",),
        ("Voltage [V]",),
        ("Md",),
        ("ES",),
    ),
    "MIMS Client 2": (
        ("Rec",),
        ("Step",),
        ("Test Time", "Test Time (sec)"),
        ("Capacity",),
        ("Current",),
        ("Voltage",),
        ("MD",),
        ("ES",),
    ),
    "MIMS Server 2": (
        ("Rec#",),
        ("Step",),
        ("Test Time (s)",),
        ("Capacity (Ah)",),
        ("Current (A)",),
        ("Voltage (V)",),
        ("MD",),
        ("ES",),
    ),
}
#: No count is larger; a double does not tell larger ones apart.
_LARGEST: Final = 2**53
_DIGITS: Final = 16
_CLOCK: Final = re.compile(r"\s*(?:(\d{1,6})d)?\s*(\d{1,6}):(\d\d):(\d\d(?:[.,]\d*)?)\s*\Z", re.ASCII)
# Anything else in a column of numbers needs a closer look, or is none.
_USUAL: Final = b"0123456789.eE+-\t "
_GROUPED: Final = {
    ".": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\Z", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?\Z", re.ASCII),
}
_PLAIN: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
# Letters; what each means is for those who use it.
_STATE: Final = re.compile(r"[A-Za-z]{1,8}\Z")
# A column of numbers is joined with this to look at all of them in one go.
_BETWEEN: Final = "\t"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file keeps what a record needs.

    Attributes
    ----------
    name : str
        Of the layout.
    columns : mapping of str to int
        Index of the column of each of :data:`ROLES`.
    time : str
        The heading of the test's time.
    needed : int
        How many columns a line must have.
    """

    name: str
    columns: Mapping[str, int]
    time: str
    needed: int


def could_be_heading(line: str) -> bool:
    """Whether a line has as many columns as a record needs, which the lines above a heading have not."""
    return line.count("\t") >= len(ROLES)


def layout_of(line: str) -> Layout:
    """Recognise a heading.

    Raises
    ------
    ValueError
        It is none of those that are known; the message names it, and what it lacks of the most similar layout.
    """
    names = [name.strip() for name in line.removeprefix("\xef\xbb\xbf").split("\t")]
    lacking: dict[str, list[str]] = {}
    for layout, columns in _LAYOUTS.items():
        found = [[name for name in names if name in known] for known in columns]
        lacking[layout] = [" or ".join(known) for known, one in zip(columns, found, strict=True) if not one]
        if lacking[layout]:
            continue
        twice = next((one for one in found if len(one) > 1), None)
        if twice is not None:
            raise ValueError(f"the heading has {' and '.join(twice)}, which contradict each other")
        where = {role: names.index(one[0]) for role, one in zip(ROLES, found, strict=True)}
        return Layout(layout, where, names[where["time"]], max(where.values()) + 1)
    nearest = min(lacking, key=lambda layout: len(lacking[layout]))
    raise ValueError(
        f"unknown heading '{', '.join(filter(None, names))}': as {nearest} it would need {', '.join(lacking[nearest])}"
    )


def decimal_sign(texts: Sequence[str]) -> str | None:
    """Tell the decimal sign from measured values, which are never grouped by thousands; None where none has one.

    Raises
    ------
    ValueError
        Both occur.
    """
    whole = _BETWEEN.join(texts)
    signs = [sign for sign in ".," if sign in whole]
    if len(signs) > 1:
        raise ValueError("decimal points and decimal commas in one file")
    return signs[0] if signs else None


def numbers(texts: Sequence[str], decimal: str | None, *, grouped: bool = False) -> NDArray[np.float64]:
    """Read a column of numbers.

    Parameters
    ----------
    texts : sequence of str
        As they stand in the file.
    decimal : str or None
        The decimal sign of the file; None where no measured value has shown it, and then none may occur here.
    grouped : bool
        Whether thousands may be parted by the other sign.

    Raises
    ------
    ValueError
        One is no finite number, or larger than anything that a tester measures.
    """
    if decimal == "." and _usual(texts):
        found = np.array(list(map(float, texts)))
    else:
        found = np.array([_number(text.strip(), decimal, grouped) for text in texts], dtype=float)
    senseless = ~(np.abs(found) <= _LARGEST)
    if senseless.any():
        first = int(np.flatnonzero(senseless)[0])
        said = "is beyond anything a tester measures" if np.isfinite(found[first]) else "is no finite number"
        raise ValueError(f"'{texts[first]}' {said}")
    return found


def _usual(texts: Sequence[str]) -> bool:
    """Whether numbers can be read all at once: nothing in them needs a closer look."""
    return not _BETWEEN.join(texts).encode("latin-1").translate(None, _USUAL)


def _number(text: str, decimal: str | None, grouped: bool) -> float:
    other = {".": ",", ",": "."}.get(decimal or "", "")
    if grouped and decimal is not None and _GROUPED[decimal].match(text):
        text = text.replace(other, "")
    elif other and other in text:
        raise ValueError(f"'{text}' where the decimal sign is '{decimal}'")
    elif decimal is None and ("." in text or "," in text):
        raise ValueError(f"'{text}': no measured value tells whether its sign parts decimals or thousands")
    plain = text.replace(",", ".")
    if _PLAIN.match(plain) is None:
        raise ValueError(f"'{text}' is no number")
    return float(plain)


def whole_numbers(texts: Sequence[str], decimal: str | None) -> NDArray[np.int64]:
    """Read a column of counts. Raises ``ValueError`` where one is none."""
    if "".join(texts).isdecimal() and max(map(len, texts)) < _DIGITS and all(texts):
        return np.array(list(map(int, texts)), dtype=np.int64)
    found = numbers(texts, decimal, grouped=True)
    odd = np.flatnonzero((found != np.floor(found)) | (np.abs(found) > _LARGEST))
    if odd.size:
        raise ValueError(f"'{texts[int(odd[0])]}' is no whole number")
    return found.astype(np.int64)


def states(texts: Sequence[str]) -> list[str]:
    """Read a column of state letters. Raises ``ValueError`` where one is none."""
    known = {text: text.strip() for text in set(texts)}
    odd = next((text for text in known.values() if _STATE.match(text) is None), None)
    if odd is not None:
        raise ValueError(f"'{odd}' is no state")
    return [known[text] for text in texts]


def times(texts: Sequence[str], heading: str, decimal: str | None) -> NDArray[np.float64]:
    """Read a column of times of the test in s: days and clock times, or plain numbers where the heading says seconds.

    Raises
    ------
    ValueError
        One is no time, or a number whose unit the heading does not tell.
    """
    if ":" not in _BETWEEN.join(texts):
        found = numbers(texts, decimal, grouped=True)
        if heading not in IN_SECONDS:
            raise ValueError(f"the heading {heading} does not tell the unit of '{texts[0].strip()}'")
        return found
    return np.array([clock_time(text) for text in texts])


def clock_time(text: str) -> float:
    """Read ``  0d 00:01:00.0000`` as s. Raises ``ValueError``."""
    match = _CLOCK.match(text)
    if match is None:
        raise ValueError(f"'{text}' is no time of a test")
    days, hours, minutes, seconds = match.groups()
    whole = 86400 * int(days or 0) + 3600 * int(hours) + 60 * int(minutes)
    return whole + float(seconds.replace(",", "."))
