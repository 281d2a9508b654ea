"""A list of loose files as YAML: which is which cell, cycle and state, so that they are evaluated like a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, create_model

from labctl.analysis.listed import (
    ListedCell,
    ListedCharge,
    ListedCycle,
    ListedImpedance,
    ListedSpectrum,
    Named,
)
from labctl.analysis.settings import Settings
from labctl.analysis.steps import Kind
from labctl.cli.calibration_list import Series, is_series, read_series
from labctl.cli.settings_file import settings_model, settings_of
from labctl.documents import Area, Document, FileModel, Model, Name, Quantity, Ratio, Text, in_order, load, validate
from labctl.documents import Path as At
from labctl.errors import InvalidFile
from labctl.station import SocFactor

TEMPLATE = Path(__file__).with_name("templates") / "files.yaml"
_MAH = 3.6  # coulombs

_Cycle = Annotated[int, Field(strict=True, ge=1, le=100_000)]
_File = Annotated[str, Field(min_length=1, max_length=1000)]
_Capacity = Annotated[float, Quantity("capacity", at_least=0)]


def _shape(value: Any) -> str:
    return "mapping" if isinstance(value, (dict, Model)) else "list" if isinstance(value, (list, tuple)) else "text"


_Files = Annotated[
    Annotated[_File, Tag("text")] | Annotated[tuple[_File, ...], Tag("list"), Field(min_length=1)],
    Discriminator(lambda value: "list" if _shape(value) == "list" else "text"),
]


class _Spectrum(Model):
    """A spectrum and what its dataset does not say."""

    file: _File = Field(examples=["nmr/bare-01/10"])
    temperature: Annotated[float, Quantity("temperature")] | None = Field(default=None, examples=["20 degC"])
    waited: Annotated[float, Quantity("duration", at_least=0)] | None = Field(default=None, examples=["2 h"])


class _Record(Model):
    """A cycler's export, and which of its cycles is meant."""

    file: _File = Field(examples=["maccor/bare-01.001"])
    cycle: _Cycle | None = Field(default=None, examples=[1])


class _ImpedanceFile(Model):
    """An impedance file that holds several spectra, and which is meant."""

    file: _File = Field(examples=["eis/bare-01.mpt"])
    spectrum: _Cycle = Field(default=1, examples=[1])


_ByShape = Discriminator(lambda value: "mapping" if _shape(value) == "mapping" else "text")
_SpectrumOr = Annotated[Annotated[_File, Tag("text")] | Annotated[_Spectrum, Tag("mapping")], _ByShape]
_CapacityOr = Annotated[Annotated[_Capacity, Tag("text")] | Annotated[_Record, Tag("mapping")], _ByShape]
_ImpedanceOr = Annotated[Annotated[_File, Tag("text")] | Annotated[_ImpedanceFile, Tag("mapping")], _ByShape]


class _Impedances(Model):
    charged: _ImpedanceOr | None = None
    discharged: _ImpedanceOr | None = None
    stripped: _ImpedanceOr | None = None


class _Recoveries(Model):
    charged: _Files | None = None
    discharged: _Files | None = None
    dead: _Files | None = None


class _CycleEntry(Model):
    cycle: _Cycle = Field(examples=[1])
    charge: _CapacityOr | None = Field(default=None, examples=["2.62 mAh"])
    discharge: _CapacityOr | None = Field(default=None, examples=["2.30 mAh"])
    hold: _CapacityOr | None = Field(default=None, examples=["0.236 mAh"])
    charged: _SpectrumOr | None = Field(default=None, examples=["nmr/bare-01/10"])
    discharged: _SpectrumOr | None = Field(default=None, examples=["nmr/bare-01/20"])
    dead: _SpectrumOr | None = Field(default=None, examples=["nmr/bare-01/30"])
    nutation: _Files | None = Field(default=None, examples=["nmr/bare-01/nutation"])
    recovery: _Recoveries = Field(default_factory=_Recoveries, examples=["{charged: nmr/bare-01/t1}"])
    reference: _File | None = Field(default=None, examples=["nmr/licl/1"])
    impedance: _Impedances = Field(default_factory=_Impedances, examples=["{charged: eis/bare-01-charged.ism}"])


