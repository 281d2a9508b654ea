"""When a spectrum was taken and what charge had passed by then: stamps, made at the end from the instruments' own data.

Three clocks meet. The cycler's records tell charge and voltage by the clock of its test, which stands while the program
is suspended. The spectrometer's dataset tells when an acquisition began and ended, by the clock of its PC. This PC sees
both: each look at the running cycler is kept with the time that its test's clock showed (``looks.csv``), and the
spectrometer's clock is compared once per spectrum. So an instant of the spectrometer becomes one of this PC, that one
a time of the test, and that a charge. Nothing that was shown live goes into a charge.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labctl.errors import DataError

LOOKS: Final = "looks.csv"
STAMPS: Final = "stamps.csv"
_LOOKS_HEAD: Final = "at_s,test_s,standing\n"
#: A test's clock that has lost this much (s) between two looks was stopped meanwhile.
_JUMP: Final = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the test's clock showed at an instant.

    Attributes
    ----------
    at : float
        This PC's clock, s UTC.
    test : float
        The test's clock, s.
    standing : bool
        Whether the program was suspended or had ended, so that the test's clock stood.
    """

    at: float
    test: float
    standing: bool


def add_look(folder: Path, look: Look) -> None:
    """Append a look to a bundle's ``looks.csv``; what a kill leaves unfinished is left out when it is read.

    Raises
    ------
    OSError
        It can't be written.
    """
    path = folder / LOOKS
    fresh = not path.exists()
    with path.open("a", encoding="utf-8", newline="\n") as file:
        # A line end in front closes what a kill may have torn.
        file.write((_LOOKS_HEAD if fresh else "\n") + f"{look.at:.3f},{look.test:.4f},{int(look.standing)}")


def read_looks(folder: Path) -> list[Look]:
    """Read the looks of a bundle, those that are whole, in the order of their instants."""
    path = folder / LOOKS
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        try:
            at, test, standing = line.split(",")
            found.append(Look(float(at), float(test), {"0": False, "1": True}[standing]))
        except (ValueError, KeyError):
            continue
    return sorted(found, key=lambda look: look.at)


class ElapsedClock:
    """The clock of a test as this PC saw it: runs in stretches, stands between them.

    Parameters
    ----------
    looks : iterable of Look
        In order; at least one at which it ran.

    Raises
    ------
    DataError
        It was never seen running.
    """

    def __init__(self, looks: Iterable[Look]) -> None:
        #: Per stretch: by how much this PC is ahead, and what the clock showed when it came to stand.
        self._stretches: list[tuple[float, float]] = []
        #: How often it must have stood unseen, so that times thereabouts are uncertain.
        self.gaps = 0
        last, closed = 0.0, True
        for look in looks:
            if look.standing:
                if not closed and self._stretches:
                    self._stretches[-1] = self._stretches[-1][0], look.test
                closed = True
                continue
            ahead = look.at - look.test
            if closed:
                self._stretches.append((ahead, math.inf))
            elif ahead > self._stretches[-1][0] + _JUMP:
                self.gaps += 1
                self._stretches[-1] = self._stretches[-1][0], last
                self._stretches.append((ahead, math.inf))
            else:
                # An answer takes its time: the look that took least is nearest the truth.
                self._stretches[-1] = min(ahead, self._stretches[-1][0]), math.inf
            last, closed = look.test, False
        if not self._stretches:
            raise DataError("the cycler's test was never seen running, so nothing can be stamped with its charge")

    def at(self, instant: float) -> float:
        """Give what the test's clock showed at an instant (s UTC of this PC), in s."""
        return max(0.0, *(min(instant - ahead, end) for ahead, end in self._stretches))


@dataclass(frozen=True, slots=True)
class Taken:
    """One spectrum that was taken beside the cycler.

    Attributes
    ----------
    number : int
        Counted from 1 within its operation.
    sort : str
        ``during`` the flow of current, in a ``pause``, or at the ``end``.
    folder : str
        Its own bundle, relative to the operation's.
    token : str
        Its dataset.
    began, over : float
        s UTC by this PC's clock.
    clock_offset : float or None
        Seconds by which the spectrometer's clock was ahead, taken off ``began`` and ``over`` already; None where they
        are this PC's own.
    """

    number: int
    sort: str
    folder: str
    token: str
    began: float
    over: float
    clock_offset: float | None


COLUMNS: Final = (
    "spectrum,sort,folder,token,started_utc,middle_utc,ended_utc,started_s,middle_s,ended_s,"
    "charge_start_C,charge_middle_C,charge_end_C,voltage_start_V,voltage_middle_V,voltage_end_V,flowing,clock_offset_s"
)


