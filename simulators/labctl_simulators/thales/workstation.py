"""What measurements need of the workstation that they run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales.sequences import Step
from labctl_simulators.thales.settings import Settings
from labctl_simulators.thales.source import Source
from labctl_simulators.thales.term import Term


class Measurement(Protocol):
    """Something that keeps the Remote script busy and leaves a file."""

    kind: str

    @property
    def about(self) -> dict[str, Any]:
        """Its file and cell, for the record."""

    def go_on(self) -> None:
        """Wait for the next point; called again when the laboratory was saved and restored."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""


class Workstation(Protocol):
    """The simulated instrument as its measurements see it."""

    name: str
    serial: str
    settings: Settings
    files: dict[str, bytes]
    source: Source
    laboratory: Laboratory
    term: Term
    noise: float
    checked: set[str]
    sequence: list[Step] | None

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Be busy for ``seconds``, then do ``action``."""

    def reply(self, text: str) -> None:
        """Answer the command that is being worked on."""

    def measure(self, measurement: Measurement) -> None:
        """Start a measurement."""

    def deliver(self, path: str, content: bytes) -> None:
        """Write a result and push it to who asked for such files."""

    def finish(self, reply: str) -> None:
        """End the measurement that runs, and answer."""
