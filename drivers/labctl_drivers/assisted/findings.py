"""What a check of a dropped file says: sentences for the person, and which of them a person may overrule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from labctl.instruments import Fetched, Handle


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a dropped file is not what was asked.

    Attributes
    ----------
    text : str
        What was found, what was asked, and where it stands.
    final : bool
        True where nobody can accept it: the file is unreadable or incomplete.
    """

    text: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a request sheet.

    Attributes
    ----------
    name, value : str
        With the unit that the vendor's program shows.
    within, why : str
        How close it must come, and the reason.
    """

    name: str
    value: str
    within: str
    why: str


@dataclass(frozen=True, slots=True)
class Window:
    """When the measurement must have been made.

    Attributes
    ----------
    since, until : datetime
        The request, and now; UTC.
    slack : timedelta
        How far the instrument's clock may be off.
    ahead : timedelta
        What the instrument's clock is set ahead of UTC; only for files that tell local time.
    """

    since: datetime
    until: datetime
    slack: timedelta
    ahead: timedelta

    def check(self, began: datetime | None, ended: datetime | None, where: str) -> list[Difference]:
        """Compare start and end (UTC) of a measurement; None where the file does not tell."""
        found = []
        if began is None and ended is None:
            found.append(Difference(f"start and end: {where} does not tell when it was measured"))
        if began is not None and began < self.since - self.slack:
            found.append(
                Difference(
                    f"start: {began:%Y-%m-%d %H:%M:%S} UTC found, asked at {self.since:%Y-%m-%d %H:%M:%S} UTC: "
                    f"older than the request ({where})"
                )
            )
        elif began is None and ended is not None and ended < self.since - self.slack:
            found.append(
                Difference(
                    f"end: {ended:%Y-%m-%d %H:%M:%S} UTC found, asked at {self.since:%Y-%m-%d %H:%M:%S} UTC: "
                    f"older than the request ({where})"
                )
            )
        latest = max(instant for instant in (began, ended, self.since) if instant is not None)
        if latest > self.until + self.slack:
            found.append(
                Difference(
                    f"end: {latest:%Y-%m-%d %H:%M:%S} UTC found, which is still to come ({where}); "
                    "is the instrument's clock right?"
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a person dropped, as one measurement.

    Attributes
    ----------
    where : str
        Path below the request's folder, for messages.
    parts : tuple of Path
        The file, or the EXPNO folders in the order in which they were asked.
    """

    where: str
    parts: tuple[Path, ...]


class Task(Protocol):
    """One request of any kind: what the sheet says, and how a dropped file is judged and taken in.

    Attributes
    ----------
    title : str
        What is asked, in a few words.
    asked : mapping
        The request as JSON values, SI; the task can be made again from it.
    settings : sequence of Setting
        What to set.
    steps : sequence of str
        What to do, in order.
    attachments : mapping of str to bytes
        Files that are laid beside the sheet.
    """

    title: str
    asked: Mapping[str, Any]
    settings: Sequence[Setting]
    steps: Sequence[str]
    attachments: Mapping[str, bytes]

    def candidates(self, folder: Path, files: Sequence[Path]) -> list[Candidate]:
        """Tell the dropped files (absolute paths below ``folder``) apart into measurements."""

    def check(self, candidate: Candidate, window: Window) -> list[Difference]:
        """Compare with the request. Raises ``DataError`` where it cannot be read or is not complete."""

    def store(self, candidate: Candidate, handle: Handle, folder: Path) -> Fetched:
        """Copy it untouched into the bundle, with what the role's contract asks for beside it."""
