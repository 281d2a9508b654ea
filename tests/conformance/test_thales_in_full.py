"""The vendor's client and importers, unmodified, and labctl's driver on one simulated Thales.

Needs the extra ``conformance`` and the right to bind port 260, which the client has built in. It sleeps a lot while it
connects and leaves, and the time runs for real: half a minute.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_real
from labctl.instruments import DriverContext, ImpedanceRequest, State
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator

pytestmark = pytest.mark.conformance

connection = pytest.importorskip("thales_remote.connection", reason="extra `conformance`: thales_remote")
script_wrapper = pytest.importorskip("thales_remote.script_wrapper", reason="extra `conformance`: thales_remote")
file_interface = pytest.importorskip("thales_remote.file_interface", reason="extra `conformance`: thales_remote")
thales_error = pytest.importorskip("thales_remote.error", reason="extra `conformance`: thales_remote")
imports = pytest.importorskip("zahner_analysis.file_import", reason="extra `conformance`: zahner_analysis")
ism_import = pytest.importorskip("zahner_analysis.file_import.ism_import")
isc_import = pytest.importorskip("zahner_analysis.file_import.isc_import")
iss_import = pytest.importorskip("zahner_analysis.file_import.iss_import")
seqtxt_import = pytest.importorskip("zahner_analysis.file_import.seqtxt_import")

HOST = "127.0.0.1"
PORT = 260
FOLDER = r"c:\thales\temp"
SEQUENCE = """start_variables
TIM1=0.4
CUR1=1e-4
TIM2=0.2
end_variables
start_cycle
samples(4)
ocp(TIM2)
hold_cur(CUR1,TIM1)
end_cycle
"""
REQUEST = ImpedanceRequest(
    name="conformance",
    control="galvanostatic",
    frequency_start=300e3,
    frequency_end=20.0,
    points_per_decade=3,
    periods=4,
    amplitude=100e-6,
    bias=0.0,
    voltage_min=1.0,
    voltage_max=4.5,
    points_per_decade_low=2,
    periods_low=3,
)


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: None


def on_port_260(folder: Path, story: Callable[[ThalesSimulator, Laboratory, LoopClock], Any]) -> Any:
    async def main(clock: LoopClock) -> Any:
        laboratory = Laboratory(
            {
                "cells": [{"id": "bare-01", "area_m2": 1e-4, "place": "cabinet/1", "simulate": {"substrate": "bare"}}],
                "places": {"cabinet": {"count": 1, "leads": {"zahner": {"through": "mux", "relays": [101]}}}},
            },
            folder=folder,
            seed=1,
            clock=clock,
            log=Silent(),
        )
        laboratory.relays("mux").add(101)
        options = {"port": PORT, "noise": 0, "sequences": {3: SEQUENCE}}
        simulator = ThalesSimulator("zahner", {"simulate": options}, laboratory)
        await simulator.start()
        try:
            found = await asyncio.wait_for(story(simulator, laboratory, clock), 100)
        finally:
            await simulator.stop()
        assert laboratory.violations == []
        return found

    return run_real(main)


@dataclass
class Vendor:
    """What a person's script gets by the vendor's client."""

    pushed: bytes
    packets: list[bytes]


def vendor_spectrum() -> Vendor:
    """Blocking, so it runs in a thread."""
    remote = connection.ThalesRemoteConnection()
    remote.connectToTerm(HOST, "ScriptRemote")
    thales = script_wrapper.ThalesRemoteScriptWrapper(remote)
    thales.forceThalesIntoRemoteScript()
    files = file_interface.ThalesFileInterface(HOST)
    files.enableAutomaticFileExchange()
    logging = connection.ThalesRemoteConnection()
    logging.connectToTerm(HOST, "Logging")
    thales.setEISNaming("individual")
    thales.setEISOutputPath(FOLDER)
    thales.setEISOutputFileName("by-vendor")
    thales.setPotentiostatMode(script_wrapper.PotentiostatMode.POTMODE_GALVANOSTATIC)
    thales.setAmplitude(100e-6)
    thales.setCurrent(0.0)
    thales.setUpperFrequencyLimit(300e3)
    thales.setLowerFrequencyLimit(20.0)
    thales.setStartFrequency(300e3)
    thales.setUpperStepsPerDecade(3)
    thales.setLowerStepsPerDecade(2)
    thales.setUpperNumberOfPeriods(4)
    thales.setLowerNumberOfPeriods(3)
    thales.setScanDirection("startToMax")
    thales.setScanStrategy("single")
    thales.enablePotentiostat()
    thales.measureEIS()
    thales.disablePotentiostat()
    thales.setAmplitude(0.0)
    files.disableAutomaticFileExchange()
    packets = []
    while not logging._queuesForChannels[2].empty():
        packets.append(logging.waitForBinaryTelegram(2))
    pushed = bytes(files.getLatestReceivedFile().binaryData)
    for each in (logging, files.remoteConnection, remote):
        each.disconnectFromTerm()
    return Vendor(pushed, packets)


def vendor_file(path: str) -> bytes:
    """Fetch one file by the vendor's client; blocking."""
    files = file_interface.ThalesFileInterface(HOST)
    found = bytes(files.acquireFile(path).binaryData)
    files.remoteConnection.disconnectFromTerm()
    return found


