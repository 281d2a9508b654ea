"""What was computed from an array that cannot change, kept as long as the array lives and a few others are not newer.

Several evaluations look at the same decay one after the other: at its electrolyte, its metal, its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import ReferenceType, ref

from numpy.typing import NDArray

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """A few values by array and key; an array that may be written to is computed anew each time.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[int, Hashable], tuple[ReferenceType[NDArray[Any]], Value]] = {}

    def get(self, array: NDArray[Any], key: Hashable, compute: Callable[[], Value]) -> Value:
        """Give the value that ``compute`` gives for this array and key."""
        if array.flags.writeable:
            return compute()
        place = (id(array), key)
        found = self._known.get(place)
        # An array that is gone may have left its number to another.
        if found is not None and found[0]() is array:
            return found[1]
        value = compute()
        self._known.pop(place, None)
        self._known[place] = (ref(array), value)
        while len(self._known) > self._most:
            self._known.pop(next(iter(self._known)), None)
        return value
