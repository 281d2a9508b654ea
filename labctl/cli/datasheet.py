"""What a protocol's datasheet says, as plain tables: no layout. Markdown and HTML are made from the same content.

Quantities stand as the protocol's author wrote them; durations are those of the plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.cli.datasheet_spectra import DASH, Table, long, spectra
from labctl.cli.diagram import Graph, graph_of, step_name
from labctl.interchange.wording import among
from labctl.protocol import (
    Block,
    Cycling,
    Dynamic,
    Placed,
    PlannedCell,
    PlannedOperation,
    Protocol,
    Together,
    blocks,
    expand,
    measured,
)
from labctl.protocol.nesting import Branch
from labctl.units import show

#: Said in columns of their own, or in the step's name.
_ELSEWHERE: Final = ("as", "at_most", "start_within", "on_timeout", "on_failure", "on_controller_loss", "cycles")
#: So many cycles in which cells may end are shown one by one; of more, the first and the last.
_FEW: Final = 6
_BY_CYCLE: Final = re.compile(r"\d|every |last|others")


@dataclass(frozen=True, slots=True)
class Datasheet:
    """Everything that a datasheet says."""

    name: str
    cites: str | None
    facts: tuple[tuple[str, str], ...]
    steps: tuple[Table, ...]
    spectra: tuple[Table, ...]
    graph: Graph
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The cell measured in other cycles than it says, so that every way through a protocol is seen."""

    id: str
    area: float
    capacity: float | None
    mass: float | None
    measure_at: tuple[int, ...]


def datasheet_of(protocol: Protocol, cell: PlannedCell, *, sketched: bool) -> Datasheet:
    """Gather what a datasheet says.

    Parameters
    ----------
    protocol : Protocol
        As it was read, with its document.
    cell : PlannedCell
        Whose currents and durations are told.
    sketched : bool
        Whether nobody chose the cell: its currents are not shown then.
    """
    ways = _ways(protocol, cell, sketched=sketched)
    plans = {cycles: expand(protocol, _Chosen(cell.id, cell.area, cell.capacity, cell.mass, cycles)) for cycles in ways}
    longest = max(plans.values(), key=len)
    found: dict[tuple[int, int], dict[str, PlannedOperation]] = {}
    placed = _Places(protocol)
    for plan in plans.values():
        for operation in plan:
            found.setdefault(placed.of(operation), {})[operation.path] = operation
    rows = [_block(protocol, at, block, found, cell, sketched=sketched) for at, block in enumerate(placed.blocks)]
    graph = graph_of(list(plans.values()), placed.name, placed.of)
    return Datasheet(
        protocol.protocol,
        protocol.cites,
        tuple(_facts(protocol, plans, cell, longest, sketched=sketched)),
        tuple(table for table in rows if table.rows),
        tuple(spectra(protocol, longest)),
        graph,
        tuple(_outcomes(found)),
    )


def _ways(protocol: Protocol, cell: PlannedCell, *, sketched: bool) -> list[tuple[int, ...]]:
    """Give the measured cycles of every cell that there can be: the chosen one, or all that the protocol allows."""
    if not sketched and cell.measure_at:
        return [tuple(cell.measure_at)]
    known = measured(protocol)
    if protocol.measure is not None and protocol.measure.then == "end" and len(known) > 1:
        few = known if len(known) <= _FEW else (known[0], known[-1])
        return [(one,) for one in few]
    return [()]


class _Places:
    """Which step of the file an operation comes from."""

    def __init__(self, protocol: Protocol) -> None:
        self.blocks = blocks(protocol)
        self._names: dict[str, dict[tuple[int, int], str]] = {}

    def of(self, operation: PlannedOperation) -> tuple[int, int]:
        """Give the number of the block and of the step."""
        number = int(operation.path.partition("/")[2].partition("-")[0])
        for at, block in enumerate(self.blocks):
            inside = block.first <= operation.cycle <= block.last
            if inside and any(step.number == number for step in block.steps):
                return at, number
        return len(self.blocks), number

    def name(self, operation: PlannedOperation) -> str:
        """Give a name that no step of another block has."""
        at, _ = self.of(operation)
        repeated = sum(block.repeated for block in self.blocks) > 1
        if not repeated or at >= len(self.blocks) or not self.blocks[at].repeated:
            return step_name(operation)
        block = self.blocks[at]
        return f"{step_name(operation)} (cycle {among(range(block.first, block.last + 1))})"


