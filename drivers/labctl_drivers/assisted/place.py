"""The drop folder of one assisted instrument: is it there, is it ours, and the thread that looks into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext, Identity, NotIdentified, NotReachable
from labctl_drivers.assisted.desk import put
from labctl_drivers.assisted.settings import Settings
from labctl_drivers.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")

#: Says whose folder it is; a share that was unmounted leaves an empty folder without it.
MARKER: Final = "labctl-instrument.txt"
#: Names the spectrometer session, in its first line; written by a person.
SESSION: Final = "session.txt"


class Place:
    """One instrument's drop folder.

    Parameters
    ----------
    context : DriverContext
        Name, clock.
    settings : Settings
        Where it is.
    """

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._worker = Worker(context.clock, context.name)
        #: As last read; the first session where nobody named one.
        self.session = "1"

    async def connect(self) -> Identity:
        """See that the folder is there, is ours and can be written.

        Raises
        ------
        NotReachable
            It is not there or can't be written.
        NotIdentified
            It belongs to another instrument.
        """
        await self._guarded(self._open)
        settings = self._settings
        details = {"filled by": "a person", "files of": settings.vendor, "role": settings.role}
        if settings.role == "spectrometer":
            details["session"] = self.session
        vendor = settings.vendor if settings.vendor not in ("any", "csv") else "unknown"
        return Identity(vendor, settings.model, settings.serial, "", str(settings.folder), details)

    def close(self) -> None:
        """Let the thread end."""
        self._worker.close()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in the instrument's thread.

        Raises
        ------
        NotReachable
            The folder is not there, or a file can't be read or written.
        """

        def call() -> T:
            if not (self._settings.folder / MARKER).is_file():
                raise self.fault(NotReachable, "the drop folder is not there any more", hint="is its share mounted?")
            self._read_session()
            return function(*args, **kwargs)

        return await self._guarded(call)

    async def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return await self._worker.run(call)
        except OSError as error:
            raise self.fault(NotReachable, f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error

    def _open(self) -> None:
        folder = self._settings.folder
        if not self._settings.shared:
            if self._context.read_only and not folder.exists():
                return
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise self.fault(NotReachable, "there is no such drop folder", hint="make it, or mount its share")
        marker = folder / MARKER
        if marker.exists():
            lines = marker.read_text(encoding="utf-8", errors="replace").splitlines()
            owner = lines[0].strip() if lines else ""
            if owner != self._context.name:
                raise self.fault(
                    NotIdentified,
                    f"the drop folder belongs to '{owner}'",
                    hint=f"give each instrument a folder of its own, or delete {MARKER}",
                )
        elif not self._context.read_only:
            text = f"{self._context.name}\nThe name above is the instrument whose requests labctl lays down here.\n"
            put(marker, text.encode())
        self._read_session()

    def _read_session(self) -> None:
        path = self._settings.folder / SESSION
        if self._settings.role == "spectrometer" and path.is_file():
            words = path.read_text(encoding="utf-8-sig", errors="replace").split()
            self.session = "-".join(words)[:40] or "1"

    def fault(self, kind: Callable[..., InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names the instrument and its folder."""
        return kind(message, instrument=self._context.name, address=str(self._settings.folder), hint=hint)
