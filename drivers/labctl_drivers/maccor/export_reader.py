"""Reads a text export, whole or as it grows: bytes in, records out, every line understood or refused by its number.

A line counts once its end is there; what follows the last line end is a line that is still being written. Where the
currents of an export carry no sign, the state letter gives it. Which kind an export is shows in the first record of a
discharge after the step's first one; until then a discharge's records are kept back, so that a file reads alike whether
it is read in one go or in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError
from labctl_drivers.maccor.codes import FAULTS, NORMAL_END, SUSPENDED_BY_OPERATOR
from labctl_drivers.maccor.export_layouts import (
    ROLES,
    Layout,
    could_be_heading,
    decimal_sign,
    layout_of,
    numbers,
    states,
    times,
    whole_numbers,
)

#: A heading further down would be no heading: the longest known beginning of a file has 13 lines.
_HEADING_WITHIN: Final = 40
#: A current in the wrong direction is noise up to this part of the largest one in the file, and contradicts it beyond.
_NOISE: Final = 0.1
#: Currents up to this, A, are noise whatever else there is in the file.
_NOTHING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one test, in the tester's order.

    Attributes
    ----------
    number, step, end : ndarray of int
        Record number, tester step, and why the record was made (ES).
    time, voltage, current, capacity : ndarray of float
        Seconds of the test, V, A (charging positive), and the tester step's capacity in C as a magnitude.
    state : list of str
        The tester's state letter.
    """

    number: NDArray[np.int64]
    step: NDArray[np.int64]
    end: NDArray[np.int64]
    time: NDArray[np.float64]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    capacity: NDArray[np.float64]
    state: list[str]

    def closed(self) -> bool:
        """Whether the last record is one after which no more can come: an end, a suspension, or a fault."""
        return bool(self.number.size) and int(self.end[-1]) in FAULTS | {NORMAL_END, SUSPENDED_BY_OPERATOR}

    def beyond(self, number: int | None) -> Records:
        """Give those whose number is higher; all of them for None."""
        first = 0 if number is None else int(np.searchsorted(self.number, number, side="right"))
        return self if first == 0 else self.cut(slice(first, None))

    def cut(self, part: slice) -> Records:
        """Give a part of them."""
        return Records(
            self.number[part],
            self.step[part],
            self.end[part],
            self.time[part],
            self.voltage[part],
            self.current[part],
            self.capacity[part],
            self.state[part],
        )


def none() -> Records:
    """Give no records."""
    whole, real = np.array([], dtype=np.int64), np.array([], dtype=float)
    return Records(whole, whole, whole, real, real, real, real, [])


