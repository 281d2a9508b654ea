"""What the station file and the tester say of the channels: settings, ranges, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import UsageError
from labctl.instruments.common import DriverContext
from labctl.instruments.cycler import CyclerStep, SafetyLimits
from labctl.instruments.faults import Garbled, OutOfRange
from labctl.units import UnitError, parse
from labctl_drivers.maccor.members import number as number_in
from labctl_drivers.maccor.procedure import CAPACITY

_JSON_PORT: Final = 57570
_BINARY_PORT: Final = 57560
_END_TYPE: Final = "Temp {}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in at a tester that wants it; the password is never shown."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The instrument's entry in the station file, read and checked.

    Attributes
    ----------
    host, json_port, binary_port
        Where the tester listens.
    channels : tuple of int
        Those that the station gave us, from 1, ascending.
    export_folder : Path
        Where the tester's text exports arrive.
    tester_clock : timedelta
        What the tester's clock is ahead of UTC.
    login : Login or None
        Where the tester wants one.
    temperature : int or None
        Which auxiliary input of a channel measures the temperature of its cell, from 1.
    temperature_end : str
        How a procedure names an end by that input, ``{}`` for its number; the spelling is unverified.
    capacity_end : str
        How a procedure names an end by the capacity of the step; the spelling is unverified.
    watchdog : float or None
        Seconds after which the tester suspends a channel in direct mode that got no update, as a person has read them
        in the tester's ``System.ini``; they can't be asked for.
    """

    host: str
    json_port: int
    binary_port: int
    channels: tuple[int, ...]
    export_folder: Path
    tester_clock: timedelta
    login: Login | None = None
    temperature: int | None = None
    temperature_end: str = _END_TYPE
    capacity_end: str = CAPACITY
    watchdog: float | None = None

    @classmethod
    def read(cls, context: DriverContext) -> Settings:
        """Read them. Raises ``UsageError`` with the instrument's name where one is missing or makes no sense."""
        settings = context.settings
        for key in ("address", "channels", "export_folder"):
            if key not in settings:
                raise UsageError(f"instrument {context.name}: '{key}' is missing in the station file")
        try:
            return cls(
                host=str(settings["address"]),
                json_port=int(settings.get("json_port", _JSON_PORT)),
                binary_port=int(settings.get("binary_port", _BINARY_PORT)),
                channels=channel_list(settings["channels"]),
                export_folder=context.folder / str(settings["export_folder"]),
                tester_clock=timedelta(seconds=_duration(settings.get("tester_clock", 0))),
                login=_login(context, settings.get("login")),
                temperature=_input(settings.get("temperature")),
                temperature_end=str((settings.get("temperature") or {}).get("end_type", _END_TYPE)),
                capacity_end=str(settings.get("capacity_end", CAPACITY)),
                watchdog=None if (after := settings.get("direct_mode_watchdog")) is None else _positive(after),
            )
        except (TypeError, ValueError, UnitError) as error:
            raise UsageError(f"instrument {context.name}: {error}") from error


def _duration(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else parse(value, "duration")


def _positive(value: Any) -> float:
    seconds = _duration(value)
    if not seconds > 0:
        raise ValueError("direct_mode_watchdog is the time after which the tester suspends, and above zero")
    return seconds


def _login(context: DriverContext, entry: Any) -> Login | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not entry.get("user") or "password" not in entry:
        raise ValueError("login is given as {user: NAME, password: {env: NAME}}")
    return Login(str(entry["user"]), context.secret(entry["password"]))


def _input(entry: Any) -> int | None:
    if entry is None:
        return None
    index = entry.get("aux") if isinstance(entry, Mapping) else None
    if isinstance(index, bool) or not isinstance(index, int) or index < 1:
        raise ValueError("temperature is given as {aux: N}, the channel's auxiliary input counted from 1")
    return index


def channel_list(text: Any) -> tuple[int, ...]:
    """Read ``"1-8, 12"``, a number, or a list of either. Raises ``ValueError``."""
    parts = [str(part) for part in text] if isinstance(text, (list, tuple)) else str(text).split(",")
    channels: set[int] = set()
    for part in parts:
        first, _, last = part.strip().partition("-")
        found = range(int(first), int(last or first) + 1)
        if not found or found[0] < 1:
            raise ValueError(f"channels '{part.strip()}' are none: they count from 1 and rise")
        channels.update(found)
    return tuple(sorted(channels))


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """What a channel can do, as (3,1) tells.

    Attributes
    ----------
    voltage_min, voltage_max : float
        In V.
    scales : tuple of (str, float)
        Current ranges and their full scale in A, smallest first.
    charge_power, discharge_power : float
        The channel's own power limits in W.
    """

    voltage_min: float
    voltage_max: float
    scales: tuple[tuple[str, float], ...]
    charge_power: float
    discharge_power: float

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> ChannelSpec:
        """Read a result of (3,1). Raises ``Garbled``."""

        def told(member: str) -> float:
            return number_in(result, member, "(3,1)")

        scales = [(str(one), min(told(f"IR{one}Chg"), told(f"IR{one}Dis"))) for one in (1, 2, 3, 4)]
        if not told("Vmin") < told("Vmax"):
            raise Garbled("the answer to (3,1) has a lowest voltage that is not below the highest")
        return cls(
            told("Vmin"),
            told("Vmax"),
            tuple(sorted(((name, full) for name, full in scales if full > 0), key=lambda scale: scale[1])),
            told("PBatSafeChg"),
            told("PBatSafeDis"),
        )

    def scale(self, current: float) -> str:
        """Give the smallest range that holds ``current``, in A. Raises ``OutOfRange``."""
        for name, full in self.scales:
            if current <= full * (1 + 1e-6):
                return name
        most = self.scales[-1][1] if self.scales else 0.0
        raise OutOfRange(f"{current:g} A is more than the channel's {most:g} A")


def limits_message(spec: ChannelSpec, safety: SafetyLimits, steps: Sequence[CyclerStep] = ()) -> str | None:
    """Say which limit or which voltage of a step lies beyond the channel, or why the limits make no sense, if so."""
    wanted = [("safety limit", safety.voltage_min), ("safety limit", safety.voltage_max)]
    for number, step in enumerate(steps, start=1):
        if step.voltage is not None:
            wanted.append((f"voltage of step {number}", step.voltage))
        wanted += [(f"cut-off of step {number}", end.value) for end in step.ends if end.what == "voltage"]
    for what, voltage in wanted:
        # A hair of tolerance: the tester tells its limits in single precision.
        if not spec.voltage_min - 1e-6 <= voltage <= spec.voltage_max + 1e-6:
            return f"the {what}, {voltage:g} V, is outside the channel's {spec.voltage_min:g} to {spec.voltage_max:g} V"
    if not (safety.voltage_min < safety.voltage_max and safety.charge_current > 0 and safety.discharge_current > 0):
        return "the safety limits exclude everything"
    return None
