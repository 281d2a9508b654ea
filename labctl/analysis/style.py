"""Colours, marks, sizes and the frame that every figure shares. Safe for colour-blind readers; readable in print.

What is told apart by colour is told apart by a mark, a line style or a hatch as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

#: Okabe and Ito's palette: told apart with any colour vision; dark and light alternate for grey prints.
BLUE, SKY, ORANGE, VERMILION, GREEN, PINK, GREY = (
    "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E",
)  # fmt: skip
SHARE_COLOURS: Final[Mapping[str, str]] = {"reversible": BLUE, "excess": SKY, "dead": VERMILION, "interphase": GREEN}
SHARE_HATCHES: Final[Mapping[str, str]] = {"reversible": "", "excess": "---", "dead": "xxxx", "interphase": "////"}
STATE_COLOURS: Final[Mapping[str, str]] = {
    "pristine": GREY,
    "charged": BLUE,
    "discharged": ORANGE,
    "dead": VERMILION,
    "stripped": PINK,
}
STATE_MARKERS: Final[Mapping[str, str]] = {
    "pristine": "D",
    "charged": "o",
    "discharged": "s",
    "dead": "v",
    "stripped": "^",
}
DEPOSIT_COLOURS: Final[Mapping[str, str]] = {"dense": BLUE, "mossy": ORANGE, "dendritic": PINK}
DEPOSIT_HATCHES: Final[Mapping[str, str]] = {"dense": "", "mossy": "////", "dendritic": "xxxx"}
DEPOSIT_LINES: Final[Mapping[str, str]] = {"dense": "-", "mossy": "--", "dendritic": ":"}
SERIES_COLOURS: Final = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
#: Of maps: rises evenly in lightness, so it survives grey prints and every colour vision.
MAP: Final = "cividis"

MM: Final = 1 / 25.4
#: Widths of a journal's columns, mm.
SINGLE, DOUBLE = 88.0, 180.0

_COMMON: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every computer
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.2,
    "svg.hashsalt": "labctl",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "figure.dpi": 100.0,
    "savefig.dpi": 300.0,
}
#: For the report on a screen.
SCREEN: Final[Any] = _COMMON | {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titley": 1.01,  # said, so that no title has to look for its place: a fifth of the drawing time
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "hatch.linewidth": 0.6,
}
#: For print at its true size: nothing below 6 points.
PRINT: Final[Any] = _COMMON | {
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.titley": 1.02,
    "axes.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "legend.fontsize": 6.2,
    "xtick.labelsize": 6.2,
    "ytick.labelsize": 6.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "lines.linewidth": 0.9,
    "lines.markersize": 2.6,
    "hatch.linewidth": 0.4,
}
#: Which of the settings a figure is made with when it is made for the report.
RC: Final = SCREEN

#: Widths of DejaVu Sans in parts of the size, for labels' places without measuring each.
_DIGIT, _NARROW = 0.64, 0.33


def new_figure(title: str, mode: str, size: tuple[float, float]) -> Figure:
    """Make an empty figure that says in its corner whether its data is simulated or live; ``size`` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, facecolor="white")
    figure.set_label(mode)
    FigureCanvasAgg(figure)
    top = 1.0 - 0.11 / size[1]
    figure.text(0.01, top, title, ha="left", va="top", fontsize=11, fontweight="bold")
    live = mode == "live"
    figure.text(
        0.99, top, mode.upper(), ha="right", va="top", fontsize=9, fontweight="bold", color="white",
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "#00543D" if live else "#7A3E00", "edgecolor": "none"},
    )  # fmt: skip
    return figure


