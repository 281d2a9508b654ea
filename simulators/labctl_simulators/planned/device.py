"""What all devices of a planning laboratory are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Device:
    """A device by its name, without a wire.

    Parameters
    ----------
    name : str
        Name of the instrument in the station file.
    entry : mapping
        Its settings there; how it is reached does not matter in a plan.
    laboratory : PlannedLaboratory
        Where it stands.
    """

    def __init__(self, name: str, entry: Mapping[str, Any], laboratory: Any) -> None:
        del entry
        self._name = name
        self._laboratory = laboratory
