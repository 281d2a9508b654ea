"""What a station's entry says about the simulated tester itself, under ``simulate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from labctl_simulators.macnet.channel import CURRENT_ERROR
from labctl_simulators.macnet.export import USUAL, Dialect

SYSTEM_ID: Final = "LABCTL-SIM-4000"
_UNITS: Final = ("C", "V")
_RESTS: Final = ("refuse", "ignore", "obey")


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one tester.

    Attributes
    ----------
    system_id : str
        Up to 50 characters; tells testers apart.
    system_type : int
        0 for a laboratory system, the only one with direct mode.
    number_offset : int
        What the tester's own channel numbers are ahead by.
    auxiliary : tuple of str
        Units of the auxiliary inputs of each channel: ``C`` a thermocouple on the cell, ``V`` its voltage once more.
    chambers : int
        How many environmental chambers a start can name.
    login : tuple of str or None
        User and password, where authentication is active.
    watchdog : float
        ``MacNetDirectModeWD`` in s; 0 for none.
    json_rest : str
        What becomes of mode ``R`` of (6,8) on the JSON port, where a published client found that it does not work:
        ``refuse``, ``ignore`` (says OK, does nothing) or ``obey``.
    current_error : float
        Relative standard deviation between channels of true over reported current.
    lowest_voltage : float
        That its channels reach, V; below 0 for symmetric cells, as P2 (see the virtual cell's chemistries) cycles them.
    dialect : Dialect
        How the text export is spelt.
    """

    system_id: str = SYSTEM_ID
    system_type: int = 0
    number_offset: int = 0
    auxiliary: tuple[str, ...] = ("C",)
    chambers: int = 0
    login: tuple[str, str] | None = None
    watchdog: float = 0.0
    json_rest: str = "refuse"
    current_error: float = CURRENT_ERROR
    lowest_voltage: float = 0.0
    dialect: Dialect = USUAL

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Self:
        """Read an entry's ``simulate``. Raises ``ValueError`` where a value can't be."""
        login = options.get("login")
        read = cls(
            system_id=str(options.get("system_id", SYSTEM_ID)),
            system_type=int(options.get("system_type", 0)),
            number_offset=int(options.get("channel_number_offset", 0)),
            auxiliary=tuple(str(unit) for unit in options.get("auxiliary", ("C",))),
            chambers=int(options.get("chambers", 0)),
            login=None if login is None else (str(login["user"]), str(login["password"])),
            watchdog=float(options.get("direct_mode_watchdog", 0.0)),
            json_rest=str(options.get("json_rest", "refuse")),
            current_error=float(options.get("current_error", CURRENT_ERROR)),
            lowest_voltage=float(options.get("lowest_voltage", 0.0)),
            dialect=Dialect.read(options.get("export")),
        )
        if len(read.system_id) > 50:
            raise ValueError(f"system_id has {len(read.system_id)} characters; a tester's has up to 50")
        if unknown := [unit for unit in read.auxiliary if unit not in _UNITS]:
            raise ValueError(f"auxiliary input in {unknown[0]!r}; known are {', '.join(_UNITS)}")
        if not -10.0 <= read.lowest_voltage <= 0.0:
            raise ValueError(f"lowest_voltage is {read.lowest_voltage:g} V; it is between -10 and 0")
        if read.json_rest not in _RESTS:
            raise ValueError(f"json_rest {read.json_rest!r}; known are {', '.join(_RESTS)}")
        return read