def sheet(width_mm: float, height_mm: float, mode: str, title: str = "") -> Figure:
    """Make an empty figure of a print size; simulated data wears a badge, live data a small grey word."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_mm * MM, height_mm * MM), facecolor="white")
    figure.set_label(mode)
    FigureCanvasAgg(figure)
    top = 1.0 - 1.4 / height_mm
    figure.text(1.2 / width_mm, top, title, ha="left", va="top", fontsize=7, fontweight="bold")
    simulated = mode != "live"
    figure.text(
        1.0 - (2.0 if simulated else 1.2) / width_mm, top, mode.upper(), ha="right", va="top", fontsize=6,
        fontweight="bold" if simulated else "normal", color="white" if simulated else "#8A8A8A",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "#7A3E00", "edgecolor": "none"} if simulated else None,
    )  # fmt: skip
    return figure


def grid(
    figure: Figure,
    rows: int = 1,
    columns: int = 1,
    *,
    left: float,
    bottom: float,
    right: float = 2.0,
    top: float = 9.0,
    across: float = 12.0,
    between: float = 12.0,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
) -> list[list[Axes]]:
    """Put axes on a figure, with margins and gaps in mm; ``widths`` and ``heights`` are relative, rows from the top."""
    whole_x, whole_y = (float(inches) / MM for inches in figure.get_size_inches())
    wide, high = list(widths or [1.0] * columns), list(heights or [1.0] * rows)
    unit_x = (whole_x - left - right - across * (columns - 1)) / sum(wide)
    unit_y = (whole_y - bottom - top - between * (rows - 1)) / sum(high)
    made = []
    for row in range(rows):
        y = whole_y - top - between * row - unit_y * sum(high[: row + 1])
        line = []
        for column in range(columns):
            x = left + across * column + unit_x * sum(wide[:column])
            size = (unit_x * wide[column] / whole_x, unit_y * high[row] / whole_y)
            line.append(figure.add_axes((x / whole_x, y / whole_y, *size)))
        made.append(line)
    return made


def frame(
    axes: Axes,
    x: str | None = None,
    y: str | None = None,
    *,
    few_x: int = 5,
    few_y: int = 5,
    whole_x: bool = False,
    names: Mapping[float, str] | None = None,
) -> None:
    """Write ticks and labels of both axes, after the data. What this leaves open stays without ticks.

    Ticks are chosen once and labels put in their place at once: looking for places while drawing is most of a
    figure's time.

    Parameters
    ----------
    x, y : str or None
        Labels with their units; None for an axis that shows none.
    few_x, few_y : int
        At most so many intervals.
    whole_x : bool
        Whether only whole numbers are ticks of x.
    names : mapping, optional
        Ticks of x with what to write there, instead of numbers.
    """
    if x is None:
        axes.set_xticks([])
    else:
        marks = _numbers(axes.get_xlim(), few_x, whole=whole_x) if names is None else names
        axes.set_xticks(list(marks), list(marks.values()))
        _label_x(axes, x, max((text.count("\n") for text in marks.values()), default=0) + 1.0)
    if y is None:
        axes.set_yticks([])
    else:
        marks = _numbers(axes.get_ylim(), few_y)
        axes.set_yticks(list(marks), list(marks.values()))
        _label_y(axes, y, max((_width(text) for text in marks.values()), default=0.0))


def decades(axes: Axes, label: str | None) -> None:
    """Make the x axis logarithmic, with a tick for every decade or every second one."""
    import numpy as np

    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = axes.get_xlim()
    powers = range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1)
    some = [power for power in powers if len(powers) < 5 or power % 2 == 0]
    axes.set_xticks([10.0**power for power in some], [_short(power) for power in some] if label is not None else None)
    if label is None:
        axes.set_xticklabels([])
    else:
        _label_x(axes, label, 1.0)


def _short(power: int) -> str:
    """Write a power of ten as an engineer would: 100 m, 1, 10 k."""
    if power < 0:
        return f"{10.0**power:g}"
    return f"{10 ** (power % 3)}{('', ' k', ' M')[power // 3]}"


def _numbers(limits: tuple[float, float], few: int, *, whole: bool = False) -> dict[float, str]:
    import math

    from matplotlib.ticker import MaxNLocator

    low, high = min(limits), max(limits)
    places = MaxNLocator(nbins=few, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
    slack = 1e-9 * (high - low)
    kept = [float(place) for place in places if low - slack <= place <= high + slack]
    step = kept[1] - kept[0] if len(kept) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(round(step, digits) - step) > 1e-6 * step:
        digits += 1
    largest = max((abs(place) for place in kept), default=0.0)
    if largest >= 1e5 or 0 < largest < 1e-3:
        return {place: f"{place:.3g}".replace("-", "−") for place in kept}
    return {place: f"{place + 0.0:.{digits}f}".replace("-", "−") for place in (round(each, 12) for each in kept)}


def _width(text: str) -> float:
    return sum(_NARROW if letter in ".,: " else _DIGIT for letter in text)


def _label_x(axes: Axes, text: str, lines: float) -> None:
    """Write the label of x below its numbers, which take so many lines."""
    import matplotlib as mpl

    axes.set_xlabel(text)
    away = mpl.rcParams["xtick.major.size"] + mpl.rcParams["xtick.major.pad"]
    away += 1.2 * lines * float(mpl.rcParams["xtick.labelsize"]) + 2.5
    axes.xaxis.set_label_coords(0.5, 0.0, transform=axes.transAxes + _points(axes, 0.0, -away))


def _label_y(axes: Axes, text: str, widths: float) -> None:
    """Write the label of y beside its numbers, which are so many times wider than they are high."""
    import matplotlib as mpl

    axes.set_ylabel(text)
    away = mpl.rcParams["ytick.major.size"] + mpl.rcParams["ytick.major.pad"]
    away += widths * float(mpl.rcParams["ytick.labelsize"]) + 2.5
    axes.yaxis.set_label_coords(0.0, 0.5, transform=axes.transAxes + _points(axes, -away, 0.0))


def _points(axes: Axes, x: float, y: float) -> Transform:
    """Give a shift by so many points."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(x / 72, y / 72, axes.figure.dpi_scale_trans)


