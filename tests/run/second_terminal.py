"""A campaign that runs, and what people do to it from a second terminal; the instruments' own words as witness."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from laboratory_folder import Laboratory

from labctl.engine.clock import WallClock, pause, real_seconds
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator
from labctl.journal import Journal

PROTOCOL = "protocols/dead-lithium.yaml"
PATIENCE = 30.0

HEAD = """
labctl: 1
protocol: dead-lithium
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
"""


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Look again and again until ``condition`` gives something; other processes are at work, so wall time passes."""
    deadline = real_seconds() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert real_seconds() < deadline, f"not within {seconds:g} s: {what}"
        pause(0.02)


class Terminal:
    """Commands and questions to whatever runs in a laboratory folder."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """Ask the orchestrator; nothing where none answers."""
        try:
            return ask(self.laboratory.folder, op, **request)
        except NoOrchestrator:
            return {}

    def lost(self, op: str, **request: Any) -> bool:
        """Whether the answer to a command did not come."""
        return not self.ask(op, **request)

    def say(self, *words: str) -> str:
        """Give a command that is taken, and its answer."""
        ran = self.laboratory.labctl(*words)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    def refused(self, *words: str) -> tuple[int, str]:
        """Give a command that is not taken: its exit code and why."""
        ran = self.laboratory.labctl(*words)
        assert "Traceback" not in ran.stderr
        return ran.returncode, ran.stderr

    def cells(self) -> dict[str, dict[str, Any]]:
        """Every cell's line of ``labctl status``."""
        report = self.ask("status")
        return {cell["cell"]: cell for cell in report["status"]["cells"]} if report else {}

    def states(self) -> dict[str, str]:
        return {cell: line["state"] for cell, line in self.cells().items()}

    def state(self, cell: str) -> str | None:
        return self.cells().get(cell, {}).get("state")

    def step(self, cell: str) -> str | None:
        return self.cells().get(cell, {}).get("step")

    def explain(self, cell: str) -> dict[str, Any]:
        return self.ask("explain", cell=cell).get("explain", {})

    def laboratory_says(self, op: str, **request: Any) -> dict[str, Any]:
        """Ask the virtual laboratory itself, and use it in place of hands."""
        port = json.loads((self.laboratory.folder / "simulation.json").read_text())["control"]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(json.dumps({"id": 1, "op": op, **request}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        assert answer["ok"], answer
        return answer

    def events(self, channel: int) -> list[str]:
        """What the cycler's own log has of one channel."""
        log = self.laboratory_says("log", instrument="maccor")["log"]
        return [one["event"] for one in log if one.get("channel") == channel]

    def tests(self, channel: int) -> list[str]:
        """States of all tests that a channel of the cycler has had."""
        tests = self.laboratory_says("tests", instrument="maccor")["tests"]
        return [test["state"] for test in tests if test["channel"] == channel]

    def log(self, cell: str) -> str:
        """What ``labctl log`` says of a cell."""
        return self.laboratory.labctl("log", "--cell", cell, "--last", "0").stdout


@contextmanager
def simulated(laboratory: Laboratory, *, speed: float = 1.0, seed: int = 3) -> Iterator[Terminal]:
    """Run the laboratory as a process of its own."""
    process = laboratory.begin("simulate", "--speed", str(speed), "--seed", str(seed), "--json")
    try:
        assert "labctl.simulate/1" in process.stdout.readline()
        yield Terminal(laboratory)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert "Traceback" not in output, output


@contextmanager
def running(laboratory: Laboratory, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a campaign in it until the end of ``with``, where it is killed as by a power cut."""
    process = laboratory.begin("run", *(arguments or (PROTOCOL,)), "--simulate")
    try:
        yield process
    finally:
        process.kill()
        if not process.stdout.closed:
            output, _ = process.communicate()
            assert "Traceback" not in output, output


@contextmanager
def journal(laboratory: Laboratory) -> Iterator[Journal]:
    """Read the journal."""
    found = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    try:
        yield found
    finally:
        found.close()
