"""The orchestrator as its own process: started, killed, started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .laboratory import COMMAND

OUTPUT = "run.out"
_LAUNCHER = Path(__file__).with_name("launcher.py")


def start(folder: Path, protocol: Path, *, plan: Path | None = None) -> subprocess.Popen[bytes]:
    """Start ``labctl run`` against the laboratory that is simulated in ``folder``; with a plan it dies by it."""
    command: Sequence[str] = COMMAND if plan is None else (sys.executable, str(_LAUNCHER), str(plan))
    with (folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            (*command, "run", str(protocol), "--simulate"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def said(folder: Path) -> str:
    """The last of what it printed."""
    path = folder / OUTPUT
    return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.is_file() else ""
