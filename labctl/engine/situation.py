"""Where one cell stands, gathered from the journal and its plan, for whoever puts it into words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from labctl.engine.decided import Decided
from labctl.engine.routing import ROLE_OF
from labctl.journal import ENDED, CampaignRow, OperationRow, Status
from labctl.protocol import Kind, PlannedOperation
from labctl.station import Station

UNDER_WAY: Final = "under way"
HELD: Final = "held"


class CellState(Protocol):
    """What the journal says of a cell in a campaign: ``CellRow``."""

    @property
    def state(self) -> str:
        """Where it is on its way."""

    @property
    def at(self) -> str:
        """Since when, UTC."""

    @property
    def reason(self) -> str:
        """Why, if somebody said."""

    @property
    def by(self) -> str:
        """Who, if somebody did."""

    @property
    def wanted(self) -> str | None:
        """What a person has asked for and is not carried out yet."""


class Word(Protocol):
    """What is asked of a journal: ``Journal`` and ``LastWord`` have it."""

    def now(self) -> str:
        """Give the present instant."""

    def campaigns(self) -> Sequence[CampaignRow]:
        """All campaigns."""

    def operations(
        self, *, campaign: str | None = None, cell: str | None = None, status: Collection[Status] | None = None
    ) -> Sequence[OperationRow]:
        """Operations in the order in which they were requested."""

    def held(self) -> Sequence[OperationRow]:
        """Operations that hold something."""

    def places(self) -> Mapping[str, str]:
        """Where every cell sits."""

    def cell_rows(self, campaign: str) -> Mapping[str, CellState]:
        """What is known of every cell of a campaign."""


class Look(Protocol):
    """The last look at a running operation: ``Live``."""

    @property
    def at(self) -> str:
        """When, UTC."""

    @property
    def values(self) -> Mapping[str, float]:
        """Unit in the key."""

    @property
    def remaining(self) -> float | None:
        """Seconds to the end."""

    @property
    def request(self) -> Mapping[str, Any] | None:
        """What a person is asked, where a person is the instrument."""

    @property
    def message(self) -> str:
        """The instrument's words."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where one cell stands.

    Attributes
    ----------
    cell, state : str
        Its id; ``under way``, ``held``, ``stopped``, ``aborted`` or ``finished``.
    row : CellState or None
        What the journal says of the cell as a whole.
    place : str
        Where it sits, such as ``cabinet/3``.
    step : OperationRow or None
        The latest attempt at the step that it is at.
    planned : PlannedOperation or None
        That step as planned; None where the plan has come to its end.
    following : tuple of PlannedOperation
        What comes after it.
    transfer : OperationRow or None
        A move that is asked for or under way.
    last : OperationRow or None
        The step before, however it ended.
    instrument, channel, chamber : str or None
        What the step holds.
    multiplexer : str or None
        Through which the instrument's leads reach the cell.
    temperature : float or None
        Set-point of the chamber in K.
    assisted : bool
        Whether a person is the instrument.
    running : bool
        Whether an orchestrator runs.
    interrupted : bool
        Whether the step that runs was interrupted to open circuit, by a person's hold or at the instrument.
    relay : int or None
        Which relay of the multiplexer that is, where the station says.
    """

    cell: str
    state: str
    row: CellState | None
    place: str
    step: OperationRow | None
    planned: PlannedOperation | None
    following: tuple[PlannedOperation, ...]
    transfer: OperationRow | None
    last: OperationRow | None
    instrument: str | None
    channel: str | None
    chamber: str | None
    temperature: float | None
    multiplexer: str | None
    assisted: bool
    running: bool
    interrupted: bool = False
    relay: int | None = None

    @property
    def status(self) -> Status | None:
        """Status of the step that it is at."""
        return self.step.status if self.step is not None else None

    @property
    def where(self) -> str | None:
        """``on maccor channel 3``, ``with zahner behind relay 101 of mux``, ``in topspin``."""
        if self.instrument is None:
            return None
        behind = f" behind relay {self.relay} of {self.multiplexer}" if self.relay is not None else ""
        if self.channel is not None:
            return f"on {self.instrument} channel {self.channel}{behind}"
        inside = self.planned is None or ROLE_OF[self.planned.kind] == "spectrometer"
        return f"in {self.instrument}" if inside else f"with {self.instrument}{behind}"

    @property
    def closed(self) -> str | None:
        """The relay that is closed while the step runs: ``relay 101 of mux``; None without a multiplexer."""
        if self.multiplexer is None:
            return None
        return f"{'its relay' if self.relay is None else f'relay {self.relay}'} of {self.multiplexer}"


def is_behind(row: OperationRow) -> bool:
    """Whether an operation's step counts as done: done, or left out by a person or for being late."""
    return row.status is Status.DONE or (row.status is Status.ABORTED and bool(row.result.get("skipped")))


