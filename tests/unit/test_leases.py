"""Resources are granted all or none, in an order that a restart does not change."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.leases import Arbiter, Need, compatible, next_grant

NAMES = st.sampled_from(["maccor:1", "maccor:2", "topspin", "zahner", "probe/1", "oven=313.15 K", "oven=293.15 K"])
OPTIONS = st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple), min_size=1, max_size=3).map(tuple)
NEEDS = st.lists(st.tuples(OPTIONS, st.integers(0, 9)), min_size=1, max_size=12)


def no_block(need: Need) -> list[str]:
    return []


def needs_of(drawn: list) -> list[Need]:
    return [Need(f"op{n}", f"cell{n}", n, options, priority) for n, (options, priority) in enumerate(drawn)]


@given(NEEDS)
def test_no_two_holders_ever_share_what_cannot_be_shared(drawn):
    waiting = needs_of(drawn)
    held: dict[str, tuple[str, ...]] = {}
    while (grant := next_grant(waiting, held, no_block)) is not None:
        need, option = grant
        others = [name for resources in held.values() for name in resources]
        assert all(compatible(name, others) for name in option)
        assert option in need.options
        held[need.operation] = option
        waiting.remove(need)
    assert held, "the first of an empty laboratory must be served"


@given(NEEDS, st.randoms())
def test_the_order_of_the_waiting_list_changes_nothing(drawn, random):
    waiting = needs_of(drawn)
    shuffled = waiting.copy()
    random.shuffle(shuffled)
    assert next_grant(waiting, {}, no_block) == next_grant(shuffled, {}, no_block)


def test_higher_priority_goes_first_then_the_older_request():
    needs = [
        Need("young", "a", 3, (("topspin",),), 5),
        Need("old", "b", 1, (("topspin",),), 5),
        Need("urgent", "c", 9, (("topspin",),), 9),
    ]
    order = []
    while (grant := next_grant(needs, {}, no_block)) is not None:
        order.append(grant[0].operation)
        needs.remove(grant[0])
    assert order == ["urgent", "old", "young"]


def test_a_chamber_is_shared_at_one_temperature_and_by_nobody_at_another():
    held = {"first": ("oven=313.15 K", "oven/1")}
    same = Need("same", "b", 1, (("oven=313.15 K", "oven/2"),))
    other = Need("other", "c", 2, (("oven=293.15 K", "oven/3"),))
    assert next_grant([other], held, no_block) is None
    assert next_grant([other, same], held, no_block) == (same, same.options[0])


def test_what_waits_gets_it_when_the_holder_gives_it_back():
    async def main() -> list[str]:
        seen = []
        arbiter = Arbiter(no_block)
        await arbiter.acquire(Need("first", "a", 1, (("topspin", "probe/1"),)))

        async def second() -> None:
            await arbiter.acquire(Need("second", "b", 2, (("topspin", "probe/1"),)))
            seen.append("second has it")

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        seen.append("second waits" if arbiter.waiting else "nobody waits")
        arbiter.release("first")
        await task
        return seen

    assert asyncio.run(main()) == ["second waits", "second has it"]


def test_giving_up_waiting_leaves_nothing_held():
    async def main() -> Arbiter:
        arbiter = Arbiter(no_block)
        await arbiter.acquire(Need("first", "a", 1, (("topspin",),)))
        waiter = asyncio.create_task(arbiter.acquire(Need("second", "b", 2, (("topspin",),))))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        arbiter.release("first")
        return arbiter

    arbiter = asyncio.run(main())
    assert not arbiter.held
    assert not arbiter.waiting


def test_places_where_another_cell_lives_are_not_given_away():
    arbiter = Arbiter(lambda need: ["cabinet/1"] if need.cell != "owner" else [])

    async def main() -> tuple[str, ...]:
        return await arbiter.acquire(Need("op", "guest", 1, (("cabinet/1",), ("cabinet/2",))))

    assert asyncio.run(main()) == ("cabinet/2",)
