"""How much a protocol comes to: what nobody means, and no journal could hold, is refused before it is planned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from labctl.documents import Document
from labctl.errors import Mistake
from labctl.protocol.models import Protocol
from labctl.protocol.nesting import Loop
from labctl.protocol.walk import Placed, blocks

#: Operations of one cell.
MOST_OPERATIONS: Final = 100_000


def _turns(step: Placed) -> list[int]:
    return [around.count for around in step.within if isinstance(around, Loop)]


def check_size(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find the cycle with which a protocol becomes too long."""
    total = 0
    for block in blocks(protocol):
        sizes = [math.prod(_turns(step)) for step in block.steps]
        steps = sum(sizes)
        most = (MOST_OPERATIONS - total) // max(1, steps)
        total += steps * (block.last - block.first + 1)
        if total > MOST_OPERATIONS:
            path = (*block.path, "count") if block.repeated else block.path
            longest = block.steps[sizes.index(max(sizes))]
            if not most and max(_turns(longest), default=1) > 1:
                # No number of cycles would be small enough: it is what is repeated within one.
                loop = max((one for one in longest.within if isinstance(one, Loop)), key=lambda one: one.count)
                path = (*loop.path, "count" if loop.until is None else "at_most")
            found = f"up to here the protocol comes to {total} operations in each cell"
            yield document.mistake(path, found, f"write at most {most}" if block.repeated and most else "write fewer")
            return
