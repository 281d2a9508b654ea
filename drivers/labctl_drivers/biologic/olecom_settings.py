"""The part of the station file's entry that only the way through EC-Lab needs, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from labctl.errors import LabctlError, UsageError
from labctl.instruments import DriverContext
from labctl.units import UnitError, parse
from labctl_drivers.biologic.mps import Template
from labctl_drivers.biologic.mps import parse as parse_settings
from labctl_drivers.biologic.olecom import PROG_ID
from labctl_drivers.biologic.station import Settings

_MARKS: Final = {"point": ".", "comma": ","}
_TIMES: Final = ("run", "technique")


@dataclass(frozen=True, slots=True)
class EcLabSettings:
    """What the way through EC-Lab needs to know.

    Attributes
    ----------
    com : str
        ProgID of EC-Lab's server, or what stands for it.
    device : int
        Place of the instrument in EC-Lab's list, from 0; used where no address is given.
    mark : str
        Decimal mark of the PC.
    template : Template or None
        Saved in EC-Lab.
    voltage_range : tuple of float
        Control range, V.
    safety_margin : float
        V beyond the widest limit of a program at which EC-Lab's firmware pauses the channel.
    own_times : bool
        Whether data files count time from the start of their technique.
    selected_for : float
        s to wait after a channel was selected.
    """

    com: str
    device: int
    mark: str
    template: Template | None
    voltage_range: tuple[float, float]
    safety_margin: float
    own_times: bool
    selected_for: float

    @classmethod
    def read(cls, context: DriverContext, settings: Settings) -> EcLabSettings:
        """Read them. Raises ``UsageError`` with the instrument's name where one makes no sense."""
        entry, name = settings.entry, context.name
        mark, times = str(entry.get("decimal", "point")), str(entry.get("file_times", "run"))
        if mark not in _MARKS or times not in _TIMES:
            raise UsageError(f"instrument {name}: 'decimal' is point or comma, and 'file_times' run or technique")
        device = entry.get("device", 0)
        if isinstance(device, bool) or not isinstance(device, int) or device < 0:
            raise UsageError(f"instrument {name}: device '{device}' is no place in EC-Lab's list, which begins with 0")
        low = _quantity(entry, name, "voltage_range_min", "0 V", "voltage")
        high = _quantity(entry, name, "voltage_range_max", "5 V", "voltage")
        if not -10 <= low < high <= 10:
            raise UsageError(f"instrument {name}: voltage range {low:g} V to {high:g} V; -10 V to 10 V at most")
        return cls(
            com=str(entry.get("com") or PROG_ID),
            device=device,
            mark=_MARKS[mark],
            template=_template(context, entry.get("template")),
            voltage_range=(low, high),
            safety_margin=_quantity(entry, name, "safety_margin", "50 mV", "voltage"),
            own_times=times == "technique",
            selected_for=_quantity(entry, name, "selected_for", "1 s", "duration"),
        )


def _template(context: DriverContext, given: Any) -> Template | None:
    if not given:
        return None
    path = Path(context.folder) / str(given)
    try:
        return parse_settings(path.read_bytes(), path.name)
    except OSError as error:
        raise UsageError(f"instrument {context.name}: template {path} can't be read ({error.strerror})") from error
    except LabctlError as error:
        raise UsageError(f"instrument {context.name}: {error.message}") from error


def _quantity(entry: Any, name: str, key: str, default: str, dimension: Any) -> float:
    try:
        return parse(entry.get(key, default), dimension)
    except UnitError as error:
        raise UsageError(f"instrument {name}: {key}: {error}") from error