def colour_scale(bar: Axes, low: float, high: float, label: str, power: float = 1.0) -> None:
    """Draw the scale of a map's colours into narrow axes, numbers at its right and its label above.

    matplotlib's own colour bar costs more time than the map. ``power`` is that of the signal which colours follow.
    """
    import numpy as np

    colours = np.linspace(0, 1, 256)[:, None] ** power
    bar.imshow(colours, aspect="auto", origin="lower", cmap=MAP, extent=(0, 1, low, high))
    for side in ("top", "right"):
        bar.spines[side].set_visible(True)
    frame(bar, None, "")
    bar.yaxis.tick_right()
    bar.set_title(label, fontsize=small(), fontweight="normal", loc="center")


def in_rows(count: int) -> tuple[int, int]:
    """Give rows and columns for so many panels: three beside each other at most, four as two by two."""
    columns = 2 if count == 4 else min(3, max(1, count))
    return -(-count // columns) or 1, columns


def headed(axes: Axes, text: str) -> None:
    """Give a panel its title, cut where its room ends."""
    import matplotlib as mpl

    room = axes.get_window_extent().width / axes.figure.dpi * 72
    letters = max(6, int(1.1 * room / (0.68 * float(mpl.rcParams["axes.titlesize"]))))
    axes.set_title(shortened(text, letters))


def shortened(text: str, letters: int) -> str:
    """Leave out the middle of a long name: names of a series differ at their ends."""
    if len(text) <= letters:
        return text
    behind = (letters - 1) // 2
    return f"{text[: letters - 1 - behind]}…{text[-behind:]}"


def small() -> float:
    """Size of remarks within a panel, points."""
    import matplotlib as mpl

    return float(mpl.rcParams["legend.fontsize"])


def empty(axes: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#555555")
    axes.set_xticks([])
    axes.set_yticks([])


def series(index: int) -> dict[str, Any]:
    """Give colour, mark and line style of the n-th group or cell."""
    return {
        "color": SERIES_COLOURS[index % len(SERIES_COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }
