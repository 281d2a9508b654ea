"""Cells whose files a person has listed: the second source of an evaluation beside labctl's own bundles.

A list says which file is which cell, cycle and state. It is turned into the campaign that labctl would have written, so
that one evaluation serves both: records of cyclers are divided into charges, discharges and holds and written as
tables into a working folder; spectra and impedance are read where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from labctl.analysis import exports, places, steps
from labctl.analysis.bundles import Campaign, Operation
from labctl.analysis.impedance.files import read_series
from labctl.analysis.impedance.spectrum import Sweep
from labctl.analysis.places import Folder, Place
from labctl.analysis.steps import Kind, Stretch
from labctl.errors import DataError

#: Takes a sentence about a file that is left out.
Say = Callable[[str], None]
#: In which order things happen in a cycle.
_ORDER: Final = ("charge", "charged", "nutation", "recovery", "discharge", "discharged", "hold", "dead", "stripped")
_REFERENCE: Final = "reference"


@dataclass(frozen=True, slots=True)
class Named:
    """A file as a list names it: where it is, and ``list:line:column`` for messages."""

    path: Path
    where: str
    written: str


@dataclass(frozen=True, slots=True)
class ListedSpectrum:
    """A spectrum, and what its dataset does not say: temperature of the sample in K, wait since the cycling in s."""

    file: Named
    temperature_K: float | None = None
    waited_s: float | None = None


@dataclass(frozen=True, slots=True)
class ListedCharge:
    """What passed: a capacity in mAh that somebody knows, or a record, of which ``cycle`` is taken (None: all)."""

    capacity_mAh: float | None = None
    file: Named | None = None
    cycle: int | None = None


@dataclass(frozen=True, slots=True)
class ListedImpedance:
    """An impedance file, and which of its spectra is meant, from 1."""

    file: Named
    number: int = 1


@dataclass(frozen=True, slots=True)
class ListedCycle:
    """What is known of one cycle.

    Attributes
    ----------
    cycle : int
        Its number.
    passed : mapping
        ``charge``, ``discharge`` and ``hold``; they stand over what the cell's records say.
    spectra : mapping
        By state: ``charged``, ``discharged``, ``dead``.
    impedance : mapping
        By state: ``charged``, ``discharged``, ``stripped``.
    nutation : tuple of Named
        The datasets of the nutation curve, or folders that hold them.
    recovery : mapping of str to tuple of Named
        Saturation recoveries by state.
    reference : Named or None
        The LiCl spectrum of this cycle's session.
    """

    cycle: int
    passed: Mapping[Kind, ListedCharge] = field(default_factory=dict)
    spectra: Mapping[str, ListedSpectrum] = field(default_factory=dict)
    impedance: Mapping[str, ListedImpedance] = field(default_factory=dict)
    nutation: tuple[Named, ...] = ()
    recovery: Mapping[str, tuple[Named, ...]] = field(default_factory=dict)
    reference: Named | None = None


@dataclass(frozen=True, slots=True)
class ListedCell:
    """One cell: its entry as in ``campaign.json``, its records in their order, and its cycles."""

    entry: Mapping[str, Any]
    records: tuple[Named, ...] = ()
    pristine: ListedSpectrum | None = None
    cycles: tuple[ListedCycle, ...] = ()

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.entry["cell"])


@dataclass(frozen=True)
class ListedOperation(Operation):
    """What a bundle would hold, of files that lie anywhere."""

    told: float | None = None
    table: Path | None = None
    spectra: tuple[Place, ...] = ()

    @property
    def told_mAh(self) -> float | None:
        """What a person says that it passed."""
        return self.told

    def names(self) -> list[str]:
        """Name the table, as bundles do."""
        return [] if self.table is None else [self._table_name]

    def file(self, name: str) -> Path:
        """Give the file that stands for one of a bundle.

        Raises
        ------
        DataError
            If none does.
        """
        if self.table is None or name != self._table_name:
            raise DataError(f"{self.token or self.step}: there is no {name}")
        return self.table

    def datasets(self) -> list[Path]:
        """Give the EXPNO folders; inside an archive, the archive's path with the member's."""
        return [one.path for one in self._given()]

    def decays(self) -> list[Path | Place]:
        """Give the places of the datasets."""
        return [*self._given()]

    @property
    def _table_name(self) -> str:
        return "impedance.csv" if self.kind == "eis" else "records.parquet"

    def _given(self) -> tuple[Place, ...]:
        if not self.spectra:
            raise DataError(f"{self.token or self.step}: holds no Bruker dataset")
        return self.spectra


def campaign(
    name: str,
    cells: Sequence[ListedCell],
    *,
    folder: Path,
    scratch: Path,
    say: Say,
    mode: str = "live",
    accuracy: float = 0.0,
    reference: Named | None = None,
) -> Campaign:
    """Make a campaign of listed files.

    Parameters
    ----------
    name : str
        Of the whole.
    cells : sequence of ListedCell
        In the order in which they are shown.
    folder : Path
        Of the list; relative paths of calibrations start here.
    scratch : Path
        A working folder, which must live until the evaluation has ended.
    say : callable
        Takes one sentence for each file that cannot be used; the rest goes on without it.
    mode : str
        ``live`` or ``simulated``.
    accuracy : float
        The cycler's relative standard deviation.
    reference : Named, optional
        The LiCl spectrum for all cells.
    """
    operations: list[Operation] = []
    references: dict[Path, str] = {}

    def refer(given: Named | None) -> str | None:
        if given is None:
            return None
        if given.path not in references:
            found = _places(given, say)
            if not found:
                return None
            references[given.path] = given.written
            operations.append(_made(folder, _REFERENCE, _REFERENCE, 0, _REFERENCE, given.written, spectra=found[:1]))
        return references[given.path]

    for cell in cells:
        maker = _Maker(cell, folder, scratch / cell.name, say)
        operations += maker.all(refer, reference)
    operations.sort(key=lambda one: one.started)
    document = {"campaign": name, "mode": mode, "capacity_accuracy": accuracy}
    return Campaign(folder, name, mode, tuple(cell.entry for cell in cells), tuple(operations), document)


@dataclass(frozen=True)
class _Maker:
    """Makes the operations of one cell."""

    cell: ListedCell
    folder: Path
    scratch: Path
    say: Say

    def all(self, refer: Callable[[Named | None], str | None], common: Named | None) -> Iterator[Operation]:
        told = {(one.cycle, kind) for one in self.cell.cycles for kind in one.passed}
        for number, kind, parts in self._recorded():
            if (number, kind) not in told:
                yield from self._passed(number, kind, parts)
        if self.cell.pristine is not None:
            yield from self._spectrum(0, "pristine", self.cell.pristine, refer(common), None)
        for one in self.cell.cycles:
            zero = refer(one.reference or common)
            for kind, charge in one.passed.items():
                yield from self._charge(one.cycle, kind, charge)
            curve = [place for given in one.nutation for place in _places(given, self.say)]
            token = one.nutation[0].written if curve else None
            if token is not None:
                yield self._made(one.cycle, "nutation", token, spectra=curve, reference=zero)
            for label, given in one.recovery.items():
                found = [place for each in given for place in _places(each, self.say)]
                if found:
                    yield self._made(one.cycle, "recovery", given[0].written, label, spectra=found, reference=zero)
            for label, spectrum in one.spectra.items():
                yield from self._spectrum(one.cycle, label, spectrum, zero, token)
            for label, impedance in one.impedance.items():
                yield from self._impedance(one.cycle, label, impedance)

    def _recorded(self) -> Iterator[tuple[int, Kind, list[Stretch]]]:
        """Divide the cell's records; cycles are counted on from file to file."""
        found: dict[tuple[int, Kind], list[Stretch]] = {}
        before = 0
        for given in self.cell.records:
            parts = self._stretches(given)
            for one in parts:
                found.setdefault((before + one.cycle, one.kind), []).append(one)
            before += max((one.cycle for one in parts), default=0)
        for (number, kind), some in found.items():
            yield number, kind, some

    def _stretches(self, given: Named) -> list[Stretch]:
        try:
            return steps.stretches(exports.read(given.path))
        except DataError as error:
            self.say(f"{given.where}: {error}")
            return []

    def _charge(self, cycle: int, kind: Kind, charge: ListedCharge) -> Iterator[Operation]:
        if charge.file is None:
            yield self._made(cycle, kind, "", told=charge.capacity_mAh)
            return
        parts = self._stretches(charge.file)
        wanted = "discharge" if kind == "hold" and not any(one.kind == "hold" for one in parts) else kind
        chosen = [one for one in parts if one.kind == wanted and charge.cycle in (None, one.cycle)]
        if parts and not chosen:
            where = "" if charge.cycle is None else f" in its cycle {charge.cycle}"
            self.say(f"{charge.file.where}: {charge.file.written} has no {kind}{where}")
        yield from self._passed(cycle, kind, chosen)

    def _passed(self, cycle: int, kind: Kind, parts: Sequence[Stretch]) -> Iterator[Operation]:
        for number, part in enumerate(parts, 1):
            table = steps.save(part, self.scratch / f"c{cycle:03d}-{kind}-{number}.parquet")
            seconds = float(part.time_s[-1] - part.time_s[0])
            yield self._made(cycle, kind, "", step=f"-{number}", table=table, summary={"duration_s": seconds})

    def _spectrum(
        self, cycle: int, label: str, given: ListedSpectrum, reference: str | None, nutation: str | None
    ) -> Iterator[Operation]:
        found = _places(given.file, self.say)
        if len(found) > 1:
            self.say(
                f"{given.file.where}: {given.file.written} holds {len(found)} datasets where one spectrum is meant"
            )
        elif found:
            yield self._made(
                cycle, "nmr", given.file.written, label, spectra=found, reference=reference, nutation=nutation,
                sample_temperature_K=given.temperature_K, delay_s=given.waited_s,
            )  # fmt: skip

    def _impedance(self, cycle: int, label: str, given: ListedImpedance) -> Iterator[Operation]:
        try:
            sweeps = read_series(given.file.path)
            if not 1 <= given.number <= len(sweeps):
                raise DataError(f"{given.file.written} holds {len(sweeps)} spectra, not {given.number}")
        except DataError as error:
            self.say(f"{given.file.where}: {error}")
            return
        path = given.file.path
        if len(sweeps) > 1:
            path = _write(sweeps[given.number - 1], self.scratch / f"c{cycle:03d}-{label}.csv")
        yield self._made(cycle, "eis", given.file.written, label, table=path)

    def _made(self, cycle: int, kind: str, token: str, label: str = "", *, step: str = "", **more: Any) -> Operation:
        return _made(self.folder, self.cell.name, kind, cycle, label, token, step=step, **more)