class _CellEntry(Model):
    id: Name = Field(examples=["bare-01"])
    group: Name = Field(examples=["bare"])
    area: Area = Field(examples=["1.0 cm2"])
    chemistry: Text = Field(examples=["Cu||NMC622"])
    soc_factor: SocFactor | None = Field(default=None, examples=['{value: 1.08, sd: 0.015, source: "paper"}'])
    cycling: _Files | None = Field(default=None, examples=["maccor/bare-01.001"])
    pristine: _SpectrumOr | None = Field(default=None, examples=["nmr/bare-01/1"])
    cycles: tuple[_CycleEntry, ...] = Field(default=(), examples=["[{cycle: 1, charged: nmr/bare-01/10}]"])


class _Manifest(FileModel):
    labctl: Literal[1] = Field(examples=[1])
    analysis: Name = Field(examples=["my-cells"])
    mode: Literal["live", "simulated"] = Field(default="live", examples=["live"])
    capacity_accuracy: Ratio = Field(default=0.0, examples=["0.1 %"])
    reference: _File | None = Field(default=None, examples=["nmr/licl/1"])
    cells: Annotated[tuple[_CellEntry, ...], Field(min_length=1)] = Field(examples=["[{id: bare-01, ...}]"])


@dataclass(frozen=True)
class Manifest:
    """What a list says.

    Attributes
    ----------
    name, mode : str
        Of the whole.
    folder : Path
        Where the list lies, from which its relative paths start.
    accuracy : float
        The cycler's.
    reference : Named or None
        The LiCl spectrum for all cells.
    cells : tuple of ListedCell
        In the order of the file.
    settings : Settings or None
        None where the list has none.
    """

    name: str
    mode: str
    folder: Path
    accuracy: float
    reference: Named | None
    cells: tuple[ListedCell, ...]
    settings: Settings | None


def load_listed(path: Path) -> Manifest | Series:
    """Read and check a list of files, of cells or of a calibration series.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column. A file that is not there is none: the others are evaluated.
    """
    document = load(path)
    if is_series(document):
        return read_series(document, path.resolve().parent)
    if "analysis" not in document.data and ("protocol" in document.data or "station" in document.data):
        raise InvalidFile([document.mistake((), "this is no list of files to analyze", "begin with 'labctl analyze "
                                            "--template'")])  # fmt: skip
    described: dict[str, Any] = {"settings": (settings_model() | None, Field(default=None, examples=["{soc: paper}"]))}
    model = create_model("Manifest", __base__=_Manifest, **described)
    read: Any = validate(document, model)
    _check(read, document)
    settings = None if read.settings is None else settings_of(read.settings, document)
    reader = _Reader(document, path.resolve().parent)
    cells = tuple(reader.cell(entry, ("cells", index)) for index, entry in enumerate(read.cells))
    reference = reader.named(read.reference, ("reference",))
    return Manifest(read.analysis, read.mode, reader.folder, read.capacity_accuracy, reference, cells, settings)


def _check(read: Any, document: Document) -> None:
    mistakes = []
    seen: set[str] = set()
    for index, cell in enumerate(read.cells):
        at: At = ("cells", index, "id")
        if cell.id in seen:
            mistakes.append(document.mistake(at, f"the cell '{cell.id}' stands here a second time", "name each once"))
        if cell.id == "reference":
            mistakes.append(document.mistake(at, "'reference' means the LiCl spectrum", "name the cell otherwise"))
        seen.add(cell.id)
        numbers: set[int] = set()
        for place, one in enumerate(cell.cycles):
            if one.cycle in numbers:
                where: At = ("cells", index, "cycles", place, "cycle")
                mistakes.append(
                    document.mistake(
                        where, f"cycle {one.cycle} stands here a second time", "put all of it into one entry"
                    )
                )
            numbers.add(one.cycle)
    if mistakes:
        raise InvalidFile(in_order(mistakes))


