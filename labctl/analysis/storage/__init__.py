"""Results as files: one netCDF for each cell and each campaign, and a CSV beside it for every table.

What stands in them is described for their readers in ``docs/results-files.md``. Here: ``tables`` says what a table is,
``cells``, ``spectra``, ``circuits``, ``operando`` and ``campaigns`` fill tables from an analysis, ``netcdf`` and
``commas`` turn them into bytes, ``names`` and ``files`` put these on the disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray

    from labctl.analysis.model import Analysis
    from labctl.analysis.parallel import Workers

__all__ = ["SCHEMA", "read", "write"]

#: What the global attribute ``schema`` of every file says.
SCHEMA = "labctl.results/1"


def write(analysis: Analysis, folder: Path, *, workers: Workers | None = None) -> tuple[Path, ...]:
    """Write ``<campaign>.nc`` and ``<campaign>/<cell>.nc`` and their tables as CSV.

    Parameters
    ----------
    analysis : Analysis
        What is written.
    folder : Path
        Made if it is not there. Files of an earlier analysis are replaced, each whole or not at all; tables that this
        one has not, of cells that it has, are removed.
    workers : Workers, optional
        Processes that share the cells.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    DataError
        If a file can't be written, as one that is open in another program.
    """
    from labctl.analysis.parallel import Workers
    from labctl.analysis.storage.writing import write_all

    return write_all(analysis, Path(folder), workers or Workers())


def read(path: Path) -> xarray.Dataset:
    """Read a netCDF file of :func:`write` into memory; the file is closed again.

    Raises
    ------
    DataError
        If it is missing, damaged, or no file of results.
    """
    from labctl.analysis.storage.reading import read_whole

    return read_whole(Path(path))
