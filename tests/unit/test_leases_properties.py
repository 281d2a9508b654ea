"""What holds for every laboratory, whatever is asked of it in whatever order."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labctl.engine.leases import Arbiter, Need, next_grant
from labctl.engine.needs import AGEING, PATIENCE, compatible, effective_priority, is_place, names
from labctl.engine.shares import Interval, scarce, usage

HOUR = 3600.0
NAMES = [
    "maccor:1",
    "maccor:2",
    "topspin",
    "zahner",
    "probe/1",
    "oven/1",
    "oven/2",
    "oven=313 K",
    "oven=293 K",
    "operator",
]
RESOURCES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique_by=lambda name: name.split("=")[0])
OPTIONS = st.lists(RESOURCES.map(tuple), min_size=1, max_size=2).map(tuple)
NEED = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["a", "b", "c", "d", "e"]),
        "options": OPTIONS,
        "priority": st.integers(0, 3),
        "user": st.sampled_from(["anna", "ben"]),
        "deadline": st.none() | st.integers(0, 4).map(lambda n: n * HOUR),
    }
)
ACTIONS = st.lists(
    st.one_of(
        # A laboratory in which much more is wanted than there is.
        *[st.tuples(st.just("ask"), NEED)] * 5,
        st.tuples(st.just("release"), st.integers(0, 20)),
        st.tuples(st.just("release"), st.integers(0, 20)),
        st.tuples(st.just("withdraw"), st.integers(0, 20)),
        st.tuples(st.just("pass"), st.sampled_from([60.0, HOUR, 1.5 * HOUR, 7 * HOUR, 30 * HOUR])),
        st.tuples(
            st.just("settle"), st.tuples(st.sampled_from(["probe/1", "oven/1"]), st.sampled_from(["a", "b", ""]))
        ),
        st.tuples(st.just("duty"), st.booleans()),
    ),
    min_size=12,
    max_size=40,
)


@dataclass
class World:
    """All that decides about grants, as a journal would have it."""

    now: float = 0.0
    owners: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    waiting: dict[str, Need] = field(default_factory=dict)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    past: list[Interval] = field(default_factory=list)
    watch: Callable[[World, Need], None] = lambda world, granted: None

    def grant(self) -> tuple[Need, tuple[str, ...]] | None:
        return next_grant(
            list(self.waiting.values()),
            self.held,
            owners=self.owners,
            now=self.now,
            used=usage(self.past, self.now),
            closed=self.closed,
            cells={operation: self.needs[operation].cell for operation in self.held},
        )

    def settle(self) -> None:
        while (found := self.grant()) is not None:
            need, option = found
            self.watch(self, need)
            self.held[need.operation] = option
            self.since[need.operation] = self.now
            del self.waiting[need.operation]

    def release(self, operation: str) -> None:
        resources = self.held.pop(operation)
        if scarce(resources):
            self.past.append(Interval(self.needs[operation].user, self.since[operation], self.now))


class Side:
    """An arbiter beside a world: both are told the same, and must come to the same."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.arbiter = Arbiter(lambda: world.now, lambda: world.owners, lambda: world.closed)
        self.tasks: dict[str, asyncio.Task[Any]] = {}

    def acquire(self, need: Need) -> None:
        self.tasks[need.operation] = asyncio.create_task(self.arbiter.acquire(need))

    async def restart(self) -> None:
        """Forget everything and read it back, as text, from what a journal keeps."""
        await self.end()
        world = self.world
        text = json.dumps(
            {
                "waiting": [asdict(need) for need in world.waiting.values()],
                "held": world.held,
                "past": [asdict(one) for one in world.past],
            }
        )
        read = json.loads(text)
        self.arbiter = Arbiter(lambda: world.now, lambda: world.owners, lambda: world.closed)
        self.arbiter.restore_usage(Interval(**one) for one in read["past"])
        for operation, resources in read["held"].items():
            need = world.needs[operation]
            self.arbiter.restore(operation, resources, cell=need.cell, user=need.user, since=world.since[operation])
        for one in reversed(read["waiting"]):
            options = tuple(tuple(option) for option in one.pop("options"))
            need = Need(options=options, **one)
            self.arbiter.restore_waiting(need)
            self.acquire(need)
        self.arbiter.pump()
        await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.tasks.clear()


