"""Single files that belong to no campaign: what each is, and what it says by itself.

A file is known by its ending or its first lines; a folder by what lies below. What cannot be read becomes a
:class:`Broken` with one sentence, and never stops the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Final

from labctl.analysis import exports, lines_seen, places, steps, symmetric_summary
from labctl.analysis.bundles import STUMBLES
from labctl.analysis.impedance.files import read_series
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, ImpedanceSpectrum, Sweep
from labctl.analysis.lines_seen import SeenSpectrum
from labctl.analysis.parallel import Workers
from labctl.analysis.places import Place
from labctl.analysis.settings import Settings
from labctl.analysis.steps import CycleLine
from labctl.analysis.symmetric_summary import SeenSymmetric
from labctl.errors import DataError, LabctlError

#: Files that are impedance whatever is in them, and those that may be.
_IMPEDANCE: Final = (".ism", ".mpr")
_TABLES: Final = (".csv", ".txt", ".tsv", ".dat", ".mpt")
#: How deep a folder is searched.
_DEPTH: Final = 4
#: What each costs on one core, roughly: a decay, an impedance spectrum, a cycler's record.
_COSTS: Final = {"nmr": 0.05, "impedance": 0.03, "cycling": 0.1}


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be evaluated by itself: ``nmr`` with its place, ``impedance`` or ``cycling``."""

    kind: str
    path: Path
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class SeenCycling:
    """A cycler's record in cycles; ``n80`` is the first cycle below 80 % of the reference cycle's discharge."""

    path: str
    source: str
    cycles: tuple[CycleLine, ...]
    reference_cycle: int
    n80: int | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenImpedance:
    """An impedance spectrum, tested and fitted.

    Attributes
    ----------
    path : str
        The file.
    number : int
        Of the spectrum in it, from 1.
    electrode : str
        ``cell``, ``working`` or ``counter``.
    points : int
        How many.
    highest_Hz, lowest_Hz : float
        The range.
    passes : bool or None
        The Kramers-Kronig test of the whole; None where there are too few points.
    lowest_valid_Hz : float or None
        Down to which it passes; None where no part does.
    n_rc : int or None
        RC elements of that test.
    circuit : str or None
        That was fitted to what lies above 1 Hz; None where it could not be.
    parameters, sd : mapping of str to float
        In ohm, ohm^-1 s^alpha and 1.
    time_constants_s : tuple of float
        Of the arcs, rising.
    warnings : tuple of str
        What to know before using it.
    """

    path: str
    number: int
    electrode: str
    points: int
    highest_Hz: float
    lowest_Hz: float
    passes: bool | None
    lowest_valid_Hz: float | None
    n_rc: int | None
    circuit: str | None
    parameters: Mapping[str, float]
    sd: Mapping[str, float]
    time_constants_s: tuple[float, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """What could not be evaluated, and why, in one line."""

    path: str
    error: str


Seen = SeenSpectrum | SeenCycling | SeenImpedance | SeenSymmetric
_NAMES: Final = {SeenSpectrum: "nmr", SeenCycling: "cycling", SeenImpedance: "impedance", Broken: "broken",
                 SeenSymmetric: "symmetric"}  # fmt: skip


def sources(path: Path) -> list[Source]:
    """Say what ``path`` holds.

    Parameters
    ----------
    path : Path
        A file, a zip archive of Bruker data, an EXPNO folder, or a folder with any of them below.

    Raises
    ------
    DataError
        If there is nothing that is known.
    """
    if path.is_dir():
        found = list(_below(path, _DEPTH))
        if not found:
            raise DataError(f"{path}: no campaign, Bruker dataset, cycler export or impedance file here or below")
        return found
    if path.is_file() and not _is_archive(path):
        known = _known(path)
        if known is not None:
            return [known]
        if path.name not in ("fid", "acqus", "acqu", "procs"):
            raise DataError(
                f"{path}: neither impedance nor a cycler's export (time, current and voltage) by its heading"
            )
    return [Source("nmr", one.path, one) for one in places.locate(path)]


def look(
    wanted: Sequence[Source],
    settings: Settings,
    *,
    workers: Workers | None = None,
    done: Callable[[], None] | None = None,
) -> list[Seen | Broken]:
    """Evaluate each by itself, in their order; what cannot be is a :class:`Broken` in its place."""
    cost = sum(_COSTS[one.kind] for one in wanted)
    tasks = [(one, settings) for one in wanted]
    return [each for some in (workers or Workers()).mapped(_look, tasks, seconds=cost, done=done) for each in some]


def to_json(one: Seen | Broken) -> dict[str, Any]:
    """Give a finding as plain data; units are in the names."""
    found = {"kind": _NAMES[type(one)], **_plain(one)}
    for part in ("charge_mAh", "discharge_mAh", "hold_mAh", "charge_mWh", "discharge_mWh"):
        for line in found.get("cycles", ()):
            size = "capacity" if part.endswith("Ah") else "energy"
            line[part.replace("_m", f"_{size}_m")] = line.pop(part)
    return found


def _look(task: tuple[Source, Settings]) -> list[Seen | Broken]:
    source, settings = task
    try:
        if source.kind == "nmr" and source.place is not None:
            return [lines_seen.look(source.place, settings.recipe)]
        if source.kind == "cycling":
            return [_cycling(source.path, settings)]
        return [one for sweep in read_series(source.path) for one in _sweep(source.path, sweep)]
    except LabctlError as error:
        return [Broken(str(source.path), str(error))]
    except STUMBLES as error:
        return [Broken(str(source.path), f"{source.path}: cannot be evaluated ({type(error).__name__}: {error})")]


def _cycling(path: Path, settings: Settings) -> SeenCycling | SeenSymmetric:
    table = exports.read(path)
    if symmetric_summary.is_symmetric(table.voltage_V, table.current_A):
        found_cycles = symmetric_summary.of_record(table.time_s, table.voltage_V, table.current_A, name=path.name)
        return SeenSymmetric(str(path), table.source, found_cycles)
    found = steps.lines(steps.stretches(table), reference_cycle=settings.reference_cycle)
    warnings = []
    if not found:
        warnings.append("no charge has passed")
    if any(one.cycle == 0 for one in found):
        warnings.append("begins with a discharge: it is shown as cycle 0")
    over = [one.cycle for one in found if (one.coulombic_efficiency or 0.0) > 1.0]
    if over:
        warnings.append(f"more came out than went in: cycles {', '.join(map(str, over[:5]))}{' …' if over[5:] else ''}")
    if table.capacity_Ah is None:
        warnings.append("has no count of charge of its own: capacities are integrals of the current")
    known = steps.life(found, reference_cycle=settings.reference_cycle)
    warnings += known.flags if known is not None else ()
    return SeenCycling(str(path), table.source, tuple(found), settings.reference_cycle,
                       None if known is None else known.first_below, tuple(warnings))  # fmt: skip


def _sweep(path: Path, sweep: Sweep) -> Iterator[SeenImpedance]:
    from labctl.analysis.impedance import check_sweep

    extra: list[str] = []
    if sweep.working is not None and sweep.counter is not None:
        try:
            extra.append(check_sweep(sweep).statement)
        except DataError as error:
            extra.append(str(error))
    yield _spectrum(path, sweep.number, sweep.cell, extra)
    for one in (sweep.working, sweep.counter):
        if one is not None:
            yield _spectrum(path, sweep.number, one, [])


def _spectrum(path: Path, number: int, one: ImpedanceSpectrum, extra: Sequence[str]) -> SeenImpedance:
    from labctl.analysis.impedance import TWO_ARCS, fit, kramers_kronig

    f, z = one.frequency_Hz, one.impedance_ohm
    warnings = [*one.flags, *extra]
    tested = fitted = None
    try:
        tested = kramers_kronig(f, z)
        warnings += tested.flags
    except LabctlError as error:
        warnings.append(f"not tested by Kramers-Kronig: {error}")
    try:
        fitted = fit(f, z, TWO_ARCS, above_Hz=STATIONARY_ABOVE_HZ)
        warnings += [flag for flag in fitted.flags if not flag.endswith("left out")]
    except LabctlError as error:
        warnings.append(f"not fitted: {error}")
    return SeenImpedance(
        path=str(path),
        number=number,
        electrode=one.electrode,
        points=len(f),
        highest_Hz=float(f.max()),
        lowest_Hz=float(f.min()),
        passes=None if tested is None else tested.passes,
        lowest_valid_Hz=None if tested is None else tested.lowest_valid_frequency,
        n_rc=None if tested is None else tested.n_rc,
        circuit=None if fitted is None else fitted.circuit,
        parameters={} if fitted is None else dict(fitted.parameters),
        sd={} if fitted is None else dict(fitted.sd),
        time_constants_s=() if fitted is None else fitted.time_constants_s,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _below(folder: Path, depth: int) -> Iterator[Source]:
    """Find what is known below a folder, in the order of names, numbers as numbers."""
    entries = sorted(folder.iterdir(), key=lambda one: places.order(one.name))
    if places.is_expno(folder):
        yield Source("nmr", folder, places.Folder(folder))
        return
    for one in entries:
        if one.is_dir():
            if depth > 0 and not one.name.startswith("."):
                yield from _below(one, depth - 1)
        elif _is_archive(one):
            try:
                yield from (Source("nmr", each.path, each) for each in places.locate(one))
            except DataError:
                continue  # an archive of other things
        elif (known := _known(one)) is not None:
            yield known


def _known(path: Path) -> Source | None:
    suffix = path.suffix.lower()
    if suffix in _IMPEDANCE:
        return Source("impedance", path)
    if suffix == ".mpt":
        return Source("cycling" if exports.is_record(path) and not _has_frequency(path) else "impedance", path)
    if suffix in _TABLES and _has_frequency(path):
        return Source("impedance", path)
    if (suffix in _TABLES or suffix[1:].isdecimal()) and exports.is_record(path):
        return Source("cycling", path)
    return None


def _has_frequency(path: Path) -> bool:
    """Whether one of the first lines of a table is a heading of impedance."""
    from labctl.analysis.impedance.columns import understand

    for line in exports.first_lines(path):
        for mark in ("\t", ";", ",", " "):
            known = {column.quantity for title in line.split(mark) if (column := understand(title)) is not None}
            if known & {"frequency", "angular"} and known & {"real", "magnitude"}:
                return True
    return False


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _plain(value: Any) -> Any:
    """Turn records into plain data, and what JSON has no word for into nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
