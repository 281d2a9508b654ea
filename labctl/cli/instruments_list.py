"""``labctl instruments list``: what the station file says of each instrument, without asking any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from labctl.cli import plugins
from labctl.cli.output import console, put_json
from labctl.cli.secrets import resolve
from labctl.errors import LabctlError
from labctl.station import Station, load_station

SCHEMA: Final = "labctl.instruments-list/1"
_WIDE: Final = 110


@dataclass(frozen=True, slots=True)
class Need:
    """Something outside labctl that a driver needs.

    Attributes
    ----------
    name : str
        A distribution, or where a credential is kept.
    there : bool
        Whether it is installed, or set.
    what : str
        Its version, or what to do.
    """

    name: str
    there: bool
    what: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One instrument as the station file has it.

    Attributes
    ----------
    role : str or None
        None where its driver can't be loaded; ``needs`` says why.
    used_by : tuple of str
        Which places need it for what.
    """

    name: str
    role: str | None
    driver: str
    address: str
    used_by: tuple[str, ...]
    needs: tuple[Need, ...]


def list_instruments(station: Path, *, as_json: bool) -> None:
    """Print every instrument of a station; nothing is connected.

    Raises
    ------
    InvalidFile
        With every mistake of the station file.
    """
    loaded = load_station(station, drivers=plugins.driver_names())
    found = [_listed(loaded, name, entry) for name, entry in loaded.entries().items()]
    if as_json:
        entries = [asdict(one) for one in found]
        put_json({"schema": SCHEMA, "station": loaded.station, "mode": loaded.mode, "instruments": entries})
    else:
        _print(loaded, found)


def address_of(entry: Mapping[str, Any]) -> str:
    """Say where an entry's instrument is sought, in one line."""
    address = str(entry.get("address", entry.get("drop_folder", "")))
    ports = [str(entry[key]) for key in ("json_port", "binary_port") if key in entry]
    return f"{address}:{' and '.join(ports)}" if ports else address


def wiring(station: Station, name: str) -> dict[int, str]:
    """Give the channels or relays that the station wires to an instrument, each with the slot at its end."""
    wired: dict[int, str] = {}
    for place, described in station.places.items():
        for user, leads in described.leads.items():
            if name == (leads.through or user):
                wired |= {lead: f"{place}/{slot}" for slot, lead in enumerate(leads.leads, start=1)}
    return wired


def runs(numbers: Sequence[int]) -> str:
    """Write numbers as people do: ``1-8, 12``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _listed(station: Station, name: str, entry: Mapping[str, Any]) -> Listed:
    needs: list[Need] = []
    role: str | None = None
    try:
        role = plugins.roles({name: entry})[name]
        needs += [_installed(one) for one in getattr(plugins.driver(entry["driver"]), "needs", ())]
    except ImportError as error:
        needs.append(Need(error.name or entry["driver"], False, f"the driver can't be loaded: {error}"))
    needs += _credentials(entry)
    return Listed(name, role, entry["driver"], address_of(entry), _uses(station, name), tuple(needs))


def _uses(station: Station, name: str) -> tuple[str, ...]:
    uses = []
    for place, described in station.places.items():
        for user, leads in described.leads.items():
            if leads.through == name:
                uses.append(f"{place}: relays {runs(leads.leads)} to {user}")
            elif user == name:
                through = f"through {leads.through}" if leads.through else f"channels {runs(leads.leads)}"
                uses.append(f"{place}: {through}")
        if station.chamber_of(place) == name:
            uses.append(f"{place}: its temperature")
        if described.instrument == name:
            uses.append(f"{place}: cells are put in")
    return tuple(uses)


def _installed(name: str) -> Need:
    try:
        return Need(name, True, version(name))
    except PackageNotFoundError:
        return Need(name, False, f"not installed; run 'pip install {name}'")


def _credentials(entry: Mapping[str, Any]) -> list[Need]:
    """Find the references to credentials, however deep they stand."""
    found: list[Need] = []
    for value in entry.values():
        if not isinstance(value, Mapping):
            continue
        if len(value) == 1 and set(value) <= {"env", "keyring"}:
            found.append(_credential(value))
        else:
            found += _credentials(value)
    return found


def _credential(value: Mapping[str, Any]) -> Need:
    name = str(next(iter(value.values())))
    try:
        resolve(value)
    except LabctlError as error:
        return Need(name, False, "not set" if "env" in value else error.message)
    return Need(name, True, "set")


def _print(station: Station, found: Sequence[Listed]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    wide = out.width >= _WIDE
    out.print(f"[bold]{station.mode.upper()}[/bold]  station {station.station}  {len(found)} instruments, none asked")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    heads = ("instrument", "role", "driver", "address", "used by", "needs")
    for head in heads if wide else ("instrument", "what it is", "used by", "needs"):
        table.add_column(head, no_wrap=head in ("instrument", "role"), overflow="fold")
    for one in found:
        role = one.role or "–"
        needs = Text("\n").join(
            Text(f"{need.name}: {need.what}", style="" if need.there else "red") for need in one.needs
        )
        uses = "\n".join(one.used_by) or "nothing"
        what = [role, one.driver, one.address] if wide else [f"{role} ({one.driver})\n{one.address}"]
        table.add_row(one.name, *what, uses, needs if one.needs else "–")
    out.print(table)
