"""What the station file and the tester say of the channels: settings, ranges, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import UsageError
from labctl.instruments.common import DriverContext
from labctl.instruments.cycler import CyclerProgram
from labctl.instruments.faults import Garbled, OutOfRange
from labctl.units import UnitError, parse

_JSON_PORT: Final = 57570
_BINARY_PORT: Final = 57560


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
    """

    host: str
    json_port: int
    binary_port: int
    channels: tuple[int, ...]
    export_folder: Path
    tester_clock: timedelta

    @classmethod
    def read(cls, context: DriverContext) -> Settings:
        """Read them. Raises ``UsageError`` with the instrument's name where one is missing or makes no sense."""
        settings = context.settings
        for key in ("address", "channels", "export_folder"):
            if key not in settings:
                raise UsageError(f"instrument {context.name}: '{key}' is missing in the station file")
        try:
            ahead = settings.get("tester_clock", 0)
            seconds = float(ahead) if isinstance(ahead, (int, float)) else parse(ahead, "duration")
            return cls(
                host=str(settings["address"]),
                json_port=int(settings.get("json_port", _JSON_PORT)),
                binary_port=int(settings.get("binary_port", _BINARY_PORT)),
                channels=channel_list(settings["channels"]),
                export_folder=context.folder / str(settings["export_folder"]),
                tester_clock=timedelta(seconds=seconds),
            )
        except (TypeError, ValueError, UnitError) as error:
            raise UsageError(f"instrument {context.name}: {error}") from error


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
        try:
            scales = [
                (str(number), min(float(result[f"IR{number}Chg"]), float(result[f"IR{number}Dis"])))
                for number in (1, 2, 3, 4)
            ]
            return cls(
                float(result["Vmin"]),
                float(result["Vmax"]),
                tuple(sorted(((name, full) for name, full in scales if full > 0), key=lambda scale: scale[1])),
                float(result["PBatSafeChg"]),
                float(result["PBatSafeDis"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Garbled(f"the answer to (3,1) lacks or garbles {error}") from error

    def scale(self, current: float) -> str:
        """Give the smallest range that holds ``current``, in A. Raises ``OutOfRange``."""
        for name, full in self.scales:
            if current <= full * (1 + 1e-6):
                return name
        most = self.scales[-1][1] if self.scales else 0.0
        raise OutOfRange(f"{current:g} A is more than the channel's {most:g} A")


def limits_message(spec: ChannelSpec, program: CyclerProgram) -> str | None:
    """Say which voltage of the program lies beyond the channel, if one does, or why its limits make no sense."""
    safety = program.safety
    wanted = [("safety limit", safety.voltage_min), ("safety limit", safety.voltage_max)]
    for number, step in enumerate(program.steps, start=1):
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
