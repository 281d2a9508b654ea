"""Colours, labels and the frame that every figure shares. Safe for colour-blind readers; readable in print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's palette: told apart with any colour vision; dark and light alternate for grey prints.
SHARE_COLOURS: Final[Mapping[str, str]] = {
    "reversible": "#0072B2",
    "excess": "#56B4E9",
    "dead": "#D55E00",
    "interphase": "#009E73",
}
STATE_COLOURS: Final[Mapping[str, str]] = {
    "pristine": "#7F7F7F",
    "charged": "#0072B2",
    "discharged": "#E69F00",
    "dead": "#D55E00",
    "stripped": "#CC79A7",
}
SERIES_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")

RC: Final[Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.01,  # said, so that no title has to look for its place: a fifth of the drawing time
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "labctl",
    "svg.fonttype": "none",
}


def new_figure(title: str, mode: str, size: tuple[float, float]) -> Figure:
    """Make an empty figure that says in its corner whether its data is simulated or live."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)
    top = 1.0 - 0.11 / size[1]
    figure.text(0.01, top, title, ha="left", va="top", fontsize=11, fontweight="bold")
    live = mode == "live"
    figure.text(
        0.99, top, mode.upper(), ha="right", va="top", fontsize=9, fontweight="bold", color="white",
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "#00543D" if live else "#7A3E00", "edgecolor": "none"},
    )  # fmt: skip
    return figure


def few_ticks(*several: Axes, x: bool = True, y: bool = True) -> None:
    """Keep the number of ticks small: each is drawn as two lines and a text, and that is most of a figure's time."""
    for axes in several:
        if x:
            axes.locator_params(axis="x", nbins=5)
        if y:
            axes.locator_params(axis="y", nbins=5)


def empty(axes: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#555555")
    axes.set_xticks([])
    axes.set_yticks([])
