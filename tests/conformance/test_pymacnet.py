"""pymacnet, unmodified, does its work against the simulated tester: every method it has, several clients at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.clock import run_real
from labctl.instruments import CyclerProgram, CyclerStep, End, Mode, SafetyLimits
from labctl_drivers.maccor.procedure import compile_program, write
from labctl_drivers.maccor.wire import BinaryLine
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.macnet import MacnetSimulator

pymacnet = pytest.importorskip("pymacnet", reason="needs the extra `conformance` (pymacnet)")
pytestmark = pytest.mark.conformance

DESCRIPTION: dict[str, Any] = {
    "cells": [
        {"id": f"cell-{number}", "barcode": f"B{number}", "area_m2": 1e-4, "place": f"cabinet/{number}"}
        for number in range(1, 9)
    ],
    "places": {"cabinet": {"count": 8, "temperature": None, "leads": {"maccor": "1-8"}}},
}
PROGRAM = CyclerProgram(
    "conformance",
    (CyclerStep(Mode.CHARGE, 2e-4, None, (End("voltage", True, 4.3), End("time", True, 3600, guard=True))),),
    SafetyLimits(2.5, 4.4, 5e-3, 5e-3),
)
AT_ONCE = CyclerProgram(
    "at-once", (CyclerStep(Mode.REST, 0.0, None, (End("time", True, 1.0),)),), SafetyLimits(2.5, 4.4, 5e-3, 5e-3)
)


class Quiet:
    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


def config(ports: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "server_ip": ports["address"],
        "json_msg_port": ports["json_port"],
        "bin_msg_port": ports["binary_port"],
        "msg_buffer_size_bytes": 4096,
        "channel": 3,
        "test_name": "conform-1",
        "test_procedure": "conform",
        "c_rate_ah": 1.0,
        "v_max_safety_limit_v": 4.4,
        "v_min_safety_limit_v": 2.5,
        "i_max_safety_limit_a": 0.005,
        "i_min_safety_limit_a": 0.005,
        "power_safety_limit_chg_w": 1.0,
        "power_safety_limit_dsg_w": 1.0,
        "v_max_v": 4.3,
        "v_min_v": 3.0,
        "data_record_time_s": 1.0,
        "data_record_voltage_delta_vbys": 0.0,
        "data_record_current_delta_abys": 0.0,
        **changes,
    }


def against_the_tester(
    folder: Path, client_work: Callable[[dict[str, Any]], None], **simulate: Any
) -> list[dict[str, Any]]:
    """Run a blocking client in a thread, the simulated tester on this loop; give the laboratory's violations."""
    violations: list[dict[str, Any]] = []

    async def main(clock: Any) -> None:
        laboratory = Laboratory(DESCRIPTION, folder=folder, seed=3, clock=clock, log=Quiet())
        entry = {"channels": "1-8", "export_folder": "export", "simulate": simulate}
        simulator = MacnetSimulator("maccor", entry, laboratory)
        ports = await simulator.start()
        line = BinaryLine(ports["address"], ports["binary_port"], 2.0)
        await line.open()
        await line.put_file("conform.000", write(compile_program(PROGRAM, lambda current: "2")))
        await line.put_file("at-once.000", write(compile_program(AT_ONCE, lambda current: "2")))
        await line.close()
        try:
            await asyncio.to_thread(client_work, ports)
        finally:
            await simulator.stop()
            violations.extend(laboratory.violations)

    run_real(main)
    return violations


def pace() -> None:
    """Let the 100 ms pass that the tester wants between two commands of direct mode."""
    threading.Event().wait(0.12)


def closed(client: Any) -> None:
    """Close its sockets, which the client itself offers no way to."""
    client._CyclerInterface__json_msg_socket.close()
    client._CyclerInterface__bin_msg_socket.close()


