"""JSON Schema for editors."""

from __future__ import annotations

from labctl.cli.output import put_json
from labctl.errors import UsageError


def print_schema(kind: str) -> None:
    """Print the schema of ``protocol``, ``piece``, ``station`` or ``cells`` files."""
    from labctl.protocol import protocol_schema
    from labctl.protocol.files import piece_schema
    from labctl.station import cells_schema, station_schema

    schemas = {"protocol": protocol_schema, "piece": piece_schema, "station": station_schema, "cells": cells_schema}
    if kind not in schemas:
        raise UsageError(f"no schema '{kind}'", hint=f"there are {', '.join(schemas)}")
    put_json(schemas[kind]())