async def play(side: Side, number: int, action: tuple[str, Any]) -> None:
    """Do one thing to both sides, the way the engine would tell the arbiter of it."""
    world, arbiter = side.world, side.arbiter
    verb, what = action
    if verb == "ask":
        need = Need(f"op{number}", order=number, since=world.now, **what)
        world.needs[need.operation] = world.waiting[need.operation] = need
        side.acquire(need)
    elif verb == "release" and world.held:
        operation = sorted(world.held)[what % len(world.held)]
        world.release(operation)
        arbiter.release(operation)
    elif verb == "withdraw" and world.waiting:
        operation = sorted(world.waiting)[what % len(world.waiting)]
        del world.waiting[operation]
        assert arbiter.withdraw(operation)
    elif verb == "pass":
        world.now += what
        arbiter.pump()
    elif verb == "settle":
        place, cell = what
        world.owners.pop(place, None)
        if cell:
            world.owners[place] = cell
        arbiter.pump([place])
    elif verb == "duty":
        world.closed = [] if what else ["operator"]
        arbiter.pump(["operator"])
    world.settle()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def check(world: World) -> None:
    """Capacity, one temperature, one place per cell."""
    for operation, resources in world.held.items():
        others = [name for other, names in world.held.items() if other != operation for name in names]
        assert all(compatible(name, others) for name in resources)
    placed = [world.needs[operation].cell for operation, names in world.held.items() if any(map(is_place, names))]
    assert len(placed) == len(set(placed)), "a cell in two places"
    assert len({name for names in world.held.values() for name in names if name.startswith("oven=")}) <= 1


@given(ACTIONS)
@settings(max_examples=150)
def test_the_arbiter_grants_exactly_what_the_pure_function_says_and_never_more_than_there_is(actions):
    async def main() -> None:
        side = Side(World())
        try:
            for number, action in enumerate(actions):
                await play(side, number, action)
                assert dict(side.arbiter.held) == side.world.held
                check(side.world)
        finally:
            await side.end()

    asyncio.run(main())


@given(ACTIONS, st.integers(1, 6))
@settings(max_examples=100)
def test_a_restart_at_any_point_changes_no_grant(actions, every):
    async def main() -> None:
        side = Side(World())
        try:
            for number, action in enumerate(actions):
                await play(side, number, action)
                if number % every == every - 1:
                    # The journal has a lease's end, and the program dies before anybody is granted what it held.
                    wanted = names(option for need in side.world.waiting.values() for option in need.options)
                    contested = [one for one, held in side.world.held.items() if names([held]) & wanted]
                    for operation in sorted(contested)[:1]:
                        side.world.release(operation)
                    await side.restart()
                    side.world.settle()
                assert dict(side.arbiter.held) == side.world.held
                assert side.arbiter.used == usage(side.world.past, side.world.now)
        finally:
            await side.end()

    asyncio.run(main())


def alone(world: World, need: Need) -> bool:
    """Whether ``need`` would be granted if nobody else waited."""
    around: dict[str, Any] = {"owners": world.owners, "now": world.now, "used": {}, "closed": world.closed}
    cells = {operation: world.needs[operation].cell for operation in world.held}
    return next_grant([need], world.held, cells=cells, **around) is not None


@given(ACTIONS)
@settings(max_examples=100)
def test_nobody_is_granted_before_a_more_urgent_one_who_could_have_it(actions):
    def watch(world: World, granted: Need) -> None:
        for other in world.waiting.values():
            if effective_priority(other, world.now) > effective_priority(granted, world.now):
                assert not alone(world, other) or kept_from(world, other)

    async def main() -> None:
        side = Side(World(watch=watch))
        try:
            for number, action in enumerate(actions):
                await play(side, number, action)
        finally:
            await side.end()

    asyncio.run(main())


def kept_from(world: World, need: Need) -> bool:
    """Whether somebody no less urgent has waited long for something that ``need`` wants too."""
    return any(
        effective_priority(other, world.now) >= effective_priority(need, world.now)
        and world.now - other.since > PATIENCE
        and names(other.options) & names(need.options)
        for other in world.waiting.values()
        if other is not need
    )


EQUALS = st.lists(
    st.tuples(st.none() | st.integers(0, 5), st.sampled_from(["anna", "ben", "cleo"])), min_size=2, max_size=8
)


