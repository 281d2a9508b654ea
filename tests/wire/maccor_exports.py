"""Text exports as the tester's programs write them, for the tests of this folder: every documented layout and spelling.

Written from the documented layouts: headings, order of columns, line ends, what stands above the heading.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NOTE = "Today's Date 11/21/2026  Date of Test:\t11/21/2026\t Filename:\tx.001 Procedure: x.000\tBarcode: \x85\r\n"
DATE = "11/21/2026 10:00:00"

#: Number, step, time (s), capacity (Ah), current (A, charging positive), voltage (V), state, ES.
Row = tuple[int, int, float, float, float, float, str, int]
ROWS: Sequence[Row] = (
    (1, 1, 0.0, 0.0, 2e-4, 3.1, "C", 0),
    (2, 1, 60.0, 3.3e-6, 2e-4, 3.5, "C", 1),
    (3, 1, 93.5, 5.2e-6, 2e-4, 4.3, "C", 133),
    (4, 2, 93.5, 0.0, -6e-4, 4.2, "D", 0),
    (5, 2, 86493.5, 1.0e-5, -6e-4, 3.0, "D", 133),
    (6, 3, 86493.5, 0.0, 0.0, 3.1, "O", 193),
)

_TEXT = "Rec#\tCyc#\tStep\t{time}\t{step}\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tES\tDPt Time\tACImp/Ohms\tDCIR/Ohms"
_TABLE = "\tCycle P\tCycle C\tStep\t{time}\t{step}\t{capacity}\tCurrent{a}\tVoltage{v}\t{md}\tES\tDPT Time\tVAR1"


@dataclass(frozen=True)
class Spelling:
    """How one export is written."""

    name: str
    above: str
    heading: str
    clock: bool
    cycles: int
    below: str = ""
    decimal: str = "."
    grouped: bool = False
    signed: bool = True
    ends: str = "\r\n"

    def text(self, rows: Iterable[Row] = ROWS) -> str:
        return self.head + "".join(self.line(row) for row in rows)

    @property
    def head(self) -> str:
        return (self.above + self.heading + "\r\n" + self.below).replace("\r\n", self.ends)

    def line(self, row: Row) -> str:
        number, step, time, capacity, current, voltage, state, end = row
        shown = current if self.signed else abs(current)
        stamps = [self._time(time), self._time(time)]
        values = [self._number(capacity, 10), self._number(0.0, 10), self._number(shown, 10), self._number(voltage, 6)]
        counts = [self._count(number), *["0"] * self.cycles, str(step)]
        return "\t".join([*counts, *stamps, *values, state, str(end), DATE, "0", ""]) + self.ends

    def _count(self, value: int) -> str:
        return self._spell(f"{value:,d}" if self.grouped else str(value))

    def _number(self, value: float, digits: int) -> str:
        return self._spell(f"{value:.{digits}f}")

    def _time(self, value: float) -> str:
        if not self.clock:
            return self._spell(f"{value:,.4f}" if self.grouped else f"{value:.4f}")
        whole, parts = divmod(round(value * 1e4), 10_000)
        clock = f"{whole // 86400:3d}d {whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        return f"{clock}{self.decimal}{parts:04d}"

    def _spell(self, text: str) -> str:
        return text if self.decimal == "." else text.translate({ord("."): ",", ord(","): "."})


def spellings() -> Iterator[Spelling]:
    """Every layout with every time format it knows, both decimal signs, grouped or not, signed or not."""
    text = [("Test (Sec)", "Step (Sec)", False), ("TestTime", "StepTime", True)]
    layouts = [
        (f"text export, {time}", NOTE, _TEXT.format(time=time, step=step), clock, 1, "") for time, step, clock in text
    ]
    units = {"a": " (A)", "v": " (V)", "md": "MD", "capacity": "Capacity (Ah)\tEnergy (Wh)"}
    seconds = {"time": "Test Time (s)", "step": "Step Time (s)"}
    layouts += [
        ("Export 2", NOTE + "\r\n", "Rec" + _TABLE.format(**units, **seconds), clock, 2, "") for clock in (False, True)
    ]
    layouts.append(("MIMS Server 2", NOTE, "Rec#" + _TABLE.format(**units, **seconds), False, 2, ""))
    square = {"a": " [A]", "v": " [V]", "md": "Md", "capacity": "Cap. [Ah]\tEner. [Wh]"}
    long = "".join(f"Line {number}:\tof the test's description\r\n" for number in range(1, 13))
    layouts.append(
        ("MIMS Client 1", long, "Rec" + _TABLE.format(**square, time="TestTime", step="StepTime"), True, 2, "\r\n")
    )
    bare = {"a": "", "v": "", "md": "MD", "capacity": "Capacity\tEnergy"}
    for time, clock in (("Test Time", True), ("Test Time (sec)", False)):
        layouts.append(
            (
                "MIMS Client 2",
                long[: 3 * len(long) // 12],
                "Rec" + _TABLE.format(**bare, time=time, step="Step Time"),
                clock,
                2,
                "",
            )
        )
    for (name, above, heading, clock, cycles, below), decimal, grouped, signed in itertools.product(
        layouts, ".,", (False, True), (False, True)
    ):
        yield Spelling(name, above, heading, clock, cycles, below, decimal, grouped, signed)