def why_not_on(row: OperationRow, on_timeout: str) -> str | None:
    """Say why a cell does not go on by itself after a step that is behind it, None where it does."""
    if row.result.get("status") == "timeout" and on_timeout != "continue":
        return f"{row.step} was ended by its guard time, not by what it waits for"
    return f"{row.step}: {row.result['hold']}" if row.result.get("hold") else None


def situation(
    journal: Word,
    campaign: str,
    cell: str,
    plan: Sequence[PlannedOperation],
    *,
    state: str | None,
    station: Station | None,
    roles: Mapping[str, str],
    running: bool,
    look: Look | None = None,
) -> Situation:
    """Gather where a cell stands; ``state`` is the orchestrator's own word where one runs, ``look`` its last look."""
    rows = journal.operations(campaign=campaign, cell=cell)
    latest: dict[str, OperationRow] = {}
    for row in rows:
        if row.kind != "transfer":
            latest[row.step] = row
    behind = [index for index, planned in enumerate(plan) if planned.path in latest and is_behind(latest[planned.path])]
    at = max(behind, default=-1) + 1
    decided = Decided(rows)
    if decided:
        # What conditions leave out is passed over, and need have no operation of its own.
        plan = [one for index, one in enumerate(plan) if index < at or one.path in latest or not decided.out(one)]
    planned = plan[at] if at < len(plan) else None
    # Only the reference standard has operations without a plan.
    step = latest.get(planned.path) if planned is not None else None if plan else _newest(latest.values())
    said = journal.cell_rows(campaign).get(cell)
    last = next((latest[one.path] for one in reversed(plan[:at]) if one.path in latest), None)
    held = step.resources if step is not None and step.status not in ENDED else ()
    kind = planned.kind.value if planned is not None else step.kind if step is not None else ""
    instrument, channel = _instrument(held, kind, roles)
    chamber, _, setting = next((name.partition("=") for name in held if "=" in name), ("", "", ""))
    multiplexer, relay = _relay(held, instrument, station)
    entry = station.instruments.get(instrument) if station is not None and instrument is not None else None
    state = state or (said.state if said is not None else UNDER_WAY)
    return Situation(
        cell=cell,
        state=state,
        row=said,
        place=journal.places().get(cell, "bench"),
        step=step,
        planned=planned,
        following=tuple(plan[at + 1 :]),
        transfer=next((row for row in reversed(rows) if row.kind == "transfer" and row.status not in ENDED), None),
        last=last,
        instrument=instrument,
        channel=channel,
        chamber=chamber or None,
        temperature=float(setting.split()[0]) if setting else None,
        multiplexer=multiplexer or next((name for name in held if roles.get(name) == "multiplexer"), None),
        assisted=entry is not None and entry.driver == "assisted",
        running=running,
        interrupted=step is not None and step.status is Status.RUNNING and _interrupted(kind, state, said, look),
        relay=relay,
    )


def _relay(held: Collection[str], instrument: str | None, station: Station | None) -> tuple[str | None, int | None]:
    """Find multiplexer and relay between an instrument and the slot that an operation holds, by the station."""
    for place, _, number in (name.partition("/") for name in held if "/" in name):
        wiring = station.places[place].leads.get(instrument or "") if station and place in station.places else None
        if wiring is not None and wiring.through is not None:
            return wiring.through, wiring.leads[int(number) - 1]
    return None, None


def _interrupted(kind: str, state: str, said: CellState | None, look: Look | None) -> bool:
    """Whether a running step stands still: only what a cycler does is ever held in the middle."""
    if kind not in set(Kind) or ROLE_OF[Kind(kind)] != "cycler":
        return False
    if look is not None and look.message.startswith("suspended"):
        return True
    # A cell that labctl holds for a fault of its own keeps what its instrument does.
    by_a_person = state == HELD and said is not None and bool(said.by)
    return by_a_person and (look is None or not look.values.get("current_A"))


def _newest(rows: Collection[OperationRow]) -> OperationRow | None:
    return max(rows, key=lambda row: row.order, default=None)


def _instrument(resources: Sequence[str], kind: str, roles: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Find the instrument of an operation, and its channel, among what it holds."""
    role = ROLE_OF.get(Kind(kind)) if kind in set(Kind) else "spectrometer" if kind == "reference" else None
    names = [name for name in resources if "/" not in name and "=" not in name]
    for name in names:
        instrument, _, channel = name.partition(":")
        if roles.get(instrument) == role:
            return instrument, channel or None
    # Without the drivers' word on their roles: only cyclers have channels.
    found = next((name for name in names if (":" in name) is (role == "cycler")), None)
    instrument, _, channel = (found or "").partition(":")
    return instrument or None, channel or None
