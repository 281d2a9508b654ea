"""Every way in which labctl says no, as one tree.

``LabctlError`` (exit 1)                 the root; nothing else is raised on purpose
├── ``UsageError`` (2)                   the command line asks for something that makes no sense
├── ``NoOrchestrator`` (3)               a command needs a running orchestrator and there is none
├── ``InstrumentError`` (4)              an instrument or the way to it; its kinds: ``labctl.instruments.faults``
├── ``Locked`` (5)                       another process holds this laboratory
├── ``InvalidFile`` (6)                  a protocol, station or cells file has mistakes
├── ``InterlockTripped`` (7)             a safety rule stands against it
├── ``NotConfirmed`` (8)                 a person did not confirm, or confirmed the wrong cell
├── ``JournalError`` (1)                 the journal cannot be read or written, or contradicts itself
│   └── ``NoRoom`` (1)                   there is no room to write: nothing has changed, and it works again with room
├── ``DataError`` (1)                    a measurement is incomplete, corrupted or contradicts its request
└── ``AnalysisError`` (1)                the data cannot carry the evaluation that was asked for

The exit codes are part of the command-line contract.
"""

from __future__ import annotations

from dataclasses import dataclass


class LabctlError(Exception):
    """Root of all errors that labctl raises on purpose."""

    category = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(LabctlError):
    """The command line asks for something that makes no sense."""

    category = "usage"
    exit_code = 2


class NoOrchestrator(LabctlError):
    """A command needs a running orchestrator and there is none."""

    category = "orchestrator"
    exit_code = 3


class InstrumentError(LabctlError):
    """An instrument, or the way to it, failed.

    Parameters
    ----------
    message : str
        What happened, in words for a lab person.
    instrument : str
        The station's name of the instrument, such as ``maccor``.
    address : str, optional
        Where it was sought, such as ``192.0.2.10:57570``.
    """

    category = "instrument"
    exit_code = 4

    def __init__(self, message: str, *, instrument: str = "", address: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.instrument = instrument
        self.address = address

    def __str__(self) -> str:
        where = " at ".join(part for part in (self.instrument, self.address) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text}; {self.hint}" if self.hint else text


class Locked(LabctlError):
    """Another process holds this laboratory."""

    category = "locked"
    exit_code = 5


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a user's file: where, what was found, what would be right.

    Attributes
    ----------
    file : str
        Path as the user gave it.
    line, column : int
        Counted from 1.
    found : str
        What stands there and why it can't be.
    right : str
        What would be right.
    notes : tuple of str
        Where it is used, if it is not used where it stands.
    """

    file: str
    line: int
    column: int
    found: str
    right: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{self.file}:{self.line}:{self.column}: {self.found}; {self.right}{notes}"


class InvalidFile(LabctlError):
    """A protocol, station or cells file has mistakes; all of them at once.

    Parameters
    ----------
    mistakes : sequence of Mistake
        At least one, in the order of the file.
    """

    category = "file"
    exit_code = 6

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class InterlockTripped(LabctlError):
    """A safety rule stands against what was asked."""

    category = "interlock"
    exit_code = 7


class NotConfirmed(LabctlError):
    """A person did not confirm, or confirmed the wrong cell."""

    category = "confirmation"
    exit_code = 8


class JournalError(LabctlError):
    """The journal cannot be read or written, or contradicts itself."""

    category = "journal"


class NoRoom(JournalError):
    """The journal can't be written for now: the disk is full or gone; what was to be written has not happened."""

    category = "no room"


class DataError(LabctlError):
    """A measurement is incomplete, corrupted, or contradicts what was asked for."""

    category = "data"


class AnalysisError(LabctlError):
    """The data cannot carry the evaluation that was asked for."""

    category = "analysis"
