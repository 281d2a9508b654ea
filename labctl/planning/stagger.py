"""Proposes when each cell should start, and which cell of a group is measured at which cycle.

What is wanted, in this order: no measurement later than the protocol asks, an early end, little waiting of fresh cells.
Within :data:`NEAR` of the lower bound where that can be; where more than a few measurements would be late then, longer
campaigns are tried, and both are told. The figures here are those of a play of the campaign; what counts is a run of
the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from labctl.planning import solver
from labctl.planning.bound import LowerBound, lower_bound
from labctl.planning.dispatch import Outcome, play
from labctl.planning.heuristic import Score, all_at_once, construct, improve, score
from labctl.planning.problem import Chain, Problem

#: How much longer than the lower bound (as a factor) a campaign may be before anything else is given up for it. Cells
#: differ from what was expected of them, which makes it longer by another percent or two.
NEAR: Final = 1.03
#: Which part of the measurements that have a time may be late before a longer campaign is tried: cells differ from
#: what is expected of them, so that a play is not more exact than that.
TOLERATED: Final = 0.05
#: What is tried where more of them would be late.
FURTHER: Final = (1.12,)
#: Seconds: starts are whole multiples, so that they can be written in hours with two decimals.
GRID: Final = 180.0
#: Cells that are tried to be moved after each turn.
ROUNDS: Final = 40

Method = Literal["auto", "cp-sat", "heuristic"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed.

    Attributes
    ----------
    starts : mapping of str to float
        By cell, s after the campaign's beginning, whole multiples of :data:`GRID`.
    measure_at : mapping of str to tuple of int
        Of cells whose cycles are others than the cells file says.
    method : str
        ``cp-sat`` or ``heuristic``: what found it.
    bound : LowerBound
        Of the makespan.
    at_once, played : Outcome
        A play with all cells started at once, and with the proposal.
    late_if_near : int or None
        Measurements that would be late in the best campaign near the bound, where the proposal is a longer one.
    """

    starts: Mapping[str, float]
    measure_at: Mapping[str, tuple[int, ...]]
    method: str
    bound: LowerBound
    at_once: Outcome
    played: Outcome
    late_if_near: int | None = None


def propose(
    problem: Problem,
    *,
    method: Method = "auto",
    effort: float = 6.0,
    seed: int = 0,
    margin: float = 0.0,
    assign: bool = False,
) -> Proposal:
    """Propose starts; the same arguments give the same answer.

    Parameters
    ----------
    method : str
        ``auto`` takes CP-SAT where it is installed.
    effort : float
        Of the solver, in its deterministic seconds, for each length of the campaign that is tried.
    margin : float
        By which part of its time since the start a cell may be earlier or later than expected.
    assign : bool
        Whether cells of one group may exchange the cycles in which they are measured.

    Raises
    ------
    NeverEnds
        The campaign can't come to its end.
    ImportError
        CP-SAT is asked for and not installed.
    """
    with_solver = method == "cp-sat" or (method == "auto" and solver.is_installed())
    bound = lower_bound(problem)
    measure_at: dict[str, tuple[int, ...]] = {}
    found, used = _starts(problem, bound.seconds, NEAR, with_solver, effort, seed, margin)
    if assign:
        problem, found, measure_at = exchange(problem, found, bound.seconds)
    best = score(problem, play(problem, found), bound.seconds)
    late_if_near = best[0]
    timed = sum(visit.within is not None for chain in problem.chains for visit in chain.visits)
    for factor in FURTHER:
        if best[0] <= TOLERATED * timed:
            break
        other, other_used = _starts(problem, bound.seconds, factor, with_solver, effort, seed, margin)
        judged = score(problem, play(problem, other), bound.seconds)
        if judged < best:
            best, found, used = judged, other, other_used
    played = play(problem, found)
    return Proposal(
        starts=found,
        measure_at=measure_at,
        method=used,
        bound=bound,
        at_once=play(problem, all_at_once(problem)),
        played=played,
        late_if_near=late_if_near if played.late < late_if_near else None,
    )


def _starts(
    problem: Problem, bound: float, factor: float, with_solver: bool, effort: float, seed: int, margin: float
) -> tuple[dict[str, float], str]:
    """Find starts for one length of the campaign; the best of what was tried, and what found it."""
    limit = bound * factor

    def judged(starts: Mapping[str, float]) -> Score:
        return score(problem, play(problem, _on_grid(starts)), bound)

    tried: list[tuple[Score, str, dict[str, float]]] = []

    def keep(starts: Mapping[str, float], by: str) -> None:
        better = improve(problem, _on_grid(starts), bound, limit, rounds=ROUNDS, seed=seed, margin=margin, judge=judged)
        tried.append((judged(better), by, _on_grid(better)))

    keep(construct(problem, limit, margin), "heuristic")
    once = all_at_once(problem)
    tried.append((judged(once), "heuristic", once))
    if with_solver:
        first = min(tried, key=lambda one: one[0])[2]
        solved = solver.solve(problem, limit, first, effort=effort, seed=seed + 1)
        if solved is not None:
            keep(solved.starts, "cp-sat")
    _, by, starts = min(tried, key=lambda one: one[0])
    return starts, by


def _on_grid(starts: Mapping[str, float]) -> dict[str, float]:
    return {cell: round(start / GRID) * GRID for cell, start in starts.items()}


def exchange(
    problem: Problem, starts: Mapping[str, float], bound: float
) -> tuple[Problem, dict[str, float], dict[str, tuple[int, ...]]]:
    """Let cells of a group exchange the cycles in which they are measured, with their starts, where that is better.

    Cells that are alike gain nothing by it: only where priority or pace differ is there anything to gain.
    """
    chains = {chain.cell: chain for chain in problem.chains}
    asked = {chain.cell: chain.measure_at for chain in problem.chains}
    current = dict(starts)
    best = score(problem, play(problem, current), bound)
    names = list(chains)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            if not _may_exchange(chains[one], chains[other]):
                continue
            swapped = {
                **chains,
                one: _with_cycles_of(chains[one], chains[other]),
                other: _with_cycles_of(chains[other], chains[one]),
            }
            moved = {**current, one: current[other], other: current[one]}
            changed = problem.with_chains(tuple(swapped.values()))
            judged = score(changed, play(changed, moved), bound)
            if judged < best:
                best, chains, current, problem = judged, swapped, moved, changed
    others = {chain.cell: chain.measure_at for chain in problem.chains if chain.measure_at != asked[chain.cell]}
    return problem, current, others


def _may_exchange(one: Chain, other: Chain) -> bool:
    if one.group != other.group or one.measure_at == other.measure_at:
        return False
    return one.priority != other.priority


def _with_cycles_of(cell: Chain, other: Chain) -> Chain:
    return replace(cell, visits=other.visits, measure_at=other.measure_at)
