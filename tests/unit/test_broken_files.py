"""Every mistake in a user's file is one message at its line and column, and nothing else happens."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from labctl.cli import plugins
from labctl.errors import InvalidFile, Mistake
from labctl.protocol import Protocol, load_protocol, shipped
from labctl.safety.preflight import check
from labctl.station import KNOWN_DRIVERS, Cells, Station, load_cells, load_station, read_station

TESTS = Path(__file__).parent.parent
BROKEN = sorted((TESTS / "broken").glob("*.yaml"))
GOOD_STATION = TESTS / "good" / "station.yaml"
GOOD_CELLS = TESTS / "good" / "cells.yaml"
ROLES = {
    "maccor": "cycler",
    "topspin": "spectrometer",
    "zahner": "potentiostat",
    "oven": "chamber",
    "mux": "multiplexer",
}
# What the drivers of that station say of themselves.
ABILITIES = {
    name: frozenset(getattr(plugins.driver(driver), "capabilities", ()))
    for name, driver in (("maccor", "maccor"), ("topspin", "bruker"), ("zahner", "zahner"))
}
# Another file than this one has the mistake where its name stands first: 'pieces/one.yaml:2:11: ...'.
EXPECTATION = re.compile(r"# expect: (?:(\S+\.yaml):)?(\d+:\d+: .+)")


def aliases_of_aliases() -> bytes:
    """Eight lines that would expand to ten million values."""
    lines = [b"a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for letter in range(ord("a"), ord("h")):
        lines.append(b"%c: &%c [%s]" % (letter + 1, letter + 1, b", ".join([b"*%c" % letter] * 10)))
    return b"\n".join(lines)


# What has no place for a comment in its first line: name, bytes, line, column, part of the message.
BARE_FILES = [
    ("nothing", b"", 1, 1, "the file is empty; begin with 'labctl: 1'"),
    ("only a comment", b"# soon\n", 1, 1, "the file is empty"),
    ("binary", b"\x7fELF\x02\x01\x00\x00", 1, 1, "U+007F"),
    ("an image", b"\x89PNG\r\n\x1a\n", 1, 1, "byte 0x89 is not UTF-8 text"),
    ("Latin-1", "labctl: 1\ncites: für\n".encode("latin-1"), 2, 9, "saved as UTF-8"),
    ("UTF-16", "labctl: 1\n".encode("utf-16"), 1, 1, "saved as UTF-8"),
    ("a list", b"- labctl: 1\n", 1, 1, "the file is a list"),
    ("plain text", b"hello\n", 1, 1, "the file is plain text"),
    ("deep", b"[" * 5000, 1, 41, "more than 40 levels deep"),
    ("an odd escape", b'labctl: "\\UFFFFFFFF"\n', 1, 1, "not readable as YAML"),
    ("an escaped half character", b'labctl: "\\ud800"\n', 1, 9, "an escape for the character U+D800"),
    ("another YAML", b"%YAML 1.1\n---\nlabctl: 1\n", 2, 1, "write YAML 1.2"),
    ("huge", b"#" * 2_000_001, 1, 1, "2000001 characters"),
    ("aliases of aliases", aliases_of_aliases(), 1, 35, "more than 100000 values"),
]


@cache
def good() -> tuple[Protocol, Station, Cells]:
    dead_lithium = next(path for path in shipped() if path.stem == "dead-lithium")
    text = GOOD_STATION.read_text()
    for entry, limits in (
        ("maccor-export", "{current: 100 mA}"),
        (r"'c:\thales\labctl'", "{frequency: [10 uHz, 4 MHz]}"),
    ):
        text = text.replace(f"{entry}}}", f"{entry}, limits: {limits}}}")
    return load_protocol(dead_lithium), read_station(text, str(GOOD_STATION), KNOWN_DRIVERS), load_cells(GOOD_CELLS)


def mistakes_of(path: Path) -> list[Mistake]:
    """Load a file as what its name says it is and, if it loads, together with the good ones."""
    kind = path.name.split("-")[0]
    protocol, station, cells = good()
    try:
        if kind == "protocol":
            protocol = load_protocol(path)
        elif kind == "station":
            station = load_station(path, KNOWN_DRIVERS)
        elif kind == "cells":
            cells = load_cells(path)
    except InvalidFile as error:
        assert error.exit_code == 6
        return error.mistakes
    return check(protocol, station, cells, ROLES, ABILITIES)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_one_mistake_is_one_message_at_its_place(path: Path) -> None:
    expectation = EXPECTATION.match(path.read_text().splitlines()[0])
    assert expectation, "the first line of a broken file says what is expected"

    found = [str(mistake).replace(f"{path.parent}/", "") for mistake in mistakes_of(path)]

    assert found == [f"{expectation[1] or path.name}:{expectation[2]}"]


@pytest.mark.parametrize(
    ("content", "line", "column", "fragment"), [row[1:] for row in BARE_FILES], ids=[row[0] for row in BARE_FILES]
)
@pytest.mark.parametrize("kind", ["protocol", "station", "cells"])
def test_what_is_no_yaml_mapping_is_one_message(
    tmp_path: Path, kind: str, content: bytes, line: int, column: int, fragment: str
) -> None:
    path = tmp_path / f"{kind}-file.yaml"
    path.write_bytes(content)

    found = mistakes_of(path)

    assert [(mistake.line, mistake.column) for mistake in found] == [(line, column)]
    assert fragment in str(found[0])
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_and_a_folder_are_said_in_plain_words(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.yaml", "there is no such file"), (tmp_path, "this is a folder")):
        with pytest.raises(InvalidFile) as caught:
            load_protocol(path)
        assert str(caught.value).startswith(f"{path}:1:1: {words}")


def test_all_mistakes_of_a_file_come_in_one_go_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(
        "labctl: 1\ncells:\n"
        "  - {id: A, barcode: B1, group: g, area: 1 cm2, chemistry: x, place: cabinet/1}\n"
        "  - {id: b, barcode: B2, group: g, area: 0 cm2, chemistry: x, place: cabinet/2, colour: red}\n"
        "  - {id: c, barcode: B3, barcode: B4, group: g, area: 1, chemistry: x, place: cabinet/3}\n"
    )
    with pytest.raises(InvalidFile) as caught:
        load_cells(path)
    places = [(mistake.line, mistake.column) for mistake in caught.value.mistakes]
    assert places == [(3, 10), (4, 42), (4, 81), (5, 26), (5, 55)]
    assert str(caught.value).count("\n") == 4


def test_a_credential_is_never_repeated_in_a_message() -> None:
    for path in BROKEN:
        if "hunter2" in path.read_text():
            assert "hunter2" not in "".join(str(mistake) for mistake in mistakes_of(path))


def test_the_corpus_is_wide_enough() -> None:
    assert len(BROKEN) + len(BARE_FILES) >= 130
    assert sum(path.name.startswith("protocol-") for path in BROKEN) >= 100
    assert {path.name.split("-")[0] for path in BROKEN} == {"protocol", "station", "cells"}