def test_it_identifies_the_tester_and_reads_a_channel(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        client = pymacnet.ChannelInterface(config(ports))
        assert client.get_num_channels() == 16
        assert client.read_general_info()["SystemID"] == "LABCTL-SIM-4000"
        assert client.read_system_info()["APIVersion"] == 5
        status = client.read_channel_status()
        assert (status["Chan"], status["Stat"], status["RF1"]) == (3, 0, 0)
        assert 2.5 < status["Voltage"] < 4.0
        assert len(client.read_all_channel_statuses()) == 16
        assert client.read_aux() == [pytest.approx(20.0)]
        assert client.set_channel_variable(var_num=2, var_value=1.5)
        closed(client)

    against_the_tester(tmp_path, work)


def test_it_starts_a_procedure_sees_it_run_and_resets_it(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        client = pymacnet.ChannelInterface(config(ports))
        assert client.start_test_with_procedure()
        status = client.read_channel_status()
        assert (status["RF1"], status["Stat"], status["Step"]) == (1, 2, 1)
        assert status["Current"] == pytest.approx(2e-4)
        # A second start is refused while the channel is in use, and the running test is left alone.
        other = pymacnet.ChannelInterface(config(ports, test_name="conform-2"))
        assert not other.start_test_with_procedure()
        assert client.read_channel_status()["Stat"] == 2
        reply = client._send_receive_json_msg(
            {"jsonrpc": "2.0", "method": "MacNet", "params": {"FClass": 6, "FNum": 3, "Chan": 3}, "id": 1987}
        )
        assert reply["result"]["Result"] == "OK"
        assert (client.read_channel_status()["RF1"], client.read_channel_status()["Stat"]) == (30, 3)
        assert client.reset_channel()
        assert client.read_channel_status()["Stat"] == 0
        # The name is in the archive now, and cannot be used again.
        assert not client.start_test_with_procedure()
        assert other.start_test_with_procedure()
        assert other.reset_channel()
        closed(client)
        closed(other)

    against_the_tester(tmp_path, work)


def test_it_steers_a_channel_by_hand(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        client = pymacnet.ChannelInterface(config(ports))
        assert client.get_channel_number() == 3
        assert not client.set_direct_mode_output(1e-4)
        assert client.start_test_with_direct_control()
        pace()
        assert client.set_direct_mode_output(2e-4)
        status = client.read_channel_status()
        assert (status["RF1"], status["Current"]) == (1, pytest.approx(2e-4))
        # At once is too fast, and changes nothing.
        assert not client.set_direct_mode_output(4e-4)
        assert client.read_channel_status()["Current"] == pytest.approx(2e-4)
        pace()
        assert client.set_direct_mode_output(1e-4, 4.2)
        assert client.read_channel_status()["Current"] == pytest.approx(1e-4)
        pace()
        assert client.set_direct_mode_output(-1e-6)
        assert client.read_channel_status()["RF1"] == 2
        assert client.reset_channel()
        closed(client)

    violations = against_the_tester(tmp_path, work)
    assert {entry["kind"] for entry in violations} == {"direct command to a channel without direct mode"}


def test_its_rest_for_another_channel_than_its_own_does_no_harm(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        # It sends a rest for channel n to channel n + 2.
        one, two, three = (
            pymacnet.ChannelInterface(config(ports, channel=number, test_name=f"by-hand-{number}"))
            for number in (1, 3, 5)
        )
        for client in (one, two):
            assert client.start_test_with_direct_control()
        assert three.start_test_with_procedure()
        pace()
        for client in (one, two):
            assert client.set_direct_mode_output(2e-4)
        pace()
        # It takes any answer for a yes.
        assert one.set_direct_mode_output(0)
        assert two.set_direct_mode_output(0)
        for client, current in ((one, 2e-4), (two, 2e-4), (three, 2e-4)):
            status = client.read_channel_status()
            assert (status["Stat"], status["RF1"], status["Current"]) == (2, 1, pytest.approx(current))
        for client in (one, two, three):
            closed(client)

    violations = against_the_tester(tmp_path, work)
    assert [(entry["kind"], entry["channel"]) for entry in violations] == [
        ("direct command to the channel of somebody else", 3),
        ("direct command to a channel without direct mode", 5),
    ]


def test_eight_of_them_work_at_once(tmp_path: Path) -> None:
    def one(ports: dict[str, Any], channel: int) -> tuple[int, list[int]]:
        client = pymacnet.ChannelInterface(config(ports, channel=channel, test_name=f"together-{channel}"))
        assert client.set_channel_variable(var_num=15, var_value=channel)
        assert client.start_test_with_procedure()
        seen = [client.read_channel_status()["Chan"] for _ in range(10)]
        assert len(client.read_all_channel_statuses()) == client.get_num_channels()
        assert client.read_aux() == [pytest.approx(20.0)]
        assert client.read_system_info()["MacTest32EXEversionMajor"] == 2
        assert client.reset_channel()
        assert client.start_test_with_procedure() is False
        closed(client)
        return channel, seen

    def work(ports: dict[str, Any]) -> None:
        with ThreadPoolExecutor(8) as pool:
            for channel, seen in pool.map(lambda number: one(ports, number), range(1, 9)):
                assert seen == [channel] * 10

    assert against_the_tester(tmp_path, work) == []


def test_it_resets_what_is_completed_before_it_starts(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        client = pymacnet.ChannelInterface(config(ports, test_procedure="at-once", test_name=""))
        assert client.start_test_with_procedure()
        while client.read_channel_status()["Stat"] != 4:
            pace()
        assert client.start_test_with_procedure()
        closed(client)

    against_the_tester(tmp_path, work)


def test_an_error_object_surfaces_in_it_and_not_in_the_tester(tmp_path: Path) -> None:
    def work(ports: dict[str, Any]) -> None:
        # It cannot read a channel that is not there, and reads its own after that.
        client = pymacnet.ChannelInterface(config(ports, channel=16))
        assert client.read_channel_status()["Chan"] == 16
        beyond = pymacnet.ChannelInterface(config(ports, channel=17))
        assert beyond.read_channel_status() is None
        with pytest.raises(KeyError):
            beyond.reset_channel()
        assert beyond.get_num_channels() == 16
        closed(client)
        closed(beyond)

    assert against_the_tester(tmp_path, work) == []