def _facts(
    protocol: Protocol,
    plans: Mapping[tuple[int, ...], Sequence[PlannedOperation]],
    cell: PlannedCell,
    longest: Sequence[PlannedOperation],
    *,
    sketched: bool,
) -> list[tuple[str, str]]:
    limits = protocol.limits
    facts = [
        ("limits of the voltage", f"{show(limits.voltage[0], 'V')} to {show(limits.voltage[1], 'V')}"),
        ("limit of the current", show(limits.current, "mA")),
    ]
    if limits.temperature is not None:
        low, high = (show(one, "degC") for one in limits.temperature)
        facts.append(("limits of the temperature", f"{low} to {high}"))
    if protocol.cutoffs is not None:
        upper, lower = show(protocol.cutoffs.upper, "V"), show(protocol.cutoffs.lower, "V")
        facts.append(("cut-offs", f"upper {upper}, lower {lower}"))
    facts.append(("cycles", str(max((one.cycle for one in longest), default=0))))
    if protocol.measure is not None:
        then = "a measured cell ends there" if protocol.measure.then == "end" else "a measured cell goes on, flagged"
        facts.append(("measured", f"cycle {among(measured(protocol))}; {then}"))
    else:
        facts.append(("measured", "no cycle by itself"))
    if not sketched:
        sizes = [f"area {show(cell.area, 'cm2')}"]
        sizes += [f"capacity {show(cell.capacity, 'mAh')}"] if cell.capacity is not None else []
        sizes += [f"mass {show(cell.mass, 'mg')}"] if cell.mass is not None else []
        facts.append(("shown for", f"{cell.id}: {', '.join(sizes)}"))
    if any(one.conditions for one in longest):
        facts.append(("counted", "every step that is planned; some are left out, by what is measured"))
    for cycles, plan in plans.items():
        known, open_, most = _total(plan, None if sketched else cell.capacity)
        which = f" of a cell measured at cycle {among(cycles)}" if len(plans) > 1 else ""
        text = f"{long(known)}" + (f", and {open_} step{'s' * (open_ > 1)} whose end the cell decides" if open_ else "")
        facts.append((f"duration{which}", f"{text}; at most {long(most)}, without waiting for instruments"))
    return facts


def _total(plan: Sequence[PlannedOperation], capacity: float | None) -> tuple[float, int, float]:
    """Give the seconds that are known, how many steps are not, and what all take at most."""
    expected = [_expected(one, capacity) for one in plan]
    most = sum((one.at_most or one.expected_duration or 0.0) + one.soak for one in plan)
    soaks = sum(one.soak for one in plan)
    return sum(one for one in expected if one is not None) + soaks, expected.count(None), most


def _expected(operation: PlannedOperation, capacity: float | None) -> float | None:
    """Give the seconds that an operation takes: as planned, or a whole capacity at its current; None if unknown."""
    if operation.expected_duration is not None:
        return operation.expected_duration
    asked = operation.parameters
    flowing = asked.cycling if isinstance(asked, Together) else asked
    if capacity is None or not isinstance(flowing, Cycling) or flowing.voltage is not None or not flowing.current:
        return None
    whole = capacity / flowing.current
    return min(whole, operation.at_most) if operation.at_most is not None else whole


def _block(
    protocol: Protocol,
    at: int,
    block: Block,
    found: Mapping[tuple[int, int], Mapping[str, PlannedOperation]],
    cell: PlannedCell,
    *,
    sketched: bool,
) -> Table:
    rows = [_step(protocol, block, step, list(found.get((at, step.number), {}).values()), cell, sketched=sketched)
            for step in block.steps]  # fmt: skip
    if block.repeated:
        caption = f"Steps of cycle {among(range(block.first, block.last + 1))}"
        caption += f", until {block.until.text}" if block.until is not None else ""
    else:
        caption = "Steps before the first cycle" if block.first == 0 else f"Steps at the end of cycle {block.last}"
    heads = ["step", "what", "done in", "expected", "at most"]
    return Table(caption, tuple(heads if sketched else [*heads, "current"]), tuple(rows))