def test_the_vendors_client_and_labctl_measure_the_same_points_and_get_the_same_file(tmp_path: Path) -> None:
    async def story(simulator: ThalesSimulator, laboratory: Laboratory, clock: LoopClock) -> Any:
        vendor = await asyncio.to_thread(vendor_spectrum)
        driver = ZahnerPotentiostat(
            DriverContext(
                name="zahner",
                settings={"address": HOST, "output_path": FOLDER},
                clock=clock,
                log=Silent(),
                report=lambda hiccup: None,
                secret=str,
                folder=tmp_path,
            )
        )
        await driver.connect()
        handle = await driver.start("by-labctl", REQUEST)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep(0.5)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        again = await asyncio.to_thread(vendor_file, FOLDER + r"\by-labctl.ism")
        return vendor, fetched, again, laboratory.cells["bare-01"]

    vendor, fetched, again, cell = on_port_260(tmp_path, story)
    assert (tmp_path / "by-labctl.ism").read_bytes() == again

    spectrum = ism_import.IsmImport(vendor.pushed)
    assert spectrum.metaDataAcqParsingErrorOccurred is False
    frequency, impedance = spectrum.getFrequencyArray(), spectrum.getComplexImpedanceArray()
    ours = ism_import.IsmImport(again)
    assert ours.getFrequencyArray().tolist() == frequency.tolist()
    with (tmp_path / "impedance.csv").open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    table = {name: np.array([row[name] for row in rows])[::-1] for name in rows[0]}
    assert fetched.summary["points"] == len(frequency) == len(rows)
    assert table["frequency_Hz"] == pytest.approx(frequency, rel=1e-8)
    tabled = table["real_ohm"] + 1j * table["imaginary_ohm"]
    assert np.abs(tabled / ours.getComplexImpedanceArray() - 1).max() < 1e-6
    assert table["voltage_V"] == pytest.approx(ours.getTrack("Voltage/V"), abs=1e-8)
    assert table["current_A"] == pytest.approx(ours.getTrack("Current/A"), abs=1e-12)
    instants = ours.getMeasurementDateTimeArray()
    seconds = np.array([(instant - instants[-1]).total_seconds() for instant in instants])
    assert table["time_s"] == pytest.approx(seconds, abs=1e-5)

    for found in (spectrum, ours):
        instants = found.getMeasurementDateTimeArray()
        elapsed = np.array([(instant - instants[-1]).total_seconds() for instant in instants]) + 0.3
        exact = cell.impedance(frequency, elapsed, 0.0)
        assert np.abs(found.getComplexImpedanceArray() / exact - 1).max() < 1e-6
    assert np.abs(impedance / ours.getComplexImpedanceArray() - 1).max() < 1e-6
    shown = [packet[1:].decode("ascii").rstrip(",").split(",") for packet in vendor.packets if packet[0] == 6]
    live = np.array([[float(field) for field in row] for row in shown])[::-1]
    assert live[:, 0] == pytest.approx(frequency, rel=1e-5)
    assert live[:, 1] == pytest.approx(np.abs(impedance), rel=1e-5)


