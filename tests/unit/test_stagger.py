"""Proposed starts: what holds for every laboratory, and what they bring to many cells at one spectrometer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import LabctlError
from labctl.planning import by_hours, solver
from labctl.planning.bound import Job, lower_bound, preemptive
from labctl.planning.cells_file import with_starts
from labctl.planning.dispatch import NeverEnds, Outcome, play
from labctl.planning.heuristic import all_at_once, construct, score
from labctl.planning.problem import ALWAYS, NEVER, Chain, Problem, Visit, Windows
from labctl.planning.stagger import GRID, propose

HOUR = 3600.0
DAY = 24 * HOUR
WORKDAYS = Windows(tuple((day * DAY, day * DAY + 11 * HOUR) for day in range(200) if day % 7 < 5))


@pytest.fixture(autouse=True, scope="module")
def _few_tries() -> Iterator[None]:
    """Few cells need no long search."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(by_hours, "TRIES", 30)
        yield


def spectrum(path: str, within: float | None = None, soak: float = 0.0) -> Visit:
    return Visit(path, ("topspin",), 0.15 * HOUR, 600.0, 350.0, soak, within)


def dead_lithium(cell: str, cycle: int) -> Chain:
    """The visits of a cell of the paper's dead-lithium protocol, to whole hours."""
    visits = (
        Visit("c000/01-rest", (), 12 * HOUR),
        spectrum("c000/02-nmr-pristine"),
        Visit("c001/01-charge", (), (13 if cycle == 1 else 36 + 9.5 * cycle) * HOUR),
        spectrum("cm/02-nmr-charged", 2 * HOUR),
        Visit("cm/04-discharge", (), 3.8 * HOUR),
        spectrum("cm/05-nmr-discharged", 2 * HOUR),
        Visit("cm/07-hold", ("slots of oven",), 2 * HOUR, 600.0, stays=("slots of oven",), setting=("oven", 313.15)),
        spectrum("cm/08-nmr-dead", soak=2 * HOUR),
        Visit("cm/09-eis", ("zahner",), 0.6 * HOUR),
    )
    return Chain(cell, "bare", visits, (cycle,))


def laboratory(cells: int, *people: Windows) -> Problem:
    chains = tuple(dead_lithium(f"cell-{number:02d}", (1, 15, 30)[number % 3]) for number in range(cells))
    return Problem(chains, {"slots of oven": 8}, people or (ALWAYS,))


NEEDS = st.sampled_from([(), ("topspin",), ("zahner",), ("oven",), ("topspin", "zahner")])
MINUTES = st.integers(1, 600).map(lambda minutes: minutes * 60.0)
WALKS = st.sampled_from([0.0, 300.0, 900.0])


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    needs = draw(NEEDS)
    carried = draw(WALKS) if needs else 0.0
    within = draw(st.none() | st.just(2 * HOUR))
    setting = ("chamber", draw(st.sampled_from([293.15, 313.15]))) if needs == ("oven",) else None
    return Visit("step", needs, draw(MINUTES), carried, carried, 0.0, within, setting=setting)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    chains = []
    for number in range(draw(st.integers(1, 5))):
        made = draw(st.lists(visits(), min_size=1, max_size=5))
        named = tuple(replace(visit, path=f"{index:02d}-step") for index, visit in enumerate(made))
        chains.append(Chain(f"cell-{number}", "group", named, priority=draw(st.integers(3, 6))))
    people = draw(st.sampled_from([(ALWAYS,), (WORKDAYS,), (WORKDAYS, ALWAYS), ()]))
    booked = {"zahner": Windows(((5 * HOUR, 9 * HOUR),))} if draw(st.booleans()) else {}
    return Problem(tuple(chains), {"oven": 2}, people, booked)


STARTS = st.lists(st.integers(0, 100).map(lambda hours: hours * HOUR), min_size=5, max_size=5)


