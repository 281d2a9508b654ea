"""The person who is there when a cell is held: has the step tried again."""

from __future__ import annotations

from pathlib import Path

from labctl.engine.endpoint import ask
from labctl.errors import LabctlError

from . import journal


class Person:
    """Looks at held cells, and has their step tried again, as often as it takes.

    A series of spectra under direct current that nobody has watched is ended, and its cell held for a person. In a
    campaign without such a step there is no person: no kill may have a cell held there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def look(self) -> None:
        """Do what there is to do; where no orchestrator answers, the next look does it."""
        for cell in journal.held(self._folder):
            try:
                ask(self._folder, "retry", cell=cell, user="harness", reason="the series was not watched")
            except LabctlError:
                return