def everything_else() -> dict[str, Any]:
    """Calls the rest of the vendor's client; blocking."""
    remote = connection.ThalesRemoteConnection()
    remote.connectToTerm(HOST, "ScriptRemote")
    thales = script_wrapper.ThalesRemoteScriptWrapper(remote)
    thales.forceThalesIntoRemoteScript()
    files = file_interface.ThalesFileInterface(HOST)
    mode = script_wrapper.PotentiostatMode
    found: dict[str, Any] = {"start": thales.getPotential()}
    start = found["start"]

    thales.setCVNaming("counter")
    thales.setCVCounter(13)
    thales.setCVOutputPath(FOLDER)
    thales.setCVOutputFileName("cv")
    thales.setCVStartPotential(start)
    thales.setCVUpperReversingPotential(start + 0.05)
    thales.setCVLowerReversingPotential(start - 0.05)
    thales.setCVEndPotential(start)
    thales.setCVStartHoldTime(0)
    thales.setCVEndHoldTime(0)
    thales.setCVScanRate(0.5)
    thales.setCVCycles(1.5)
    thales.setCVSamplesPerCycle(40)
    thales.setCVMaximumCurrent(0.1)
    thales.setCVMinimumCurrent(-0.1)
    thales.setCVOhmicDrop(0.0)
    thales.enableCVAutoRestartAtCurrentOverflow()
    thales.enableCVAutoRestartAtCurrentUnderflow()
    thales.disableCVAnalogFunctionGenerator()
    try:
        thales.measureCV()
    except thales_error.ThalesRemoteError as error:
        found["unchecked"] = str(error)
    thales.checkCVSetup()
    found["cv setup"] = thales.readCVSetup()
    found["cv done"] = thales.measureCV()
    found["cv"] = bytes(files.acquireFile(FOLDER + r"\cv_0013.isc").binaryData)

    thales.setIENaming("individual")
    thales.setIEOutputPath(FOLDER)
    thales.setIEOutputFileName("ie")
    for number, (edge, relation) in enumerate(
        (
            (thales.setIEFirstEdgePotential, thales.setIEFirstEdgePotentialRelation),
            (thales.setIESecondEdgePotential, thales.setIESecondEdgePotentialRelation),
            (thales.setIEThirdEdgePotential, thales.setIEThirdEdgePotentialRelation),
            (thales.setIEFourthEdgePotential, thales.setIEFourthEdgePotentialRelation),
        )
    ):
        edge((0.0, 0.02, -0.02, 0.0)[number])
        relation("relative")
    thales.setIEPotentialResolution(0.005)
    thales.setIEMinimumWaitingTime(0.05)
    thales.setIEMaximumWaitingTime(0.05)
    thales.setIERelativeTolerance(0.01)
    thales.setIEAbsoluteTolerance(0.001)
    thales.setIEOhmicDrop(0.0)
    thales.setIESweepMode("fixed sampling")
    thales.setIEScanRate(0.05)
    thales.setIEMaximumCurrent(0.1)
    thales.setIEMinimumCurrent(-0.1)
    thales.checkIESetup()
    found["ie setup"] = thales.readIESetup()
    found["ie done"] = thales.measureIE()
    found["ie"] = bytes(files.acquireFile(FOLDER + r"\ie.iss").binaryData)

    thales.setSequenceNaming("individual")
    thales.setSequenceOutputPath(FOLDER)
    thales.setSequenceOutputFileName("seq")
    thales.setSequenceMaximumRuntime(1.0)
    thales.setSequenceUpperPotentialLimit(4.5)
    thales.setSequenceLowerPotentialLimit(0.0)
    thales.setSequenceUpperCurrentLimit(1.0)
    thales.setSequenceLowerCurrentLimit(-1.0)
    thales.setSequenceCurrentRange(0.1)
    thales.setSequencePotentialLatencyWindow(1.0)
    thales.setSequenceCurrentLatencyWindow(1.0)
    thales.setSequenceOhmicDrop(0.0)
    thales.enableSequenceAcqGlobal()
    thales.enableSequenceAcqChannel(2)
    found["sequence acq"] = thales.readSequenceAcqSetup()
    try:
        thales.selectSequence(4)
    except thales_error.ThalesRemoteError as error:
        found["no sequence"] = str(error)
    thales.selectSequence(3)
    thales.runSequence()
    found["sequence"] = bytes(files.acquireFile(FOLDER + r"\seq.txt").binaryData)

    thales.enableAcq()
    found["acq setup"] = thales.readAcqSetup()
    found["acq"] = thales.readAllAcqChannels()
    found["acq 1"] = thales.readAcqChannel(1)

    thales.setupPad4Channel(1, 2, True, voltageRange=2.0, shuntResistor=0.1)
    thales.setupPad4ModeGlobal(script_wrapper.Pad4Mode.VOLTAGE)
    thales.enablePad4Global()
    found["pad4 setup"] = thales.readPad4SetupGlobal()
    thales.setPotentiostatMode(mode.POTMODE_PSEUDOGALVANOSTATIC)
    thales.setPotential(start)
    thales.enablePotentiostat()
    found["pad4"] = thales.getImpedancePad4(1000.0, 1e-4, 3)
    found["impedance"] = thales.getImpedance()
    thales.setEISNaming("counter")
    thales.setEISCounter(13)
    thales.setEISOutputPath(FOLDER)
    thales.setEISOutputFileName("spectra")
    thales.setUpperFrequencyLimit(1e4)
    thales.setLowerFrequencyLimit(1e3)
    thales.setStartFrequency(1e4)
    thales.setUpperStepsPerDecade(3)
    thales.setUpperNumberOfPeriods(3)
    thales.setLowerNumberOfPeriods(3)
    thales.measureEIS()
    thales.disablePotentiostat()
    found["series"] = [
        len(files.acquireFile(FOLDER + rf"\spectra_0013_ser{number:02d}.ism").binaryData) for number in (0, 1, 2)
    ]
    thales.disablePad4Global()

    thales.setFraVoltageInputGain(2.0)
    thales.setFraVoltageMaximum(10.0)
    thales.setFraCurrentOutputOffset(0.5)
    thales.setFraPotentiostatMode(mode.POTMODE_GALVANOSTATIC)
    thales.enableFraMode()
    found["fra"] = thales.readFraSetup()
    thales.disableFraMode()
    thales.selectPotentiostat(0)
    thales.setShuntIndex(4)
    thales.setVoltageRangeIndex(1)
    thales.enableRuleFileUsage()
    found["source"] = thales.readSetup()
    for each in (files.remoteConnection, remote):
        each.disconnectFromTerm()
    return found


