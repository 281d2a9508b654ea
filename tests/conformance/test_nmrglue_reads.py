"""nmrglue, an independent reader, on every kind of dataset that the TopSpin stand-in writes: consoles at 4.7 T and at
14.1 T with their digital filters, int32 and float64, both byte orders.

The lines are sought as somebody would with a real dataset: read by nmrglue, Fourier transform, digital filter removed,
dead time undone, referenced by the LiCl spectrum of the same session. nmrglue is a dependency, so nothing is skipped.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nmrglue
import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import AcquisitionRequest, DriverContext, State
from labctl_drivers.bruker import BrukerSpectrometer
from labctl_drivers.bruker.gateway import Gateway
from labctl_simulators.cell import Current, Line
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.topspin import TopspinSimulator

STATION = {
    "cells": [{"id": "bare-01", "barcode": "B0001", "area_m2": 1e-4, "place": "cabinet/1"}],
    "places": {"probe": {"count": 1, "instrument": "topspin"}, "cabinet": {"count": 1}},
}
PULSES = tuple(k * 2.5e-6 for k in range(1, 9))
#: The paper's two spectrometers, and every form of numbers; 7Li frequency in MHz, GRPDLY.
CONSOLES = {
    "avance-iii": ("int32", 77.77812, 67.98563),
    "avance-iii-old": ("int32-big", 77.77812, 67.98563),
    "neo": ("float64", 233.2333, 76.0),
    "neo-big": ("float64-big", 233.2333, 76.0),
}
ZERO_FILL = 8
SMOOTH_HZ = 100.0


class Silence:
    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...


class Run:
    """A reference, a charged cell and its nutation series, fetched into ``folder``; and the truth about them."""

    def __init__(self, folder: Path, console: str) -> None:
        self.folder, self.console = folder, console
        self.numbers, self.frequency_MHz, self.group_delay = CONSOLES[console]
        self.lines: list[Line] = []
        self.t90 = 0.0
        self.filled: dict[str, float] = {}
        run_virtual(self._measure)

    async def _measure(self, clock: LoopClock) -> None:
        laboratory = Laboratory(STATION, folder=self.folder, seed=3, clock=clock, log=Silence())
        kind = {"console": "neo" if self.console.startswith("neo") else "avance-iii", "numbers": self.numbers}
        simulator = TopspinSimulator("topspin", {"data_folder": "topspin-data", "simulate": kind}, laboratory)
        data_folder = (await simulator.start())["data_folder"]
        gateway = Gateway(simulator.api, token="t", clock=clock, session=simulator.session, data_folder=data_folder)
        settings = {"address": f"127.0.0.1:{await gateway.start()}", "token": "t"}
        driver = BrukerSpectrometer(
            DriverContext("topspin", settings, clock, Silence(), [].append, lambda _: "t", self.folder)
        )
        try:
            cell = laboratory.cells["bare-01"]
            laboratory.move("reference", "probe/1")
            await self._acquire(driver, "reference", "reference", "zg", 16, (7e-6,))
            laboratory.move("reference", "bench")
            for token in ("half", "full"):
                began = laboratory.time()
                await asyncio.sleep(6 * 3600)
                cell.follow(cell.project(Current(2e-4), began, 6 * 3600, 293.15), began + 6 * 3600)
                laboratory.move("bare-01", "probe/1")
                self.filled[token] = sum(line.area_mAh for line in cell.nmr_lines(0.0) if line.shift_ppm > 100)
                await self._acquire(driver, token, "bare-01", "zg", 262144, (7e-6,))
                laboratory.move("bare-01", "cabinet/1")
            laboratory.move("bare-01", "probe/1")
            self.lines, self.t90 = cell.nmr_lines(laboratory.time()), cell.t90_s
            await self._acquire(driver, "charged", "bare-01", "zgpr", 1024, (7e-6,))
            await self._acquire(driver, "nutation", "bare-01", "zg", 1024, PULSES)
        finally:
            await driver.close()
            await gateway.stop()
            await simulator.stop()

    async def _acquire(
        self, driver: BrukerSpectrometer, token: str, sample: str, program: str, scans: int, pulses: Sequence[float]
    ) -> None:
        carrier = 0.0 if sample == "reference" else 250.0
        request = AcquisitionRequest(
            token, sample, "7Li", program, carrier, scans, 0.5, 1e-7, 32768, tuple(pulses), 80.0, 50.0
        )
        handle = await driver.start(token, request)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep(progress.remaining or 1.0)
        assert progress.state is State.DONE, progress.message
        await driver.fetch(handle, self.folder)


@pytest.fixture(scope="module", params=CONSOLES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("nmr"), request.param)


def spectrum(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Frequencies in Hz above BF1, descending, the complex spectrum with dead time undone, and acqus."""
    parameters, fid = nmrglue.bruker.read(str(folder))
    acqus = parameters["acqus"]
    width = acqus["SW_h"]
    fid = fid * 2.0 ** acqus["NC"]
    # A digital filter's delay must not be weighted by the window that follows the decay.
    decay = np.exp(-math.pi * SMOOTH_HZ * np.maximum(np.arange(fid.size) - acqus["GRPDLY"], 0) / width)
    fid = nmrglue.proc_base.zf_size(fid * decay, fid.size * ZERO_FILL)
    transformed = nmrglue.proc_base.fft(fid)
    transformed = nmrglue.bruker.remove_digital_filter(parameters, transformed, truncate=False, post_proc=True)
    transformed = np.roll(nmrglue.proc_base.rev(transformed), 1)
    offsets = (transformed.size // 2 - np.arange(transformed.size)) * width / transformed.size
    transformed = transformed * np.exp(-2j * math.pi * offsets * acqus["DE"] * 1e-6)
    return offsets + acqus["O1"], transformed, acqus


def centre(at: np.ndarray, height: np.ndarray) -> float:
    """Position of the highest point, by a parabola through its neighbours."""
    top = int(np.argmax(height))
    below, peak, above = height[top - 1 : top + 2]
    return float(at[top] + 0.5 * (below - above) / (below - 2 * peak + above) * (at[top + 1] - at[top]))


def expected_centre(lines: Sequence[Line], frequency: float) -> float:
    """Where the highest point of the virtual cell's metal lines lies, smoothed as the spectrum is, ppm."""
    times = np.arange(20000) * 1e-6
    shifts = np.linspace(242.0, 262.0, 1001)
    total = np.zeros_like(shifts)
    for line in lines:
        if line.shift_ppm < 100.0:
            continue
        gauss, lorentz = line.gauss_fwhm_ppm * frequency * 1e-6, line.lorentz_fwhm_ppm * frequency * 1e-6 + SMOOTH_HZ
        decay = np.exp(-math.pi * lorentz * times - (math.pi * gauss * times) ** 2 / (4 * math.log(2.0)))
        turns = np.cos(2 * math.pi * np.outer(shifts - line.shift_ppm, times[::20]) * frequency * 1e-6)
        total += line.area_mAh * turns @ decay[::20]
    return float(shifts[np.argmax(total)])


def referenced(run: Run) -> tuple[float, float]:
    """Zero of the ppm scale in Hz above BF1, and the receiver's phase, both from the LiCl spectrum."""
    offsets, transformed, _ = spectrum(run.folder / "reference" / "1")
    zero = centre(offsets, np.abs(transformed))
    top = int(np.argmax(np.abs(transformed)))
    near = slice(top - 2, top + 3)
    # The line is narrower than the resolution: its phase turns from point to point, and counts where its centre is.
    phase = np.interp(zero, offsets[near][::-1], np.unwrap(np.angle(transformed[near]))[::-1])
    return zero, float(phase)


def test_nmrglue_reads_every_dataset_with_its_parameters(run: Run) -> None:
    folders = [run.folder / "reference" / "1", run.folder / "charged" / "1"]
    folders += [run.folder / "nutation" / str(expno) for expno in range(1, 9)]
    for folder in folders:
        parameters, fid = nmrglue.bruker.read(str(folder))
        assert (fid.size, fid.dtype.kind) == (16384, "c")
        acqus = parameters["acqus"]
        assert (acqus["TD"], acqus["SW_h"], acqus["NUC1"], acqus["BF1"]) == (32768, 5e6, "7Li", run.frequency_MHz)
        assert acqus["GRPDLY"] == run.group_delay
        forms = ("int32", "int32-big", "float64", "float64-big")
        assert (acqus["DTYPA"], acqus["BYTORDA"]) == dict(zip(forms, ((0, 0), (0, 1), (2, 0), (2, 1)), strict=True))[
            run.numbers
        ]
        assert acqus["D"][1] == 0.5
        assert acqus["PLW"][1] == 80
        assert parameters["procs"]["SF"] == acqus["BF1"], "nobody has referenced it yet"
        udic = nmrglue.bruker.guess_udic(parameters, fid)
        assert (udic[0]["label"], udic[0]["sw"], udic[0]["obs"]) == ("7Li", 5e6, run.frequency_MHz)
    pulses = [nmrglue.bruker.read(str(folder))[0]["acqus"]["P"][1] for folder in folders[2:]]
    assert pulses == pytest.approx([pulse * 1e6 for pulse in PULSES])


def test_the_reference_says_by_how_much_zero_is_off(run: Run) -> None:
    offset, _ = referenced(run)
    ppm = abs(offset) / run.frequency_MHz
    assert 0.13 < ppm < 0.83, "without a reference spectrum the scale would be wrong by up to 0.8 ppm"


def test_the_metal_line_is_within_a_twentieth_of_a_ppm_of_where_the_virtual_cell_put_it(run: Run) -> None:
    zero, phase = referenced(run)
    offsets, transformed, acqus = spectrum(run.folder / "charged" / "1")
    ppm = (offsets - zero) / (acqus["BF1"] + zero * 1e-6)
    window = (ppm > 215) & (ppm < 310)
    found = centre(ppm[window], (transformed * np.exp(-1j * phase)).real[window])
    assert found == pytest.approx(expected_centre(run.lines, run.frequency_MHz * 1e6), abs=0.05)


def test_the_ratio_of_two_fillings_is_right_within_half_a_percent(run: Run) -> None:
    zero, phase = referenced(run)
    integrals = {}
    for token in ("half", "full"):
        offsets, transformed, acqus = spectrum(run.folder / token / "1")
        ppm = (offsets - zero) / (acqus["BF1"] + zero * 1e-6)
        real = (transformed * np.exp(-1j * phase)).real / (acqus["NS"] * acqus["RG"])
        base = ((ppm > 80) & (ppm < 200)) | ((ppm > 320) & (ppm < 395))
        flat = real - np.polyval(np.polyfit(ppm[base], real[base], 3), ppm)
        integrals[token] = float(np.sum(flat[(ppm > 215) & (ppm < 310)]))
    assert run.filled["full"] / run.filled["half"] > 1.9
    expected = run.filled["half"] / run.filled["full"]
    assert integrals["half"] / integrals["full"] == pytest.approx(expected, rel=0.005)


def test_the_nutation_series_is_longest_at_the_cells_own_pulse(run: Run) -> None:
    zero, phase = referenced(run)
    integrals = []
    for expno in range(1, 9):
        offsets, transformed, acqus = spectrum(run.folder / "nutation" / str(expno))
        ppm = (offsets - zero) / (acqus["BF1"] + zero * 1e-6)
        window = (ppm > 215) & (ppm < 310)
        integrals.append(float(np.sum((transformed * np.exp(-1j * phase)).real[window])))
    pulses = np.array(PULSES)
    left = math.exp(-0.5032768 / 0.15)

    def shape(t90: float) -> np.ndarray:
        angle = 0.5 * math.pi * pulses / t90
        return np.sin(angle) * np.exp(-pulses / 60e-6) * (1 - left) / (1 - left * np.cos(angle))

    trials = np.linspace(5e-6, 9e-6, 801)
    misfits = []
    for t90 in trials:
        model = shape(t90)
        misfits.append(np.sum((integrals - model * (model @ integrals) / (model @ model)) ** 2))
    assert trials[int(np.argmin(misfits))] == pytest.approx(run.t90, rel=0.01)


def test_the_charged_spectrum_has_the_signal_to_noise_ratio_of_the_method(run: Run) -> None:
    _, fid = nmrglue.bruker.read(str(run.folder / "charged" / "1"))
    transformed = np.fft.fft(fid)
    quiet = transformed[4000:12000]
    noise = float(np.std(quiet.real))
    metal = sum(line.area_mAh for line in run.lines if line.shift_ppm > 100)
    ratio = float(np.max(np.abs(transformed))) / noise
    # Three times the field: noise less by the 3/2 power of it, and lines as many times wider in Hz.
    better = (run.frequency_MHz / 77.77812) ** 0.5
    assert ratio == pytest.approx(400 * better * metal / 2.62, rel=0.15)
