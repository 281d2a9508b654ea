"""Somebody who reads the documentation and does all of it: types commands, writes files, runs Python, compares output.

A block of a page is done by its language:

``shell``  typed in a laboratory folder; what only installs is looked at word by word instead.
``yaml``   begins with a comment that says where it belongs: ``# cells.yaml`` is a whole file, which is written and
           checked; ``# in station.yaml, under places`` is a part of that file of the laboratory, which is checked with
           the part put in; without ``under`` the part has the file's own keys.
``python`` run in the laboratory folder.
``text``   lines that commands before it have printed.

A comment right above a block, which no reader sees, says what is special: ``mistakes`` (a file that is wrong on
purpose), ``exit 6`` (of commands), ``numbers differ`` (in output), ``needs an instrument`` (a command that is only
looked at), ``a layout`` (no output: names in it must be the code's), ``typed for FILE`` (on another PC: its options are
in that file), ``run by TEST``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from ruamel.yaml import YAML

from labctl.analysis import calibration_file
from labctl.cli import plugins
from labctl.cli.app import run_app
from labctl.cli.manifest import load_listed
from labctl.cli.settings_file import load_settings
from labctl.protocol import load_protocol
from labctl.safety.preflight import check
from labctl.station import load_cells, load_station

ROOT: Final = Path(__file__).parents[2]
_BLOCK: Final = re.compile(
    r"(?:^ *<!-- (?P<note>[^>]*) -->\n)?^(?P<fence> *```+)(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_PART: Final = re.compile(r"# in (\S+\.yaml)(?:, under (\w+))?\n")
_WHOLE: Final = re.compile(r"# (\S+\.yaml)\n")
#: Commands that change this computer or run for minutes.
_INSTALLS: Final = ("python -m venv", "python -m pip")
#: By a key that only such a file has: how it is read.
_READ: Final[dict[str, Callable[[Path], Any]]] = {
    "station": lambda path: load_station(path, drivers=plugins.driver_names()),
    "cells": load_cells,
    "points": calibration_file.load,
    "spectra": load_listed,
    "settings": load_settings,
}


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    kind: str
    text: str
    note: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Give the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(one["kind"].strip(), dedent(one["text"]), one["note"] or "", text.count("\n", 0, one.start("fence")) + 1)
        for one in _BLOCK.finditer(text)
    ]
    assert len(re.findall(r"^\s*(?:```+|~~~+)", text, re.MULTILINE)) == 2 * len(found), f"{page.name}: a fence is open"
    return found


@dataclass
class Reader:
    """Somebody in a folder."""

    folder: Path
    printed: str = ""
    campaigns: set[tuple[str, ...]] = field(default_factory=set)

    def does(self, block: Block) -> None:
        """Do what a block shows; fails where nobody could."""
        if block.note.startswith("run by "):
            path, _, test = block.note.removeprefix("run by ").partition("::")
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")
        elif block.note.startswith("typed for "):
            source = (ROOT / block.note.removeprefix("typed for ")).read_text(encoding="utf-8")
            unknown = [one for one in re.findall(r"--[a-z-]+", block.text) if f'"{one}"' not in source]
            assert not unknown, f"{block.note} knows no {unknown}"
        elif block.note == "needs an instrument":
            for line in block.text.splitlines():
                _looks_right(line)
        elif block.kind == "yaml":
            self.writes(block.text, right=block.note != "mistakes")
        elif block.kind == "shell":
            self.types(block.text, int(block.note.removeprefix("exit ") or 0))
        elif block.kind == "python":
            with self._there():
                exec(compile(block.text, f"line {block.line}", "exec"), {})
        elif block.kind == "text" and block.note == "a layout":
            unknown = [name for name in _names(block.text) if name not in _sources()]
            assert not unknown, f"no code knows {unknown}"
        else:
            assert block.kind == "text", f"a block '{block.kind}' that nobody tries"
            alike = _loose if block.note == "numbers differ" else str
            for line in block.text.splitlines():
                assert alike(line.strip()) in alike(self.printed), f"nobody printed '{line}':\n{self.printed}"

    # -- shell -----------------------------------------------------------------------------------------------------
    def types(self, script: str, code: int = 0) -> None:
        """Type the lines of a script."""
        if any(line.startswith(_INSTALLS) for line in script.splitlines()):
            for line in script.splitlines():
                _looks_right(line)
            return
        for line in script.replace("\\\n", " ").splitlines():
            assert self._line(line) == code, f"{line}\n{self.printed}"

    def _line(self, line: str) -> int:
        if not shlex.split(line, comments=True):
            return 0
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            if words[0] == "cd":
                self.folder = self.folder / words[1]
                code = 0 if self.folder.is_dir() else 1
            elif words[0] == "labctl" and not {"||", "|", ">", ";"} & set(words):
                code = self._labctl(words[1:])
            else:
                code = self._bash(part)
            if code:
                return code
        return 0

    def _labctl(self, words: list[str]) -> int:
        """In this process: a reader's hundred commands would be a hundred starts."""
        if words[0] == "run" and tuple(words) in self.campaigns:
            return 0  # Another page shows the same command, and did it here.
        self.campaigns.add(tuple(words))
        out = io.StringIO()
        with self._there(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = run_app(words)
        self.printed += out.getvalue()
        return code

    def _bash(self, line: str) -> int:
        python = f'{sys.executable} -c "from labctl.cli import main; main()"'
        script = f'labctl() {{ {python} "$@"; }}\n{line}'
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, check=False)
        self.printed += done.stdout + done.stderr
        return done.returncode

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        before, wide = Path.cwd(), {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
        os.environ.update(COLUMNS="400", NO_COLOR="1")
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)
            for name, value in wide.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    # -- yaml ------------------------------------------------------------------------------------------------------
    def writes(self, text: str, *, right: bool = True) -> None:
        """Write a file, or put a part into the laboratory's, and have it checked."""
        part, whole = _PART.match(text), _WHOLE.match(text)
        if part is not None:
            path = self._with_part(part[1], part[2], text)
        else:
            assert whole is not None, f"a block of YAML says where it belongs in its first line:\n{text}"
            path = self.folder / whole[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if right:
            self._check(path)

    def _with_part(self, name: str, key: str | None, text: str) -> Path:
        yaml = YAML(typ="safe")
        data, given = yaml.load(self.folder / name), yaml.load(text)
        for under, value in ({key: given} if key is not None else given).items():
            data[under] = {**data.get(under, {}), **value} if isinstance(value, dict) else value
        path = (self.folder / name).with_stem(f"{Path(name).stem}-with-part")
        yaml.dump(data, path)
        return path

    def _check(self, path: Path) -> None:
        data = YAML(typ="safe").load(path)
        if "protocol" in data:
            assert self._labctl(["check", str(path)]) == 0, self.printed
            return
        for key, read in _READ.items():
            if key in data:
                found = read(path)
                if key == "station":
                    entries = found.entries()
                    protocol, cells = self.folder / "protocols/dead-lithium.yaml", self.folder / "cells.yaml"
                    abilities = plugins.capabilities(entries)
                    files = load_protocol(protocol), found, load_cells(cells)
                    assert check(*files, plugins.roles(entries), abilities) == []
                return
        assert {"define", "experiments", "parameters"} & data.keys(), f"{path.name}: nothing reads it"


def _loose(text: str) -> str:
    return re.sub(r"[+-]?\d+(?:\.\d+)?", "0", text)


def _looks_right(line: str) -> None:
    """Look at a line that installs: its extras, its modules and its own commands are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for part in line.split(" && "):
        words = shlex.split(part, comments=True)
        if words[0] == "labctl":
            assert run_app([*words[1:], "--help"]) == 0
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None, words[2]
            asked = {name for extras in re.findall(r"\[([\w,-]+)\]", part) for name in extras.split(",")}
            assert asked <= project["optional-dependencies"].keys(), asked
        else:
            assert words == [".", ".venv/bin/activate"], part


def _names(text: str) -> list[str]:
    return re.findall(r"[\w-]+\.json\b|\bLabctl-\w+|\blabctl\.\w+/\d", text)


@cache
def _sources() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (ROOT / "labctl" / "results").rglob("*.py"))
