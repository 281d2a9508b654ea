"""A campaign's results go where the station file says, and no receiver can hold a cell up."""

import asyncio
import hashlib
import json
import socket

import polars
import pytest
from receiver import TOKEN, Receiver
from trouble import one_cell, play

from labctl import analysis
from labctl.cli.delivering import deliver_waiting
from labctl.cli.running import RunRequest, run
from labctl.cli.status import print_status, read_status
from labctl.engine import orchestrator
from labctl.engine.clock import WallClock
from labctl.engine.outbox import Outbox
from labctl.errors import UsageError
from labctl.journal import Journal
from labctl.results import DropFolder

STEPS = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
rest: {duration: 10 min}
"""


def deliver_to(laboratory, entries):
    path = laboratory.folder / "station.yaml"
    kept = path.read_text().partition("\ndelivery:")[0]
    path.write_text(f"{kept}\ndelivery: [{', '.join(entries)}]\n")


def campaign(laboratory, warn=lambda message: None):
    folder = laboratory.folder
    return run(
        RunRequest(
            folder,
            laboratory.protocol,
            folder / "station.yaml",
            folder / "cells.yaml",
            simulate=True,
            accelerate=True,
            seed=5,
        ),
        warn=warn,
    )


def http(address, **more):
    options = "".join(f", {key}: {value}" for key, value in more.items())
    return f'{{to: http, address: "{address}", token: {{env: LABCTL_TESTS_TOKEN}}{options}}}'


def operations(laboratory):
    """Operations that have a bundle, by their hash."""
    found = (laboratory.folder / "results").rglob("operation.json")
    return {hashlib.sha256(path.read_bytes()).hexdigest(): json.loads(path.read_text())["operation"] for path in found}


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("LABCTL_TESTS_TOKEN", TOKEN)


def test_every_bundle_reaches_the_core_the_folder_and_the_endpoint(laboratory, tmp_path, token):
    one_cell(laboratory, STEPS)
    with Receiver() as receiver:
        deliver_to(laboratory, ["{to: core}", "{to: folder, path: dropped}", http(receiver.address)])
        # One answer too late and one refusal in passing: the campaign knows nothing of them.
        receiver.moods.extend([503, "cut"])
        outcome = campaign(laboratory)
    assert outcome.states == {"bare-01": "finished"}
    assert outcome.outbox == []
    done = operations(laboratory)
    assert len(done) == 2
    assert receiver.operations() == {outcome.campaign, *done.values()}
    assert set(done) < set(receiver.stored)
    results, dropped = laboratory.folder / "results" / outcome.campaign, laboratory.folder / "dropped"
    evaluated = json.loads((results / "analysis.json").read_text())
    assert evaluated == outcome.analysis.to_json() == analysis.analyze([dropped / outcome.campaign]).to_json()


def test_what_nobody_took_waits_while_the_cells_go_on_and_goes_with_the_next_run(laboratory, token):
    one_cell(laboratory, STEPS)
    with socket.socket() as reserved:
        # A port where nobody listens, and where nobody else can meanwhile.
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        deliver_to(laboratory, [http(f"http://127.0.0.1:{port}/labctl", name="lims")])
        outcome = campaign(laboratory)
    assert outcome.states == {"bare-01": "finished"}
    assert outcome.analysis is None
    (line,) = outcome.outbox
    assert line.startswith("outbox: 3 bundles for lims since ")
    assert "onnection refused" in line
    report = read_status(laboratory.folder)
    (waiting,) = report["outbox"]
    assert (waiting["target"], waiting["waiting"], waiting["refused"]) == ("lims", 3, 0)
    assert waiting["tries"] > 3
    assert any("delivery to lims waits" in alarm["message"] for alarm in report["alarms"])
    with Receiver(port=port) as receiver:
        receiver.moods.extend([413])
        told = []
        again = campaign(laboratory, told.append)
    assert any("has ended" in message for message in told)
    assert len(receiver.stored) == 2
    assert "1 refused" in again.outbox[0]
    arrived = receiver.operations()
    with Receiver() as receiver:
        # It has moved: the file at hand says where.
        deliver_to(laboratory, [http(receiver.address, name="lims")])
        assert deliver_waiting(laboratory.folder, laboratory.folder / "station.yaml") == 0
    assert len(receiver.stored) == 1
    assert receiver.operations() | arrived == {outcome.campaign, *operations(laboratory).values()}
    report = read_status(laboratory.folder)
    assert (report["outbox"], report["alarms"]) == ([], [])


def test_what_was_measured_before_an_abort_is_delivered_too(laboratory, tmp_path, monkeypatch):
    one_cell(laboratory, STEPS)

    def outbox(journal, targets, results, clock, log):
        return Outbox(journal, [DropFolder("out", tmp_path / "out", "lab", results, make=True)], results, clock, log)

    monkeypatch.setattr(orchestrator, "Outbox", outbox)

    async def script(scene):
        row = await scene.until_running("charge")
        await asyncio.sleep(3600)
        await scene.tell("abort")
        await scene.until_state("aborted")
        await scene.until(lambda: not scene.journal.waiting())
        return row.operation

    dropped = tmp_path / "out" / play(laboratory, script)
    assert json.loads((dropped / "operation.json").read_text())["status"] == "aborted"
    assert polars.read_parquet(dropped / "records.parquet")["Test Time / s"][-1] > 3000


def test_a_campaign_does_not_begin_without_the_credential_of_its_endpoint(laboratory, monkeypatch):
    monkeypatch.delenv("LABCTL_TESTS_TOKEN", raising=False)
    one_cell(laboratory, STEPS)
    deliver_to(laboratory, ['{to: http, address: "https://192.0.2.1/", token: {env: LABCTL_TESTS_TOKEN}}'])
    with pytest.raises(UsageError, match="LABCTL_TESTS_TOKEN is not set"):
        campaign(laboratory)
    journal = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    assert journal.campaigns() == []
    journal.close()


def test_the_status_says_what_waits_for_whom(capsys):
    report = {"mode": "live", "campaigns": [], "campaign": None, "orchestrator": "running", "instruments": []}
    report |= {"time": "2026-03-01T08:00:00.000+00:00", "cells": [], "alarms": []}
    one = {"target": "lims", "waiting": 2, "refused": 1, "since": "2026-03-01T07:00:00.000+00:00", "tries": 3}
    one |= {"next_try": "2026-03-01T08:10:00.000+00:00", "error": "no answer in time"}
    print_status({**report, "outbox": [one]})
    told = " ".join(capsys.readouterr().out.split())
    words = "outbox: 2 bundles for lims since 03-01 07:00, 1 refused, next try 03-01 08:10: no answer in time"
    assert words in told
