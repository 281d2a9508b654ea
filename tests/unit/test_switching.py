"""Taking leads to a cell: what must be true before a relay moves, and what the voltages must say afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import pytest

from labctl.engine.clock import LoopClock, run_virtual
from labctl.engine.routing import Route
from labctl.engine.switching import NotConnected, NotSafe, Switching
from labctl.errors import InstrumentError
from labctl.instruments import CannotSay, NotReachable, Reading
from labctl.safety.identity import LastSeen

GROUP = (101, 102)
ROUTE = Route("cabinet/1", "zahner", 101, "mux", GROUP, None, ("cabinet/1", "mux", "zahner"))


class Relays:
    """A multiplexer whose one contact may be stuck, and the leads behind it."""

    def __init__(self, *, stuck: bool | None = None, cell: float = 3.7, residue: tuple[float, ...] = ()) -> None:
        self.asked: list[int | None] = []
        self._stuck = stuck
        self._cell = cell
        self._residue = list(residue)
        self.fault: InstrumentError | None = None

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        assert tuple(group) == GROUP
        self.asked.append(close)

    async def look(self) -> float:
        """Voltage at the potentiostat's leads: the cell's through a contact, else what is left of the last one."""
        if self.fault is not None:
            raise self.fault
        commanded = bool(self.asked) and self.asked[-1] is not None
        if commanded if self._stuck is None else self._stuck:
            return self._cell
        return self._residue.pop(0) if self._residue and self.asked else 0.002


class Channel:
    """A cycler channel whose leads stay at the cell."""

    def __init__(self, current: float = 0.0, voltage: float = 3.7005, *, silent: bool = False) -> None:
        self._reading = Reading(0.0, voltage, current)
        self._silent = silent

    async def reading(self, channel: int) -> Reading:
        if self._silent:
            raise CannotSay("nobody reads it", instrument="maccor")
        return self._reading


def switching(relays: Relays, channel: Channel | None, last: LastSeen | None = None) -> Switching:
    beside = (channel, 1) if channel is not None else None
    return Switching(ROUTE, relays.look, relays, beside, (2.8, 4.4), lambda: last)  # type: ignore[arg-type]


def run(test: Callable[[LoopClock], Awaitable[None]]) -> None:
    run_virtual(test)


def test_a_cell_is_taken_only_after_all_relays_were_open() -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays()
        assert await switching(relays, Channel()).connect() is None
        assert relays.asked == [None, 101]
        await switching(relays, Channel()).isolate()
        assert relays.asked == [None, 101, None]

    run(test)


@pytest.mark.parametrize("current", [20e-6, -5e-3, float("nan")])
def test_no_relay_moves_while_the_cycler_shows_a_current(current: float) -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays()
        with pytest.raises(NotSafe, match="no relay is moved under current"):
            await switching(relays, Channel(current)).connect()
        assert relays.asked == []

    run(test)


def test_an_input_that_keeps_its_voltage_for_a_while_is_not_taken_for_a_stuck_contact() -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays(residue=(3.69, 3.1))
        assert await switching(relays, Channel()).connect() is None
        assert relays.asked == [None, 101]

    run(test)


@pytest.mark.parametrize("cell", [3.7, 2.5, -3.9])
def test_leads_that_go_on_showing_a_cell_with_all_relays_open_are_never_closed_elsewhere(cell: float) -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays(stuck=True, cell=cell)
        with pytest.raises(NotSafe, match="a contact is stuck closed"):
            await switching(relays, Channel()).connect()
        assert relays.asked == [None]

    run(test)


@pytest.mark.parametrize(("difference", "same"), [(0.019, True), (-0.019, True), (0.021, False), (-0.5, False)])
def test_both_instruments_must_see_the_same_cell_within_20_mv(difference: float, same: bool) -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays(cell=3.7 + difference)
        taken = switching(relays, Channel(voltage=3.7))
        if same:
            assert await taken.connect() is None
        else:
            with pytest.raises(NotConnected, match=r"at most 20 mV apart"):
                await taken.connect()
        assert relays.asked == ([None, 101] if same else [None, 101, None])

    run(test)


def test_without_a_cycler_at_the_cell_its_last_voltage_decides_and_the_leads_come_off() -> None:
    async def test(clock: LoopClock) -> None:
        rested = LastSeen(4.1, "rest", seconds_since=3600.0, rested=86_400.0)
        for channel in (None, Channel(silent=True)):
            relays = Relays()
            wrong = await switching(relays, channel, rested).connect()
            assert wrong is not None
            assert "is not that of the booked cell" in wrong
            assert relays.asked == [None, 101, None]

    run(test)


def test_where_nobody_reads_the_leads_the_relays_are_switched_by_their_read_back_alone() -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays()
        relays.fault = CannotSay("a person runs it", instrument="zahner")
        assert await switching(relays, Channel()).connect() is None
        assert relays.asked == [None, 101]

    run(test)


def test_a_cell_is_taken_off_an_instrument_that_does_not_answer_any_more() -> None:
    async def test(clock: LoopClock) -> None:
        relays = Relays()
        taken = switching(relays, Channel())
        await taken.connect()
        relays.fault = NotReachable("gone", instrument="zahner")
        await taken.isolate()
        assert relays.asked[-1] is None

    run(test)
