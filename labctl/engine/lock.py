"""One orchestrator per laboratory folder, held by the operating system; the file also says how to reach it.

The lock lies on a byte far behind the file's end, so that others can read the file on Windows too. It goes with the
process, however that ends: a file that is left over is not a lock.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from labctl.errors import Locked

NAME: Final = "labctl.lock"
_FAR: Final = 1 << 30

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FAR)
        except OSError:
            return False
        return True


def hold(path: Path) -> IO[bytes] | None:
    """Take the operating system's lock on a file, made where it is not there; None where another process has it.

    Closing the file gives the lock back, and so does the end of the process, however it ends.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    if _try_lock(file):
        return file
    file.close()
    return None


def read(folder: Path) -> Mapping[str, Any] | None:
    """Read what the lock file of ``folder`` says: pid, host, port, token, since; None if it says nothing."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


class LaboratoryLock:
    """Held by the one orchestrator of a laboratory folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Take the lock.

        Raises
        ------
        Locked
            Another process has it; the message says which.
        """
        file = hold(self.path)
        if file is None:
            found = read(self.path.parent) or {}
            who = f"process {found.get('pid', 'unknown')} on {found.get('host', 'an unknown host')}"
            raise Locked(
                f"{self.path.parent}: another orchestrator runs here ({who})",
                hint="look with 'labctl status', or give another laboratory folder with --lab",
            )
        self._file = file
        self._write({})

    def publish(self, **contents: Any) -> None:
        """Say how to reach this orchestrator."""
        self._write({"pid": os.getpid(), "host": socket.gethostname(), **contents})

    def _write(self, contents: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(contents).encode())
        self._file.flush()

    def release(self) -> None:
        """Give the lock back; the empty file stays."""
        if self._file is not None:
            self._write({})
            self._file.close()
            self._file = None
