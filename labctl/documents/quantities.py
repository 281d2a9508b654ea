"""Annotated types by which models read quantities: text with a unit in the file, an SI float in the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl import units
from labctl.documents.patterns import quantity
from labctl.documents.validation import describe, expected, suggest
from labctl.errors import UsageError

#: The kind of current that is said by the capacity of the cell.
C_RATE: Final = "C-rate"
#: Which size of the cell a kind has to be multiplied with; kinds that are not here are absolute.
SIZE_OF: Final[Mapping[str, str]] = {
    "current density": "area",
    "areal capacity": "area",
    "specific current": "mass",
    "specific capacity": "mass",
    C_RATE: "capacity",
    "ratio": "capacity",
}
_RATE: Final = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)?\s*C\s*(/\s*([0-9]+(\.[0-9]*)?|\.[0-9]+))?"
_EXAMPLES: Final = {
    "voltage": "4.3 V",
    "current": "5 mA",
    "current density": "0.2 mA/cm2",
    "specific current": "20 mA/g",
    C_RATE: "0.2C",
    "capacity": "2.6 mAh",
    "areal capacity": "2.6 mAh/cm2",
    "specific capacity": "150 mAh/g",
    "power": "80 W",
    "resistance": "50 ohm",
    "duration": "12 h",
    "frequency": "300 kHz",
    "temperature": "40 degC",
    "temperature difference": "0.3 K",
    "area": "1.0 cm2",
    "mass": "12 mg",
    "ratio": "0.1 %",
    "shift": "250 ppm",
    "angle": "90 deg",
}


def _validator(function: Callable[[Any], Any]) -> CoreSchema:
    return core_schema.no_info_plain_validator_function(function)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _refuse(value: Any, kinds: tuple[str, ...], reason: str, words: tuple[str, ...] = ()) -> Exception:
    written = str(value).lower().split()[-1:]
    # A unit in small letters is that unit.
    alike = (one for kind in kinds if (one := _EXAMPLES[kind]).lower().split()[1:] == written != [])
    example = next(alike, _EXAMPLES[kinds[0]])
    number = str(value).split()[0] if isinstance(value, (str, int, float)) and str(value).strip() else ""
    unit = example.split()[1]
    if number and any(units.fits(f"{number} {unit}", kind) for kind in kinds if kind != C_RATE):
        example = f"{number} {unit}"
    right = f"write for example '{example}'" + "".join(f" or '{word}'" for word in words)
    return expected(reason, right)


def _read(value: Any, kinds: tuple[str, ...], words: tuple[str, ...] = ()) -> tuple[float, str]:
    if value is None or isinstance(value, (bool, dict, list)):
        raise _refuse(None, kinds, f"{describe(value, None)}, not {_article(kinds[0])}", words)
    if isinstance(value, (int, float)):
        raise _refuse(value, kinds, f"{value} has no unit", words)
    rate = units.c_rate(value) if C_RATE in kinds else None
    if rate is not None:
        return rate, C_RATE
    for kind in kinds:
        if kind != C_RATE and units.fits(value, kind):
            return units.parse(value, kind), kind
    try:
        units.parse(value, kinds[0])
    except units.UnitError as error:
        raise _refuse(value, kinds, str(error), words) from None
    raise _refuse(value, kinds, f"'{value}' is not {_article(kinds[0])}", words)


def _json(
    kinds: tuple[str, ...], words: tuple[str, ...] = (), *, above_zero: bool = False, negative: bool = True
) -> JsonSchemaValue:
    with_units = tuple(kind for kind in kinds if kind != C_RATE)
    alternatives = "".join(f"|{word}" for word in words)
    alternatives += rf"|\s*{_RATE}\s*" if C_RATE in kinds else ""
    sign = " above zero" if above_zero else "" if negative else " of zero or more"
    examples = [*(_EXAMPLES[kind] for kind in kinds), *words]
    return {
        "type": "string",
        "pattern": f"^(?:{quantity(with_units, above_zero=above_zero, negative=negative)}{alternatives})$",
        "examples": examples,
        "errorMessage": f"write {' or '.join(map(_article, kinds))}{sign}, such as {', '.join(examples)}",
    }


@dataclass(frozen=True)
class Quantity:
    """Marks a float that stands in the file as a quantity of this kind.

    Attributes
    ----------
    kind : str
        A key of ``labctl.units.KINDS``.
    above, at_least, below : float or None
        Bounds in SI units.
    """

    kind: str
    above: float | None = None
    at_least: float | None = None
    below: float | None = None

    def read(self, value: Any) -> float:
        """Turn what stands in the file into SI units."""
        number, _ = _read(value, (self.kind,))
        unit = units.example_unit(self.kind)
        if self.above is not None and not number > self.above:
            raise expected(f"{self.kind} {value}", f"write more than {units.show(self.above, unit)}")
        if self.at_least is not None and not number >= self.at_least:
            raise expected(f"{self.kind} {value}", f"write at least {units.show(self.at_least, unit)}")
        if self.below is not None and not number < self.below:
            raise expected(f"{self.kind} {value}", f"write less than {units.show(self.below, unit)}")
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text with a unit."""
        return _validator(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text with a unit."""
        low = self.above if self.above is not None else self.at_least
        positive = self.above == 0 or (self.at_least is not None and self.at_least > 0)
        return _json((self.kind,), above_zero=positive, negative=low is None or low < 0)


class Sizes(Protocol):
    """What must be known of a cell to say an amount in A or C; None for what nobody said."""

    @property
    def id(self) -> str:
        """Name of the cell."""

    @property
    def area(self) -> float:
        """Area of the electrode in m2."""

    @property
    def capacity(self) -> float | None:
        """Nominal capacity in C."""

    @property
    def mass(self) -> float | None:
        """Mass of the active material in kg."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity that may be absolute, or refer to the area, the mass or the capacity of a cell.

    Attributes
    ----------
    value : float
        SI; per m2 or per kg where the kind says so; a C-rate in 1/s, a share of the capacity as a fraction.
    kind : str
        Which of the allowed kinds was written, such as ``current`` or ``current density``.
    written : str
        As it stands in the file.
    """

    value: float
    kind: str
    written: str

    @property
    def size(self) -> str | None:
        """What of a cell it refers to: ``area``, ``mass`` or ``capacity``; None where it is absolute."""
        return SIZE_OF.get(self.kind)

    def of(self, cell: Sizes) -> float | None:
        """Give the size of the cell that it refers to, in SI; 1 where it is absolute, None where nobody said it."""
        match self.size:
            case "area":
                return cell.area
            case "mass":
                return cell.mass
            case "capacity":
                return cell.capacity
            case _:
                return 1.0

    def on(self, cell: Sizes) -> float:
        """Give the absolute value, in A or C, for a cell.

        Raises
        ------
        UsageError
            The cell does not say the size that it refers to.
        """
        size = self.of(cell)
        if size is None:
            raise UsageError(
                f"cell {cell.id}: '{self.written}' needs its {self.size}", hint=f"add '{self.size}' to it in cells.yaml"
            )
        return self.value * size


@dataclass(frozen=True)
class AmountOf:
    """Marks an :class:`Amount` that must be positive and of one of these kinds."""

    kinds: tuple[str, ...]

    def read(self, value: Any) -> Amount:
        """Turn what stands in the file into an amount."""
        number, kind = _read(value, self.kinds)
        if not number > 0:
            raise expected(f"{kind} {value}", "write a magnitude above zero; the step says which way it flows")
        return Amount(number, kind, str(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text with a unit."""
        return _validator(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text with a unit."""
        return _json(self.kinds, above_zero=True)


@dataclass(frozen=True, slots=True)
class Level:
    """A voltage, said as a number (V) or by the name of a cut-off; exactly one of them is set."""

    volts: float | None
    name: str | None


@dataclass(frozen=True)
class LevelOf:
    """Marks a :class:`Level` that may go by one of these names."""

    names: tuple[str, ...]

    def read(self, value: Any) -> Level:
        """Turn what stands in the file into a level."""
        if value in self.names:
            return Level(None, value)
        if isinstance(value, str) and value.strip().isalpha():
            right = f"{suggest(value, self.names)} or write a voltage such as '4.3 V'"
            raise expected(f"'{value}' is no cut-off", right)
        return Level(_read(value, ("voltage",), self.names)[0], None)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a name or text with a unit."""
        return _validator(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer the names and text with a unit."""
        return _json(("voltage",), self.names)


Voltage = Annotated[float, Quantity("voltage")]
Temperature = Annotated[float, Quantity("temperature")]
TemperatureDifference = Annotated[float, Quantity("temperature difference", above=0)]
Duration = Annotated[float, Quantity("duration", above=0)]
Current = Annotated[float, Quantity("current", above=0)]
Mass = Annotated[float, Quantity("mass", above=0)]
Capacity = Annotated[float, Quantity("capacity", above=0)]
Area = Annotated[float, Quantity("area", above=0)]
# Of impedance: beyond what any potentiostat does, so that the number of points and their time stay numbers.
Frequency = Annotated[float, Quantity("frequency", at_least=1e-6, below=1e9)]
Power = Annotated[float, Quantity("power", above=0)]
Angle = Annotated[float, Quantity("angle", above=0)]
Shift = Annotated[float, Quantity("shift")]
Ratio = Annotated[float, Quantity("ratio", at_least=0, below=1)]
