"""The public names of TopSpin's Python interface, in front of the virtual spectrometer.

``bruker.api.topspin`` (Topspin, DataProvider, Display), ``bruker.data.nmr`` (NMRDataSet) and ``bruker.model.nmr_model``
(ApiException). From public code that uses the vendor's package: the names, their arguments, that values come and go as
texts, and that a fault of the connection surfaces at the first call.

Guessed: a dataset that exists is not made again (None), an unknown parameter reads as an empty text, and so does what
has no value yet; ``wait`` has no effect, since everything here is over at once or goes on alone. Left out: processing,
so that there are no spectra, peaks and integrals to be had; queues.

As with the vendor's, all of it may be called from any thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class ApiException(Exception):
    """A call that TopSpin could not carry out."""


class Spectrometer(Protocol):
    """What the names below stand in front of. Every method may be called from any thread."""

    @property
    def version(self) -> str:
        """TopSpin's version."""

    @property
    def folder(self) -> Path:
        """The data folder."""

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

    def dialog(self, text: str) -> None:
        """Open a dialog on TopSpin's screen."""


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
        """Set a parameter; what is not taken is dropped without a word, and so are all that were used (``status``)."""
        if not name.startswith("status "):
            self._spectrometer.set_parameter(self._folder, name, str(value))

    def launch(self, command: str, wait: bool = True) -> None:
        """Run a command on this dataset."""
        del wait
        self._spectrometer.command(self._folder, command)

    def getSpecDataPoints(self, **ranges: Any) -> dict[str, Any]:
        """Refuse: nothing is processed here."""
        del ranges
        raise ApiException(f"{self._path}: no processed data")

    def getSpecDataMatrix(self, **ranges: Any) -> dict[str, Any]:
        """Refuse: nothing is processed here."""
        return self.getSpecDataPoints(**ranges)

    def getPeakList(self) -> list[Any]:
        """Give the peaks: none were picked."""
        return []

    def getIntegrationRegions(self) -> list[Any]:
        """Give the regions: none were set."""
        return []

    def getIndexFromPhysical(self, ppm: float, dim: int = 0) -> int:
        """Give the point of the spectrum that would lie at a shift."""
        del dim
        get = self._spectrometer.get_parameter
        basic, width, size = (float(get(self._folder, name)) for name in ("BF1", "SW_h", "TD"))
        left = float(get(self._folder, "O1")) / basic + width / basic / 2
        return round((left - ppm) * basic / width * (size / 2))


class DataProvider:
    """Makes and finds datasets."""

    def __init__(self, spectrometer: Spectrometer, current: list[Path]) -> None:
        self._spectrometer = spectrometer
        self._current = current

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

    def getCurrentDataset(self) -> NMRDataSet | None:
        """Give what the display shows; None where it shows nothing."""
        return NMRDataSet(self._spectrometer, self._current[-1]) if self._current else None

    def getCurrentDatasetIdentifier(self) -> str | None:
        """Give the path of what the display shows."""
        return str(self._current[-1]) if self._current else None


class Display:
    """TopSpin's windows, as far as it matters which dataset is shown."""

    def __init__(self, current: list[Path]) -> None:
        self._current = current

    def show(self, dataset: NMRDataSet, newWindow: bool = False) -> None:
        """Show a dataset."""
        del newWindow
        self._current.append(Path(dataset.getIdentifier()))

    def closeAllWindows(self) -> None:
        """Show nothing any more."""
        self._current.clear()


class ConnectionPool:
    """The connections of a client."""

    def close(self) -> None:
        """Close them; each call here has one of its own."""


class ApiClient:
    """The generated client that the vendor's class keeps."""

    def __init__(self) -> None:
        self.pool = ConnectionPool()


class Topspin:
    """A connection to TopSpin."""

    def __init__(self, spectrometer: Spectrometer) -> None:
        self._spectrometer = spectrometer
        self._current: list[Path] = []
        self.apiClient = ApiClient()

    def getVersion(self) -> str:
        """Give TopSpin's version."""
        return self._spectrometer.version

    def getInstallationDirectory(self) -> str:
        """Give a folder; nothing is in it."""
        return str(self._spectrometer.folder)

    def getDataProvider(self) -> DataProvider:
        """Give what makes and finds datasets."""
        return DataProvider(self._spectrometer, self._current)

    def getDisplay(self) -> Display:
        """Give TopSpin's windows."""
        return Display(self._current)

    def executeCommand(self, command: str, wait: bool = True) -> None:
        """Run a command that belongs to no dataset."""
        del wait
        self._spectrometer.command(None, command)

    def showMessage(self, message: str) -> None:
        """Open a dialog, and wait until somebody closes it."""
        self._spectrometer.dialog(f"message: {message}")

    def showError(self, message: str) -> None:
        """Open a dialog, and wait until somebody closes it."""
        self._spectrometer.dialog(f"error: {message}")


class TopspinModule:
    """Stands where ``import bruker.api.topspin`` would put a module."""

    def __init__(self, spectrometer: Spectrometer) -> None:
        self._spectrometer = spectrometer

    def Topspin(self, url: str = "localhost:3081") -> Topspin:
        """Connect; the address has no effect."""
        del url
        return Topspin(self._spectrometer)
