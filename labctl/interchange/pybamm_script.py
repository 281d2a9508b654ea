"""PyBaMM experiments: a short Python script whose steps are the strings that PyBaMM reads. Written only.

The strings keep to PyBaMM's documented form, 'Do this for so long or until this happens', with one end beside the time.
"""

from __future__ import annotations

from typing import Final

from labctl.errors import UsageError
from labctl.instruments.cycler import CyclerStep, End, Mode
from labctl.interchange.exchanged import Exchange, Item, Repeat, Step, timed
from labctl.interchange.wording import number

_INDENT: Final = "    "


class _Writer:
    def __init__(self) -> None:
        self.remarks: list[str] = []

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def tuple_of(self, items: tuple[Item, ...], deep: int) -> list[str]:
        """Give the lines of one cycle's steps; loops within it are written out."""
        lines: list[str] = []
        for item in items:
            if isinstance(item, Repeat):
                lines += self.tuple_of(item.body, deep) * item.count
            elif isinstance(item, Step):
                lines.append(f"{_INDENT * deep}{self._call(item)},")
            else:
                where = item.origin.partition("/")[2] or item.origin
                self.remark(f"{where}: PyBaMM's experiments know no impedance: left out")
        return lines

    def _call(self, item: Step) -> str:
        text = self.text(item)
        if item.temperature is None:
            return f'step("{text}")'
        return f'step("{text}", temperature={number(item.temperature)})'

    def text(self, item: Step) -> str:
        """Give the string of a step."""
        step, where = item.cycling, item.origin.partition("/")[2] or item.origin
        ends_left, said_of_them = timed(step)
        for remark in said_of_them:
            self.remark(f"{where}: {remark}")
        times = [end.value for end in ends_left if end.what == "time"]
        ways = [end for end in ends_left if end.what != "time"]
        if step.mode is Mode.REST:
            self._unsaid(ways, where)
            return f"Rest{_lasting(times)}"
        if any(end.guard for end in step.ends):
            self.remark(f"{where}: a guard time is an end like any other there, and the next step follows")
        said = next((end for end in ways if _SAYABLE.get((step.mode, end.what)) == end.above), None)
        self._unsaid([end for end in ways if end is not said], where)
        if said is not None and said.held:
            self.remark(f"{where}: its end by current must last {number(said.held)} s; said as an end at once")
        ends = _lasting(times) + (f"{' or' if times else ''} until {_ending(said)}" if said else "")
        if step.mode is Mode.HOLD:
            self.remark(f"{where}: the limit of its current can't be said: left out")
            return f"Hold at {number(step.voltage or 0.0)} V{ends}"
        return f"{'Charge' if step.mode is Mode.CHARGE else 'Discharge'} at {_current(step)}{ends}"

    def _unsaid(self, ends: list[End], where: str) -> None:
        for end in ends:
            self.remark(f"{where}: an end by {end.what} {'above' if end.above else 'below'} a limit: left out")


#: Ends that the strings can say: the mode, what ends it, and which way it must go.
_SAYABLE: Final = {
    (Mode.CHARGE, "voltage"): True,
    (Mode.DISCHARGE, "voltage"): False,
    (Mode.HOLD, "current"): False,
}


def _lasting(times: list[float]) -> str:
    if not times:
        return ""
    seconds = min(times)
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds % size == 0:
            return f" for {number(seconds / size)} {unit}"
    return f" for {number(seconds)} seconds"


def _current(step: CyclerStep) -> str:
    return f"{number(step.c_rate)}C" if step.c_rate is not None else f"{number(step.current)} A"


def _ending(end: End) -> str:
    return f"{number(end.value)} {'V' if end.what == 'voltage' else 'A'}"


def write_pybamm(exchange: Exchange) -> tuple[str, tuple[str, ...]]:
    """Give a Python script that makes ``experiment``, and what it does not say.

    Raises
    ------
    UsageError
        Nothing is left to be said.
    """
    writer = _Writer()
    lines: list[str] = []
    for item in exchange.items:
        count = item.count if isinstance(item, Repeat) else 1
        inner = writer.tuple_of(item.body if isinstance(item, Repeat) else (item,), 2)
        if inner:
            again = f"*([(\n{chr(10).join(inner)}\n{_INDENT})] * {count})," if count > 1 else ""
            lines.append(f"{_INDENT}{again}" if again else f"{_INDENT}(\n{chr(10).join(inner)}\n{_INDENT}),")
    if not lines:
        raise UsageError(f"{exchange.name} has no step that PyBaMM knows")
    low, high = exchange.voltage
    if low is not None or high is not None:
        writer.remark("the protocol's limits are not part of an experiment: the model's own cut-offs hold")
    what = f"Protocol {exchange.name} of labctl, its electrochemistry as an experiment of PyBaMM."
    notes = [*exchange.remarks, *writer.remarks]
    head = [f'"""{what}', "", *(f"- {_plain(note)}" for note in notes), '"""'] if notes else [f'"""{what}"""']
    script = [
        *head,
        "",
        "import pybamm",
        "",
        "step = pybamm.step.string",
        "cycles = [",
        *lines,
        "]",
        "experiment = pybamm.Experiment(cycles)",
    ]
    return "\n".join(script) + "\n", tuple(writer.remarks)


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")
