"""Kinds of operation that are no steps of a protocol, by the names that the journal keeps."""

from __future__ import annotations

from typing import Final

#: A spectrum within an ``operando`` step, for the same cell and under the step's lease.
SPECTRUM: Final = "spectrum"
