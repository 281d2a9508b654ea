"""Resources are granted all or none, the most urgent first; what is long waited for is kept from the others."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import pytest

from labctl.engine.leases import Arbiter, Need, Withdrawn, next_grant
from labctl.engine.needs import AGEING, CLOSED_PATIENCE, PATIENCE, effective_priority

HOUR = 3600.0
SPECTROMETER = (("probe/1", "topspin"),)


class Lab:
    """An arbiter, its clock, and tasks that ask it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.owners: dict[str, str] = {}
        self.closed: set[str] = set()
        self.arbiter = Arbiter(lambda: self.now, lambda: self.owners, lambda: self.closed)
        self.got: list[str] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.count = 0

    async def ask(self, operation: str, *options: tuple[str, ...], **more: Any) -> None:
        self.count += 1
        need = Need(operation, more.pop("cell", operation), self.count, options, since=self.now, **more)

        async def wait() -> None:
            await self.arbiter.acquire(need)
            self.got.append(operation)

        self.tasks[operation] = asyncio.create_task(wait())
        await self.rest()

    async def release(self, operation: str) -> None:
        self.arbiter.release(operation)
        await self.rest()

    async def rest(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def in_a_lab(story: Callable[[Lab], Coroutine[Any, Any, None]]) -> Lab:
    lab = Lab()

    async def main() -> None:
        try:
            await story(lab)
        finally:
            await lab.end()

    asyncio.run(main())
    return lab


def grant(
    waiting: list[Need],
    held: Mapping[str, tuple[str, ...]] | None = None,
    *,
    owners: Mapping[str, str] | None = None,
    now: float = 0.0,
    used: Mapping[str, float] | None = None,
    closed: Collection[str] = (),
    cells: Mapping[str, str] | None = None,
) -> str | None:
    found = next_grant(waiting, held or {}, owners=owners or {}, now=now, used=used or {}, closed=closed, cells=cells)
    return found[0].operation if found else None


def order_of(needs: list[Need], **around: Any) -> list[str]:
    """Serve one after the other: everybody gives back before the next one is served."""
    served = []
    needs = needs.copy()
    while (name := grant(needs, **around)) is not None:
        served.append(name)
        needs = [need for need in needs if need.operation != name]
    return served


# -- who is next -----------------------------------------------------------------------------------------------------


def test_higher_priority_goes_first_then_the_older_request():
    needs = [
        Need("young", "a", 3, SPECTROMETER, 5),
        Need("old", "b", 1, SPECTROMETER, 5),
        Need("urgent", "c", 9, SPECTROMETER, 9),
    ]
    assert order_of(needs) == ["urgent", "old", "young"]


def test_among_equals_the_earliest_deadline_goes_first_and_none_comes_last():
    needs = [
        Need("whenever", "a", 1, SPECTROMETER),
        Need("by five", "b", 2, SPECTROMETER, deadline=5 * HOUR),
        Need("by two", "c", 3, SPECTROMETER, deadline=2 * HOUR),
    ]
    assert order_of(needs) == ["by two", "by five", "whenever"]


def test_among_equals_the_user_who_has_had_least_goes_first():
    needs = [
        Need("much", "a", 1, SPECTROMETER, user="anna"),
        Need("little", "b", 2, SPECTROMETER, user="ben"),
        Need("nothing", "c", 3, SPECTROMETER, user="cleo"),
    ]
    assert order_of(needs, used={"anna": 9000.0, "ben": 60.0}) == ["nothing", "little", "much"]


def test_waiting_raises_a_need_one_level_at_a_time_until_it_goes_first():
    old = Need("old", "a", 1, SPECTROMETER, 0, since=0.0)
    for levels in (1, 2, 3):
        assert effective_priority(old, levels * AGEING) == levels
    urgent_soon = Need("urgent", "b", 2, SPECTROMETER, 2, since=1.5 * AGEING)
    urgent_late = Need("urgent", "b", 2, SPECTROMETER, 2, since=3.5 * AGEING)
    assert grant([old, urgent_soon], now=1.6 * AGEING) == "urgent"
    assert grant([old, urgent_late], now=3.6 * AGEING) == "old"


def test_the_first_free_option_is_taken_and_one_half_of_an_option_is_nothing():
    held = {"other": ("maccor:1",)}
    need = Need("op", "a", 1, (("cabinet/1", "maccor:1"), ("cabinet/2", "maccor:2")))
    found = next_grant([need], held, owners={}, now=0.0, used={}, closed=())
    assert found == (need, ("cabinet/2", "maccor:2"))
    assert grant([Need("op", "a", 1, (("cabinet/1", "maccor:1"),))], held) is None


# -- what can be had -------------------------------------------------------------------------------------------------


def test_a_chamber_is_shared_at_one_temperature_and_by_nobody_at_another():
    held = {"first": ("oven/1", "oven=313.15 K")}
    same = Need("same", "b", 1, (("oven/2", "oven=313.15 K"),))
    other = Need("other", "c", 2, (("oven/3", "oven=293.15 K"),))
    assert grant([other], held) is None
    assert grant([other, same], held) == "same"


def test_places_where_another_cell_lives_are_not_given_away():
    options = (("cabinet/1",), ("cabinet/2",))
    owners = {"cabinet/1": "owner"}
    guest, owner = Need("op", "guest", 1, options), Need("op", "owner", 1, options)
    around: dict[str, Any] = {"owners": owners, "now": 0.0, "used": {}, "closed": ()}
    assert next_grant([guest], {}, **around) == (guest, ("cabinet/2",))
    assert next_grant([owner], {}, **around) == (owner, ("cabinet/1",))


def test_a_person_off_duty_is_not_given_until_on_duty_again():
    async def story(lab: Lab) -> None:
        lab.closed = {"operator"}
        await lab.ask("carry", ("operator",))
        assert lab.got == []
        lab.closed = set()
        lab.arbiter.pump(["operator"])
        await lab.rest()
        assert lab.got == ["carry"]

    in_a_lab(story)


def test_no_cell_is_given_two_places_at_once():
    async def story(lab: Lab) -> None:
        await lab.ask("spectrum", ("probe/1", "topspin"), cell="a")
        await lab.ask("next spectrum", ("probe/1", "topspin"), cell="b")
        await lab.ask("impedance", ("oven/1", "zahner"), cell="a")
        await lab.ask("carry", ("operator",), cell="a")
        assert lab.got == ["spectrum", "carry"]
        await lab.release("spectrum")
        assert lab.got == ["spectrum", "carry", "next spectrum", "impedance"]

    in_a_lab(story)


# -- nobody starves --------------------------------------------------------------------------------------------------


def test_who_has_waited_long_for_two_things_keeps_both_from_later_requests():
    both = Need("both", "a", 1, (("mux", "zahner"),))
    mux = Need("mux only", "b", 2, (("mux",),), since=PATIENCE)
    held = {"sweep": ("zahner",)}
    assert grant([both, mux], held, now=PATIENCE) == "mux only"
    assert grant([both, mux], held, now=PATIENCE + 1) is None
    assert grant([both, mux], {}, now=PATIENCE + 1) == "both"


def test_what_is_kept_for_one_is_not_kept_from_somebody_more_urgent():
    both = Need("both", "a", 1, (("mux", "zahner"),))
    urgent = Need("urgent", "b", 2, (("mux",),), priority=5)
    assert grant([both, urgent], {"sweep": ("zahner",)}, now=PATIENCE + 1) == "urgent"


def test_a_group_at_one_temperature_takes_no_more_members_when_another_has_waited_long():
    held = {"first": ("oven/1", "oven=313.15 K")}
    cold = Need("cold", "b", 1, (("oven/2", "oven=293.15 K"),))
    warm = Need("warm", "c", 2, (("oven/3", "oven=313.15 K"),))
    assert grant([cold, warm], held, now=PATIENCE) == "warm"
    assert grant([cold, warm], held, now=PATIENCE + 1) is None


def test_a_cell_that_holds_an_instrument_is_never_kept_from_what_ends_its_operation():
    assisted = Need("assisted", "a", 1, (("operator", "topspin"),))
    carry = Need("carry", "b", 2, (("operator",),))
    held = {"spectrum": ("probe/1", "topspin")}
    assert grant([assisted, carry], held, now=PATIENCE + 1, cells={"spectrum": "b"}) == "carry"
    assert grant([assisted, carry], held, now=PATIENCE + 1, cells={"spectrum": "c"}) is None


def test_who_waits_for_a_place_with_a_cell_in_it_keeps_nothing_from_that_cell():
    after = Need("after", "b", 1, (("probe/1", "topspin"),))
    again = Need("again", "a", 2, (("probe/1", "topspin"),))
    assert grant([after, again], owners={"probe/1": "a"}, now=PATIENCE + 1) == "again"


def test_who_waits_for_a_person_off_duty_leaves_the_rest_to_others_for_a_day():
    assisted = Need("assisted", "a", 1, (("operator", "topspin"),))
    spectrum = Need("spectrum", "b", 2, (("topspin",),))
    closed = {"operator"}
    assert grant([assisted, spectrum], closed=closed, now=PATIENCE + 1) == "spectrum"
    assert grant([assisted, spectrum], closed=closed, now=CLOSED_PATIENCE + 1) is None


# -- waiting and giving back -----------------------------------------------------------------------------------------


def test_what_waits_gets_it_when_the_holder_gives_it_back():
    async def story(lab: Lab) -> None:
        await lab.ask("first", *SPECTROMETER)
        await lab.ask("second", *SPECTROMETER)
        await lab.ask("urgent", *SPECTROMETER, priority=3)
        assert lab.got == ["first"]
        await lab.release("first")
        assert lab.got == ["first", "urgent"]
        await lab.release("urgent")
        assert lab.got == ["first", "urgent", "second"]

    in_a_lab(story)


def test_giving_up_waiting_leaves_nothing_held():
    async def story(lab: Lab) -> None:
        await lab.ask("first", *SPECTROMETER)
        await lab.ask("second", *SPECTROMETER)
        lab.tasks["second"].cancel()
        await lab.release("first")
        assert not lab.arbiter.held
        assert not lab.arbiter.waiting

    in_a_lab(story)


def test_giving_up_in_the_moment_of_the_grant_hands_it_to_the_next():
    async def story(lab: Lab) -> None:
        await lab.ask("first", *SPECTROMETER)
        await lab.ask("second", *SPECTROMETER)
        await lab.ask("third", *SPECTROMETER)
        lab.arbiter.release("first")
        lab.tasks["second"].cancel()
        await lab.rest()
        assert lab.got == ["first", "third"]

    in_a_lab(story)


def test_a_cell_that_gets_an_instrument_is_no_longer_kept_from_what_else_it_waits_for():
    async def story(lab: Lab) -> None:
        await lab.ask("sweep", ("zahner",))
        await lab.ask("spectrum", ("topspin",))
        await lab.ask("both", ("mux", "zahner"))
        lab.now = PATIENCE + 1
        await lab.ask("carry", ("mux",), cell="b")
        await lab.ask("measure", ("topspin",), cell="b")
        assert lab.got == ["sweep", "spectrum"]
        await lab.release("spectrum")
        assert lab.got == ["sweep", "spectrum", "measure", "carry"]

    in_a_lab(story)


def test_who_got_one_thing_no_longer_keeps_the_other_from_anybody():
    async def story(lab: Lab) -> None:
        await lab.ask("sweep", ("zahner",))
        await lab.ask("spectrum", ("topspin",))
        await lab.ask("either", ("mux", "zahner"), ("topspin",))
        lab.now = PATIENCE + 1
        await lab.ask("small", ("mux",))
        assert lab.got == ["sweep", "spectrum"]
        await lab.release("spectrum")
        assert lab.got == ["sweep", "spectrum", "either", "small"]

    in_a_lab(story)


def test_a_need_that_is_withdrawn_says_so_and_no_longer_keeps_anything_from_others():
    async def story(lab: Lab) -> None:
        await lab.ask("sweep", ("zahner",))
        await lab.ask("both", ("mux", "zahner"))
        lab.now = PATIENCE + 1
        await lab.ask("mux only", ("mux",))
        assert lab.got == ["sweep"]
        assert lab.arbiter.withdraw("both")
        with pytest.raises(Withdrawn, match="both"):
            await lab.tasks["both"]
        assert lab.got == ["sweep", "mux only"]
        assert not lab.arbiter.withdraw("sweep")

    in_a_lab(story)


def test_a_place_that_was_cleared_goes_to_who_waits_for_it():
    async def story(lab: Lab) -> None:
        lab.owners = {"probe/1": "sitting"}
        await lab.ask("next", *SPECTROMETER)
        assert [obstacle.by for obstacle in lab.arbiter.obstacles(lab.arbiter.waiting[0])] == ["sitting"]
        lab.owners = {}
        lab.arbiter.pump(["probe/1", "cabinet/4"])
        await lab.rest()
        assert lab.got == ["next"]

    in_a_lab(story)


def test_who_waits_is_told_who_holds_what_and_what_stands_in_the_way():
    async def story(lab: Lab) -> None:
        await lab.ask("sweep", ("zahner", "oven/1", "oven=313.15 K"))
        need = Need("op", "b", 9, (("mux", "oven=293.15 K", "zahner"), ("oven=313.15 K", "operator")))
        assert lab.arbiter.holders(need) == [("sweep", "oven=293.15 K"), ("sweep", "zahner")]
        assert lab.arbiter.obstacles(need) == []
        lab.closed = {"operator"}
        assert [(one.resource, one.why) for one in lab.arbiter.obstacles(need)] == [("operator", "closed")]

    in_a_lab(story)


def test_the_users_share_is_counted_when_an_instrument_is_given_back_and_decides_the_next_turn():
    async def story(lab: Lab) -> None:
        await lab.ask("anna 1", *SPECTROMETER, user="anna")
        await lab.ask("anna 2", *SPECTROMETER, user="anna")
        await lab.ask("ben 1", *SPECTROMETER, user="ben")
        lab.now = HOUR
        await lab.release("anna 1")
        assert lab.arbiter.used == {"anna": HOUR}
        assert lab.got[-1] == "ben 1"

    in_a_lab(story)


def test_what_was_kept_for_a_user_goes_to_another_once_the_first_has_had_more():
    async def story(lab: Lab) -> None:
        await lab.ask("sweep", ("zahner",), user="anna")
        await lab.ask("switching", ("mux",), user="cleo")
        await lab.ask("spectrum", ("topspin",), user="cleo")
        await lab.ask("both", ("mux", "topspin"), user="anna")
        await lab.ask("small", ("topspin",), user="ben")
        lab.now = PATIENCE + 1
        await lab.release("spectrum")
        assert "small" not in lab.got
        await lab.release("sweep")
        assert lab.got[-1] == "small"

    in_a_lab(story)


def test_a_channel_of_ones_own_costs_no_share():
    async def story(lab: Lab) -> None:
        await lab.ask("charge", ("cabinet/1", "maccor:1"), user="anna")
        lab.now = 13 * HOUR
        await lab.release("charge")
        assert not lab.arbiter.used

    in_a_lab(story)


def test_after_a_restart_nothing_is_granted_before_everybody_is_back_in_the_queue():
    async def story(lab: Lab) -> None:
        lab.now = HOUR
        urgent = Need("urgent", "a", 2, SPECTROMETER, priority=3)
        lab.arbiter.restore("charge", ("maccor:1",), cell="c", user="anna", since=0.0)
        for need in (Need("early", "b", 1, SPECTROMETER), urgent):
            lab.arbiter.restore_waiting(need)
        assert set(lab.arbiter.held) == {"charge"}
        lab.arbiter.pump()
        assert set(lab.arbiter.held) == {"charge", "urgent"}
        assert await lab.arbiter.acquire(urgent) == SPECTROMETER[0]

    in_a_lab(story)
