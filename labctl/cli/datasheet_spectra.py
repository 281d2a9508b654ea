"""What a datasheet says of NMR experiments and impedance spectra: what one takes, how many there are, and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labctl.interchange.wording import duration
from labctl.protocol import Acquisition, Dynamic, Impedance, Kind, PlannedOperation, Protocol, Together

#: Where nothing can be said.
DASH: Final = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; all cells are text."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def long(seconds: float) -> str:
    """Write a duration as people say it: ``2 h 19 min``, ``3 d 4 h``, ``45 s``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 10 and left:
        return f"{minutes} min {left} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, rest = divmod(hours, 24)
    if days >= 2:
        return f"{days} d {rest} h" if rest else f"{days} d"
    return " ".join(f"{amount} {unit}" for amount, unit in ((hours, "h"), (minutes, "min")) if amount) or "0 min"


def exact(seconds: float) -> str:
    """Write the time of a spectrum to the second, as papers give it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{amount} {unit}" for amount, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if amount]
    return " ".join(parts) or long(seconds)


def spectra(protocol: Protocol, plan: Sequence[PlannedOperation]) -> list[Table]:
    """Give a table of the NMR experiments and one of the impedance spectra, for a plan; those it has none of not."""
    return [table for table in (_experiments(protocol, plan), _sweeps(protocol, plan)) if table.rows]


def _experiments(protocol: Protocol, plan: Sequence[PlannedOperation]) -> Table:
    taken: dict[str, list[float]] = {}
    single: dict[str, float] = {}
    under_current: set[str] = set()
    for one in plan:
        asked = one.parameters
        if isinstance(asked, Acquisition):
            taken.setdefault(asked.experiment, []).append(asked.expected)
            if one.kind is Kind.NMR:
                single[asked.experiment] = asked.expected
        elif isinstance(asked, Together):
            for each in (asked.during, asked.pausing):
                if each is not None:
                    single[each.experiment] = each.expected
                    under_current.add(each.experiment)
    rows = []
    for name, experiment in protocol.experiments.items():
        open_ = name in under_current
        rows.append(
            (
                name,
                f"{experiment.nucleus} {experiment.pulse_program}",
                str(experiment.scans),
                duration(experiment.recycle_delay),
                exact(single[name]) if name in single else DASH,
                "until the current ends" if open_ else str(len(taken.get(name, ()))),
                DASH if open_ else long(sum(taken.get(name, ()))),
            )
        )
    heads = ("experiment", "what", "scans", "recycle delay", "one takes", "how many", "in all")
    return Table("NMR experiments of one cell, calibrations included", heads, tuple(rows))


def _sweeps(protocol: Protocol, plan: Sequence[PlannedOperation]) -> Table:
    taken: dict[str, list[float]] = {}
    for one in plan:
        asked = one.parameters
        if isinstance(asked, Impedance):
            taken.setdefault(asked.spectrum, []).append(asked.duration)
        elif isinstance(asked, Dynamic):
            taken.setdefault(asked.sweep.spectrum, []).extend([asked.sweep_duration] * asked.count)
    rows = tuple(
        (
            name,
            str(one.control),
            f"{_hertz(one.frequency[0])} to {_hertz(one.frequency[1])}",
            str(one.points_per_decade),
            str(one.periods),
            one.amplitude.written,
            exact(taken[name][0]) if name in taken else DASH,
            str(len(taken.get(name, ()))),
            long(sum(taken.get(name, ()))),
        )
        for name, one in protocol.spectra.items()
    )
    what = ("spectrum", "control", "frequencies", "per decade", "periods", "amplitude")
    return Table("Impedance spectra of one cell, rests included", (*what, "one takes", "how many", "in all"), rows)


def _hertz(value: float) -> str:
    for unit, size in (("MHz", 1e6), ("kHz", 1e3), ("Hz", 1.0), ("mHz", 1e-3)):
        if value >= size * (1 - 1e-9) and not (unit == "Hz" and value < 1):
            return f"{value / size:.4g} {unit}"
    return f"{value:.3g} Hz"