def _step(
    protocol: Protocol,
    block: Block,
    step: Placed,
    operations: Sequence[PlannedOperation],
    cell: PlannedCell,
    *,
    sketched: bool,
) -> tuple[str, ...]:
    raw = _raw(protocol, step)
    label = f" '{raw['as']}'" if "as" in raw else ""
    where = _where(step, block, raw)
    main = [one for one in operations if one.kind == step.kind] or operations
    expected = _span([_expected(one, None if sketched else cell.capacity) for one in main])
    before = [one for one in operations if one not in main]
    if before:
        expected += f", after {_span([one.expected_duration for one in before])} for its {before[0].kind}"
    most = _span([one.at_most for one in main])
    cells = (f"{step.number:02d} {step.kind}{label}", _what(raw), where, expected, most)
    return cells if sketched else (*cells, _currents(main))


def _raw(protocol: Protocol, step: Placed) -> Mapping[str, Any]:
    data: Any = protocol.document.data
    for part in step.path:
        data = data[part]
    return data if isinstance(data, dict) else {}


def _where(step: Placed, block: Block, raw: Mapping[str, Any]) -> str:
    parts = []
    if block.repeated:
        where = "measured ones" if step.measured else "all"
        parts.append(f"{raw['cycles']} of {where}" if "cycles" in raw else where)
    for around in step.within:
        if isinstance(around, Branch):
            parts.append(f"if {'' if around.wants else 'not '}{around.condition.text}")
        elif around.until is not None:
            parts.append(f"at most {around.count} times, until {around.until.text}")
        else:
            parts.append(f"{around.count} times")
    return "; ".join(parts) or DASH


def _what(raw: Mapping[str, Any]) -> str:
    """Give what a step says, in the author's own quantities."""
    parts = [f"{_word(key)} {_value(value)}" for key, value in raw.items() if key not in _ELSEWHERE]
    if "start_within" in raw:
        late = raw["start_within"]
        then = f", else {late['else']}" if isinstance(late, dict) and "else" in late else ""
        within = late.get("within") if isinstance(late, dict) else late
        parts.append(f"starts within {within}{then}")
    parts += [f"{_word(key)} {raw[key]}" for key in ("on_timeout", "on_failure", "on_controller_loss") if key in raw]
    return "; ".join(parts) or DASH


def _word(key: str) -> str:
    return {"soak": "soaked", "limit": "limit:", "experiment": "by", "spectrum": "by"}.get(key, key.replace("_", " "))


def _value(value: Any) -> str:
    if isinstance(value, dict) and value and all(_BY_CYCLE.match(str(key)) for key in value):
        return ", ".join(f"{_value(inner)} (cycles {key})" for key, inner in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{_word(str(key))} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        joined = [f"({_value(one)})" if isinstance(one, dict) else _value(one) for one in value]
        if any(isinstance(one, dict) for one in value):
            return " or ".join(joined)
        return (" to " if all(one[:1].isdigit() for one in joined) else ", ").join(joined)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _currents(operations: Sequence[PlannedOperation]) -> str:
    currents: dict[float, None] = {}
    for one in operations:
        asked = one.parameters
        flowing = asked.cycling if isinstance(asked, Together) else asked
        if isinstance(flowing, (Cycling, Dynamic)) and flowing.current:
            currents[flowing.current] = None
    return " or ".join(show(one, "mA") for one in currents) or DASH


def _span(seconds: Sequence[float | None]) -> str:
    known = sorted({one for one in seconds if one is not None})
    if not known:
        return DASH
    if len(known) == 1 or long(known[0]) == long(known[-1]):
        return long(known[0])
    return f"{long(known[0])} to {long(known[-1])}"


def _outcomes(found: Mapping[tuple[int, int], Mapping[str, PlannedOperation]]) -> list[str]:
    """Say what holds a cell in this protocol, and what its failures leave."""
    holds: list[str] = []
    left: dict[str, list[str]] = {}
    for operations in found.values():
        one = next(iter(operations.values()))
        name = step_name(one)
        if one.at_most is not None and one.on_timeout == "hold" and one.expected_duration is None:
            holds.append(f"{name}, if its guard time of {long(one.at_most)} ends it")
        if one.start_within is not None and one.late == "hold":
            holds.append(f"{name}, if it can't start within {long(one.start_within)}")
        left.setdefault(one.on_failure.replace("_", " "), []).append(name)
    notes = [f"A cell is held at {hold}." for hold in dict.fromkeys(holds)]
    for state, names in left.items():
        which = "any step" if len(left) == 1 else ", ".join(dict.fromkeys(names))
        notes.append(f"A failure of {which} leaves the cell at {state}, held for a person.")
    return notes
