"""Which reader a file needs. Formats are in modules of their own."""

from __future__ import annotations

import csv
from pathlib import Path

from labctl.analysis.impedance import tables
from labctl.analysis.impedance.ism import read_ism
from labctl.analysis.impedance.mpr import read_mpr
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum, Sweep
from labctl.errors import DataError

_SUFFIXES = ".csv, .txt, .ism, .mpt, .mpr"


def read(path: Path) -> ImpedanceSpectrum:
    """Read the one spectrum of a file: the cell's impedance.

    labctl's ``impedance.csv``, tables of other programs (columns are known by name and unit), Zahner's ``.ism``,
    BioLogic's ``.mpt`` and, with the optional package galvani, ``.mpr``.

    Raises
    ------
    DataError
        The file cannot be read, columns are missing, a line is cut off, a value is no positive frequency or no finite
        impedance, or it holds several spectra (:func:`read_series` gives them).
    """
    found = read_series(path)
    if len(found) > 1:
        raise DataError(f"{path}: holds {len(found)} spectra where one is wanted", hint="read_series gives all of them")
    return found[0].cell


def read_series(path: Path) -> list[Sweep]:
    """Read all spectra of a file, in the order of measurement, each with its electrodes where they were recorded.

    Of a series that labctl measured, give its ``spectra.csv``: the tables that it names are read.

    Raises
    ------
    DataError
        As :func:`read`, but for several spectra.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".ism":
            return [Sweep(1, read_ism(path))]
        if suffix == ".mpr":
            return read_mpr(path)
        if suffix == ".mpt":
            return tables.read_mpt(path)
        if path.name == "spectra.csv":
            return _labctl_series(path)
        if suffix in (".csv", ".txt", ".tsv", ".dat"):
            return tables.read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    raise DataError(f"{path}: {suffix or 'no suffix'} is no impedance file; {_SUFFIXES} are read")


def _labctl_series(path: Path) -> list[Sweep]:
    found = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: is no record of a series of spectra ({error})") from error
    for row in rows:
        try:
            number, charge, name = int(row["spectrum"]), float(row["charge_middle_C"]) / 3.6, row["table"]
            began = float(row["started_s"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: is no record of a series of spectra ({error!r})") from error
        one = tables.read_csv(path.parent / Path(name).name)[0]
        found.append(
            Sweep(number, one.cell, one.working, one.counter, one.cell_measured, began_s=began, charge_mAh=charge)
        )
    if not found:
        raise DataError(f"{path}: names no spectrum")
    return found
