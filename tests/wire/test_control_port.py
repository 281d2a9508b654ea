"""The laboratory's own port answers everything, nonsense included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from laboratory_scene import Echo, ask, in_laboratory

from labctl_simulators.laboratory import Laboratory


class Client:
    """Asks the control port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, **request: Any) -> dict[str, Any]:
        return await self.say(json.dumps(request).encode() + b"\n")

    async def say(self, line: bytes) -> dict[str, Any]:
        self._writer.write(line)
        answer: dict[str, Any] = json.loads(await self._reader.readline())
        return answer


def with_control_port(
    folder: Path, scene: Callable[[Laboratory, Client], Coroutine[Any, Any, None]], *, faults: bool = False
) -> None:
    async def play(lab: Laboratory) -> None:
        await lab.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.control_port)
        try:
            await scene(lab, Client(reader, writer))
        finally:
            writer.close()
            await writer.wait_closed()

    in_laboratory(folder, play, faults=faults)


def test_the_control_port_moves_cells_and_says_where_they_are(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        answer = await client.ask(id=1, op="where")
        assert answer["id"] == 1
        assert answer["ok"] is True
        assert answer["where"]["bare-02"] == {"place": "cabinet/2", "barcode": "B0002"}
        assert answer["where"]["reference"]["place"] == "bench"
        assert await client.ask(id=2, op="move", cell="bare-02", to="probe/1") == {
            "id": 2,
            "ok": True,
            "cell": "bare-02",
            "at": "probe/1",
        }
        assert lab.in_probe("topspin") is lab.cells["bare-02"]
        taken = await client.ask(id=3, op="move", cell="bare-01", to="probe/1")
        assert taken == {"id": 3, "ok": False, "error": "probe/1 is taken by bare-02"}

    with_control_port(tmp_path, scene)


def test_the_control_port_refuses_to_move_a_cell_under_current(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        lab.source_on(lab.cells["bare-01"], "maccor/1")
        assert (await client.ask(id=1, op="move", cell="bare-01", to="probe/1"))["ok"] is False
        answer = await client.ask(id=2, op="violations")
        assert [entry["kind"] for entry in answer["violations"]] == ["moved under current"]

    with_control_port(tmp_path, scene)


def test_the_control_port_gives_truth_time_and_logs(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        await asyncio.sleep(100)
        assert (await client.ask(id=1, op="time"))["time"] == pytest.approx(100, abs=1e-3)
        cells = (await client.ask(id=2, op="truth"))["truth"]["cells"]
        assert set(cells) == {"bare-01", "bare-02", "coated-01"}
        assert set(cells["bare-01"]) == {"first_charge_mAh", "soc_factor", "t90_us", "cycles"}
        lab.record("maccor", "started", channel=3)
        (entry,) = (await client.ask(id=3, op="log", instrument="maccor"))["log"]
        assert (entry["event"], entry["channel"]) == ("started", 3)
        assert (await client.ask(id=4, op="log", instrument="nobody"))["log"] == []

    with_control_port(tmp_path, scene)


def test_a_long_log_is_complete_and_can_be_read_piece_by_piece(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        for number in range(12_000):
            lab.record("maccor", "heard", number=number)
        read: list[int] = []
        while True:
            answer = await client.ask(id=1, op="log", instrument="maccor", since=len(read), most=500)
            read += [entry["number"] for entry in answer["log"]]
            if not answer["log"]:
                break
            assert answer["next"] == len(read)
        assert read == list(range(12_000))
        assert "count of entries" in (await client.ask(id=2, op="log", instrument="maccor", since=-1))["error"]

    with_control_port(tmp_path, scene)


def test_moves_of_cells_are_in_the_laboratory_s_log(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        await client.ask(id=1, op="move", cell="bare-01", to="probe/1")
        (entry,) = (await client.ask(id=2, op="log", instrument="laboratory"))["log"]
        assert (entry["event"], entry["cell"], entry["to"]) == ("moved", "bare-01", "probe/1")
        assert "has no tests" in (await client.ask(id=3, op="tests", instrument="topspin"))["error"]

    with_control_port(tmp_path, scene)


def test_the_control_port_puts_faults_on_wires(tmp_path: Path) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        echo = Echo()
        port = await lab.expose("zahner", await echo.start())
        assert (await client.ask(id=1, op="fault", instrument="zahner", kind="garble", count=1))["ok"] is True
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(reader, writer, b"hi\r\n") == b"\xff\xff\r\n"
        writer.close()
        await writer.wait_closed()
        unknown = await client.ask(id=2, op="fault", instrument="zahner", kind="fire")
        assert unknown["ok"] is False
        assert "unknown fault 'fire'" in unknown["error"]
        wrong = await client.ask(id=3, op="fault", instrument="zahner", kind="drop", count="2")
        assert "whole number" in wrong["error"]
        await echo.stop()

    with_control_port(tmp_path, scene, faults=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"garbage\n", "not a line of JSON"),
        (b"\xff\xfe\n", "not a line of JSON"),
        (b"[1]\n", "a request is a JSON object"),
        (b"{}\n", "unknown op None"),
        (b'{"id": 7, "op": "explode"}\n', "unknown op 'explode'; known are where, move"),
        (b'{"op": ["move"]}\n', "unknown op"),
        (b'{"op": "move", "cell": "bare-01"}\n', "move needs 'to'"),
        (b'{"op": "move", "cell": 1, "to": "bench"}\n', "cell is a text, not 1"),
    ],
)
def test_nonsense_is_answered_and_the_connection_lives_on(tmp_path: Path, line: bytes, said: str) -> None:
    async def scene(lab: Laboratory, client: Client) -> None:
        del lab
        answer = await client.say(line)
        assert answer["ok"] is False
        assert said in answer["error"]
        assert (await client.ask(id=8, op="time"))["ok"] is True

    with_control_port(tmp_path, scene)
