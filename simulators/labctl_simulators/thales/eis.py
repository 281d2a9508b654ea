"""Impedance as the Remote script measures it: single points, and spectra point by point while the cell may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from labctl_simulators.cell import VirtualCell
from labctl_simulators.thales import ism
from labctl_simulators.thales import settings as texts
from labctl_simulators.thales.sweep import SHORTEST, Sweep, durations, frequencies
from labctl_simulators.thales.term import BEGIN, COLUMNS, ROW, UNITS
from labctl_simulators.thales.workstation import Workstation

NOISE: Final = 0.002


def impedance(station: Workstation) -> str | None:
    """Answer ``IMPEDANCE`` after as many periods as are set."""
    return _single(station, "impedance= {main}\r")


def pad4_impedance(station: Workstation) -> str | None:
    """Answer ``PAD4IMP``: the main channel, then all sixteen of the cards; those that are off have 0.

    Inputs of the cards are taken to be clamped to the same cell.
    """
    channels = ";".join(
        f"impedance({number})= " + ("{main}" if on else "0.000000e+00, 0.000000e+00")
        for number, on in enumerate((True, *station.settings.pad4_channels()))
    )
    return _single(station, channels + "\r")


def _single(station: Workstation, form: str) -> str | None:
    cell, frequency = station.source.cell(), station.settings["Frq"]
    if cell is None or station.settings["Pot"] == 0:
        return texts.OVERLOAD
    noise = _deviations(station, cell, 1, f"impedance-{frequency:g}")[0]
    station.laboratory.bring_up_to_date(cell)
    exact = complex(cell.impedance(np.array([frequency]), np.array([0.0]), station.laboratory.time())[0])
    value = exact * (1 + complex(*noise))
    text = form.format(main=f"{value.real:.6e},{value.imag: .6e}")
    station.later(max(SHORTEST, station.settings["Nw"] / frequency), lambda: station.reply(text))
    return None


def _deviations(station: Workstation, cell: VirtualCell, count: int, token: str) -> list[tuple[float, float]]:
    noise = station.noise / np.sqrt(2) * station.laboratory.rng(cell.id, token).standard_normal((2, count))
    return [(float(first), float(second)) for first, second in noise.T]


class Spectra:
    """A spectrum that is being measured.

    Parameters
    ----------
    station : Workstation
        Where.
    sweep : Sweep
        What, and how far it has come.
    """

    kind = "EIS"

    def __init__(self, station: Workstation, sweep: Sweep) -> None:
        self._station = station
        self._sweep = sweep

    @classmethod
    def begin(cls, station: Workstation) -> str | None:
        """Answer ``EIS``: an error at once, or nothing until the spectrum is there."""
        now, numbers = station.laboratory.time(), station.settings
        path = numbers.output_path("EIS", f"{station.laboratory.now():%y%m%d%H%M%S}")
        declined = numbers.sweep_error()
        if declined is None and any(name in station.files for name in _names(path, numbers.pad4_channels())):
            declined = texts.FILE_EXISTS
        if declined is not None:
            return declined
        cell = station.source.cell()
        if cell is None:
            station.later(SHORTEST, lambda: station.reply(texts.OVERLOAD))
            return None
        to_max = numbers["ScanDirection"] == 0
        low, high = numbers["Fmin"], numbers["Fmax"]
        grid = frequencies(numbers["Fstart"], low, high, numbers["dfm"], numbers["dfl"], to_max)
        elapsed = np.cumsum(durations(grid, low, numbers["Nws"], numbers["Nwl"]))
        sweep = Sweep(
            path=path,
            cell=cell.id,
            started=now,
            settings=dict(numbers.numbers),
            frequency=grid,
            ready=(now + elapsed).tolist(),
            deviation=_deviations(station, cell, len(grid), numbers.texts["EIS_ROOT"]),
            edge=station.source.voltage(),
        )
        station.laboratory.record(station.name, "sweep", file=path, cell=cell.id, points=len(grid))
        station.term.display(BEGIN, "3,Impedance Spectroscopy")
        station.term.display(COLUMNS, "frequency,impedance,phase,time,significance,voltage,current,")
        station.term.display(UNITS, "Hz,Ohm,rad,s, ,V,A,")
        spectra = cls(station, sweep)
        station.measure(spectra)
        return None

    @property
    def about(self) -> dict[str, Any]:
        """File and cell."""
        return {"file": self._sweep.path, "cell": self._sweep.cell}

    def to_json(self) -> dict[str, Any]:
        """Plain data, for :meth:`restored`."""
        return self._sweep.to_json()

    @classmethod
    def restored(cls, station: Workstation, state: Mapping[str, Any]) -> Spectra:
        """Take up :meth:`to_json`."""
        return cls(station, Sweep(**state))

    def go_on(self) -> None:
        """Wait for the next point."""
        self._station.later(self._sweep.ready[self._sweep.done] - self._station.laboratory.time(), self._point)

    def _point(self) -> None:
        station, sweep = self._station, self._sweep
        cell, now = station.source.cell(), station.laboratory.time()
        station.source.update(now)
        station.source.rewire()
        if cell is None or cell.id != sweep.cell:
            station.finish(texts.OVERLOAD)
            return
        station.laboratory.bring_up_to_date(cell)
        frequency, elapsed = sweep.frequency[sweep.done], sweep.ready[sweep.done] - sweep.started
        exact = cell.impedance(np.array([frequency]), np.array([elapsed]), now)[0]
        sweep.take(complex(exact), station.source.voltage(), station.source.current())
        station.term.display(ROW, sweep.row())
        if not sweep.complete:
            self.go_on()
            return
        channels = station.settings.pad4_channels()
        content = ism.write(self._spectrum())
        for path in _names(sweep.path, channels):
            station.deliver(path, content)
        station.settings.count_up("EIS")
        station.finish("EIS DONE\r")

    def _spectrum(self) -> ism.Spectrum:
        sweep, used = self._sweep, self._sweep.settings
        return ism.Spectrum(
            frequency=np.array(sweep.frequency),
            impedance=np.array(sweep.real) + 1j * np.array(sweep.imaginary),
            measured=tuple(self._station.laboratory.at(t) for t in sweep.ready),
            voltage=np.array(sweep.voltage),
            current=np.array(sweep.current),
            galvanostatic=used["GAL"] != 0,
            amplitude=used["Ampl"],
            pset=used["Pset"],
            cset=used["Cset"],
            fmin=used["Fmin"],
            fmax=used["Fmax"],
            fstart=used["Fstart"],
            nwl=used["Nwl"],
            nws=used["Nws"],
            dfl=used["dfl"],
            dfm=used["dfm"],
            serial=self._station.serial,
        )


def _names(path: str, channels: tuple[bool, ...]) -> list[str]:
    """Files of one spectrum: with PAD4 one for the main channel and one for each that is on, numbered."""
    if not any(channels):
        return [path]
    stem = path.removesuffix(".ism")
    return [f"{stem}_ser{number:02d}.ism" for number, on in enumerate((True, *channels)) if on]
