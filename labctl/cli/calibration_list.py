"""The list of a calibration series: which dataset is of which lithium beside which electrode.

labctl: 1
calibration: probe-2025-03
source: foil and deposited lithium against NMC622, static probe, March 2025
reference: nmr/licl/1
spectra:
- {file: nmr/foil-1/1, lithium: foil, series: foil-1, soc: 1.0}
- {file: nmr/foil-1/2, lithium: foil, series: foil-1, soc: 0.0}
- {file: nmr/foil-1/3, lithium: foil, series: foil-1}            # beside no positive electrode
- {file: nmr/deposit-1/1, lithium: deposited, series: deposit-1, soc: 1.0, amount: 2.4 mAh,
   nutation: nmr/deposit-1/pulses, reference: nmr/licl/2}                # of this cell, and of its session
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from labctl.analysis.calibration_series import Entry
from labctl.documents import Document, FileModel, Model, Name, Quantity, Text, validate

_MAH = 3.6  # coulombs
_File = Annotated[str, Field(min_length=1, max_length=1000)]


class _Spectrum(Model):
    file: _File = Field(examples=["nmr/foil-1/1"])
    lithium: Literal["foil", "deposited"] = Field(examples=["foil"])
    series: Name = Field(examples=["foil-1"])
    soc: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, examples=[1.0])
    amount: Annotated[float, Quantity("capacity", above=0)] | None = Field(default=None, examples=["2.4 mAh"])
    nutation: _File | None = Field(default=None, examples=["nmr/foil-1/pulses"])
    reference: _File | None = Field(default=None, examples=["nmr/licl/2"])


class _Series(FileModel):
    labctl: Literal[1] = Field(examples=[1])
    calibration: Name = Field(examples=["probe-2025-03"])
    source_: Text = Field(alias="source", examples=["foil against NMC622, static probe, March 2025"])
    reference: _File | None = Field(default=None, examples=["nmr/licl/1"])
    spectra: Annotated[tuple[_Spectrum, ...], Field(min_length=2)] = Field(
        examples=["[{file: nmr/foil-1/1, lithium: foil, series: foil-1, soc: 1.0}]"]
    )


@dataclass(frozen=True)
class Series:
    """What a list says: name and source of the calibration, and its spectra."""

    name: str
    source: str
    entries: tuple[Entry, ...]


def is_series(document: Document) -> bool:
    """Whether a document lists a calibration series."""
    return "calibration" in document.data and "spectra" in document.data


def read_series(document: Document, folder: Path) -> Series:
    """Check a list, whose paths start from ``folder``.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    """
    read = validate(document, _Series)

    def at(name: str | None) -> Path | None:
        return None if name is None else folder / name

    return Series(
        read.calibration,
        read.source_,
        tuple(
            Entry(
                folder / one.file,
                one.lithium,
                one.series,
                one.soc,
                1.0 if one.amount is None else one.amount / _MAH,
                at(one.reference or read.reference),
                at(one.nutation),
            )
            for one in read.spectra
        ),
    )
