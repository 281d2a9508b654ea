"""One program at a time on a serial port or a VISA resource: a lock per resource of this PC, with who has it.

Held by the operating system, so it goes with the process, however that ends. It keeps labctl from labctl, whatever
their folders; programs that ask for no lock are kept off by the port itself at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from labctl.instruments import Busy, DriverContext

_FOLDER: Final = "labctl-resources"
#: Everybody on this PC may lock. Not sticky: some systems then refuse to open what another user has left behind.
_FOLDER_MODE, _FILE_MODE = 0o777, 0o666
#: What to do about a port that some other program has open.
ASK_WHO: Final = "end that program; on Linux 'fuser' with the port's name says which it is"
_FAR: Final = 1 << 30
_VISA_SERIAL: Final = re.compile(r"ASRL(.+)::INSTR", re.IGNORECASE)
_SCHEME: Final = re.compile(r"(?:socket|tcp)://", re.IGNORECASE)

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Take the operating system's lock on an open file; false where another has it."""
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Take the operating system's lock on an open file; false where another has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ResourceLock:
    """Held by the one session with a resource.

    Parameters
    ----------
    context : DriverContext
        For messages, and to say who has it.
    address : str
        As a station file names it; a port has one lock by all of its names.
    unit : str
        Which of several instruments behind one address, where each may have a session of its own.
    """

    def __init__(self, context: DriverContext, address: str, unit: str = "") -> None:
        self._context = context
        self._address = address
        self._resource = _plain(address) + (f" {unit}" if unit else "")
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock, if it is not held already. Where this PC has no place for locks, that is said in the log.

        Raises
        ------
        Busy
            Another session of labctl has it; the message says which.
        """
        if self._file is not None:
            return
        try:
            self._file, held_by = self._open()
        except OSError as error:
            self._context.log.warning("can't be kept from other programs", address=self._address, reason=str(error))
            return
        if self._file is None:
            raise Busy(
                f"is in use already, by {held_by}",
                instrument=self._context.name,
                address=self._address,
                hint="end that one, or give each instrument an address of its own",
            )

    def release(self) -> None:
        """Give it back. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            if sys.platform != "win32":
                self._path.unlink(missing_ok=True)
            os.close(file)

    @property
    def _path(self) -> Path:
        digest = hashlib.sha256(self._resource.encode()).hexdigest()[:16]
        return _folder() / f"{re.sub('[^a-z0-9]+', '-', self._resource)[-60:].strip('-')}-{digest}.lock"

    def _open(self) -> tuple[int | None, str]:
        """Give the locked file; or None, and who has it."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), _FILE_MODE)
            try:
                if not try_lock(file):
                    held_by = _holder(file)
                    os.close(file)
                    return None, held_by
                if self._is_there(file):
                    folder = str(self._context.folder.absolute())
                    _write(file, {"pid": os.getpid(), "instrument": self._context.name, "folder": folder})
                    return file, ""
            except OSError:
                os.close(file)
                raise
            # Whoever had it removed the file between our opening and locking it.
            os.close(file)

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False


def claim(port: str) -> int | None:
    """Take the lock of a serial port itself, as programs do that want it alone; give what holds it until it is closed.

    None on Windows, where an open port is anybody's alone.

    Raises
    ------
    BlockingIOError
        Another program has it.
    OSError
        There is no such port.
    """
    if sys.platform == "win32":
        return None
    file = os.open(port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    if try_lock(file):
        return file
    os.close(file)
    raise BlockingIOError(f"another program has {port}")


def taken(port: str) -> bool:
    """Whether another program has this serial port to itself, as far as the system tells."""
    try:
        file = claim(port)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if file is not None:
        os.close(file)
    return False


def _folder() -> Path:
    # The temporary folder of Windows is a user's own.
    folder = Path(os.environ.get("PROGRAMDATA") or tempfile.gettempdir()) / _FOLDER
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        folder.chmod(_FOLDER_MODE)
    return folder


def _plain(address: str) -> str:
    """Give the one name of a resource: a port's own, whatever links lead to it, or host and port."""
    visa = _VISA_SERIAL.fullmatch(address)
    name = _SCHEME.sub("", visa[1] if visa else address)
    return os.path.realpath(name) if name.startswith("/") else name.casefold()


def _write(file: int, who: dict[str, Any]) -> None:
    if sys.platform != "win32" and os.fstat(file).st_uid == os.getuid():
        # What was made with the user's own mask must be open to others.
        os.fchmod(file, _FILE_MODE)
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(who).encode())


def _holder(file: int) -> str:
    """Read who has it, in words."""
    os.lseek(file, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(file, 4096))
        return f"'{found['instrument']}' of the laboratory {found['folder']} (process {found['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