def check(problem: Problem, outcome: Outcome) -> None:
    """What no plan may break, whoever made it."""
    chains = {chain.cell: chain for chain in problem.chains}
    by_cell: dict[str, list] = {}
    for stay in outcome.stays:
        by_cell.setdefault(stay.cell, []).append(stay)
    holds: dict[str, list[tuple[float, float]]] = {}
    for cell, stays in by_cell.items():
        chain = chains[cell]
        assert [stay.path for stay in stays] == [visit.path for visit in chain.visits], "every visit, in order"
        assert stays[0].asked >= outcome.starts[cell] >= 0
        for before, after in itertools.pairwise(stays):
            assert after.begun >= before.ended, "one after the other"
        for visit, stay in zip(chain.visits, stays, strict=True):
            assert stay.begun <= stay.started <= stay.worked <= stay.ended
            for name in visit.needs:
                holds.setdefault(name, []).append((stay.begun, stay.ended))
    for name, spans in holds.items():
        changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
        most = max(itertools.accumulate(change for _, change in changes))
        assert most <= problem.units(name), f"{name} is held by too many"


@settings(max_examples=25, deadline=None)
@given(problems(), STARTS)
def test_no_two_cells_ever_have_what_there_is_one_of(problem: Problem, starts: list[float]) -> None:
    given_starts = {chain.cell: start for chain, start in zip(problem.chains, starts, strict=False)}
    outcome = play(problem, given_starts)
    check(problem, outcome)


@settings(max_examples=25, deadline=None)
@given(problems(), STARTS)
def test_no_order_is_shorter_than_the_lower_bound(problem: Problem, starts: list[float]) -> None:
    given_starts = {chain.cell: start for chain, start in zip(problem.chains, starts, strict=False)}
    assert play(problem, given_starts).makespan >= lower_bound(problem).seconds - 1e-3


@settings(max_examples=4, derandomize=True, deadline=None)
@given(problems())
def test_a_proposal_starts_no_cell_before_the_campaign_and_never_makes_more_spectra_late(problem: Problem) -> None:
    found = propose(problem, method="heuristic")
    check(problem, found.played)
    assert all(start >= 0 and start % GRID == 0 for start in found.starts.values())
    # By hours it is the runs that count, with other durations than this play's.
    assert found.played.late <= found.at_once.late or by_hours.is_by_hours(problem)
    assert found.played.makespan >= found.bound.seconds - 1e-3


def test_the_heuristic_halves_the_waiting_of_fresh_cells_near_the_lower_bound() -> None:
    problem = laboratory(18)
    bound = lower_bound(problem).seconds
    once = play(problem, all_at_once(problem))
    better = play(problem, construct(problem, 1.03 * bound))
    assert once.fresh(problem) > 10 * HOUR
    assert better.fresh(problem) < 0.5 * once.fresh(problem)
    assert better.makespan < 1.05 * bound
    assert better.late < once.late


def test_by_hours_longer_campaigns_are_tried_until_fresh_cells_wait_half_as_long() -> None:
    problem = Problem(tuple(dead_lithium(f"cell-{number}", 1) for number in range(4)), people=(WORKDAYS,))
    bound = lower_bound(problem).seconds
    once = play(problem, all_at_once(problem)).fresh(problem)
    found = by_hours.propose_by_hours(
        problem, bound, 0, GRID, lambda starts: play(problem, starts).fresh(problem) / once
    )
    *shorter, (waits, starts) = found
    assert waits <= 0.5
    assert all(part > 0.45 for part, _ in shorter)
    check(problem, play(problem, starts))


def test_the_length_of_a_first_charge_is_not_known_before_a_cell_has_done_it() -> None:
    visits = (Visit("charge", (), 12 * HOUR, held_back=True, untried=True), spectrum("nmr", 2 * HOUR))
    chains = tuple(Chain(name, "bare", visits) for name in ("first", "later"))
    outcome = play(Problem(chains, people=(WORKDAYS,)), {"later": 25 * HOUR})
    late = {stay.cell: stay.late for stay in outcome.stays if stay.path == "nmr"}
    assert late["first"] > 0
    assert late["later"] == 0.0


