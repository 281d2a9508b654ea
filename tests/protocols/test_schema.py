"""What editors are told agrees with what labctl reads: JSON Schemas, judged by a validator that is not ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from labctl.cli.init import make_laboratory
from labctl.documents import load
from labctl.errors import InvalidFile
from labctl.protocol import protocol_schema, shipped
from labctl.protocol.files import piece_schema, shipped_pieces
from labctl.station import cells_schema, station_schema

TESTS = Path(__file__).parents[1]
TEMPLATES = TESTS.parent / "labctl" / "cli" / "templates"
BROKEN = sorted((TESTS / "broken").glob("*.yaml"))
#: Files whose mistake no schema can find: it lies in what two places say together, or in another file.
BY_MEANING = set((TESTS / "broken" / "by_meaning.txt").read_text().split())
SCHEMAS = {"protocol": protocol_schema, "piece": piece_schema, "station": station_schema, "cells": cells_schema}


@cache
def validator(kind: str) -> Draft202012Validator:
    schema = SCHEMAS[kind]()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def said(kind: str, data: Any) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator(kind).iter_errors(data)]


def kind_of(path: Path) -> str:
    return path.name.partition("-")[0].removesuffix(".yaml")


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_shipped_protocol_is_valid_for_editors(path: Path) -> None:
    assert said("protocol", load(path).data) == []


def test_pieces_are_valid_for_editors_where_they_can_be_included() -> None:
    good = TESTS / "broken" / "pieces" / "formation.yaml"
    for path in (good, *shipped_pieces()):
        assert said("piece", load(path).data) == []
    for name in ("with-steps", "with-unknown-key", "without-version"):
        assert said("piece", load(good.with_name(f"{name}.yaml")).data)


@pytest.mark.parametrize("name", ["station.yaml", "cells.yaml", "cells-operando.yaml"])
def test_the_files_of_a_new_laboratory_are_valid_for_editors(name: str) -> None:
    assert said(kind_of(Path(name)), load(TEMPLATES / name).data) == []


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_editors_underline_every_mistake_of_shape(path: Path) -> None:
    try:
        document = load(path)
    except InvalidFile:
        # No YAML at all: editors see that by themselves.
        assert path.stem not in BY_MEANING
        return
    if document.mistakes:
        # Keys that stand there twice, and tags: the data that are left may well be valid.
        assert path.stem not in BY_MEANING
        return
    found = said(kind_of(path), document.data)
    assert bool(found) == (path.stem not in BY_MEANING), found or f"{path.stem} is valid; add it to by_meaning.txt"


def test_what_a_parameter_or_a_define_stands_for_is_valid_for_editors() -> None:
    data = {
        "labctl": 1,
        "protocol": "short",
        "parameters": {"wait": "1 h", "count": 3, "said": None, "whole": {"duration": "1 h"}},
        "include": ["pieces/formation.yaml"],
        "define": {"rests": {"parameters": {"time": None}, "steps": [{"rest": {"duration": "$time"}}]}},
        "limits": {"voltage": ["2.8 V", "$upper"], "current": "5 mA"},
        "steps": [
            {"use": {"rests": {"time": "$wait"}}},
            {"use": "formation"},
            {"rest": "$whole"},
            {"nmr": "$whole"},
            {"cycle": {"count": "$count", "steps": [{"use": "rests"}, {"rest": {"duration": "$wait"}}]}},
        ],
    }
    assert said("protocol", data) == []
    for wrong in ({"use": {"a": {}, "b": {}}}, {"use": 3}, {"use": "a", "rest": {"duration": "1 h"}}):
        assert said("protocol", {**data, "steps": [wrong]})
    for wrong in ("$two words", "1 $h", "$"):
        assert said("protocol", {**data, "steps": [{"rest": {"duration": wrong}}]})


@pytest.mark.parametrize("duration", ["0 h", "-1 h", "3 V", "3", "h", "3 hours", ".h", "0.0 s", "0e3 min"])
def test_a_duration_that_is_refused_is_underlined_too(duration: str) -> None:
    data = load(next(path for path in shipped() if path.stem == "operando")).data
    assert said("protocol", {**data, "steps": [{"rest": {"duration": duration}}]})


@pytest.mark.parametrize("duration", ["1 h", "0.5h", "+3 min", "1e3 s", "20 us", "20 µs", "10 d", ".5 h", " 1 h "])
def test_a_duration_that_is_read_is_not_underlined(duration: str) -> None:
    data = load(next(path for path in shipped() if path.stem == "operando")).data
    assert said("protocol", {**data, "steps": [{"rest": {"duration": duration}}]}) == []


def test_every_file_of_a_new_laboratory_names_its_schema_which_is_there(tmp_path: Path) -> None:
    make_laboratory(tmp_path, quiet=True)
    files = list(tmp_path.rglob("*.yaml"))
    assert len(files) >= 6
    for path in files:
        lines = [line for line in path.read_text().splitlines() if "yaml-language-server: $schema=" in line]
        assert lines, f"{path} names no schema"
        assert (path.parent / lines[0].partition("$schema=")[2]).is_file()
