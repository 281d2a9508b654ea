"""Where a number came from: written beside every parameter that goes into a spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["dataset", "recipe", "standard", "found", "assumed"]


@dataclass(frozen=True, slots=True)
class Origin:
    """One value that was used, and who said so.

    Attributes
    ----------
    name : str
        What it is, in the field's words, such as ``spectral width``.
    value : float or int or str
        As it was used.
    unit : str
        Empty where there is none.
    source : str
        ``dataset``: the spectrometer wrote it; ``recipe``: it was asked for; ``standard``: a reference compound, a
        vendor's or a published table; ``found``: taken from this very decay; ``assumed``: nothing said it.
    note : str
        The parameter's name, or why it was assumed.
    """

    name: str
    value: float | int | str
    unit: str
    source: Source
    note: str = ""

    def __str__(self) -> str:
        shown = f"{self.value:.10g}" if isinstance(self.value, float) else str(self.value)
        said = f"{self.source}: {self.note}" if self.note else self.source
        return f"{self.name} {shown}{' ' + self.unit if self.unit else ''} ({said})"
