"""What the documentation shows is done here as a reader would do it, block by block, and the pages are built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from reader import ROOT, Block, Reader, blocks

from labctl.cli.init import make_laboratory
from labctl.errors import InvalidFile

DOCS = ROOT / "docs"
#: In this order: the README's laboratory has results that later pages evaluate.
PAGES = [
    DOCS / "tutorial.md",
    ROOT / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.name not in ("tutorial.md", "language.md")),
]
#: Directives of the pages' own format: the build of the pages tries them.
DIRECTIVE = "{toctree}"
#: What a campaign of one cycle shows as well as one of thirty.
SHORTER = (
    ("count: 30", "count: 1"),
    ("{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}", "0.4 mA/cm2"),
    ("cycles: [1, 15, 30]", "cycles: [1]"),
)
#: Pages whose commands run campaigns: they share one laboratory, which the README's commands make.
CAMPAIGNS = ("README", "analyze", "figures", "operando", "plan", "plan-a-campaign")


def shorten(folder: Path) -> None:
    """Make the campaigns of a laboratory short: one cell of each group, measured in its first cycle."""
    path = folder / "protocols" / "dead-lithium.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in SHORTER:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    path = folder / "cells.yaml"
    head, *entries = re.split(r"(?m)^  - ", path.read_text(encoding="utf-8"))
    kept = [f"  - {entry}" for entry in entries if re.match(r"{id: (bare|coated)-01,", entry)]
    assert len(kept) == 2
    path.write_text(head + "".join(kept), encoding="utf-8")


class ShortReader(Reader):
    """Shortens the campaigns of the laboratory as soon as there is one."""

    def _line(self, line: str) -> int:
        code = super()._line(line)
        if line.startswith("labctl init"):
            shorten(self.folder)
        return code


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new laboratory, to be copied."""
    folder = tmp_path_factory.mktemp("fresh") / "mylab"
    make_laboratory(folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Who reads all pages on campaigns, the README first."""
    return ShortReader(tmp_path_factory.mktemp("campaigns"))


@pytest.fixture
def reader(request: pytest.FixtureRequest, page: Path, fresh: Path, campaigns: Reader, tmp_path: Path) -> Reader:
    """Who reads a page: the tutorial and the README begin in an empty folder, all others in a laboratory."""
    if page.stem in CAMPAIGNS:
        if page.stem != "README" and campaigns.folder.name != "mylab":
            read(campaigns, ROOT / "README.md")
        return campaigns
    if page.stem == "tutorial":
        return Reader(tmp_path)
    return Reader(Path(shutil.copytree(fresh, tmp_path / "mylab")))


def read(reader: Reader, page: Path) -> None:
    """Do all that a page shows."""
    for block in blocks(page):
        if page.stem == "README" and block.kind == "text":
            assert "SIMULATED  shares of the first charge" in block.text, "tests/run/test_demo.py compares it"
        elif block.kind != DIRECTIVE:
            reader.does(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix("")))
def test_what_a_page_shows_is_what_happens(reader: Reader, page: Path) -> None:
    read(reader, page)


@pytest.mark.parametrize(
    "block",
    [
        Block("", "labctl --help\n", "", 1),
        Block("ruby", "puts 1\n", "", 1),
        Block("yaml", "labctl: 1\n", "", 1),
        Block("yaml", "# in station.yaml, under places\nprobe: {cuont: 1}\n", "", 1),
        Block("shell", "labctl plan --nonsense\n", "", 1),
        Block("shell", 'python -m pip install -e ".[no-such-extra]"\n', "", 1),
        Block("shell", "labctl instruments manual maccor 1 --amperes 1\n", "needs an instrument", 1),
        Block("text", "what nobody prints\n", "", 1),
        Block("text", "Labctl-Unknown: 1\n", "a layout", 1),
    ],
    ids=lambda block: f"{block.kind}-{block.text.split()[-1]}",
)
def test_a_block_that_is_wrong_or_that_nobody_tries_is_noticed(block: Block, fresh: Path) -> None:
    with pytest.raises((AssertionError, InvalidFile)):
        Reader(fresh).does(block)


def test_the_documentation_is_built_without_a_warning_and_opens_offline(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    done = subprocess.run([*command, str(ROOT / "docs"), str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(out.rglob("*.html"))
    assert {"index.html", "tutorial.html"} <= {page.name for page in pages}
    built = {str(page.relative_to(out).with_suffix("")) for page in pages} - {"genindex", "search"}
    read_here = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES if DOCS in page.parents}
    assert built == read_here | {"reference/language"}
    assert not blocks(DOCS / "reference" / "language.md"), "made from the models, and never read here"
    assert "whole number, at least 1 and at most 1000000" in (out / "reference" / "language.html").read_text("utf-8")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|link|iframe)\b[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not fetched, f"{page.name} fetches {fetched}"
    for sheet in out.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:|@import\s+['\"]?https?:", sheet.read_text(encoding="utf-8"))
