"""Writes proposed starts into the text of a cells file; comments, order and everything else stay. Text alone."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from labctl.errors import LabctlError


def with_starts(text: str, starts: Mapping[str, float], measure_at: Mapping[str, tuple[int, ...]] | None = None) -> str:
    """Give the text of a cells file with other starts.

    Parameters
    ----------
    text : str
        A cells file that has been checked.
    starts : mapping of str to float
        ``start_after`` of each cell, s; written in hours with two decimals. 0 is not written.
    measure_at : mapping of str to tuple of int, optional
        ``measure_at`` of cells for which it changes.

    Raises
    ------
    LabctlError
        The text is no cells file.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    lines = text.splitlines()
    listed = next((line for line in lines if line.lstrip().startswith("- ")), "  - ")
    offset = len(listed) - len(listed.lstrip())
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    data: Any = yaml.load(text)
    if not isinstance(data, dict) or "cells" not in data:
        raise LabctlError("this is no cells file")
    for cell in data["cells"]:
        start = starts.get(cell["id"])
        if start is not None:
            if start > 0:
                cell["start_after"] = f"{round(start / 3600, 2):g} h"
            else:
                cell.pop("start_after", None)
        if measure_at and cell["id"] in measure_at:
            cycles = cell["measure_at"]
            cycles[:] = list(measure_at[cell["id"]])
    written = io.StringIO()
    yaml.dump(data, written)
    return written.getvalue()
