"""How a spectrum is made and integrated: windows, baseline, apodisation. Data, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every decay of a cell, alike in all states. Shifts in ppm.

    The defaults leave the share of a line that falls outside the window equal within 0.2 % between the states of a
    cell, and what the electrolyte's line and the lost first microseconds put under the metal below 0.01 % of it.

    Attributes
    ----------
    metal : tuple of float
        Integration window of lithium metal.
    baseline : tuple of windows
        Where only baseline is; a polynomial through these parts is drawn under the metal.
    order : int
        Of that polynomial. Lower is less noisy; 3 follows what the dead time leaves.
    flanks : tuple of windows
        Where the metal's absorption has ended and its dispersion has not: they give the phase.
    flank_order : int
        Order of the complex polynomial that is taken out of the flanks before.
    zero_fill : int
        The decay is filled with zeros to this many times its length.
    """

    metal: Window = (215.0, 310.0)
    baseline: tuple[Window, ...] = ((80.0, 200.0), (320.0, 395.0))
    order: int = 3
    flanks: tuple[Window, ...] = ((110.0, 215.0), (300.0, 395.0))
    flank_order: int = 2
    zero_fill: int = 4

    @property
    def span(self) -> Window:
        """Everything that the recipe looks at."""
        parts = (self.metal, *self.baseline, *self.flanks)
        return min(low for low, _ in parts), max(high for _, high in parts)


#: The set-up of the paper: 7Li metal on copper at 4.7 T, static.
METAL = Recipe()
