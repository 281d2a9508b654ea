"""Laboratories for whole runs: the files that ``labctl init`` makes, with the cells that a test wants."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from labctl.cli.init import make_laboratory


class Laboratory:
    """A laboratory folder and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_laboratory(folder, quiet=True)

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
        return [sys.executable, "-c", "from labctl.cli import main; main()", *arguments]

    def labctl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the laboratory folder to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=100,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on by itself."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
