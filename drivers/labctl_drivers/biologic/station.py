"""The station file's entry of a BioLogic instrument, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from labctl.errors import UsageError
from labctl.instruments import DriverContext
from labctl.units import UnitError, parse

ROLES: Final = ("cycler", "potentiostat")
BACKENDS: Final = ("eclib", "olecom")
FIRMWARE: Final = ("keep", "replace")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the driver needs to know.

    Attributes
    ----------
    role : str
        ``cycler`` or ``potentiostat``.
    backend : str
        ``eclib`` (the vendor's library) or ``olecom`` (EC-Lab).
    address : str
        IP address, or ``USB0``.
    channels : tuple of int
        That labctl may use, from 1; one for a potentiostat.
    electrodes : int
        2, or 3 where a reference electrode is connected.
    library : str
        Path of ``EClib64.dll``, or what stands for it.
    firmware : str
        ``keep``: a channel with EC-Lab's firmware is refused; ``replace``: EClib's kernel is put in its place.
    bandwidth : int
        1 (slow) to 7 (fast).
    answer_within : float
        s that a call of the library may take.
    model : str
        That must answer; empty for any.
    folder : Path
        Where labctl keeps what it started and what came of it.
    entry : mapping
        The whole entry, for what only one way in needs.
    """

    role: str
    backend: str
    address: str
    channels: tuple[int, ...]
    electrodes: int
    library: str
    firmware: str
    bandwidth: int
    answer_within: float
    model: str
    folder: Path
    entry: Mapping[str, Any]

    @classmethod
    def read(cls, context: DriverContext) -> Settings:
        """Read them. Raises ``UsageError`` with the instrument's name where one is missing or makes no sense."""
        entry, name = context.settings, context.name
        role, backend = role_of(entry, name), _choice(entry, name, "backend", BACKENDS, BACKENDS[0])
        channels = channel_list(entry.get("channels", 1), name)
        if role == "potentiostat" and len(channels) != 1:
            raise UsageError(
                f"instrument {name}: a potentiostat has one channel, the station file gives it {len(channels)}",
                hint="make an entry of its own for each channel",
            )
        electrodes, bandwidth = _whole(entry, name, "electrodes", 2), _whole(entry, name, "bandwidth", 5)
        if electrodes not in (2, 3) or not 1 <= bandwidth <= 7:
            raise UsageError(f"instrument {name}: 'electrodes' is 2 or 3, and 'bandwidth' 1 to 7")
        if backend == "eclib" and not entry.get("address"):
            raise UsageError(f"instrument {name}: 'address' is missing, such as 192.0.2.20 or USB0")
        return cls(
            role=role,
            backend=backend,
            address=str(entry.get("address", "")),
            channels=channels,
            electrodes=electrodes,
            library=str(entry.get("library", "EClib64.dll")),
            firmware=_choice(entry, name, "firmware", FIRMWARE, FIRMWARE[0]),
            bandwidth=bandwidth,
            answer_within=_duration(entry, name, "answer_within", "10 s"),
            model=str(entry.get("model") or ""),
            folder=context.folder / str(entry.get("folder", "biologic")) / name,
            entry=entry,
        )


def role_of(entry: Mapping[str, Any], name: str = "biologic") -> str:
    """Give the role that the station file gives to the instrument. Raises ``UsageError`` where it is none."""
    return _choice(entry, name, "role", ROLES, ROLES[0])


def channel_list(given: Any, name: str) -> tuple[int, ...]:
    """Read channels: ``3``, ``[1, 2]`` or ``"1-4, 7"``. Raises ``UsageError``."""
    parts = given if isinstance(given, (list, tuple)) else str(given).split(",")
    found: list[int] = []
    try:
        for part in parts:
            first, _, last = str(part).strip().partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise UsageError(f"instrument {name}: channels '{given}' can't be read", hint="such as '1-4'") from error
    if not found or min(found) < 1 or max(found) > 16 or len(set(found)) != len(found):
        raise UsageError(f"instrument {name}: channels '{given}' are not numbers from 1 to 16, each once")
    return tuple(found)


def _choice(entry: Mapping[str, Any], name: str, key: str, known: tuple[str, ...], default: str) -> str:
    found = str(entry.get(key) or default)
    if found not in known:
        raise UsageError(f"instrument {name}: {key} '{found}' is not known", hint=f"use {' or '.join(known)}")
    return found


def _duration(entry: Mapping[str, Any], name: str, key: str, default: str) -> float:
    try:
        return parse(entry.get(key, default), "duration")
    except UnitError as error:
        raise UsageError(f"instrument {name}: {key}: {error}") from error


def _whole(entry: Mapping[str, Any], name: str, key: str, default: int) -> int:
    found = entry.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UsageError(f"instrument {name}: {key} '{found}' is not a whole number")
    return found
