"""A laboratory as labctl 0.1 left it, with the first schema of the journal: interrupted in the middle of a campaign.

Two cells, two cycles, measured in the first. One cell is in the spectrometer, the other waits for it. The journal is
kept as SQL text; simulation and results as they were, with the laboratory's own path replaced.
"""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

#: The journal alone as the second schema had it: an operation that was fetched, one that was meant, a held cell.
VERSION_TWO = Path(__file__).parent / "fixtures" / "version-2" / "labctl.sql"
FIXTURE = Path(__file__).parent / "fixtures" / "version-1"


def write_journal(path: Path, text: Path = FIXTURE / "labctl.sql") -> None:
    """Make the journal of the old laboratory."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text.read_text(encoding="utf-8"))


def unpack(folder: Path) -> None:
    """Make the old laboratory, as its folder was when labctl let go of it."""
    (folder / "protocols").mkdir(parents=True)
    for name in ("station.yaml", "cells.yaml", "protocols/short.yaml"):
        (folder / name).write_bytes((FIXTURE / name).read_bytes())
    saved = (FIXTURE / "simulation.json").read_text(encoding="utf-8")
    (folder / "simulation.json").write_text(saved.replace("@LABORATORY@", folder.as_posix()), encoding="utf-8")
    with tarfile.open(FIXTURE / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    write_journal(folder / "labctl.sqlite")
