"""Laboratories for whole runs: the files that ``labctl init`` makes, with the cells that a test wants."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import forked

from labctl.cli.init import make_laboratory


@cache
def _made() -> dict[Path, bytes]:
    """Give the files of a new laboratory by their names in its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lab"
        make_laboratory(folder, quiet=True)
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Laboratory:
    """A laboratory folder and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, content in _made().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @property
    def protocol(self) -> Path:
        return self.folder / "protocols" / "dead-lithium.yaml"

    def keep_cells(self, *cells: str) -> None:
        """Leave only these cells in cells.yaml."""
        path = self.folder / "cells.yaml"
        head, *entries = re.split(r"(?m)^  - ", path.read_text())
        kept = [entry for entry in entries if any(f"id: {cell}," in entry for cell in cells)]
        path.write_text(head + "".join(f"  - {entry}" for entry in kept))

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit one of the files."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", forked.COMMAND, *arguments]

    def labctl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the laboratory folder to its end."""
        if sys.platform == "win32":
            return self.afresh(*arguments, stdin=stdin)
        with tempfile.TemporaryDirectory() as scratch:
            return forked.run(arguments, self.folder, Path(scratch), stdin, timeout=100)

    def afresh(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a process that imports everything itself."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=100,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str] | forked.Process:
        """Start a command that goes on by itself."""
        if sys.platform == "win32":
            return subprocess.Popen(
                self.command(*arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        return forked.begin(arguments, self.folder)
