"""The reference of the protocol language says what the models do."""

from __future__ import annotations

import re

from labctl.cli.app import run_app
from labctl.protocol import protocol_schema


def test_every_key_that_a_file_may_hold_stands_in_the_reference(capsys):
    assert run_app(["protocol", "reference"]) == 0
    text = capsys.readouterr().out
    rows = {name: set(re.findall(r"^\| `(\w+)`", part, re.MULTILINE)) for name, part in parts(text)}
    schema = protocol_schema()["$defs"]
    assert rows.pop("A protocol file") == set(schema.pop("protocol")["properties"])
    steps = rows.pop("Steps")
    named = {re.sub("(?<!^)(?=[A-Z])", "-", name).lower(): keys for name, keys in rows.items()}
    for name, model in schema.items():
        if name in named:
            assert named[name] == set(model["properties"])
        else:
            assert set(model.get("properties", ())) <= steps


def parts(text: str) -> list[tuple[str, str]]:
    return [(part.partition("\n")[0], part) for part in text.split("\n## ")[1:]]


def test_units_bounds_defaults_and_examples_are_told(capsys):
    assert run_app(["protocol", "reference"]) == 0
    text = capsys.readouterr().out
    for part in (
        "| `upper` | voltage (V) | **needed** | End of charge. | `4.3 V` |",
        "| `current` | current (mA), above 0 mA | **needed** |",
        "| `points` | whole number, at least 4 and at most 64 | **needed** | Pulse lengths tried. | `8` |",
        "| `shortest` | duration (h), above 0 h | `2 us` |",
        "| `then` | `end` or `continue` | `end` |",
        "specific current (",
    ):
        assert part in text
    links = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert links <= {name.lower().replace(" ", "-") for name, _ in parts(text)}
