"""The vendor's own client, unmodified, measures a spectrum against the simulated Thales, and its importer reads it.

Needs the extra ``conformance`` and the right to bind port 260, which the client has built in. It sleeps a lot while it
connects and leaves, and the time runs for real: half a minute.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_real
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator

pytestmark = pytest.mark.conformance

connection = pytest.importorskip("thales_remote.connection", reason="extra `conformance`: thales_remote")
script_wrapper = pytest.importorskip("thales_remote.script_wrapper", reason="extra `conformance`: thales_remote")
file_interface = pytest.importorskip("thales_remote.file_interface", reason="extra `conformance`: thales_remote")
thales_error = pytest.importorskip("thales_remote.error", reason="extra `conformance`: thales_remote")
ism_import = pytest.importorskip(
    "zahner_analysis.file_import.ism_import", reason="extra `conformance`: zahner_analysis"
)

HOST = "127.0.0.1"
PORT = 260
FOLDER = r"c:\thales\temp"


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: None


def needs_port() -> None:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, PORT))
        except OSError as error:
            pytest.skip(f"the client only knows port {PORT}, which cannot be bound here: {error}")


@dataclass
class Found:
    identity: tuple[str, str, tuple[str, str]]
    heartbeats: list[float]
    refused: str
    pushed: Any
    polled: Any
    setup: str
    packets: list[bytes]
    impedance: complex


def measure() -> Found:
    """What a person's script does with the vendor's client; blocking, so it runs in a thread."""
    remote = connection.ThalesRemoteConnection()
    remote.connectToTerm(HOST, "ScriptRemote")
    thales = script_wrapper.ThalesRemoteScriptWrapper(remote)
    thales.forceThalesIntoRemoteScript()
    files = file_interface.ThalesFileInterface(HOST)
    files.enableAutomaticFileExchange()
    logging = connection.ThalesRemoteConnection()
    logging.connectToTerm(HOST, "Logging")
    identity = (thales.getSerialNumber(), thales.getDeviceName(), thales.getDeviceInformation())
    thales.hideWindow()
    thales.calibrateOffsets()
    thales.setEISNaming("individual")
    thales.setEISOutputPath(FOLDER)
    thales.setEISOutputFileName("cell01")
    thales.setPotentiostatMode(script_wrapper.PotentiostatMode.POTMODE_GALVANOSTATIC)
    thales.setAmplitude(100e-6)
    thales.setCurrent(0.0)
    thales.setUpperFrequencyLimit(300e3)
    thales.setLowerFrequencyLimit(200.0)
    thales.setStartFrequency(300e3)
    thales.setUpperStepsPerDecade(16)
    thales.setLowerStepsPerDecade(10)
    thales.setUpperNumberOfPeriods(6)
    thales.setLowerNumberOfPeriods(6)
    thales.setScanDirection("startToMax")
    thales.setScanStrategy("single")
    thales.enablePotentiostat()
    assert 2.0 < thales.getPotential() < 4.5
    assert thales.getCurrent() == 0.0
    heartbeats = [thales.getWorkstationHeartBeat()]
    thales.measureEIS()
    impedance = thales.getImpedance(1000.0, 100e-6, 3)
    setup = thales.readSetup()
    thales.disablePotentiostat()
    try:
        thales.measureEIS()
        refused = ""
    except thales_error.ThalesRemoteError as error:
        refused = str(error)
    heartbeats.append(thales.getWorkstationHeartBeat())
    files.disableAutomaticFileExchange()
    polled = files.acquireFile(FOLDER + r"\cell01.ism")
    packets = []
    while not logging._queuesForChannels[2].empty():
        packets.append(logging.waitForBinaryTelegram(2))
    logging.disconnectFromTerm()
    files.remoteConnection.disconnectFromTerm()
    remote.disconnectFromTerm()
    return Found(identity, heartbeats, refused, files.getLatestReceivedFile(), polled, setup, packets, impedance)


def test_thales_remote_measures_a_galvanostatic_spectrum_and_zahner_analysis_reads_it(tmp_path: Path) -> None:
    needs_port()

    async def main(clock: LoopClock) -> tuple[Found, Any]:
        laboratory = Laboratory(
            {
                "cells": [{"id": "bare-01", "area_m2": 1e-4, "place": "cabinet/1", "simulate": {"substrate": "bare"}}],
                "places": {"cabinet": {"count": 1, "leads": {"zahner": {"through": "mux", "relays": [101]}}}},
            },
            folder=tmp_path,
            seed=1,
            clock=clock,
            log=Silent(),
        )
        laboratory.relays("mux").add(101)
        simulator = ThalesSimulator("zahner", {"simulate": {"port": PORT, "script": False}}, laboratory)
        await simulator.start()
        try:
            found = await asyncio.wait_for(asyncio.to_thread(measure), 100)
        finally:
            await simulator.stop()
        assert laboratory.violations == []
        return found, laboratory.cells["bare-01"]

    found, cell = run_real(main)
    assert found.identity == ("33021", "ZenniumPro", ("ZENNIUM PRO", "33021"))
    assert all(0 <= beat <= 1140 for beat in found.heartbeats)
    assert "ERROR;105;1" in found.refused
    assert "Gal=-1;GAL=1" in found.setup
    assert found.pushed.name == "cell01.ism"
    assert bytes(found.pushed.binaryData) == bytes(found.polled.binaryData)
    assert [packet[0] for packet in found.packets] == [1, 4, 5, *(52 * [6]), 2]

    spectrum = ism_import.IsmImport(found.pushed.binaryData)
    assert spectrum.metaDataAcqParsingErrorOccurred is False
    frequency = spectrum.getFrequencyArray()
    assert len(frequency) >= 50
    assert (frequency[0], frequency[-1]) == (200.0, 300e3)
    exact = cell.impedance(frequency, np.zeros_like(frequency), 0.0)
    assert np.abs(spectrum.getComplexImpedanceArray() / exact - 1).max() < 0.02
    assert abs(found.impedance / cell.impedance(np.array([1000.0]), np.array([0.0]), 0.0)[0] - 1) < 0.02
    assert spectrum.getAmplitude() == pytest.approx(100e-6)
    assert spectrum.getTrackTypesList() == ["Voltage/V", "Current/A"]
    assert spectrum.getStartCurrentString() == "0nA, Ampl: 100uA"
    duration = spectrum.getMeasurementEndDateTime() - spectrum.getMeasurementStartDateTime()
    assert duration.total_seconds() == pytest.approx((len(frequency) - 1) * 0.3, abs=2)