class Reader:
    """Reads one export from its beginning on.

    Parameters
    ----------
    file : str
        For messages.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._rest = b""
        self._layout: Layout | None = None
        self._decimal: str | None = None
        self._signed: bool | None = None
        self._largest = 0.0
        # Lines that wait for what shows the sign of currents, and the number of the first of them or of the next.
        self._kept: list[str] = []
        self._line = 1

    def read(self, data: bytes, *, final: bool = False) -> Records:
        """Take the next bytes of the file and give the records that are whole with them.

        Parameters
        ----------
        data : bytes
            What follows on what was given before.
        final : bool
            Whether to give also the records whose sign nothing has shown: they are taken as they stand, unless no
            discharge has a negative current.

        Raises
        ------
        DataError
            A heading or a line is not understood, or contradicts what came before; with its line's number.
        """
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        # Only line ends count: a comment may hold anything else that Python takes for one.
        lines = whole.decode("latin-1").split("\n") if end else []
        if self._layout is None:
            lines = self._to_heading(lines)
        if self._layout is None:
            return none()
        lines = self._kept + lines
        self._kept = []
        return self._records(lines, self._layout, final=final)

    @property
    def has_heading(self) -> bool:
        """Whether the heading was there."""
        return self._layout is not None

    def _to_heading(self, lines: list[str]) -> list[str]:
        for index, line in enumerate(lines):
            number = self._line + index
            if could_be_heading(line):
                try:
                    self._layout = layout_of(line)
                except ValueError as error:
                    raise DataError(f"{self._file}:{number}: {error}") from error
                self._line = number + 1
                return lines[index + 1 :]
            if number >= _HEADING_WITHIN:
                raise DataError(f"{self._file}: no heading within {number} lines; is this the tester's text export?")
        self._line += len(lines)
        return []

    def _records(self, lines: list[str], layout: Layout, *, final: bool) -> Records:
        rows, places = self._rows(lines, layout)
        if not rows:
            self._line += len(lines)
            return none()
        columns = dict(zip(ROLES, zip(*rows, strict=True), strict=True))
        measured = [*columns["voltage"], *columns["current"], *columns["capacity"]]
        try:
            sign = decimal_sign(measured)
            if None not in (sign, self._decimal) and sign != self._decimal:
                raise ValueError("decimal points and decimal commas in one file")
            self._decimal = sign or self._decimal
            read = _columns(columns, layout, self._decimal)
        except ValueError as error:
            raise self._at_fault(rows, places, layout, error) from error
        use = self._decide(read, final=final)
        self._kept = lines[places[use] - self._line :] if use < len(rows) else []
        self._line = places[use] if use < len(rows) else self._line + len(lines)
        return self._directed(read.cut(slice(0, use)), places)

    def _rows(self, lines: list[str], layout: Layout) -> tuple[list[tuple[str, ...]], Sequence[int]]:
        """Give the columns of every line that is not empty, and the number of each of those lines."""
        places: Sequence[int] = range(self._line, self._line + len(lines))
        if not all(map(str.strip, lines)):
            filled = [(place, line) for place, line in zip(places, lines, strict=True) if line.strip()]
            places, lines = [place for place, _ in filled], [line for _, line in filled]
        # Exports differ in whether trailing empty columns are written, so the last needed column decides.
        cells = [line.split("\t", layout.needed) for line in lines]
        try:
            return list(map(itemgetter(*[layout.columns[role] for role in ROLES]), cells)), places
        except IndexError:
            at = next(index for index, row in enumerate(cells) if len(row) < layout.needed)
            raise DataError(
                f"{self._file}:{places[at]}: {len(cells[at])} columns where {layout.needed} are needed"
            ) from None

    def _at_fault(
        self, rows: list[tuple[str, ...]], places: Sequence[int], layout: Layout, error: ValueError
    ) -> DataError:
        """Find the line that a fault of a whole column comes from."""
        for row, place in zip(rows, places, strict=True):
            one = {role: (text,) for role, text in zip(ROLES, row, strict=True)}
            try:
                sign = decimal_sign([*one["voltage"], *one["current"], *one["capacity"]])
                if None not in (sign, self._decimal) and sign != self._decimal:
                    raise ValueError("decimal points and decimal commas in one file")
                _columns(one, layout, self._decimal or sign)
            except ValueError as found:
                return DataError(f"{self._file}:{place}: {found}")
        return DataError(f"{self._file}: {error}")

    def _decide(self, read: Records, *, final: bool) -> int:
        """Find out whether discharges are negative in this file; give how many records can be used now."""
        if self._signed is not None:
            return len(read.state)
        discharging = _is(read, "D") & (read.current != 0)
        telling = np.flatnonzero(discharging & (np.abs(read.current) > _NOTHING) & (read.end != 0))
        if telling.size:
            self._signed = bool(read.current[telling[0]] < 0)
        elif discharging.any():
            if not final:
                return int(np.flatnonzero(discharging)[0])
            self._signed = bool(np.any(read.current[discharging] < 0))
        return len(read.state)

    def _directed(self, read: Records, places: Sequence[int]) -> Records:
        if not read.number.size:
            return read
        discharging, current = _is(read, "D"), read.current
        if self._signed is False:
            current = np.where(discharging, -current, current)
        largest = np.maximum(np.maximum.accumulate(np.abs(current)), self._largest)
        self._largest = float(largest[-1])
        against = np.where(discharging, current, np.where(_is(read, "C"), -current, 0.0))
        # The first record of a step may be made before its current flows, or with that of the step before.
        wrong = np.flatnonzero((against > np.maximum(_NOISE * largest, _NOTHING)) & (read.end != 0))
        if wrong.size:
            at = int(wrong[0])
            kind = {None: "no discharge came yet", True: "discharges are negative", False: "currents have no sign"}
            raise DataError(
                f"{self._file}:{places[at]}: record {int(read.number[at])} says {read.state[at]} at "
                f"{read.current[at]:g} A, in an export in which {kind[self._signed]}"
            )
        # Not minus zero, which is another text.
        return Records(
            read.number, read.step, read.end, read.time, read.voltage, current + 0.0, read.capacity, read.state
        )


def _is(read: Records, letter: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.array(read.state) == letter
    return found


def _columns(columns: Mapping[str, Sequence[str]], layout: Layout, decimal: str | None) -> Records:
    return Records(
        number=whole_numbers(columns["record"], decimal),
        step=whole_numbers(columns["step"], decimal),
        end=whole_numbers(columns["end"], decimal),
        time=times(columns["time"], layout.time, decimal),
        voltage=numbers(columns["voltage"], decimal),
        current=numbers(columns["current"], decimal),
        capacity=np.abs(numbers(columns["capacity"], decimal)) * 3600.0,
        state=states(columns["state"]),
    )