@given(EQUALS, st.dictionaries(st.sampled_from(["anna", "ben", "cleo"]), st.integers(0, 3).map(float)), st.randoms())
def test_equals_are_served_by_deadline_then_by_share_whatever_order_they_stand_in(drawn, used, random):
    needs = [
        Need(f"op{n}", f"cell{n}", n, (("topspin",),), deadline=deadline, user=user)
        for n, (deadline, user) in enumerate(drawn)
    ]
    expected = sorted(
        needs, key=lambda need: (need.deadline is None, need.deadline or 0, used.get(need.user, 0.0), need.order)
    )
    random.shuffle(needs)
    served = []
    while needs:
        found = next_grant(needs, {}, owners={}, now=0.0, used=used, closed=())
        assert found is not None
        served.append(found[0])
        needs.remove(found[0])
    assert served == expected


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=4, max_size=12))
def test_two_users_who_always_ask_get_equal_time_up_to_one_turn(turns):
    """Both queue all the time; whoever has had less goes next."""
    past: list[Interval] = []
    now = 0.0
    for index, (anna, ben) in enumerate(turns):
        pair = [
            Need("anna", "a", 2 * index, (("topspin",),), user="anna"),
            Need("ben", "b", 2 * index + 1, (("topspin",),), user="ben"),
        ]
        found = next_grant(pair, {}, owners={}, now=now, used=usage(past, 0.0), closed=())
        assert found is not None
        length = HOUR * (anna if found[0].user == "anna" else ben)
        past.append(Interval(found[0].user, now, now + length))
        now += length
        assume(now < 24 * HOUR)
    used = usage(past, 0.0)
    assert abs(used.get("anna", 0.0) - used.get("ben", 0.0)) <= 4 * HOUR


SMALL = st.lists(
    st.tuples(st.sampled_from([("mux",), ("zahner",), ("oven=313 K", "oven/3")]), st.integers(1, 5), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


@given(SMALL, st.integers(0, 3))
@settings(max_examples=60)
def test_no_stream_of_small_or_urgent_requests_starves_a_large_one(stream, priority):
    """One cell wants multiplexer, potentiostat and a chamber at its own temperature; others never stop asking."""
    highest, longest = 3, 5 * HOUR
    bound = PATIENCE + (highest - priority + 2) * AGEING + longest
    victim = Need("victim", "v", 0, (("mux", "oven/1", "oven=293 K", "zahner"),), priority=priority)
    waiting = {"victim": victim}
    held: dict[str, tuple[str, ...]] = {}
    ends: dict[str, float] = {}
    supply = itertools.cycle(stream)
    lengths: dict[str, float] = {}
    now, count = 0.0, 0
    while "victim" in waiting:
        assert now <= bound, "starved"
        # Two more of every kind always wait, so that what is given back is wanted at once.
        while len(waiting) < 8:
            option, hours, urgency = next(supply)
            count += 1
            name = f"small{count}"
            waiting[name] = Need(name, name, count, (option,), priority=urgency, since=now)
            lengths[name] = hours * HOUR
        while (found := grant_at(waiting, held, now)) is not None:
            need, option = found
            del waiting[need.operation]
            held[need.operation] = option
            if need is victim:
                return
            # Staggered: two of them hardly ever end together.
            ends[need.operation] = now + lengths[need.operation] * (0.5 + 0.5 * (count % 7) / 7)
        now = min(ends.values())
        for operation in [one for one, end in ends.items() if end <= now]:
            del held[operation], ends[operation]


def grant_at(waiting: Mapping[str, Need], held: Mapping[str, tuple[str, ...]], now: float):
    return next_grant(list(waiting.values()), held, owners={}, now=now, used={}, closed=())


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 9e6), st.floats(0, 1e5)), max_size=20),
    st.integers(0, 20),
    st.randoms(),
    st.floats(0, 1e7),
)
def test_a_users_share_is_the_same_from_whichever_end_the_journal_is_read(drawn, cut, random, later):
    intervals = [Interval(user, since, since + length) for user, since, length in drawn]
    now = 9.2e6 + later
    whole = usage(intervals, now)
    random.shuffle(intervals)
    assert usage(intervals, now) == whole
    assert all(value <= sum(length for user, _, length in drawn if user == name) + 0.1 for name, value in whole.items())
