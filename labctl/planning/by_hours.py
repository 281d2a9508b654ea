"""Starts where people or instruments are there by hours: what ends a quarter of an hour too late waits for the morning.

Such a campaign is not one play: cells and chambers take a little longer or shorter than expected, and one spectrum that
misses its evening pushes those of the next day. Starts are therefore judged by several plays with other durations, and
by how late spectra are, not only by how many. Where fresh cells still wait long in a campaign near the lower bound,
longer ones are tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from labctl.planning.dispatch import Outcome, play
from labctl.planning.heuristic import all_at_once, construct, longest_start
from labctl.planning.problem import ALWAYS, Chain, Problem, Visit

#: How much longer than the lower bound (as factors) a campaign may be, the shortest first.
LENGTHS: Final = (1.03, 1.15, 1.3, 1.5)
#: A longer campaign is tried until fresh cells wait so much less (as a factor) than with all cells started at once.
WAITING: Final = 0.45
#: Plays, each with other durations: relative spread of what cells do by themselves, and s that a chamber may take
#: longer.
PLAYS: Final = 8
SPREAD: Final = 0.02
SETTLING: Final = 2400.0
#: A spectrum that is late counts as so many s of being late; a campaign that is too long by 1 s as so many.
LATE: Final = 4 * 3600.0
TOO_LONG: Final = 10.0
#: Changes that are tried for each length, and by how many s (standard deviation) a start is moved by a small one.
TRIES: Final = 200
STEP: Final = 4 * 3600.0

Starts = Mapping[str, float]


def is_by_hours(problem: Problem) -> bool:
    """Whether anybody or anything is not always there."""
    return bool(problem.closed) or any(one != ALWAYS for one in problem.people)


def propose_by_hours(
    problem: Problem, bound: float, seed: int, grid: float, waiting: Callable[[Starts], float]
) -> list[tuple[float, Starts]]:
    """Look for starts, for one length of the campaign after the other until fresh cells wait little enough.

    Parameters
    ----------
    grid : float
        Starts are whole multiples of so many s.
    waiting : callable
        How long fresh cells wait with some starts, as a part of that with all cells started at once.

    Returns
    -------
    list of (float, mapping of str to float)
        For each length that was tried, the shortest first: that part, and the starts.
    """
    plays = [_other(problem, seed + number) for number in range(PLAYS)]
    found: list[tuple[float, Starts]] = []
    for factor in LENGTHS:
        starts = _search(problem, plays, factor * bound, seed, grid)
        found.append((waiting(starts), starts))
        if found[-1][0] <= WAITING:
            break
    return found


def _search(problem: Problem, plays: Sequence[Problem], limit: float, seed: int, grid: float) -> Starts:
    """Change starts at random, those of cells that wait or are late first, and keep what makes all plays better."""
    draw = random.Random(seed)
    latest = {chain.cell: longest_start(problem, chain, limit) for chain in problem.chains}

    def on_grid(starts: Starts) -> dict[str, float]:
        return {cell: round(min(max(start, 0.0), latest[cell]) / grid) * grid for cell, start in starts.items()}

    def cost(outcomes: Sequence[Outcome]) -> float:
        return sum(_cost(outcome, limit) for outcome in outcomes)

    def played(starts: Starts) -> list[Outcome]:
        return [play(one, starts) for one in plays]

    begun = [on_grid(construct(problem, limit)), all_at_once(problem)]
    current, outcomes = min(((starts, played(starts)) for starts in begun), key=lambda one: cost(one[1]))
    best = cost(outcomes)
    for _ in range(TRIES):
        tried = on_grid(_changed(current, outcomes, latest, draw))
        seen: list[Outcome] = []
        # What went badly so far goes first: most changes are given up after a play or two.
        for index in sorted(range(len(plays)), key=lambda index: -_cost(outcomes[index], limit)):
            seen.append(play(plays[index], tried))
            if cost(seen) >= best:
                break
        else:
            current, outcomes = tried, played(tried)
            best = cost(outcomes)
    return current


def _changed(starts: Starts, outcomes: Sequence[Outcome], latest: Starts, draw: random.Random) -> dict[str, float]:
    trouble = dict.fromkeys(starts, 1800.0)
    for outcome in outcomes:
        for stay in outcome.stays:
            trouble[stay.cell] += 0.2 * stay.waited + 3 * stay.late
    [cell] = draw.choices(list(trouble), list(trouble.values()))
    way = draw.random()
    if way < 0.5:
        return {**starts, cell: starts[cell] + draw.gauss(0, STEP)}
    if way < 0.8:
        return {**starts, cell: draw.random() * latest[cell]}
    other = draw.choice(list(starts))
    return {**starts, cell: starts[other], other: starts[cell]}


def _cost(outcome: Outcome, limit: float) -> float:
    return TOO_LONG * max(outcome.makespan - limit, 0.0) + outcome.lateness + LATE * outcome.late


def _other(problem: Problem, seed: int) -> Problem:
    """Give the same laboratory with other cells of the same kinds."""
    draw = random.Random(seed)
    return problem.with_chains(tuple(_drawn(chain, draw) for chain in problem.chains))


def _drawn(chain: Chain, draw: random.Random) -> Chain:
    pace = 1 + draw.gauss(0, SPREAD)

    def drawn(visit: Visit) -> Visit:
        if visit.setting is not None:
            return replace(visit, soak=visit.soak + draw.random() * SETTLING)
        return visit if visit.needs else replace(visit, work=visit.work * pace)

    return replace(chain, visits=tuple(map(drawn, chain.visits)))
