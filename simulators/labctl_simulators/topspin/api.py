"""The public names of ``bruker.api.topspin``, as far as a gateway uses them, in front of the virtual spectrometer.

From public code that uses the vendor's package: the names, their arguments, and that values come and go as texts.
Guessed: a dataset that exists is not made again (None), an unknown parameter reads as an empty text, and so does what
has no value yet. Left out: displays, spectra, processing, queues, the exceptions of the vendor's package.

As with the vendor's, all of it may be called from any thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Spectrometer(Protocol):
    """What the names below stand in front of. Every method may be called from any thread."""

    version: str
    folder: Path

    def create(self, folder: Path) -> bool:
        """Make an EXPNO; False where it exists."""

    def known(self, folder: Path) -> bool:
        """Whether there is such an EXPNO."""

    def set_parameter(self, folder: Path, name: str, value: str) -> None:
        """Offer a value."""

    def get_parameter(self, folder: Path, name: str) -> str:
        """Give a value."""

    def command(self, folder: Path | None, command: str) -> None:
        """Take a command as typed into TopSpin."""


class NMRDataSet:
    """One dataset: ``<folder>/<name>/<EXPNO>/pdata/<PROCNO>``."""

    def __init__(self, spectrometer: Spectrometer, path: Path) -> None:
        self._spectrometer = spectrometer
        self._path = path
        self._folder = path.parent.parent

    def getIdentifier(self) -> str:
        """Give the path to the PROCNO."""
        return str(self._path)

    def getDimension(self) -> int:
        """Give the number of dimensions."""
        return 1

    def getPar(self, name: str) -> str:
        """Give a parameter: ``"NS"`` as wanted, ``"status NS"`` as used."""
        return self._spectrometer.get_parameter(self._folder, name)

    def setPar(self, name: str, value: str) -> None:
        """Set a parameter; what is not taken is dropped without a word."""
        self._spectrometer.set_parameter(self._folder, name, str(value))

    def launch(self, command: str, wait: bool = True) -> None:
        """Run a command on this dataset. ``wait`` has no effect: everything here is over at once or goes on alone."""
        del wait
        self._spectrometer.command(self._folder, command)


class DataProvider:
    """Makes and finds datasets."""

    def __init__(self, spectrometer: Spectrometer) -> None:
        self._spectrometer = spectrometer

    def createNMRData(
        self, path: str, name: str, expno: int, procno: int, parameter: str = "PROTON"
    ) -> NMRDataSet | None:
        """Make a dataset; any parameter set is known, and all are the same."""
        del parameter
        folder = Path(path) / name / str(expno)
        if not self._spectrometer.create(folder):
            return None
        return NMRDataSet(self._spectrometer, folder / "pdata" / str(procno))

    def getNMRData(self, path: str) -> NMRDataSet | None:
        """Find a dataset by the path to its PROCNO; None where there is none."""
        found = Path(path)
        return NMRDataSet(self._spectrometer, found) if self._spectrometer.known(found.parent.parent) else None


class Topspin:
    """A connection to TopSpin."""

    def __init__(self, spectrometer: Spectrometer) -> None:
        self._spectrometer = spectrometer

    def getVersion(self) -> str:
        """Give TopSpin's version."""
        return self._spectrometer.version

    def getInstallationDirectory(self) -> str:
        """Give a folder; nothing is in it."""
        return str(self._spectrometer.folder)

    def getDataProvider(self) -> DataProvider:
        """Give what makes and finds datasets."""
        return DataProvider(self._spectrometer)

    def executeCommand(self, command: str, wait: bool = True) -> None:
        """Run a command that belongs to no dataset."""
        del wait
        self._spectrometer.command(None, command)


class TopspinModule:
    """Stands where ``import bruker.api.topspin`` would put a module."""

    def __init__(self, spectrometer: Spectrometer) -> None:
        self._spectrometer = spectrometer

    def Topspin(self, url: str = "localhost:3081") -> Topspin:
        """Connect; the address has no effect."""
        del url
        return Topspin(self._spectrometer)
