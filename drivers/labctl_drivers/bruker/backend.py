"""The gateway's only way into TopSpin: CPython and ``bruker.api.topspin``. Standard library only.

Everything here blocks and is called in one thread. Names of the vendor's interface as they appear in public code that
uses it; none was verified on an instrument. ``getPar`` gives texts; a write that TopSpin rejects may be dropped without
a word, so every write is read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class TopspinApi:
    """TopSpin as the gateway needs it.

    Parameters
    ----------
    module : object
        ``bruker.api.topspin``, or anything that offers ``Topspin`` as it does.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._topspin: Any = None

    def forget(self) -> None:
        """Connect anew at the next call: after a fault TopSpin may have been restarted."""
        self._topspin = None

    def version(self) -> str:
        """Connect where that was not done yet, and give TopSpin's version."""
        return str(self._connected().getVersion())

    def create(self, folder: Path, name: str, expno: int, parameter_set: str) -> bool:
        """Make a dataset from a parameter set; False where TopSpin made none."""
        provider = self._connected().getDataProvider()
        made = provider.createNMRData(path=str(folder), name=name, expno=expno, procno=1, parameter=parameter_set)
        return made is not None

    def write(self, folder: Path, name: str, expno: int, parameters: Mapping[str, str]) -> dict[str, str] | None:
        """Set parameters and read each back; None where there is no such dataset."""
        dataset = self._dataset(folder, name, expno)
        if dataset is None:
            return None
        for parameter, value in parameters.items():
            dataset.setPar(parameter, value)
        return {parameter: _text(dataset.getPar(parameter)) for parameter in parameters}

    def read(self, folder: Path, name: str, expno: int, parameters: Iterable[str]) -> dict[str, str] | None:
        """Read parameters, ``"NS"`` for what is wanted and ``"status NS"`` for what was used."""
        dataset = self._dataset(folder, name, expno)
        if dataset is None:
            return None
        return {parameter: _text(dataset.getPar(parameter)) for parameter in parameters}

    def launch(self, folder: Path, name: str, expno: int, commands: Iterable[str], *, wait: bool) -> bool:
        """Give commands on a dataset, in order; False where there is no such dataset."""
        dataset = self._dataset(folder, name, expno)
        if dataset is None:
            return False
        for command in commands:
            dataset.launch(command, wait=wait)
        return True

    def execute(self, command: str) -> None:
        """Give a command to the spectrometer that belongs to no dataset, such as ``halt``."""
        self._connected().executeCommand(command, wait=False)

    def _dataset(self, folder: Path, name: str, expno: int) -> Any:
        path = folder / name / str(expno) / "pdata" / "1"
        return self._connected().getDataProvider().getNMRData(str(path))

    def _connected(self) -> Any:
        if self._topspin is None:
            self._topspin = self._module.Topspin()
        return self._topspin


def _text(value: Any) -> str:
    return "" if value is None else str(value)
