"""What passes between a protocol and other programs: cycler steps as a tree of loops, and remarks. Knows no format.

The steps are those that a cycler driver gets, so that what is exported is what would be run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Loop, Mode, SafetyLimits
from labctl.interchange.wording import duration


@dataclass(frozen=True, slots=True)
class Sweep:
    """An impedance spectrum at open circuit.

    Attributes
    ----------
    galvanostatic : bool
        Whether the current is modulated.
    amplitude : float
        Peak, A or V.
    start, end : float
        Frequencies in Hz.
    points_per_decade, periods : int
        Density, and periods averaged.
    origin : str
        Where it comes from, for remarks; not part of what it is.
    """

    galvanostatic: bool
    amplitude: float
    start: float
    end: float
    points_per_decade: int
    periods: int
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A cycler's step, the temperature in K that it needs, and where it comes from."""

    cycling: CyclerStep
    temperature: float | None = None
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Items that are done ``count`` times."""

    count: int
    body: tuple[Item, ...]


Item = Step | Sweep | Repeat


@dataclass(frozen=True, slots=True)
class Exchange:
    """The electrochemistry of a protocol.

    Attributes
    ----------
    name : str
        Of the protocol.
    items : tuple of Item
        In order; loops of the outermost level are cycles.
    voltage : tuple of float or None
        Limits in V.
    current : float or None
        Limit in A, either way.
    capacity : float or None
        What C-rates refer to, in C.
    remarks : tuple of str
        What could not be said, a line each.
    cell : str
        Whose currents these are.
    """

    name: str
    items: tuple[Item, ...]
    voltage: tuple[float | None, float | None]
    current: float | None
    capacity: float | None
    remarks: tuple[str, ...]
    cell: str = ""


def steps_of(items: tuple[Item, ...]) -> Iterator[Step]:
    """Give every cycler step once, however often it is done."""
    for item in items:
        if isinstance(item, Step):
            yield item
        elif isinstance(item, Repeat):
            yield from steps_of(item.body)


def timed(step: CyclerStep) -> tuple[tuple[End, ...], tuple[str, ...]]:
    """Give ends without capacities and waits, for formats that know neither, and what that changes."""
    remarks: list[str] = []
    ends: list[End] = []
    for end in (*step.ends, *((step.not_before,) if step.not_before is not None else ())):
        if end.what == "capacity" and step.mode in (Mode.CHARGE, Mode.DISCHARGE):
            lasting = end.value / step.current
            remarks.append(f"its end by capacity is said as a time, {duration(lasting)}")
            ends.append(End("time", True, lasting, end.guard))
        else:
            ends.append(end)
    if step.not_before is not None:
        remarks.append("it ends once all its ends are true; said as the first of them")
    return tuple(ends), tuple(remarks)


def cycler_program(exchange: Exchange, safety: SafetyLimits) -> CyclerProgram:
    """Give the items as one program of a cycler; sweeps are left out, loops without a step too."""
    steps: list[CyclerStep] = []
    loops: list[Loop] = []

    def add(items: tuple[Item, ...]) -> None:
        for item in items:
            if isinstance(item, Step):
                steps.append(item.cycling)
            elif isinstance(item, Repeat):
                first = len(steps) + 1
                add(item.body)
                if len(steps) >= first:
                    loops.append(Loop(first, len(steps), item.count))

    add(exchange.items)
    return CyclerProgram(exchange.name, tuple(steps), safety, tuple(_merged(loops)), exchange.capacity)


def _merged(loops: list[Loop]) -> list[Loop]:
    """Two loops of the same steps, one in the other, are one."""
    counts: dict[tuple[int, int], int] = {}
    for loop in loops:
        counts[loop.first, loop.last] = counts.get((loop.first, loop.last), 1) * loop.count
    return [Loop(first, last, count) for (first, last), count in counts.items()]


def items_of(program: CyclerProgram) -> tuple[Item, ...]:
    """Give a cycler's program as a tree of loops.

    Raises
    ------
    ValueError
        Its loops overlap.
    """
    loops = sorted(program.loops, key=lambda loop: (loop.first, -loop.last))

    def between(first: int, last: int, inner: list[Loop]) -> tuple[Item, ...]:
        found: list[Item] = []
        number = first
        while number <= last:
            loop = next((one for one in inner if one.first == number), None)
            if loop is None:
                found.append(Step(program.steps[number - 1], origin=f"step {number}"))
                number += 1
                continue
            if loop.last > last:
                raise ValueError(f"a loop of steps {loop.first} to {loop.last} leaves the loop around it")
            deeper = [one for one in inner if one is not loop and loop.first <= one.first <= loop.last]
            found.append(Repeat(loop.count, between(loop.first, loop.last, deeper)))
            number = loop.last + 1
        return tuple(found)

    return between(1, len(program.steps), loops)
