"""From steps that another program wrote to the text of a protocol file; what had to be assumed stands in its head."""

from __future__ import annotations

import re
from typing import Final

from labctl.errors import UsageError
from labctl.instruments.cycler import CyclerStep, End, Mode
from labctl.interchange.exchanged import Exchange, Item, Repeat, Sweep, steps_of
from labctl.interchange.wording import current, duration, number, quantity

#: Guard time of a step that came without one.
GUARD: Final = 48 * 3600.0
#: Where the limits lie beyond the voltages of the steps, V, where a file has none.
MARGIN: Final = 0.1


class _Text:
    """The steps of a file, and what was remarked on the way."""

    def __init__(self, exchange: Exchange) -> None:
        self.remarks = list(exchange.remarks)
        self.spectra: dict[Sweep, str] = {}
        steps = [step.cycling for step in steps_of(exchange.items)]
        currents = [step.current for step in steps if step.c_rate is None]
        self.current = exchange.current or max(currents, default=0.0) or 1e-3
        if exchange.current is None:
            self._remark(f"limits: no limit of the current is in the file: {current(self.current)}, its largest, taken")
        volts = [step.voltage for step in steps if step.voltage is not None]
        volts += [end.value for step in steps for end in step.ends if end.what == "voltage"]
        self.low, self.high = self._voltages(exchange.voltage, volts)

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def _voltages(self, known: tuple[float | None, float | None], volts: list[float]) -> tuple[float, float]:
        if None in known and not volts:
            raise UsageError("no voltage is in the file, so nothing can be said for the limits of the protocol")
        low = known[0] if known[0] is not None else round(min(volts) - MARGIN, 6)
        high = known[1] if known[1] is not None else round(max(volts) + MARGIN, 6)
        if None in known:
            self._remark(f"limits: not all are in the file: {number(low)} V to {number(high)} V taken from its steps")
        return low, high

    def lines(self, items: tuple[Item, ...], deep: int, *, looped: bool) -> list[str]:
        found: list[str] = []
        for item in items:
            if isinstance(item, Repeat):
                # A cycle has a number; what is repeated within one has none.
                body = self.lines(item.body, deep + 3, looped=True)
                pad = "  " * deep
                kind = "repeat" if looped else "cycle"
                found += [f"{pad}- {kind}:", f"{pad}    count: {item.count}", f"{pad}    steps:", *body] if body else []
            else:
                said = self._sweep(item) if isinstance(item, Sweep) else self._step(item.cycling, item.origin)
                if said:
                    found.append(f"{'  ' * deep}- {said}")
        return found

    def _sweep(self, sweep: Sweep) -> str:
        name = self.spectra.setdefault(sweep, f"spectrum-{len(self.spectra) + 1}")
        return f"eis: {{as: {name}, spectrum: {name}}}"

    def _step(self, step: CyclerStep, where: str) -> str:
        times = [end for end in step.ends if end.what == "time"]
        ways = [end for end in step.ends if end.what != "time"]
        if step.mode is Mode.REST:
            self._left_out(ways, where)
            if not times:
                self._remark(f"{where}: a rest without a time can't be said: left out")
                return ""
            return f"rest: {{duration: {duration(min(end.value for end in times))}}}"
        if step.mode is Mode.HOLD:
            return self._hold(step, ways, times, where)
        up = step.mode is Mode.CHARGE
        said = [end for end in ways if end.what == "voltage" and end.above is up]
        self._left_out([end for end in ways if end not in said and end.what != "capacity"], where)
        ending = [f"voltage: {number((min if up else max)(end.value for end in said))} V"] if said else []
        ending += [f"capacity: {number(round(end.value / 3.6, 9))} mAh" for end in ways if end.what == "capacity"]
        flowing = f"{number(step.c_rate)}C" if step.c_rate is not None else current(step.current)
        return f"{step.mode}: {{current: {flowing}, {self._until(ending, times, where)}}}"

    def _hold(self, step: CyclerStep, ways: list[End], times: list[End], where: str) -> str:
        fallen = [end for end in ways if end.what == "current" and not end.above]
        self._left_out([end for end in ways if end not in fallen], where)
        if step.current > 0:
            limit = step.current
        else:
            limit = self.current
            self._remark(f"{where}: no limit of the current of a hold is in the file: {current(limit)} taken")
        ending = []
        if fallen:
            lasting = f", for: {duration(fallen[0].held)}" if fallen[0].held else ""
            ending = [f"current: {current(fallen[0].value)}{lasting}"]
        held = f"voltage: {number(step.voltage or 0.0)} V, limit: {{current: {current(limit)}}}"
        return f"hold: {{{held}, {self._until(ending, times, where)}}}"

    def _until(self, ending: list[str], times: list[End], where: str) -> str:
        """Say what ends a step. A time that leads on is an end; one that does not is a guard time."""
        guards = [end.value for end in times if end.guard]
        plain = [end.value for end in times if not end.guard]
        ending = [*ending, *([f"duration: {duration(min(plain))}"] if plain else [])]
        if not ending:
            ending = [f"duration: {duration(min(guards, default=GUARD))}"]
            self._remark(f"{where}: nothing but a guard time ends it: said as its end")
            guards = []
        until = ending[0] if len(ending) == 1 else f"any: [{', '.join(f'{{{one}}}' for one in ending)}]"
        if guards:
            return f"until: {{{until}}}, at_most: {duration(min(guards))}"
        if not times:
            self._remark(f"{where}: no time ends it: 'at_most: {duration(GUARD)}' taken")
            return f"until: {{{until}}}, at_most: {duration(GUARD)}"
        return f"until: {{{until}}}"

    def _left_out(self, ends: list[End], where: str) -> None:
        for end in ends:
            beyond = "above" if end.above else "below"
            self._remark(f"{where}: an end by {end.what} {beyond} {number(end.value)} can't be said: left out")


def protocol_text(exchange: Exchange, source: str) -> tuple[str, tuple[str, ...]]:
    """Give the text of a protocol file, and what could not be said or had to be assumed.

    Raises
    ------
    UsageError
        There is nothing that a protocol could say.
    """
    text = _Text(exchange)
    steps = text.lines(exchange.items, 1, looped=False)
    if not steps:
        raise UsageError(f"{source} has no step that a protocol could say")
    name = re.sub(r"[^a-z0-9]+", "-", exchange.name.lower()).strip("-")[:40] or "imported"
    low, high = number(text.low), number(text.high)
    head = [f"# Imported from {_line(source)}; read it before it is run."]
    head += [f"# - {_line(remark)}" for remark in text.remarks]
    body = [
        "labctl: 1",
        f"protocol: {name if name[0].isalpha() else f'p-{name}'}",
        f"limits: {{voltage: [{low} V, {high} V], current: {current(text.current)}}}",
        "steps:",
        *steps,
    ]
    if text.spectra:
        body.append("spectra:")
    for sweep, label in text.spectra.items():
        control = "galvanostatic" if sweep.galvanostatic else "potentiostatic"
        amplitude = current(sweep.amplitude) if sweep.galvanostatic else quantity(sweep.amplitude, "V")
        body.append(
            f"  {label}: {{control: {control}, frequency: [{number(sweep.start)} Hz, {number(sweep.end)} Hz], "
            f"points_per_decade: {sweep.points_per_decade}, periods: {sweep.periods}, amplitude: {amplitude}}}"
        )
    return "\n".join([*head, *body]) + "\n", tuple(text.remarks)


def _line(text: str) -> str:
    return " ".join(text.split())
