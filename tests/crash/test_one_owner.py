"""Never two owners on one address, and nothing that can never run is left to wait."""

import subprocess
import sys

import pytest
from kill_harness import files, journal, orchestrator
from kill_harness.laboratory import COMMAND, SimulatedLaboratory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a POSIX signal")

TAKE_THE_LOCK = """\
import sys
from pathlib import Path
from labctl.engine.lock import LaboratoryLock
from labctl.errors import Locked
try:
    LaboratoryLock(Path(".")).take()
except Locked as error:
    print(error)
    sys.exit(error.exit_code)
"""


def try_to_take(folder):
    return subprocess.run(
        (sys.executable, "-c", TAKE_THE_LOCK), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def most_clients(laboratory):
    """The largest number of clients that each server of an instrument ever had at once."""
    most = {}
    for entry in laboratory.log("wires"):
        most[entry["server"]] = max(most.get(entry["server"], 0), entry["count"])
    return most


@pytest.mark.timeout(120)
def test_killed_and_started_again_there_are_never_two_owners_on_one_address(tmp_path):
    protocol = files.make_files(tmp_path, cells=2, cycles=1)
    with SimulatedLaboratory(tmp_path, speed=100, seed=3) as laboratory:
        with orchestrator.running(tmp_path, protocol) as first:
            assert orchestrator.wait_until_it_is_there(tmp_path, first)
            alone = most_clients(laboratory)
            assert {server.partition("/")[0] for server in alone} == {"maccor", "topspin", "zahner", "oven", "mux"}
            refused = try_to_take(tmp_path)
            assert (refused.returncode, str(first.pid) in refused.stdout) == (5, True)
        for _ in range(2):
            # No waiting, no tidying up by hand: the lock goes with the process, however that ends.
            with orchestrator.running(tmp_path, protocol) as following:
                assert orchestrator.wait_until_it_is_there(tmp_path, following)
        assert most_clients(laboratory) == alone
        assert laboratory.ask("violations")["violations"] == []


@pytest.mark.timeout(120)
def test_a_second_run_opens_nothing_that_the_first_one_has(tmp_path):
    protocol = files.make_files(tmp_path, cells=1, cycles=1)
    with (
        SimulatedLaboratory(tmp_path, speed=100, seed=3) as laboratory,
        orchestrator.running(tmp_path, protocol) as first,
    ):
        assert orchestrator.wait_until_it_is_there(tmp_path, first)
        alone = most_clients(laboratory)
        with orchestrator.running(tmp_path, protocol) as second:
            # It is refused, or it follows the campaign of the first one: then it ends with this block.
            orchestrator.ends_within(second, 5.0)
        assert first.returncode is None
        assert most_clients(laboratory) == alone
        assert try_to_take(tmp_path).returncode == 5


def test_a_job_that_can_never_run_is_refused_at_once_and_leaves_no_trace(tmp_path):
    protocol = files.make_files(tmp_path, cells=1, cycles=1)
    station = tmp_path / "station.yaml"
    kept = [line for line in station.read_text().splitlines(keepends=True) if not line.lstrip().startswith("oven:")]
    station.write_text("".join(kept))
    done = subprocess.run(
        (*COMMAND, "run", str(protocol), "--simulate"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 6
    assert "40 degC" in done.stderr
    assert journal.operations(tmp_path) == []
    assert not (tmp_path / "results").exists()
