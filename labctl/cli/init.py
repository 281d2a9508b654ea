"""``labctl init``: a laboratory folder that runs as it is, simulated, and is then edited into one's own."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from labctl.cli.output import say
from labctl.errors import UsageError
from labctl.protocol import protocol_schema, shipped
from labctl.protocol.files import piece_schema, shipped_pieces
from labctl.station import cells_schema, station_schema


def template(name: str) -> str:
    """Read a file that a new laboratory begins with."""
    return files("labctl.cli").joinpath("templates", name).read_text(encoding="utf-8")


def make_laboratory(directory: Path, *, quiet: bool = False) -> None:
    """Make a laboratory folder; nothing that is there is overwritten.

    Raises
    ------
    UsageError
        One of its files is there already.
    """
    contents = {name: template(name) for name in ("station.yaml", "cells.yaml", "cells-operando.yaml")}
    for path in shipped():
        contents[f"protocols/{path.name}"] = path.read_text(encoding="utf-8")
    for path in shipped_pieces():
        contents[f"protocols/{path.parent.name}/{path.name}"] = path.read_text(encoding="utf-8")
    schemas = {"protocol": protocol_schema, "piece": piece_schema, "station": station_schema, "cells": cells_schema}
    for kind, schema in schemas.items():
        contents[f"schema/{kind}.json"] = json.dumps(schema(), indent=1) + "\n"
    # The protocols' editor line points to a schema folder beside them, and that of their pieces to the same.
    for kind in ("protocol", "piece"):
        contents[f"protocols/schema/{kind}.json"] = contents[f"schema/{kind}.json"]
    there = [name for name in contents if (directory / name).exists()]
    if there:
        raise UsageError(f"{directory / there[0]} is there already", hint="name a new folder; nothing was written")
    for name, text in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not quiet:
        say(f"made {directory.resolve()}: station.yaml, cells.yaml, cells-operando.yaml, protocols, schema")
        say("try it:  labctl run protocols/dead-lithium.yaml --simulate --accelerate   (in that folder)")
