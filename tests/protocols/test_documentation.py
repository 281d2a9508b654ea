"""What the tutorial and the how-to pages show is done here as a reader would do it, and the pages are built.

In a page, a ``yaml`` block names its file in its first line and is written there, then checked; a ``shell`` block runs
in a laboratory folder; each line of a ``text`` block must stand in what the shell blocks before it have printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "docs" / "tutorial.md", *(ROOT / "docs" / "howto").glob("*.md")])
BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Reader:
    """Somebody who types what a page says."""

    folder: Path
    bin: Path
    printed: str = ""

    def types(self, script: str, code: int) -> None:
        # The folder that a block ends in is where the next begins.
        end = self.bin / "cwd"
        whole = f"set -e\n{script}\npwd > {end}\n"
        done = subprocess.run(
            ["bash", "-c", whole],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "COLUMNS": "400", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{script}\n{done.stdout}\n{done.stderr}"
        self.printed += done.stdout + done.stderr
        if code == 0:
            self.folder = Path(end.read_text(encoding="utf-8").strip())

    def sees(self, text: str) -> None:
        for line in text.splitlines():
            assert line.strip() in self.printed, f"nobody printed '{line}':\n{self.printed}"

    def writes(self, text: str, *, right: bool) -> None:
        named = re.match(r"# (\S+\.yaml)\n", text)
        assert named is not None, f"a block of YAML names its file in its first line:\n{text}"
        path = self.folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if right and "\nprotocol:" in text:
            self.types(f"labctl check {named[1]}", 0)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    folder, bin_ = tmp_path / "work", tmp_path / "bin"
    folder.mkdir()
    bin_.mkdir()
    (bin_ / "labctl").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from labctl.cli import main; main()" "$@"\n', encoding="utf-8"
    )
    (bin_ / "labctl").chmod(0o755)
    return Reader(folder, bin_)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(reader: Reader, page: Path) -> None:
    if page.stem != "tutorial":
        # A how-to begins in a laboratory folder.
        reader.types("labctl init mylab\ncd mylab", 0)
    done = 0
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        note = block["note"] or ""
        if block["kind"] == "yaml":
            reader.writes(block["text"], right=note != "mistakes")
        elif block["kind"] == "shell":
            reader.types(block["text"], int(note.removeprefix("exit ") or 0))
        else:
            assert block["kind"] == "text", f"{page.name}: a block '{block['kind']}' that nobody tries"
            reader.sees(block["text"])
        done += 1
    assert done > 1


def test_the_documentation_is_built_without_a_warning_and_opens_offline(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    done = subprocess.run([*command, str(ROOT / "docs"), str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(out.rglob("*.html"))
    assert {"index.html", "tutorial.html"} <= {page.name for page in pages}
    assert "whole number, at least 1 and at most 1000000" in (out / "reference" / "language.html").read_text("utf-8")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|link|iframe)\b[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not fetched, f"{page.name} fetches {fetched}"
    for sheet in out.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:|@import\s+['\"]?https?:", sheet.read_text(encoding="utf-8"))
