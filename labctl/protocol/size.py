"""How much a protocol comes to: what nobody means, and no journal could hold, is refused before it is planned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from labctl.documents import Document
from labctl.errors import Mistake
from labctl.protocol.models import Protocol
from labctl.protocol.walk import blocks

#: Operations of one cell.
MOST_OPERATIONS: Final = 100_000


def check_size(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find the cycle with which a protocol becomes too long."""
    total = 0
    for block in blocks(protocol):
        steps = len(block.steps)
        most = (MOST_OPERATIONS - total) // max(1, steps)
        total += steps * (block.last - block.first + 1)
        if total > MOST_OPERATIONS:
            path = (*block.path, "count") if block.repeated else block.path
            found = f"up to here the protocol comes to {total} operations in each cell"
            yield document.mistake(path, found, f"write at most {most}" if block.repeated and most else "write fewer")
            return