def test_curves_sequences_and_auxiliary_channels_answer_the_vendors_client_and_its_importers(tmp_path: Path) -> None:
    async def story(simulator: ThalesSimulator, laboratory: Laboratory, clock: LoopClock) -> Any:
        return await asyncio.to_thread(everything_else), laboratory.ambient

    found, ambient = on_port_260(tmp_path, story)
    start = found["start"]
    assert "ERROR;106" in found["unchecked"]
    assert found["cv setup"].startswith("OK;CVSETUP;CV_Pstart=")
    assert found["cv done"] == "CV DONE\r"
    voltammogram = isc_import.IscImport(found["cv"])
    voltage = voltammogram.getVoltageArray()
    assert (voltage.max(), voltage.min()) == pytest.approx((start + 0.05, start - 0.05), abs=1e-3)
    assert voltage[0] == pytest.approx(start, abs=1e-3)
    assert len(voltage) == len(voltammogram.getCurrentArray()) == 61
    assert voltammogram.getCurrentArray()[1] > 0
    assert voltammogram.getScanRate() == pytest.approx(0.5)
    assert (np.diff(voltammogram.getTimeArray()) >= 0.01).all()

    assert found["ie setup"].startswith("OK;IESETUP;IE_EckPot1=")
    assert found["ie done"] == "IE DONE\r"
    curve = iss_import.IssImport(found["ie"])
    assert curve.getVoltageArray().max() - curve.getVoltageArray().min() == pytest.approx(0.04, abs=2e-3)
    assert len(curve.getVoltageArray()) == len(curve.getCurrentArray()) == 17

    assert "ERROR;107" in found["no sequence"]
    assert "SEQ_ACQ=2:1" in found["sequence acq"]
    sequence = seqtxt_import.SeqTxtImport(found["sequence"])
    assert sequence.getTrackTypesList() == ["Time/s", "E/V", "I/A"]
    assert sequence.getTrack("I/A") == pytest.approx([0.0] * 4 + [1e-4] * 4)
    assert sequence.getTrack("Time/s")[-1] >= 0.6

    assert found["acq"] == pytest.approx({0: ambient - 273.15, 1: ambient - 273.15})
    assert found["acq 1"] == pytest.approx(ambient - 273.15)
    assert "ACQENA=1" in found["acq setup"]
    assert "PAD4=1;2:1" in found["pad4 setup"]
    assert found["pad4"][0] == found["pad4"][2] == pytest.approx(found["impedance"])
    assert found["pad4"][1] == 0
    assert len(found["pad4"]) == 17
    assert found["series"][0] == found["series"][2] > 0 == found["series"][1]
    assert "FRA=1;FRAGAL=1;FRA_POT_IN=2" in found["fra"]
    assert "Pot=0;Gal=0;GAL=-1" in found["source"]
