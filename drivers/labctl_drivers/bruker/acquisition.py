"""Which acquisition the gateway has going. Standard library only.

TopSpin can't be asked whether it is busy (public drivers keep a flag of their own, and so does this). The flag is held
against the dataset every time: the audit trail and ``acqus`` say when an acquisition is over, not TopSpin's answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labctl_drivers.bruker.dataset import (
    ABSENT,
    DONE,
    ERROR,
    PREPARED,
    RUNNING,
    Verdict,
    audit_state,
    judge,
    parse_parameters,
    scalar,
)

#: Seconds within which TopSpin must have begun the audit trail of an acquisition that it was told to start.
START_GRACE: Final = 60.0
#: Seconds for which a contradiction between the files of a dataset is taken for files that are being written.
SETTLE: Final = 10.0
#: Seconds after a halt in which the dataset must be closed; then the spectrometer counts as free.
HALT_GRACE: Final = 60.0


@dataclass
class Running:
    """The acquisition that is going on; times are those of the event loop."""

    name: str
    expno: int
    date_before: int | None
    began: float | None
    seen: float
    doubted: float | None = None
    halted: float | None = None


class Occupation:
    """Whether the spectrometer is taken, and by which dataset.

    Parameters
    ----------
    folder : Path
        The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ignored: set[tuple[str, int]] = set()
        self.running: Running | None = None

    def load(self) -> None:
        """See what is going on when the gateway starts.

        One acquisition follows the other, so only the dataset whose audit trail was written last can be running; an
        older one that says so was left by a TopSpin that ended.
        """
        trails = [path for path in self._folder.glob("*/*/audita.txt") if path.parent.name.isdigit()]
        if not trails:
            return
        last = max(trails, key=lambda path: path.stat().st_mtime)
        if audit_state(last.read_text("utf-8", "replace")) == RUNNING:
            now = asyncio.get_running_loop().time()
            self.running = Running(last.parent.parent.name, int(last.parent.name), None, None, now)

    def begin(self, name: str, expno: int) -> None:
        """Note, before TopSpin is told, that this dataset is about to be acquired."""
        acqus = self._folder / name / str(expno) / "acqus"
        date = scalar(parse_parameters(acqus.read_text("utf-8", "replace")), "DATE") if acqus.is_file() else None
        now = asyncio.get_running_loop().time()
        self.running = Running(name, expno, int(date) if isinstance(date, str) and date.isdigit() else None, now, now)

    def end(self) -> None:
        """Note that the spectrometer is free."""
        self.running = None

    def halting(self) -> None:
        """Note that TopSpin was told to halt."""
        if self.running is not None:
            self.running.halted = asyncio.get_running_loop().time()

    def verdict(self, name: str, expno: int) -> Verdict:
        """Judge one dataset, with what is known beyond its files.

        Raises
        ------
        OSError
            A file can't be read.
        """
        folder = self._folder / name / str(expno)
        running = self.running
        if running is None or (running.name, running.expno) != (name, expno):
            return self._judge_other(name, expno, folder)
        found = judge(folder, running.date_before)
        now = asyncio.get_running_loop().time()
        if running.halted is not None and found.state != DONE and now - running.halted > HALT_GRACE:
            self._ignored.add((name, expno))
            self.end()
        elif found.state == PREPARED and running.halted is not None:
            self.end()
        elif found.state == ABSENT and running.halted is None:
            # TopSpin goes on all the same: the spectrometer is taken until it was told to halt.
            return Verdict(ERROR, "its folder was deleted while it was acquired")
        elif found.state == PREPARED:
            if now - running.seen <= START_GRACE:
                return Verdict(RUNNING)
            self._ignored.add((name, expno))
            self.end()
        elif found.state == ERROR:
            running.doubted = now if running.doubted is None else running.doubted
            if now - running.doubted <= SETTLE:
                return Verdict(RUNNING)
            self.end()
        elif found.state != RUNNING:
            self.end()
        return found if self.running is not None else self._judge_other(name, expno, folder)

    def _judge_other(self, name: str, expno: int, folder: Path) -> Verdict:
        """Judge a dataset that is not the one that was started last."""
        found = judge(folder)
        if (name, expno) in self._ignored and found.state in (PREPARED, RUNNING):
            return Verdict(ERROR, "TopSpin took no notice of what it was told: look at its screen")
        if found.state == RUNNING:
            return Verdict(ERROR, "the audit trail was never closed: TopSpin ended during the acquisition")
        return found

    def elapsed(self, name: str, expno: int) -> float | None:
        """Seconds since this dataset was started, where this gateway started it."""
        running = self.running
        if running is None or running.began is None or (running.name, running.expno) != (name, expno):
            return None
        return asyncio.get_running_loop().time() - running.began

    def refresh(self) -> Running | None:
        """Give what is going on now."""
        if self.running is not None:
            self.verdict(self.running.name, self.running.expno)
        return self.running
