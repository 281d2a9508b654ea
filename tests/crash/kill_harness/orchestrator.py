"""The orchestrator as its own process: started, killed, started again.

Each is forked from a server that has imported labctl once, so that most of a life is spent on the campaign and not on
starting Python; what runs in it is the ``labctl`` command line.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import launcher
from .boundaries import Plan

OUTPUT = "run.out"
LOCK = "labctl.lock"
_LOOK_EVERY = 0.02
_LOOKS = 6000
_LONGEST_LIFE = 900.0

_SERVER = multiprocessing.get_context("forkserver")
# What labctl imports before its first step; nothing that begins threads.
_SERVER.set_forkserver_preload(
    [
        "typer._adapters",
        "labctl.cli.app",
        "labctl.cli.run",
        "labctl.cli.running",
        "labctl.engine.orchestrator",
        "labctl.journal.journal",
        *(f"labctl_drivers.{name}" for name in ("maccor", "bruker", "zahner", "julabo", "scpi_multiplexer")),
    ]
)


class Life:
    """One run of the orchestrator."""

    def __init__(self, folder: Path, protocol: Path, plan: Path | None) -> None:
        self._process = _SERVER.Process(target=_live, args=(folder, protocol, plan))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it lives."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end; ``subprocess.TimeoutExpired`` where it lives longer."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("labctl run", seconds or 0.0)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def _live(folder: Path, protocol: Path, plan: Path | None) -> None:
    """Be ``labctl run`` in ``folder``."""
    os.chdir(folder)
    with Path(os.devnull).open("rb") as nothing, (folder / OUTPUT).open("ab") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    # The server's own streams may be those of a test runner.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    if plan is not None:
        launcher.install(Plan(plan))
    sys.argv[:] = ["labctl", "run", str(protocol), "--simulate"]
    from labctl.cli import main

    main()


@contextmanager
def running(folder: Path, protocol: Path, *, plan: Path | None = None) -> Iterator[Life]:
    """Run ``labctl run`` against the laboratory that is simulated in ``folder``; at the end of ``with`` it is killed.

    With a plan it dies by that.
    """
    life = Life(folder, protocol, plan)
    try:
        yield life
    finally:
        life.kill()
        life.wait()


def ends_within(process: Life, seconds: float | None) -> bool:
    """Let an orchestrator live for ``seconds`` (None: as long as it wants); whether it ended by itself."""
    try:
        process.wait(_LONGEST_LIFE if seconds is None else seconds)
    except subprocess.TimeoutExpired:
        if seconds is None:
            raise
        return False
    return True


def wait_until_it_is_there(folder: Path, process: Life) -> bool:
    """Wait until the orchestrator has taken the laboratory and can be asked; False where it ended before."""
    for _ in range(_LOOKS):
        try:
            found = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        if found.get("pid") == process.pid and "port" in found:
            return True
        try:
            process.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            continue
        return False
    raise TimeoutError(f"the orchestrator does not come up: {said(folder)}")


def said(folder: Path) -> str:
    """The last of what it printed."""
    path = folder / OUTPUT
    return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.is_file() else ""
