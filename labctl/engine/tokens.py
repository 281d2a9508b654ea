"""Tokens: the names that instruments store for us."""

from __future__ import annotations

import base64
import hashlib
import re


def token_for(laboratory: str, operation: str, cell: str) -> str:
    """Name an operation for an instrument.

    At most 25 characters of ``[a-z0-9-]``: the cell's name, so that a person at the instrument can read it, and 60 bits
    of a hash over laboratory and operation id. The attempt is part of that id, so each attempt has a token of its own.

    Parameters
    ----------
    laboratory : str
        The laboratory's id; no two laboratories share one.
    operation : str
        The operation's id.
    cell : str
        The cell's id.
    """
    digest = hashlib.sha256(f"{laboratory}\n{operation}".encode()).digest()
    unique = base64.b32encode(digest)[:12].decode().lower()
    readable = re.sub(r"[^a-z0-9-]", "-", cell.lower())[:12].strip("-") or "cell"
    return f"{readable}-{unique}"
