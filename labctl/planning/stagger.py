"""Proposes when each cell should start. Which home it has and when it is measured is settled before, in ``placing``.

What is wanted, in this order: no measurement later than the protocol asks, an early end, little waiting of fresh cells.
Within :data:`NEAR` of the lower bound where people are always there; where they are not, see ``by_hours``. The figures
here are those of a play of the campaign; what counts is a run of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from labctl.planning import solver
from labctl.planning.bound import LowerBound, lower_bound
from labctl.planning.by_hours import is_by_hours, propose_by_hours
from labctl.planning.dispatch import Outcome, play
from labctl.planning.heuristic import Score, all_at_once, construct, improve, score
from labctl.planning.problem import Problem

#: How much longer than the lower bound (as a factor) a campaign may be before anything else is given up for it. Cells
#: differ from what was expected of them, which makes it longer by another percent or two.
NEAR: Final = 1.03
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
    method : str
        ``cp-sat`` or ``heuristic``: what found it.
    bound : LowerBound
        Of the makespan.
    at_once, played : Outcome
        A play with all cells started at once, and with the proposal.
    near : mapping of str to float, or None
        Starts of the best campaign near the bound, where a longer one is proposed because fresh cells wait too long
        in that.
    """

    starts: Mapping[str, float]
    method: str
    bound: LowerBound
    at_once: Outcome
    played: Outcome
    near: Mapping[str, float] | None = None


def propose(
    problem: Problem,
    *,
    method: Method = "auto",
    effort: float = 6.0,
    seed: int = 0,
    margin: float = 0.0,
    waiting: Callable[[Mapping[str, float]], float] = lambda starts: 0.0,
) -> Proposal:
    """Propose starts; the same arguments give the same answer.

    Parameters
    ----------
    method : str
        ``auto`` takes CP-SAT where it is installed and people are always there; what it finds by hours is worse
        than the heuristic's when cells differ from what is expected of them.
    effort : float
        Of the solver, in its deterministic seconds, for each length of the campaign that is tried.
    margin : float
        By which part of its time since the start a cell may be earlier or later than expected.
    waiting : callable
        How long fresh cells wait with some starts, as a part of that with all cells started at once; where people are
        there by hours and that is too much, longer campaigns are tried.

    Raises
    ------
    NeverEnds
        The campaign can't come to its end.
    ImportError
        CP-SAT is asked for and not installed.
    """
    with_solver = method == "cp-sat" or (method == "auto" and solver.is_installed())
    bound = lower_bound(problem)
    near: Mapping[str, float] | None = None
    if is_by_hours(problem) and method != "cp-sat":
        lengths = propose_by_hours(problem, bound.seconds, seed, GRID, waiting)
        _, best = min(lengths, key=lambda one: one[0])
        found, used = dict(best), "heuristic"
        near = lengths[0][1] if best is not lengths[0][1] else None
    else:
        found, used = _starts(problem, bound.seconds, NEAR, with_solver, effort, seed, margin)
    return Proposal(
        starts=found,
        method=used,
        bound=bound,
        at_once=play(problem, all_at_once(problem)),
        played=play(problem, found),
        near=near,
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
