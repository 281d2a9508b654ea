"""Where a cell can be in a protocol: a graph got by driving the cell's own state machine through its plan.

Nothing is drawn by hand: the states and what leads from one to another are those of :mod:`labctl.cell`, and the steps
within 'under way' are those that a :class:`CellMachine` walks through. The same graph becomes Mermaid and SVG.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from labctl.cell import CellMachine, transitions
from labctl.interchange.wording import among
from labctl.protocol import PlannedOperation

_UNDER_WAY: Final = transitions()[0].source
_PASS: Final = re.compile(r"-r\d+(?=-)")
_ROW, _WIDTH, _HEIGHT, _LEFT, _TOP = 46, 300, 28, 190, 64
_ASIDE: Final = 20


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps in the order of the protocol, what leads from one to the next in which cycles, and the states around them.

    Attributes
    ----------
    steps : tuple of str
        Names of the steps.
    moves : mapping of (int, int) to tuple of int
        From step to step, in these cycles (of the step that is left).
    first : int
        The step that a cell begins with.
    back : frozenset of (int, int)
        Moves that begin another cycle or repetition.
    last : tuple of int
        Steps after which a cell is finished.
    decided : bool
        Whether some steps are done or not by what is measured.
    outer : tuple of (source, trigger, target, condition)
        Transitions of the machine, where the state changes.
    """

    steps: tuple[str, ...]
    moves: dict[tuple[int, int], tuple[int, ...]]
    first: int
    back: frozenset[tuple[int, int]]
    last: tuple[int, ...]
    decided: bool
    outer: tuple[tuple[str, str, str, str], ...]


def graph_of(
    plans: Sequence[Sequence[PlannedOperation]],
    named: Callable[[PlannedOperation], str],
    place: Callable[[PlannedOperation], tuple[int, ...]],
) -> Graph:
    """Drive the machine of a cell through each plan, and keep where it has been.

    Parameters
    ----------
    plans : sequence
        A plan for each way in which the protocol treats cells, such as one for each measured cycle.
    named : callable
        Gives the name of an operation's step, the same in every cycle.
    place : callable
        Gives where that step stands in the protocol, to sort them by.
    """
    walks = list(dict.fromkeys(tuple(_walked(way)) for plan in plans for way in _ways(plan)))
    places: dict[str, tuple[int, ...]] = {}
    for one in (one for walk in walks for one in walk):
        places.setdefault(named(one), (*place(one), len(places)))
    order = {name: at for at, name in enumerate(sorted(places, key=places.__getitem__))}
    moves: dict[tuple[int, int], set[int]] = {}
    for walk in walks:
        for before, now in itertools.pairwise(walk):
            moves.setdefault((order[named(before)], order[named(now)]), set()).add(before.cycle)
    last = {order[named(walk[-1])] for walk in walks if walk}
    back = [move for move in moves if move[1] <= move[0]]
    return Graph(
        tuple(order),
        {move: tuple(sorted(cycles)) for move, cycles in sorted(moves.items())},
        min((order[named(walk[0])] for walk in walks if walk), default=0),
        frozenset(back),
        tuple(sorted(last)),
        any(one.conditions for plan in plans for one in plan),
        tuple((one.source, one.trigger, one.to, one.condition) for one in transitions() if one.to != one.source),
    )


def _ways(plan: Sequence[PlannedOperation]) -> list[list[PlannedOperation]]:
    """Give what is left of a plan where every ``when`` holds or none does, and every loop ends early or late."""
    if not any(one.conditions for one in plan):
        return [list(plan)]
    return [
        [one for one in plan if all(asked.wants is (ended if asked.number else holds) for asked in one.conditions)]
        for holds in (True, False)
        for ended in (False, True)
    ]


def _walked(plan: Sequence[PlannedOperation]) -> list[PlannedOperation]:
    """Give the operations in the order in which the machine of a cell comes to them."""
    operations = {one.path: one for one in plan}
    machine = CellMachine("cell", list(operations))
    walked = []
    while machine.step is not None:
        walked.append(operations[machine.step])
        machine.fire("complete")
    return walked


def step_name(operation: PlannedOperation) -> str:
    """Give the part of a path that is the same in every cycle and repetition."""
    return _PASS.sub("", operation.path.partition("/")[2])


def _when(graph: Graph, move: tuple[int, int]) -> str:
    """Say in which cycles a move is made, where not always when its step is left."""
    others = [set(cycles) for other, cycles in graph.moves.items() if other[0] == move[0] and other != move]
    own = graph.moves[move]
    if not others and move[0] not in graph.last:
        return ""
    # What is told apart by no cycle is decided by what is measured.
    measured = graph.decided and any(not cycles.isdisjoint(own) for cycles in others)
    if own == (0,) or (measured and all(cycles == set(own) for cycles in others)):
        return "as measured" if measured else ""
    return f"{'after ' if move in graph.back else ''}cycle {among(own)}{', as measured' * measured}"


def _words(condition: str) -> str:
    return condition.replace("at_last", "at its last step").replace("_", " ")


