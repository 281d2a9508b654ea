"""Finding loops in steps that were written out: a cell's plan is a list, a cycler wants to be told 'thirty times'.

The cycles of the plan stay the outermost loops, so that an instrument that counts cycles counts the protocol's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl.interchange.exchanged import Item, Repeat

#: Longer bodies are not looked for within a cycle.
_LONGEST: Final = 200


def fold_cycles(cycles: Sequence[tuple[Item, ...]]) -> tuple[Item, ...]:
    """Give runs of equal cycles as loops; what the last cycle of a run has beyond the others follows its loop."""
    found: list[Item] = []
    at = 0
    while at < len(cycles):
        body, count = cycles[at], 1
        tail: tuple[Item, ...] = ()
        while at + count < len(cycles) and not tail:
            following = cycles[at + count]
            if following[: len(body)] != body:
                break
            tail = following[len(body) :]
            count += 1
        if body:
            found.append(Repeat(count, fold(body)))
        found += fold(tail)
        at += count
    return tuple(found)


def fold(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Give repetitions within a list as loops where that is shorter by two items at least."""
    numbers: dict[Item, int] = {}
    kinds = [numbers.setdefault(item, len(numbers)) for item in items]
    found: list[Item] = []
    at = 0
    while at < len(items):
        period, count = _repetition(kinds, at)
        if period * (count - 1) >= 2:
            found.append(Repeat(count, fold(items[at : at + period])))
            at += period * count
        else:
            found.append(items[at])
            at += 1
    return tuple(found)


def _repetition(kinds: Sequence[int], at: int) -> tuple[int, int]:
    """Give the shortest body that, repeated from here, covers most."""
    best = (1, 1)
    for period in range(1, min(_LONGEST, (len(kinds) - at) // 2) + 1):
        if kinds[at] != kinds[at + period]:
            continue
        count = 1
        while kinds[at + period * count : at + period * (count + 1)] == kinds[at : at + period]:
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
    return best
