"""Killed between delivering a bundle and noting it down: it is delivered again, and the receiver has it once."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from receiver import Receiver

from labctl.cli.delivering import deliver_waiting
from labctl.engine.clock import WallClock
from labctl.journal import Journal, LastWord, Posting
from labctl.results import bundle_folder, document_hash, write_bundle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a POSIX signal")

#: Delivers, and dies when it would note down that the endpoint has a bundle.
DELIVERER = """
import os, signal, sys
from pathlib import Path
from labctl.cli.delivering import deliver_waiting
from labctl.journal.outbox import OutboxRecords

noted = OutboxRecords.delivered

def die(self, row):
    if row.target == "there":
        os.kill(os.getpid(), signal.SIGKILL)
    noted(self, row)

OutboxRecords.delivered = die
deliver_waiting(Path(sys.argv[1]), Path(sys.argv[1], "station.yaml"))
"""
STATION = Path(__file__).parents[1] / "good" / "station.yaml"


def test_a_bundle_whose_delivery_was_not_noted_is_delivered_again_and_stored_once(tmp_path):
    results = tmp_path / "results"
    operations = [f"c-1/bare-01/c001/{number:02d}-eis/a1" for number in range(3)]
    journal = Journal(tmp_path / "labctl.sqlite", WallClock())
    for operation in operations:
        folder = bundle_folder(results, operation)
        folder.mkdir(parents=True)
        (folder / "impedance.csv").write_text(operation)
        write_bundle(folder, ["impedance.csv"], {"operation": operation, "campaign": "c-1", "mode": "live"})
        posting = Posting(document_hash(folder / "operation.json"), ("there", "dropped"))
        journal.outbox.post(journal.outbox.rows(operation, "c-1", posting))
    journal.close()

    with Receiver(token=None) as receiver:
        there = f'{{to: http, name: there, address: "{receiver.address}"}}'
        station = f"{STATION.read_text()}delivery: [{there}, {{to: folder, name: dropped, path: out}}]\n"
        (tmp_path / "station.yaml").write_text(station)
        command = [sys.executable, "-c", DELIVERER, str(tmp_path)]
        killed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        waiting = LastWord(journal.path, WallClock()).waiting()
        assert sum(row.target == "there" for row in waiting) == 3
        assert deliver_waiting(tmp_path, tmp_path / "station.yaml") == 0
    assert LastWord(journal.path, WallClock()).waiting() == []
    assert receiver.operations() == set(operations)
    assert sorted(receiver.statuses()) == [200, 201, 201, 201]
    for operation in operations:
        dropped = tmp_path / "out" / operation
        assert sorted(path.name for path in dropped.iterdir()) == [
            "impedance.csv",
            "labctl-delivered.json",
            "operation.json",
        ]
        (entry,) = json.loads((dropped / "operation.json").read_text())["files"]
        assert hashlib.sha256((dropped / "impedance.csv").read_bytes()).hexdigest() == entry["sha256"]
