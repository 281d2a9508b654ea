"""A test on a channel, and the records that it leaves in the text export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl_simulators.macnet.export import Dialect
from labctl_simulators.macnet.procedure import Step
from labctl_simulators.macnet.segment import Segment

LETTER: Final = {"Charge": "C", "Dischrge": "D", "Rest": "R"}
# The export grows by so many records, or after so many seconds.
_BLOCK: Final = 100
_BLOCK_TIME: Final = 3600.0


@dataclass
class Test:
    """A test on a channel. Times are laboratory time; those of starts move along with every suspension.

    ``one_c`` is what its start called 1C, in A.
    """

    name: str
    procedure: str
    comment: str
    content: str
    began: float
    file: str
    step: int = 1
    step_began: float = 0.0
    cycle: int = 0
    loops: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    records: int = 0
    charge: float = 0.0
    energy: float = 0.0
    ended: float | None = None
    written: int = 0
    one_c: float = 1.0


class Recorder:
    """Makes the lines of a channel's export and writes them, a block at a time as the tester does."""

    def __init__(self, laboratory: Any, folder: Path, dialect: Dialect) -> None:
        self._laboratory = laboratory
        self._folder = folder
        self._dialect = dialect
        self._lines: list[str] = []
        self._flushed = -_BLOCK_TIME

    def begin(self, test: Test) -> None:
        """Make the heading."""
        began = self._laboratory.at(test.began)
        self._lines.append(self._dialect.heading(Path(test.file), began, began, test.procedure, test.comment))

    def row(
        self,
        test: Test,
        steps: Sequence[Step],
        segment: Segment | None,
        t: float,
        letter: str,
        code: int,
        values: Any,
    ) -> None:
        """Add one record at ``t``, after those that ``segment`` made before."""
        if segment is not None:
            self.render(test, steps, segment)
        test.records += 1
        several = tuple(np.atleast_1d(value) for value in values)
        self._rows(test, steps, test.records, np.array([t]), letter, np.array([code]), several)

    def render(self, test: Test, steps: Sequence[Step], segment: Segment) -> None:
        """Turn the records that a segment made since the last time into lines."""
        if segment.done > segment.written:
            chosen = slice(segment.written, segment.done)
            times = segment.times[chosen]
            segment.written = segment.done
            first = test.records - len(times) + 1
            letter = LETTER.get(steps[test.step - 1].kind, "O")
            self._rows(test, steps, first, times, letter, segment.codes[chosen], segment.values(times))

    def _rows(
        self, test: Test, steps: Sequence[Step], first: int, times: Any, letter: str, codes: Any, values: Any
    ) -> None:
        voltage, current, charge, energy = values
        self._lines.append(
            self._dialect.rows(
                first,
                test.cycle,
                test.step,
                letter,
                codes,
                times - test.began,
                times - test.step_began,
                (voltage, current, charge + test.charge, energy + test.energy),
                self._laboratory.at(0.0) + timedelta(seconds=test.began),
                (test.loops[0], test.loops[1], test.loops[2], test.loops[3]),
                steps[test.step - 1].scale,
            )
        )

    def flush(self, test: Test, steps: Sequence[Step], segment: Segment | None, at: float, *, now: bool) -> None:
        """Write what has come together until ``at``, if it is ``now`` or enough of it."""
        waiting = 0 if segment is None else segment.done - segment.written
        if not now and waiting < _BLOCK and at < self._flushed + _BLOCK_TIME:
            return
        if segment is not None:
            self.render(test, steps, segment)
        self._flushed = at
        if not self._lines:
            return
        data = "".join(self._lines).encode("latin-1", "replace")
        self._lines.clear()
        with (self._folder / test.file).open("ab", buffering=0) as file:
            file.write(data)
        test.written += len(data)

    def cut(self, test: Test) -> None:
        """Cut off what the export got after the test was saved."""
        path = self._folder / test.file
        if path.is_file() and path.stat().st_size > test.written:
            with path.open("rb+") as file:
                file.truncate(test.written)