def _made(
    folder: Path,
    cell: str,
    kind: str,
    cycle: int,
    label: str,
    token: str,
    *,
    step: str = "",
    told: float | None = None,
    table: Path | None = None,
    spectra: Sequence[Place] = (),
    **document: Any,
) -> ListedOperation:
    name = f"{kind}-{label}" if label and label != kind else kind
    place = _ORDER.index(label) if label in _ORDER else _ORDER.index(kind) if kind in _ORDER else 0
    return ListedOperation(
        folder=folder,
        cell=cell,
        group="",
        cycle=cycle,
        step=f"c{cycle:03d}/{name}{step}",
        attempt=1,
        kind=kind,
        label=label,
        token=token,
        # Nobody says when: the cycle and what happens in it give the order, and no time is made of it.
        started=f"cycle {cycle:06d}.{place:02d}{step}",
        document={key: value for key, value in document.items() if value is not None},
        told=told,
        table=table,
        spectra=tuple(spectra),
    )


def _places(given: Named, say: Say) -> list[Place]:
    try:
        return places.locate(given.path)
    except DataError as error:
        say(f"{given.where}: {error}")
        return []


def raw_folders(cells: Sequence[ListedCell], reference: Named | None = None) -> Iterator[Path]:
    """Give the folders of all spectra that a list names: nothing is ever written there."""
    unsaid: list[str] = []  # who evaluates them says what is wrong with them
    for given in _spectra(cells, reference):
        yield from (one.path for one in _places(given, unsaid.append) if isinstance(one, Folder))


def _spectra(cells: Sequence[ListedCell], reference: Named | None) -> Iterator[Named]:
    if reference is not None:
        yield reference
    for cell in cells:
        if cell.pristine is not None:
            yield cell.pristine.file
        for one in cell.cycles:
            yield from (spectrum.file for spectrum in one.spectra.values())
            yield from one.nutation
            yield from (given for some in one.recovery.values() for given in some)
            if one.reference is not None:
                yield one.reference


def _write(sweep: Sweep, path: Path) -> Path:
    """Write one sweep of several as the table that bundles have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"cell": sweep.cell, "working": sweep.working, "counter": sweep.counter}
    electrodes = {name: one for name, one in known.items() if one is not None}
    heads = [f"{name}_{part}_ohm" for name in electrodes for part in ("real", "imaginary")]
    rows = [
        ",".join([repr(float(f))] + [repr(float(x)) for one in electrodes.values()
                                     for x in (one.impedance_ohm[row].real, one.impedance_ohm[row].imag)])
        for row, f in enumerate(sweep.cell.frequency_Hz)
    ]  # fmt: skip
    path.write_text("\n".join([",".join(["frequency_Hz", *heads]), *rows]) + "\n", encoding="utf-8")
    return path