def test_what_the_solver_finds_can_be_played_and_is_not_worse_than_where_it_began() -> None:
    problem = laboratory(3)
    once = all_at_once(problem)
    bound = lower_bound(problem).seconds
    if not solver.is_installed():
        with pytest.raises(ImportError):
            solver.solve(problem, 1.1 * bound, once)
        assert propose(problem).method == "heuristic"
        return
    solved = solver.solve(problem, 1.1 * bound, once, effort=0.3)
    assert solved is not None
    played = play(problem, solved.starts)
    check(problem, played)
    assert score(problem, played, bound) <= score(problem, play(problem, once), bound)


def test_a_person_who_has_gone_home_carries_nothing_before_the_morning() -> None:
    chain = Chain("bare-01", "bare", (Visit("charge", (), 10 * HOUR + 1800), spectrum("nmr", 2 * HOUR)))
    outcome = play(Problem((chain,), people=(Windows(((0.0, 10 * HOUR), (24 * HOUR, 35 * HOUR))),)), {})
    [_, seen] = outcome.stays
    assert seen.started == 24 * HOUR + 600
    assert seen.late == pytest.approx(24 * HOUR + 600 - 10.5 * HOUR - 2 * HOUR)


def test_a_measured_charge_is_held_back_until_people_will_be_there_at_its_end() -> None:
    visits = (Visit("charge", (), 12 * HOUR, held_back=True), spectrum("nmr", 2 * HOUR))
    outcome = play(Problem((Chain("bare-01", "bare", visits),), people=(WORKDAYS,)), {})
    [charge, seen] = outcome.stays
    assert charge.started == pytest.approx(12 * HOUR)
    assert seen.waited == 0.0


def test_who_waits_for_what_never_comes_is_named() -> None:
    chain = Chain("bare-01", "bare", (spectrum("c001/02-nmr-charged"),))
    with pytest.raises(NeverEnds, match="bare-01 waits for ever before c001/02-nmr-charged"):
        play(Problem((chain,), people=(Windows(()),)), {})


def test_the_load_of_one_machine_counts_what_comes_before_and_after() -> None:
    jobs = [Job(0.0, 4.0, 10.0), Job(1.0, 2.0, 1.0), Job(1.0, 3.0, 6.0)]
    assert preemptive(jobs, [(0.0, NEVER, 1.0)]) == 14.0
    assert preemptive(jobs, [(0.0, 2.0, 1.0), (5.0, NEVER, 1.0)]) == 17.0


def test_instruments_that_may_serve_instead_of_each_other_bound_a_campaign_together() -> None:
    chains = tuple(Chain(f"cell-{n}", "g", (Visit("eis", ("one",), 4 * HOUR),)) for n in range(4))
    assert lower_bound(Problem(chains)).seconds == 16 * HOUR
    either = dict.fromkeys(("one", "other"), ("one", "other"))
    assert lower_bound(Problem(chains, instead=either)).seconds == 8 * HOUR


CELLS = """\
# what we have
labctl: 1
cells:                # three of them
  - {id: a, barcode: A, group: g, area: 1 cm2, chemistry: "Cu||NMC622", measure_at: [1], place: cabinet/1}  # the first
  - {id: b, barcode: B, group: g, area: 1.0 cm2, chemistry: "Cu||NMC622", measure_at: [15], place: cabinet/2,
     start_after: 3 h}
  - id: c             # in lines
    barcode: C
    start_after: 2 d  # later
"""


def test_starts_are_written_into_the_cells_file_and_its_comments_stay() -> None:
    written = with_starts(CELLS, {"a": 9000.0, "b": 0.0, "c": 180.0}, {"a": (15,), "b": (1,)}, {"a": "shelf/3"})
    assert "start_after: 0.05 h  # later" in written
    assert "start_after: 0 h}" in written
    assert "measure_at: [15], place: shelf/3" in written
    assert "{id: a, start_after: 2.5 h, barcode" in written
    for comment in ("# what we have", "# three of them", "# the first", "# in lines"):
        assert comment in written
    assert with_starts(written, {}) == written


def test_only_a_cells_file_takes_starts() -> None:
    with pytest.raises(LabctlError, match="no cells file"):
        with_starts("labctl: 1\n", {})
