"""The station file's entry of an assisted instrument, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import UsageError
from labctl.instruments import DriverContext
from labctl.units import UnitError, parse

#: Whose files are read, by role; the first is what counts where the station file names none.
VENDORS: Final[dict[str, tuple[str, ...]]] = {
    "spectrometer": ("bruker",),
    "cycler": ("maccor",),
    "potentiostat": ("zahner", "csv"),
    "chamber": ("any",),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the driver needs to know.

    Attributes
    ----------
    role, vendor : str
        What the person's instrument is, and whose files it writes.
    folder : Path
        The drop folder.
    shared : bool
        Whether it lies outside the laboratory folder, where it is never made but must be there.
    model, serial : str
        What the results say of the instrument.
    clock : timedelta
        What the instrument's clock is set ahead of UTC.
    slack : timedelta
        How far it may be off.
    quiet : timedelta
        How long dropped files must not have changed before they are looked at.
    """

    role: str
    vendor: str
    folder: Path
    shared: bool
    model: str
    serial: str
    clock: timedelta
    slack: timedelta
    quiet: timedelta

    @classmethod
    def read(cls, context: DriverContext) -> Settings:
        """Read them. Raises ``UsageError`` with the instrument's name where one is missing or makes no sense."""
        entry = context.settings
        if "drop_folder" not in entry:
            raise UsageError(f"instrument {context.name}: 'drop_folder' is missing in the station file")
        role = role_of(entry, context.name)
        vendor = str(entry.get("vendor") or VENDORS[role][0])
        if vendor not in VENDORS[role]:
            raise UsageError(
                f"instrument {context.name}: files of '{vendor}' are not read for a {role}",
                hint=f"use {' or '.join(VENDORS[role])}",
            )
        dropped = Path(str(entry["drop_folder"]))
        return cls(
            role=role,
            vendor=vendor,
            folder=context.folder / dropped,
            shared=dropped.is_absolute(),
            model=str(entry.get("model") or ""),
            serial=str(entry.get("serial") or ""),
            clock=_duration(context, "instrument_clock", "0 s"),
            slack=_duration(context, "clock_within", "5 min"),
            quiet=_duration(context, "quiet", "10 s"),
        )


def role_of(entry: Mapping[str, Any], name: str = "assisted") -> str:
    """Give the role that the station file gives to a person. Raises ``UsageError`` where there is none."""
    role = str(entry.get("role", ""))
    if role not in VENDORS:
        raise UsageError(f"instrument {name}: role '{role}' can't be filled", hint=f"use {', '.join(VENDORS)}")
    return role


def _duration(context: DriverContext, key: str, default: str) -> timedelta:
    try:
        return timedelta(seconds=parse(context.settings.get(key, default), "duration"))
    except UnitError as error:
        raise UsageError(f"instrument {context.name}: {key}: {error}") from error