@dataclass(frozen=True)
class _Reader:
    """Turns models into what the analysis takes, each file with its place in the list."""

    document: Document
    folder: Path

    def named(self, written: str | None, at: At) -> Named | None:
        """Give a file by its path, relative to the list."""
        if written is None:
            return None
        place = self.document.place(at)
        return Named(self.folder / Path(written), f"{self.document.file}:{place.line}:{place.column}", written)

    def _file(self, written: str, at: At) -> Named:
        place = self.document.place(at)
        return Named(self.folder / Path(written), f"{self.document.file}:{place.line}:{place.column}", written)

    def _files(self, written: str | tuple[str, ...] | None, at: At) -> tuple[Named, ...]:
        if written is None:
            return ()
        if isinstance(written, str):
            return (self._file(written, at),)
        return tuple(self._file(one, (*at, index)) for index, one in enumerate(written))

    def cell(self, entry: _CellEntry, at: At) -> ListedCell:
        """Give one cell."""
        plain: dict[str, Any] = {
            "cell": entry.id, "group": entry.group, "area_m2": entry.area, "chemistry": entry.chemistry,
            "measure_at": [one.cycle for one in entry.cycles if one.charged or one.discharged or one.dead],
        }  # fmt: skip
        if entry.soc_factor is not None:
            plain["soc_factor"] = entry.soc_factor.model_dump()
        return ListedCell(
            plain,
            self._files(entry.cycling, (*at, "cycling")),
            self._spectrum(entry.pristine, (*at, "pristine")),
            tuple(self._cycle(one, (*at, "cycles", index)) for index, one in enumerate(entry.cycles)),
        )

    def _cycle(self, one: _CycleEntry, at: At) -> ListedCycle:
        kinds: tuple[Kind, ...] = ("charge", "discharge", "hold")
        passed = {kind: self._charge(getattr(one, kind), (*at, kind)) for kind in kinds}
        spectra = {
            label: self._spectrum(getattr(one, label), (*at, label)) for label in ("charged", "discharged", "dead")
        }
        impedance = {
            label: self._impedance(getattr(one.impedance, label), (*at, "impedance", label))
            for label in ("charged", "discharged", "stripped")
        }
        recovery = {
            label: self._files(getattr(one.recovery, label), (*at, "recovery", label))
            for label in ("charged", "discharged", "dead")
        }
        return ListedCycle(
            one.cycle,
            _known(passed),
            _known(spectra),
            _known(impedance),
            self._files(one.nutation, (*at, "nutation")),
            {label: some for label, some in recovery.items() if some},
            self.named(one.reference, (*at, "reference")),
        )

    def _spectrum(self, given: str | _Spectrum | None, at: At) -> ListedSpectrum | None:
        if given is None:
            return None
        if isinstance(given, str):
            return ListedSpectrum(self._file(given, at))
        return ListedSpectrum(self._file(given.file, (*at, "file")), given.temperature, given.waited)

    def _charge(self, given: float | _Record | None, at: At) -> ListedCharge | None:
        if given is None:
            return None
        if isinstance(given, _Record):
            return ListedCharge(None, self._file(given.file, (*at, "file")), given.cycle)
        return ListedCharge(given / _MAH)

    def _impedance(self, given: str | _ImpedanceFile | None, at: At) -> ListedImpedance | None:
        if given is None:
            return None
        if isinstance(given, str):
            return ListedImpedance(self._file(given, at))
        return ListedImpedance(self._file(given.file, (*at, "file")), given.spectrum)


def _known(values: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in values.items() if value is not None}
