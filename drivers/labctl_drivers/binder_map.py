"""Where a Binder controller keeps its values: register maps as data, shipped ones and those of a laboratory."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from labctl.errors import InstrumentError

ORDERS: Final = ("low first", "high first")
#: What a chamber's temperature can be, degC; and the smallest number but 0 that anybody sets or measures.
LOWEST, HIGHEST, SMALLEST = -100.0, 350.0, 1e-3


@dataclass(frozen=True, slots=True)
class Switch:
    """How a chamber is told to run or to stand: ``mask`` says which bits of the word are about it.

    Attributes
    ----------
    write, read : int
        Registers to tell it, and in which the controller says what it does.
    mask, run, stand : int
        The bits, and what they are when it runs and when it stands.
    """

    write: int
    read: int
    mask: int
    run: int
    stand: int


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """One controller's registers; floats take two.

    Attributes
    ----------
    name, title, known_from : str
        Key, what people call it, and how far it can be trusted.
    word_order : str
        Which word of a float is expected first: ``low first`` or ``high first``.
    actual, active_set_point : int
        Temperature now and the set-point that is being followed, degC.
    set_points : tuple of int
        Set-points to be written, degC; all of them.
    switch : Switch
        Run and stand.
    clock : int or None
        Six words: year, month, day, hour, minute, second.
    limits : tuple of int or None
        Lower and upper limit in the controller, degC.
    """

    name: str
    title: str
    known_from: str
    word_order: str
    actual: int
    active_set_point: int
    set_points: tuple[int, ...]
    switch: Switch
    clock: int | None
    limits: tuple[int, int] | None


def load_map(name: str, folder: Path) -> RegisterMap:
    """Give the map that ships under ``name``, or that of a ``.json`` file in the laboratory's folder.

    Raises
    ------
    InstrumentError
        There is none of this name, or it is not complete.
    """
    if name.endswith(".json"):
        try:
            entry = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InstrumentError(f"map: {folder / name} can't be read ({error})") from error
    else:
        shipped = json.loads(files("labctl_drivers").joinpath("binder_maps.json").read_text(encoding="utf-8"))
        if name not in shipped:
            known = ", ".join(shipped)
            raise InstrumentError(
                f"map: '{name}' is unknown", hint=f"write one of {known}, or the name of a .json file"
            )
        entry = shipped[name]
    try:
        return _map(name, entry)
    except (KeyError, TypeError, ValueError) as error:
        raise InstrumentError(f"map: {name} is not complete or not understood ({error!r})") from error


def _map(name: str, entry: Mapping[str, Any]) -> RegisterMap:
    if entry["word_order"] not in ORDERS:
        raise ValueError(f"word_order is one of {ORDERS}")
    limits = entry.get("limits")
    return RegisterMap(
        name=name,
        title=str(entry["title"]),
        known_from=str(entry["known_from"]),
        word_order=entry["word_order"],
        actual=int(entry["actual"], 16),
        active_set_point=int(entry["active_set_point"], 16),
        set_points=tuple(int(one, 16) for one in entry["set_points"]),
        switch=Switch(**{key: int(entry["switch"][key], 16) for key in ("write", "read", "mask", "run", "stand")}),
        clock=int(entry["clock"], 16) if entry.get("clock") else None,
        limits=(int(limits["low"], 16), int(limits["high"], 16)) if limits else None,
    )


def decode(words: tuple[int, int], order: str) -> float:
    """Give the float of two registers in the order in which they came."""
    high, low = words if order == "high first" else words[::-1]
    value: float = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    return value


def encode(value: float, order: str) -> tuple[int, int]:
    """Give the two registers of a float in the order in which they go."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return (high, low) if order == "high first" else (low, high)


def plausible(celsius: float) -> bool:
    """Whether a chamber can have this temperature. Words in the wrong order give a number too, mostly a tiny one."""
    return math.isfinite(celsius) and LOWEST <= celsius <= HIGHEST and (celsius == 0 or abs(celsius) >= SMALLEST)