def write_stamps(
    folder: Path, taken: Sequence[Taken], records: Mapping[str, Sequence[float]], *, discharging: bool
) -> Mapping[str, float | int]:
    """Stamp spectra with charge and voltage at their start, middle and end, and write ``stamps.csv``.

    ``started_s`` and so on are times of the cycler's test. Charge counts from the start of the operation, positive when
    charging. ``flowing`` is the share of the acquisition in which current flowed.

    Parameters
    ----------
    folder : Path
        The operation's bundle, with its ``looks.csv``.
    records : mapping of str to sequence of float
        The cycler's records: ``record``, ``time_s``, ``capacity_C``, ``voltage_V``; every number once.
    discharging : bool
        Which way the current flowed.

    Returns
    -------
    mapping
        ``records``, ``first_record`` and ``last_record`` that the stamps rest on, and ``clock_gaps``.

    Raises
    ------
    DataError
        A record is missing, or there is nothing to tell the time by.
    """
    numbers = [int(number) for number in records["record"]]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise DataError(f"{folder}: the cycler's records have a gap; its spectra are not stamped")
    clock = ElapsedClock(read_looks(folder))
    times, sign = records["time_s"], -1.0 if discharging else 1.0
    lines = [COLUMNS]
    for one in taken:
        instants = one.began, (one.began + one.over) / 2, one.over
        elapsed = [clock.at(instant) for instant in instants]
        charges = [sign * _between(times, records["capacity_C"], at) for at in elapsed]
        volts = [_between(times, records["voltage_V"], at) for at in elapsed]
        flowing = min(1.0, (min(elapsed[2], times[-1]) - min(elapsed[0], times[-1])) / max(one.over - one.began, 1e-9))
        fields = [str(one.number), one.sort, one.folder, one.token]
        fields += [datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") for at in instants]
        fields += [f"{at:.3f}" for at in elapsed]
        fields += [f"{charge:.7g}" for charge in charges] + [f"{volt:.5f}" for volt in volts]
        fields += [f"{flowing:.4f}", "" if one.clock_offset is None else f"{one.clock_offset:.3f}"]
        lines.append(",".join(fields))
    (folder / STAMPS).write_text("\n".join([*lines, ""]), encoding="utf-8")
    return {
        "records": len(numbers),
        "first_record": numbers[0],
        "last_record": numbers[-1],
        "clock_gaps": clock.gaps,
    }


def _between(times: Sequence[float], values: Sequence[float], at: float) -> float:
    """Interpolate between records; before the first and after the last the nearest counts."""
    right = bisect_right(times, at)
    if right == 0:
        return float(values[0])
    if right == len(times):
        return float(values[-1])
    before, after = times[right - 1], times[right]
    share = (at - before) / (after - before)
    return float(values[right - 1] + share * (values[right] - values[right - 1]))


#: A driver's own stamps of a series under direct current.
_SERIES: Final = "spectra.csv"


def stamp_charges(
    folder: Path, before: float, capacity: float | None, *, count: int, last: bool
) -> Mapping[str, float | int | None]:
    """Add states of charge to the stamps of a series of impedance spectra, and write ``stamps.csv``.

    It has the columns of the driver's ``spectra.csv`` and ``soc_start``, ``soc_middle``, ``soc_end`` (1: as much as
    ``capacity``; empty where that is not known) and ``wanted`` (1 for the spectra that the step was done for).

    Parameters
    ----------
    before : float
        C in the cell when the direct current was switched on, by what its steps have moved.
    capacity : float or None
        C at state of charge 1.
    count : int
        Spectra wanted.
    last : bool
        Whether they are the last, not the first.

    Returns
    -------
    mapping
        ``spectra``, and ``soc_first`` and ``soc_last`` of those that are wanted.

    Raises
    ------
    DataError
        The driver's table is not there or can't be read.
    """
    source = folder / _SERIES
    try:
        heading, *lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: the stamps of the series can't be read ({error})") from error
    names = heading.split(",")
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines if line]
    chosen = range(max(0, len(rows) - count), len(rows)) if last else range(min(count, len(rows)))
    told = [f"{heading},soc_start,soc_middle,soc_end,wanted"]
    socs: list[list[float]] = []
    for index, (row, line) in enumerate(zip(rows, (one for one in lines if one), strict=True)):
        try:
            charges = [float(row[f"charge_{when}_C"]) for when in ("start", "middle", "end")]
        except (KeyError, ValueError) as error:
            raise DataError(f"{source}:{index + 2}: no charge of the spectrum's start, middle and end") from error
        soc = [(before + charge) / capacity for charge in charges] if capacity else []
        socs.append(soc)
        written = ",".join(f"{one:.6f}" for one in soc) if soc else ",,"
        told.append(f"{line},{written},{int(index in chosen)}")
    (folder / STAMPS).write_text("\n".join([*told, ""]), encoding="utf-8")
    wanted = [socs[index] for index in chosen if socs[index]]
    return {
        "spectra": len(rows),
        "soc_first": wanted[0][0] if wanted else None,
        "soc_last": wanted[-1][2] if wanted else None,
    }
