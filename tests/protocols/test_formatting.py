"""``labctl protocol format`` and ``upgrade``: comments, order and what a file says stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.documents import load, read
from labctl.documents.formatting import formatted
from labctl.documents.layout import comments
from labctl.protocol import load_protocol, shipped

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "labctl" / "cli" / "templates"
FILES = [*shipped(), *sorted(TEMPLATES.glob("*.yaml")), ROOT / "tests/good/station.yaml"]
UGLY = """
# head
labctl:   1   # version


steps:          # in order
- rest: { duration:   1 h }   # the first
# above the second
-   charge: {current: 0.2 mA/cm2,   # magnitude
             # the end
             until: {voltage: upper}, at_most: "16
             h"}   # of it all
  # below the second
define: {a: &x [ 1 ,2], b: *x}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC],
  remark: some more words to be long enough}
text: |
    one # no comment
      two
# tail
"""
NEAT = """# head
labctl: 1     # version

steps:          # in order
  - rest: {duration: 1 h}     # the first
  # above the second
  - charge:        # of it all
      current: 0.2 mA/cm2           # magnitude
      # the end
      until: {voltage: upper}
      at_most: "16 h"
  # below the second
define: {a: &x [1, 2], b: *x}
limits:
  voltage: [2.8 V, 4.4 V]
  current: 5 mA
  temperature: [10 degC, 60 degC]
  remark: some more words to be long enough
text: |
  one # no comment
    two
# tail
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formatting_changes_no_word_and_is_done_after_once(path: Path) -> None:
    document = load(path)
    text = formatted(document)
    again = read(text, str(path))
    assert again.data == document.data
    assert list(again.data) == list(document.data)
    assert sorted(comments(text)) == sorted(comments(document.text))
    assert formatted(again) == text
    assert all(len(line.split("#")[0].rstrip()) <= 120 for line in text.splitlines())


def test_every_shipped_protocol_and_example_is_in_the_normal_form() -> None:
    files = [*shipped(), *sorted((TEMPLATES / "examples").glob("*.yaml"))]
    assert len(files) > 40
    assert [path.name for path in files if formatted(load(path)) != path.read_text(encoding="utf-8")] == []


def test_what_was_written_anyhow_is_in_the_normal_form() -> None:
    assert formatted(read(UGLY, "ugly.yaml")) == NEAT
    assert formatted(read(UGLY.replace("\n", "\r\n"), "ugly.yaml")) == NEAT
    assert formatted(read(NEAT, "neat.yaml")) == NEAT


def test_check_says_which_files_are_not_formatted_and_leaves_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ugly, neat = tmp_path / "ugly.yaml", tmp_path / "neat.yaml"
    ugly.write_text(UGLY)
    neat.write_text(NEAT)
    assert run_app(["protocol", "format", "--check", str(ugly), str(neat)]) == 1
    assert capsys.readouterr().err.startswith(f"{ugly} is not in the normal form")
    assert ugly.read_text() == UGLY
    assert run_app(["protocol", "format", str(ugly), str(neat)]) == 0
    assert ugly.read_text() == NEAT
    assert run_app(["protocol", "format", "--check", str(ugly), str(neat)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["neat.yaml", "ugly.yaml"]


def test_a_file_with_mistakes_is_not_formatted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text("labctl: 1\nlabctl:  1\n")
    assert run_app(["protocol", "format", str(twice)]) == 6
    assert "stands here a second time" in capsys.readouterr().err
    assert twice.read_text() == "labctl: 1\nlabctl:  1\n"


def test_a_file_of_today_is_left_by_the_upgrade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "today.yaml"
    text = next(one for one in shipped() if one.stem == "deis").read_text()
    path.write_text(text)
    assert run_app(["protocol", "upgrade", str(path)]) == 0
    assert "of version 1, today's; nothing was changed" in capsys.readouterr().err
    assert path.read_text() == text


def test_a_file_without_a_version_gets_one_and_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    text = next(one for one in shipped() if one.stem == "deis").read_text()
    path.write_text(text.replace("labctl: 1\n", "", 1))
    assert run_app(["protocol", "upgrade", str(path)]) == 0
    assert path.read_text() == text
    assert load_protocol(path).labctl == 1


def test_a_file_of_a_newer_version_is_refused_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "newer.yaml"
    path.write_text("labctl: 2\nprotocol: x\n")
    assert run_app(["protocol", "upgrade", str(path)]) == 6
    assert capsys.readouterr().err == (
        f"{path}:1:9: this file is of version 2 of the language, and this labctl speaks version 1; "
        "install a newer labctl; nothing was changed\n"
    )
