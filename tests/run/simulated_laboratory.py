"""``labctl simulate`` beside a test, and its control port."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from laboratory_folder import Laboratory

from labctl.engine.clock import pause, real_seconds

#: Makes the shipped protocol short: one cycle, measured, in a few simulated hours.
_SHORT = {
    "count: 30": "count: 1",
    "cycles: [1, 15, 30]": "cycles: [1]",
    "duration: 12 h": "duration: 10 min",
    "{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}": "2 mA/cm2",
    "current: 0.6 mA/cm2": "current: 2 mA/cm2",
    "rest_before: 30 min": "rest_before: 2 min",
    "scans: 1024": "scans: 32",
    "soak: 1 h": "soak: 5 min",
    "soak: 2 h": "soak: 5 min",
    "current: 1 uA, for: 60 s": "current: 50 uA, for: 60 s",
    ", start_within: 2 h": "",
}


#: No more than the cycler does.
_CYCLER_ALONE = """
labctl: 1
protocol: dead-lithium
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
steps:
  - rest: {duration: 10 min}
  - cycle:
      count: 1
      steps:
        - charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
        - discharge: {current: 2 mA/cm2, until: {voltage: lower}, at_most: 8 h}
"""


def cycler_alone(laboratory: Laboratory, cell: str) -> None:
    """Leave only this cell, and a protocol that only charges and discharges it."""
    laboratory.keep_cells(cell)
    laboratory.replace("cells.yaml", ", measure_at: [1]", "")
    laboratory.protocol.write_text(_CYCLER_ALONE)


def quick(laboratory: Laboratory, *cells: str) -> None:
    """Leave only these cells, and a protocol of all kinds of steps in a few simulated hours."""
    laboratory.keep_cells(*cells)
    for old, new in _SHORT.items():
        laboratory.replace("protocols/dead-lithium.yaml", old, new)


@contextmanager
def simulated(laboratory: Laboratory, *, speed: float, seed: int) -> Iterator[Mapping[str, Any]]:
    """Run the simulated laboratory; gives its line, ``process`` and ``pid`` added."""
    process = laboratory.begin("simulate", "--speed", str(speed), "--seed", str(seed), "--json")
    try:
        yield {**json.loads(process.stdout.readline()), "process": process, "pid": process.pid}
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert "Traceback" not in output


@contextmanager
def running(laboratory: Laboratory) -> Iterator[subprocess.Popen[str]]:
    """Run the campaign in the simulated laboratory beside the test; whatever happens, it ends with the test."""
    process = laboratory.begin("run", "protocols/dead-lithium.yaml", "--simulate")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(place: Mapping[str, Any], op: str, **request: Any) -> dict[str, Any]:
    """Ask the laboratory's control port."""
    host, port = place["control"].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection, connection.makefile("rb") as lines:
        connection.sendall(json.dumps({"id": 1, "op": op, **request}).encode() + b"\n")
        answer = json.loads(lines.readline())
    assert answer["ok"], answer
    return answer


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Look again and again until something holds in another process."""
    until = real_seconds() + seconds
    while not condition():
        assert real_seconds() < until, "it did not happen"
        pause(0.02)