def mermaid(graph: Graph) -> str:
    """Give the diagram as Mermaid text."""
    known = dict.fromkeys(name for source, _, target, _ in graph.outer for name in (source, target))
    state = {name: name.replace(" ", "_") for name in known}
    lines = [
        "stateDiagram-v2",
        f'    state "{_UNDER_WAY}" as {state[_UNDER_WAY]} {{',
        f"        [*] --> s{graph.first + 1}",
    ]
    lines += [f'        state "{name}" as s{at}' for at, name in enumerate(graph.steps, start=1)]
    for move in graph.moves:
        label = _when(graph, move)
        lines.append(f"        s{move[0] + 1} --> s{move[1] + 1}{f' : {label}' if label else ''}")
    lines += [f"        s{at + 1} --> [*]" for at in graph.last]
    lines += ["    }", f"    [*] --> {state[_UNDER_WAY]}"]
    for source, trigger, target, condition in graph.outer:
        more = f" ({_words(condition)})" if condition else ""
        lines.append(f"    {state[source]} --> {state[target]} : {trigger}{more}")
    sources = {source for source, *_ in graph.outer}
    lines += [f"    {state[one]} --> [*]" for one in state if one not in sources]
    return "\n".join(lines)


def svg(graph: Graph) -> str:
    """Give the diagram as a picture, with nothing fetched from anywhere."""
    rows = len(graph.steps)
    arcs = sorted(move for move in graph.moves if move[1] != move[0] + 1)
    right = [move for move in arcs if move[1] > move[0]]
    left = [move for move in arcs if move[1] <= move[0]]
    reach = {move: 34 + _ASIDE * at for at, move in enumerate(sorted(right, key=lambda one: one[1] - one[0]))}
    reach |= {move: 34 + _ASIDE * at for at, move in enumerate(sorted(left, key=lambda one: one[0] - one[1]))}
    begin = max([60, *(reach[move] + _LEFT + 20 for move in left)])
    beyond = max([60, *(reach[move] + 180 for move in right)])
    outer = [one for one in dict.fromkeys(target for _, _, target, _ in graph.outer) if one != _UNDER_WAY]
    box = (20, 20, begin + _WIDTH + beyond - 20, max(_TOP + rows * _ROW, 110 * len(outer)) + 10)
    column = box[0] + box[2] + 230
    size = (column + 150, max(box[3] + 40, 80 + 110 * len(outer)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'style="max-width:{size[0]}px;width:100%" font-family="system-ui, sans-serif" font-size="13">',
        "<title>Where a cell can be: its steps, and the states around them</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="#444"/></marker></defs>',
        _rectangle(*box, "#f4f7fa", 14),
        _text(box[0] + 16, box[1] + 24, _UNDER_WAY, bold=True),
    ]
    for at, name in enumerate(graph.steps):
        y = _TOP + at * _ROW
        parts += [_rectangle(begin, y, _WIDTH, _HEIGHT, "#ffffff", 6), _text(begin + 10, y + 19, name)]
        if (at, at + 1) in graph.moves:
            middle = begin + 40
            parts.append(_arrow(f"M{middle} {y + _HEIGHT}L{middle} {y + _ROW}"))
            parts.append(_text(middle + 8, y + _HEIGHT + 13, _when(graph, (at, at + 1)), small=True))
    for move in arcs:
        y0, y1 = (_TOP + at * _ROW + _HEIGHT / 2 for at in move)
        # What leaves and what comes do not lie on one another.
        y0, y1 = y0 + 5, y1 - 5
        forward = move in right
        edge = begin + _WIDTH if forward else begin
        far = edge + reach[move] * (1 if forward else -1)
        parts.append(_arrow(f"M{edge} {y0}L{far} {y0}L{far} {y1}L{edge} {y1}"))
        label = _when(graph, move)
        if forward:
            parts.append(_text(far + 4, (y0 + y1) / 2 + 4 + 12 * (right.index(move) % 2), label, small=True))
        else:
            beside = begin - max(reach[one] for one in left) - 6
            parts.append(_text(beside, y1 + 10 + 14 * left.index(move), label, small=True, left=False))
    for at, name in enumerate(outer):
        y = 40 + 110 * at
        parts += [_rectangle(column, y, 120, 40, "#eef3ee", 8), _text(column + 14, y + 25, name, bold=True)]
        ways = [one for one in graph.outer if _UNDER_WAY in (one[0], one[2]) and name in (one[0], one[2])]
        for place, (source, trigger, _, condition) in enumerate(ways):
            level = y + 12 + 18 * place
            ends = (box[0] + box[2], column)
            start, stop = ends if source == _UNDER_WAY else (ends[1], ends[0])
            parts.append(_arrow(f"M{start} {level}L{stop} {level}"))
            more = f" ({_words(condition)})" if condition else ""
            parts.append(_text(ends[0] + 10, level - 4, f"{trigger}{more}", small=True))
    # Between the states around: from the held ones to the ends.
    others = [one for one in graph.outer if _UNDER_WAY not in (one[0], one[2])]
    for place, (source, trigger, target, _) in enumerate(others):
        y0, y1 = 60 + 110 * outer.index(source), 60 + 110 * outer.index(target)
        far = column + 120 + 8 + 10 * place
        parts.append(_arrow(f"M{column + 120} {y0 + 6 * place}L{far} {y0 + 6 * place}L{far} {y1}L{column + 120} {y1}"))
        parts.append(_text(column + 14, y1 + 34, f"{trigger}, also held", small=True))
    parts.append("</svg>")
    return "\n".join(parts)


def _rectangle(x: float, y: float, width: float, height: float, fill: str, radius: int) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="#667" '
        'stroke-width="1.2"/>'
    )


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#444" stroke-width="1.2" marker-end="url(#tip)"/>'


def _text(x: float, y: float, words: str, *, bold: bool = False, small: bool = False, left: bool = True) -> str:
    if not words:
        return ""
    look = (' font-weight="600"' if bold else "") + (' font-size="11" fill="#555"' if small else "")
    look += "" if left else ' text-anchor="end"'
    return f'<text x="{x}" y="{y}"{look}>{escape(words)}</text>'
