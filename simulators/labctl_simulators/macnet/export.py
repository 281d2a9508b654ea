"""The text export that the tester writes for each test: tab-separated, CRLF, in the layouts of its several programs.

Known: headings, columns, codes and state letters, decimal commas and parted thousands, from exported files and from
programs that read them. Guessed: number of decimals, that the export grows with the test, what stands above the heading
of a MIMS export, and which further columns each layout has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

_VARS: Final = [f"VAR{number}" for number in range(1, 16)]
_UNUSED: Final = ["0.0000000", "0.0000000", "N/A", "N/A", "N/A", "N/A"]
_ZEROS: Final = ["0.0000000"] * 15
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _text(time: str, step: str, loops: Sequence[str]) -> list[str]:
    first = ["Rec#", "Cyc#", "Step", time, step, "Amp-hr", "Watt-hr", "Amps", "Volts", "State", "ES", "DPt Time"]
    waveforms = ["WF Chg Cap", "WF Dis Cap", "WF Chg E", "WF Dis E", "Range"]
    return [*first, *loops, "ACImp/Ohms", "DCIR/Ohms", *waveforms, *_VARS]


def _table(record: str, time: str, step: str, values: Sequence[str], state: str) -> list[str]:
    first = [record, "Cycle P", "Cycle C", "Step", time, step, *values, state, "ES", "DPT Time"]
    return [*first, "DCIR (Ohms)", "I Range", *_VARS]


_LOOPS: Final = ["Loop1", "Loop2", "Loop3", "Loop4"]
_WITH_UNITS: Final = ["Capacity (Ah)", "Energy (Wh)", "Current (A)", "Voltage (V)"]
_COLUMNS: Final[Mapping[str, list[str]]] = {
    "seconds": _text("Test (Sec)", "Step (Sec)", _LOOPS),
    "clock": _text("TestTime", "StepTime", []),
    "export-2": _table("Rec", "Test Time (s)", "Step Time (s)", _WITH_UNITS, "MD"),
    "mims-client-1": _table(
        "Rec", "TestTime", "StepTime", ["Cap. [Ah]", "Ener. [Wh]", "Current [A]", "Voltage [V]"], "Md"
    ),
    "mims-client-2": _table("Rec", "Test Time", "Step Time", ["Capacity", "Energy", "Current", "Voltage"], "MD"),
    "mims-server-2": _table("Rec#", "Test Time (s)", "Step Time (s)", _WITH_UNITS, "MD"),
}
#: Layouts whose times are days and clock times.
_CLOCKS: Final = frozenset({"clock", "mims-client-1", "mims-client-2"})
#: Empty lines between the first line and the heading, and between the heading and the first record.
_EMPTY: Final[Mapping[str, tuple[int, int]]] = {"export-2": (1, 0), "mims-client-1": (11, 1), "mims-client-2": (2, 0)}
_SIGNS: Final = {".": ".", ",": ",", "point": ".", "comma": ","}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a tester spells its exports.

    Attributes
    ----------
    layout : str
        ``seconds`` and ``clock`` (the text export with either time), ``export-2``, ``mims-client-1``,
        ``mims-client-2``, ``mims-server-2``.
    decimal : str
        ``.`` or ``,``.
    grouped : bool
        Whether thousands of seconds and of records are parted by the other sign.
    signed : bool
        Whether currents of a discharge are negative.
    """

    layout: str = "seconds"
    decimal: str = "."
    grouped: bool = False
    signed: bool = True

    @classmethod
    def read(cls, options: Any) -> Dialect:
        """Read a station's ``simulate: {export: …}``: a layout's name, or a mapping of the four attributes.

        ``current`` is ``signed`` or ``unsigned`` there, ``decimal`` is ``point`` or ``comma`` too. Raises
        ``ValueError`` for what is none of these.
        """
        wanted = {"layout": options} if isinstance(options, str) else dict(options or {})
        unknown = sorted(set(wanted) - {"layout", "decimal", "grouped", "current"})
        if unknown:
            raise ValueError(f"an export has no {', '.join(unknown)}; it has layout, decimal, grouped, current")
        layout, current = str(wanted.get("layout", "seconds")), str(wanted.get("current", "signed"))
        sign = _SIGNS.get(str(wanted.get("decimal", ".")))
        if layout not in _COLUMNS:
            raise ValueError(f"unknown layout {layout!r} of an export; known are {', '.join(_COLUMNS)}")
        if sign is None or current not in ("signed", "unsigned"):
            raise ValueError("an export's decimal is point or comma, its current signed or unsigned")
        return cls(layout, sign, bool(wanted.get("grouped", False)), current == "signed")

    def heading(self, file: Path, began: datetime, today: datetime, procedure: str, comment: str) -> str:
        """Everything above the first record."""
        date = "%m/%d/%Y"
        first = (
            f"Today's Date {today.strftime(date)}  Date of Test:\t{began.strftime(date)}\t Filename:\t{file.name}"
            f" Procedure: {procedure}.000\tComment/Barcode: {comment}"
        )
        above, below = _EMPTY.get(self.layout, (0, 0))
        return "\r\n".join([first, *[""] * above, "\t".join(_COLUMNS[self.layout]), *[""] * below, ""])

    def rows(
        self,
        first: int,
        cycle: int,
        step: int,
        letter: str,
        codes: Any,
        test_s: Any,
        step_s: Any,
        values: tuple[Any, Any, Any, Any],
        began: datetime,
        loops: tuple[int, int, int, int],
        scale: str,
    ) -> str:
        """Lines of records of one step.

        Parameters
        ----------
        first : int
            Number of the first.
        codes, test_s, step_s : array_like
            ES codes, seconds of the test and of the step.
        values : tuple of array_like
            Voltage (V), current (A, signed), charge of the step (C), energy of the step (J).
        began : datetime
            Instant at which the test's clock stood at zero.
        """
        voltage, current, charge, energy = values
        since = (began - _EPOCH) / timedelta(seconds=1)
        instants = np.floor(np.asarray(test_s, dtype=float) + since + 1e-6).astype(np.int64)
        days, seconds = np.divmod(instants, 86400)
        dates = {day: (_EPOCH + timedelta(days=day)).strftime("%m/%d/%Y") for day in np.unique(days).tolist()}
        amperes = np.asarray(current, dtype=float)
        numbers: Sequence[Any] = range(first, first + instants.size)
        times: list[Any] = [np.asarray(test_s, dtype=float).tolist(), np.asarray(step_s, dtype=float).tolist()]
        spelt = self._spelling()
        if spelt is not None:
            numbers = [f"{number:,d}" if self.grouped else number for number in numbers]
            times = [[spelt(one) for one in column] for column in times]
        number, time = ("%s", "%s") if spelt is not None else ("%d", "%.4f")
        cycles = str(cycle) if self.layout in ("seconds", "clock") else f"{cycle}\t{cycle}"
        counts = f"{number}\t{cycles}\t{step}\t{time}\t{time}"
        measured = "%.10f\t%.10f\t%.10f\t%.6f"
        template = f"{counts}\t{measured}\t{letter}\t%d\t%s %02d:%02d:%02d\t{self._tail(loops, scale)}\r\n"
        columns = [
            numbers,
            *times,
            (np.asarray(charge) / 3600.0).tolist(),
            (np.asarray(energy) / 3600.0).tolist(),
            (amperes if self.signed else np.abs(amperes)).tolist(),
            np.asarray(voltage, dtype=float).tolist(),
            np.asarray(codes).tolist(),
            [dates[day] for day in days.tolist()],
            (seconds // 3600).tolist(),
            (seconds // 60 % 60).tolist(),
            (seconds % 60).tolist(),
        ]
        text = "".join([template % row for row in zip(*columns, strict=True)])
        # There is no point or comma in a line but those of its numbers.
        return text if self.decimal == "." else text.translate(_EXCHANGED)

    def _spelling(self) -> Callable[[float], str] | None:
        """Give how times are spelt; None for plain seconds."""
        if self.layout in _CLOCKS:
            return _clock
        return (lambda seconds: f"{seconds:,.4f}") if self.grouped else None

    def _tail(self, loops: tuple[int, int, int, int], scale: str) -> str:
        if self.layout in ("seconds", "clock"):
            counts = [str(count) for count in loops] if self.layout == "seconds" else []
            return "\t".join([*counts, *_UNUSED, scale or "4", *_ZEROS])
        return "\t".join(["0.0000000", scale or "4", *_ZEROS])


#: As most testers spell it.
USUAL: Final = Dialect()
_EXCHANGED: Final = {ord("."): ",", ord(","): "."}


def _clock(seconds: float) -> str:
    whole, parts = divmod(round(seconds * 1e4), 10_000)
    days, rest = divmod(whole, 86400)
    return f"{days:3d}d {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.{parts:04d}"
