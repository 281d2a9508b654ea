"""Reads EC-Lab's binary ``.mpr`` through the optional package galvani, which knows the numbers of its columns."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from labctl.analysis.impedance import columns, tables
from labctl.analysis.impedance.spectrum import Sweep
from labctl.errors import DataError


def read_mpr(path: Path) -> list[Sweep]:
    """Read all spectra of a file.

    Raises
    ------
    DataError
        galvani is not installed, or cannot read the file; says that EC-Lab's text export is the other way.
    """
    try:
        module = import_module("galvani")
    except ImportError as error:
        raise DataError(
            f"{path}: binary files of EC-Lab are read by the optional package galvani, which is not installed",
            hint="pip install 'labctl-cells[galvani]', or export the file as text (.mpt) in EC-Lab",
        ) from error
    try:
        data = module.BioLogic.MPRfile(str(path)).data
    except (NotImplementedError, ValueError, KeyError, AssertionError, EOFError) as error:
        raise DataError(
            f"{path}: galvani cannot read it ({error})", hint="export it as text (.mpt) in EC-Lab"
        ) from error
    names = list(data.dtype.names or ())
    found = {name: column for name in names if (column := columns.understand(name)) is not None}
    values = {name: np.asarray(data[name], dtype=np.float64) for name in names if data.dtype[name].kind in "fiu"}
    return tables.of_ec_lab(found, values, (), str(path))
