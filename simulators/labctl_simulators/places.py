"""Where cells can be in the virtual laboratory, and which leads reach them there. Data and look-ups, no time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BENCH = "bench"
"""Where anything can lie that is in no place; no leads, room temperature, room for all."""


@dataclass(frozen=True, slots=True)
class Leads:
    """How one instrument reaches the slots of a place: entry i serves slot i + 1.

    Attributes
    ----------
    numbers : tuple of int
        Channels of the instrument, or relays of the multiplexer.
    through : str or None
        Multiplexer, where the leads pass through one.
    channels : tuple of int
        Channels behind the relays, where the instrument has channels.
    """

    numbers: tuple[int, ...]
    through: str | None
    channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Slots that share a temperature and a kind of wiring."""

    name: str
    count: int
    chamber: str | None
    instrument: str | None
    leads: Mapping[str, Leads]


def read_place(name: str, entry: Mapping[str, Any]) -> Place:
    """Read a place from plain data.

    Raises
    ------
    ValueError
        Where there are more or fewer leads than slots.
    """
    count = int(entry.get("count", 1))
    temperature = entry.get("temperature")
    chamber = None if temperature in (None, "ambient") else str(temperature)
    leads = {}
    for instrument, wiring in (entry.get("leads") or {}).items():
        through = wiring.get("through") if isinstance(wiring, Mapping) else None
        numbers = _numbers(wiring["relays"] if isinstance(wiring, Mapping) else wiring)
        if len(numbers) != count:
            raise ValueError(f"place {name}: {len(numbers)} leads of {instrument} for {count} slots")
        channels = _numbers(wiring.get("channels", ())) if isinstance(wiring, Mapping) else ()
        leads[instrument] = Leads(numbers, through, channels)
    return Place(name, count, chamber, entry.get("instrument"), leads)


def _numbers(value: int | str | Sequence[int]) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,)
    if isinstance(value, str):
        first, _, last = value.partition("-")
        return tuple(range(int(first), int(last or first) + 1))
    return tuple(int(number) for number in value)


@dataclass(frozen=True, slots=True)
class Wiring:
    """The leads of all places, by what is at their other end.

    Attributes
    ----------
    direct : mapping
        Instrument and channel to the slots that they reach.
    switched : mapping
        Instrument and channel (None where it has none), multiplexer and relay to the slots that they reach.
    """

    direct: Mapping[tuple[str, int | None], Sequence[str]]
    switched: Mapping[tuple[str, int | None], Mapping[str, Mapping[int, Sequence[str]]]]


def read_wiring(places: Iterable[Place]) -> Wiring:
    """Turn the places' leads round."""
    direct: dict[tuple[str, int | None], list[str]] = {}
    switched: dict[tuple[str, int | None], dict[str, dict[int, list[str]]]] = {}
    for place in places:
        for instrument, leads in place.leads.items():
            for slot, number in enumerate(leads.numbers, start=1):
                if leads.through is None:
                    found = direct.setdefault((instrument, number), [])
                else:
                    key = instrument, (leads.channels[slot - 1] if leads.channels else None)
                    found = switched.setdefault(key, {}).setdefault(leads.through, {}).setdefault(number, [])
                found.append(f"{place.name}/{slot}")
    return Wiring(direct, switched)


def read_slot(places: Mapping[str, Place], position: str) -> str:
    """Check a position such as ``cabinet/3`` and give it in its full form.

    Raises
    ------
    ValueError
        Where there is no such place or slot, saying what there is.
    """
    if position == BENCH:
        return BENCH
    name, slash, text = position.partition("/")
    place = places.get(name)
    if place is None:
        raise ValueError(f"there is no place {name!r}; there are {', '.join([*places, BENCH])}")
    if not slash and place.count == 1:
        text = "1"
    if not text.isdecimal() or not 1 <= int(text) <= place.count:
        raise ValueError(f"there is no slot {position!r}; {name} has slots 1 to {place.count}")
    return f"{name}/{int(text)}"
