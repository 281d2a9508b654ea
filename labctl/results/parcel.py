"""What is delivered: one bundle as it was when it was closed, or the description of a campaign.

Nothing leaves the laboratory that is not what the journal and ``operation.json`` say: the document is compared with the
hash under which it was posted, every file with its hash in the document.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from labctl.errors import LabctlError
from labctl.results.bundle import bundle_folder, campaign_folder

OPERATION: Final = "operation.json"
CAMPAIGN: Final = "campaign.json"
#: Of the zip that is sent.
BUNDLE_SCHEMA: Final = "labctl.bundle/1"
# The earliest time that a zip can hold: nothing in it depends on when it was packed.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


class NotDelivered(LabctlError):
    """A delivery came to nothing, and is worth trying again.

    Parameters
    ----------
    after : float or None
        Seconds after which, where the receiver said so.
    """

    category = "delivery"

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Undeliverable(LabctlError):
    """Trying again would come to the same.

    Parameters
    ----------
    everything : bool
        Whether that goes for whatever is delivered to this target, not for this bundle alone.
    """

    category = "delivery"

    def __init__(self, message: str, *, everything: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.everything = everything


@dataclass(frozen=True, slots=True)
class Parcel:
    """One bundle, checked.

    Attributes
    ----------
    operation : str
        Whose it is: an operation's id, or a campaign's for its description.
    sha256 : str
        Of the document.
    document : str
        ``operation.json`` or ``campaign.json``.
    text : bytes
        The document.
    data : mapping
        The same, decoded.
    folder : Path
        Where the files are.
    """

    operation: str
    sha256: str
    document: str
    text: bytes
    data: Mapping[str, Any]
    folder: Path

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Give the document and then every file, by its path in the bundle.

        Raises
        ------
        Undeliverable
            A file is not there, or is not what it was.
        NotDelivered
            A file can't be read at the moment.
        """
        yield self.document, self.text
        for entry in self.data.get("files", ()):
            content = _read(self.folder / entry["name"])
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise Undeliverable(f"{self.operation}: {entry['name']} is not what {self.document} says it is")
            yield entry["name"], content


class Target(Protocol):
    """Whoever is delivered to."""

    @property
    def name(self) -> str:
        """What the journal calls it."""

    def deliver(self, parcel: Parcel) -> None:
        """Deliver a bundle; one that has arrived before changes nothing. Blocks; called in a thread of its own.

        Raises
        ------
        NotDelivered
            Worth trying again.
        Undeliverable
            Not worth it.
        """

    def close(self) -> None:
        """Have a delivery that is under way end soon; nothing is delivered any more."""


def document_hash(path: Path) -> str:
    """Give the hash under which a document is posted."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def open_parcel(results: Path, operation: str, sha256: str) -> Parcel:
    """Look at what is to be delivered.

    Parameters
    ----------
    results : Path
        The laboratory's results folder.
    operation : str
        An operation's id, or a campaign's.
    sha256 : str
        Under which it was posted.

    Raises
    ------
    Undeliverable
        It is gone, or is not what was posted.
    NotDelivered
        It can't be read at the moment.
    """
    whole = "/" not in operation
    folder = campaign_folder(results, operation) if whole else bundle_folder(results, operation)
    document = CAMPAIGN if whole else OPERATION
    text = _read(folder / document)
    if hashlib.sha256(text).hexdigest() != sha256:
        raise Undeliverable(f"{operation}: {document} is not what it was when it was put into the outbox")
    return Parcel(operation, sha256, document, text, json.loads(text), folder)


def pack(parcel: Parcel, file: BinaryIO) -> None:
    """Write a zip of a bundle: the same bundle gives the same bytes, wherever and whenever."""
    # Not compressed: what a compressor gives depends on its version, and most files hold packed numbers already.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for name, content in parcel.contents():
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            packed.writestr(entry, content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Undeliverable(f"{path} is not there") from error
    except OSError as error:
        raise NotDelivered(f"{path}: {error.strerror}") from error
