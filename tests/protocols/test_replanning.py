"""``labctl status`` of a running campaign: the rest is planned anew from where it is, and comes about."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.init import make_laboratory
from labctl.cli.plan_kept import against, keep
from labctl.cli.plan_told import lines
from labctl.cli.planned_run import planned_run
from labctl.cli.running import RunRequest, run
from labctl.cli.simulation import found_in
from labctl.cli.taking_up import check_files
from labctl.journal import FILE_NAME
from labctl_simulators import person

HOUR = 3600.0
BEGIN = datetime(2026, 11, 23, 8, tzinfo=UTC)


@dataclass
class Look:
    """What ``labctl status`` had before it at one instant: the orchestrator's word, and the journal."""

    folder: Path
    status: dict[str, Any]

    def told(self) -> dict[str, Any]:
        found = against(self.folder, self.status)
        assert found is not None
        return found

    def off(self, expected: str, happened: datetime) -> float:
        """By which part of the time that remained an expectation was wrong."""
        now = datetime.fromisoformat(self.status["time"])
        return abs((datetime.fromisoformat(expected) - happened) / (happened - now))


@dataclass
class Ran:
    """A campaign that has ended, and looks at it while it ran."""

    folder: Path
    looks: dict[str, Look] = field(default_factory=dict)
    ended: dict[str, datetime] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return max(self.ended.values())


async def ask(folder: Path, op: str, **request: Any) -> dict[str, Any]:
    """Ask the orchestrator that runs on this very loop."""
    port, token = found_in(folder)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(json.dumps({"op": op, "token": token, **request}).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
        assert answer["ok"], answer
        return answer
    finally:
        writer.close()


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    """Four cells on the wires: one held for five hours in its charge, a person who needs two hours for a while."""
    folder = tmp_path_factory.mktemp("replanned")
    make_laboratory(folder, quiet=True)
    protocol, cells = folder / "protocols" / "dead-lithium.yaml", folder / "cells.yaml"
    text = protocol.read_text().replace("count: 30", "count: 3").replace("cycles: [1, 15, 30]", "cycles: [1, 2]")
    protocol.write_text(text)
    text = re.sub(r"(?m)^  - \{id: \w+-0[24],.*\n( .*\n)?", "", cells.read_text())
    cells.write_text(text.replace("measure_at: [15]", "measure_at: [2]"))
    files = protocol, folder / "station.yaml", cells
    plan = planned_run(check_files(*files), 0, BEGIN)
    found = Ran(folder)

    async def look(name: str) -> None:
        then = folder / name
        keep(then, plan.to_json())
        with (
            closing(sqlite3.connect(folder / FILE_NAME)) as journal,
            closing(sqlite3.connect(then / FILE_NAME)) as copy,
        ):
            journal.backup(copy)
        found.looks[name] = Look(then, (await ask(folder, "status"))["status"])

    async def people() -> None:
        await asyncio.sleep(16 * HOUR)
        await ask(folder, "hold", cell="bare-03", now=True, user="ana", reason="a look at its pouch")
        await asyncio.sleep(4.9 * HOUR)
        await look("held")
        await asyncio.sleep(0.1 * HOUR)
        await ask(folder, "resume", cell="bare-03", user="ana")
        person.TAKES = 2 * HOUR
        await asyncio.sleep(6 * HOUR)
        person.TAKES = 300.0
        await asyncio.sleep(6 * HOUR)
        await look("later")

    beside: list[asyncio.Task[None]] = []
    clocks: list[Any] = []

    def on_simulation(simulation: Any) -> None:
        clocks.append(simulation.laboratory.now)
        beside.append(asyncio.get_running_loop().create_task(people()))

    def on_progress(cell: str, step: str) -> None:
        if step == "finished":
            found.ended[cell] = clocks[0]()

    request = RunRequest(folder, *files, simulate=True, accelerate=True, seed=5, hurried_look=60.0)
    with pytest.MonkeyPatch.context() as patch:
        # Who has waited longest depends on the hour of the day.
        patch.setattr("labctl.engine.clock.real_now", lambda: BEGIN)
        patch.setattr(person, "TAKES", person.TAKES)
        run(request, on_simulation=on_simulation, on_progress=on_progress)
    beside[0].result()
    assert len(found.ended) == 4
    return found


@pytest.mark.parametrize("name", ["held", "later"])
def test_what_is_planned_anew_comes_about_within_two_percent_of_what_remained(ran, name):
    look, found = ran.looks[name], ran.looks[name].told()
    assert look.off(found["expected_end"], ran.end) < 0.02
    assert look.off(found["planned_end"], ran.end) > 0.02, "the plan as it was would not have told"


def test_a_held_cell_is_planned_as_if_it_were_released_now_and_that_is_said(ran):
    found = ran.looks["held"].told()
    assert found["held"] == ["bare-03"]
    assert ran.looks["held"].off(found["expected_end"], ran.ended["bare-03"]) < 0.02
    assert any("held, planned as if released now: bare-03" in line for line in lines(found))
    assert ran.looks["later"].told()["held"] == []


def test_what_people_are_asked_next_is_said_in_local_time_and_comes_about(ran):
    found = ran.looks["later"].told()
    then = next(one for one in found["actions"] if one["to"] == "probe/1" and not one["asked"])
    assert "tune and match" in then["checklist"]
    with closing(sqlite3.connect(ran.folder / FILE_NAME)) as journal:
        query = "SELECT json_extract(times, '$.done') FROM operations WHERE cell = ? AND step = ?"
        ((moved,),) = journal.execute(query, (then["cell"], f"{then['for']}/to-probe-1"))
    assert abs(datetime.fromisoformat(then["at"]) - datetime.fromisoformat(moved)) < timedelta(minutes=15)
    text = "\n".join(lines(found))
    when = datetime.fromisoformat(then["at"]).astimezone()
    assert f"{when:%a %m-%d %H:%M}: {then['cell']} from {then['from']} to probe/1" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 16
