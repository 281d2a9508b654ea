"""The virtual laboratory as its own process, and its control port: what the instruments themselves have seen."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

COMMAND = (sys.executable, "-c", "from labctl.cli import main; main()")
_STARTS_WITHIN = 30.0
_ANSWERS_WITHIN = 60.0


class SimulatedLaboratory:
    """``labctl simulate`` in a laboratory folder, from ``with`` to the end of it.

    Parameters
    ----------
    folder : Path
        The laboratory folder with its files.
    speed : float
        Simulated seconds in a real one.
    seed : int
        Of everything random.
    """

    def __init__(self, folder: Path, *, speed: float, seed: int) -> None:
        self._folder = folder
        self._arguments = ("simulate", "--speed", f"{speed:g}", "--seed", str(seed), "--json")
        self._process: subprocess.Popen[str] | None = None
        self._control = ("127.0.0.1", 0)

    def __enter__(self) -> SimulatedLaboratory:
        log = (self._folder / "simulate.err").open("w")
        with log:
            process = subprocess.Popen(
                (*COMMAND, *self._arguments), cwd=self._folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._process = process
        line = process.stdout.readline() if process.stdout is not None else ""
        try:
            host, port = json.loads(line)["control"].split(":")
        except ValueError as error:
            self.stop()
            raise RuntimeError(f"no laboratory: {(self._folder / 'simulate.err').read_text()}") from error
        self._control = (host, int(port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it in order; by force where it does not follow."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STARTS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask the control port."""
        with socket.create_connection(self._control, timeout=_ANSWERS_WITHIN) as connection:
            connection.sendall(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        if not answer.pop("ok"):
            raise RuntimeError(f"the laboratory declines {op}: {answer['error']}")
        return answer

    def log(self, instrument: str) -> list[dict[str, Any]]:
        """Everything in an instrument's own log."""
        entries: list[dict[str, Any]] = self.ask("log", instrument=instrument)["log"]
        return entries
