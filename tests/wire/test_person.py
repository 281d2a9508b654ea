"""The scripted person: works for whatever orchestrator there is, and outlives them all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from laboratory_scene import in_laboratory

from labctl_simulators.laboratory import Laboratory
from labctl_simulators.person import ScriptedPerson

BACK = {"cell": "bare-01", "barcode": "B0001", "from": "cabinet/1", "to": "probe/1"}


class Orchestrator:
    """Asks for what is in ``wanted`` until it is confirmed; ``quits`` when it hears a confirmation, without a word."""

    def __init__(self, *wanted: dict[str, Any], quits: bool = False) -> None:
        self.wanted = list(wanted)
        self.confirmed: list[dict[str, Any]] = []
        self.quits = quits
        self.clients: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self.server.close()
        for client in self.clients:
            client.close()
            with contextlib.suppress(OSError):
                await client.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer)
        while line := await reader.readline():
            request = json.loads(line)
            answer: dict[str, Any] = {"ok": request["token"] == "secret"}
            if request["op"] == "requests":
                answer["requests"] = self.wanted
            elif self.quits:
                writer.close()
                return
            else:
                self.confirmed.append(request)
                self.wanted = [one for one in self.wanted if one["cell"] != request["cell"]]
            writer.write(json.dumps(answer).encode() + b"\n")


def test_a_person_carries_what_is_asked_and_confirms_with_the_barcode(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        await lab.start()
        # Something that only a real person can do comes first.
        orchestrator = Orchestrator({"instruction": "set the potentiostat", "cell": "bare-02"}, BACK)
        port = await orchestrator.start()
        work = asyncio.create_task(ScriptedPerson(lambda now: "anna", lab, lambda: (port, "secret")).work())
        await asyncio.sleep(1800)
        assert lab.where()["bare-01"]["place"] == "probe/1"
        (said,) = orchestrator.confirmed
        assert (said["cell"], said["barcode"], said["user"], len(said["id"])) == ("bare-01", "B0001", "anna", 32)
        work.cancel()
        await orchestrator.stop()
        await lab.stop()

    in_laboratory(tmp_path, scene)


def test_nobody_carries_anything_before_somebody_is_there(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        await lab.start()
        orchestrator = Orchestrator(BACK)
        port = await orchestrator.start()
        begin = lab.now() + timedelta(hours=8)
        who = ScriptedPerson(lambda now: "anna" if now >= begin else None, lab, lambda: (port, "secret"))
        work = asyncio.create_task(who.work())
        await asyncio.sleep(7.9 * 3600)
        assert orchestrator.confirmed == []
        await asyncio.sleep(1800)
        assert [one["user"] for one in orchestrator.confirmed] == ["anna"]
        work.cancel()
        await orchestrator.stop()
        await lab.stop()

    in_laboratory(tmp_path, scene)


def test_a_person_finds_the_next_orchestrator_when_one_dies_in_the_middle_of_a_confirmation(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        await lab.start()
        endpoint: list[tuple[int, str] | None] = [None]
        work = asyncio.create_task(ScriptedPerson(lambda now: "anna", lab, lambda: endpoint[0]).work())
        await asyncio.sleep(1000)
        first = Orchestrator(BACK, quits=True)
        endpoint[0] = (await first.start(), "secret")
        await asyncio.sleep(1800)
        await first.stop()
        # The lock file still says where it was: nobody is there any more.
        await asyncio.sleep(5000)
        assert not work.done()
        second = Orchestrator(BACK)
        endpoint[0] = (await second.start(), "another secret")
        await asyncio.sleep(2000)
        assert second.confirmed == []
        endpoint[0] = (endpoint[0][0], "secret")
        await asyncio.sleep(2000)
        assert [one["cell"] for one in second.confirmed] == ["bare-01"]
        assert lab.where()["bare-01"]["place"] == "probe/1"
        assert lab.violations == []
        work.cancel()
        await second.stop()
        await lab.stop()

    in_laboratory(tmp_path, scene)
