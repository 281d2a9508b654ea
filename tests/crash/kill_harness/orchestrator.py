"""The orchestrator as its own process: started, killed, started again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .laboratory import COMMAND

OUTPUT = "run.out"
LOCK = "labctl.lock"
_LOOK_EVERY = 0.02
_LOOKS = 6000
_LONGEST_LIFE = 900.0
_LAUNCHER = Path(__file__).with_name("launcher.py")


@contextmanager
def running(folder: Path, protocol: Path, *, plan: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``labctl run`` against the laboratory that is simulated in ``folder``; at the end of ``with`` it is killed.

    With a plan it dies by that.
    """
    command: Sequence[str] = COMMAND if plan is None else (sys.executable, str(_LAUNCHER), str(plan))
    with (folder / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            (*command, "run", str(protocol), "--simulate"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ends_within(process: subprocess.Popen[bytes], seconds: float | None) -> bool:
    """Let an orchestrator live for ``seconds`` (None: as long as it wants); whether it ended by itself."""
    try:
        process.wait(_LONGEST_LIFE if seconds is None else seconds)
    except subprocess.TimeoutExpired:
        if seconds is None:
            raise
        return False
    return True


def wait_until_it_is_there(folder: Path, process: subprocess.Popen[bytes]) -> bool:
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
