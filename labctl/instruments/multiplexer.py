"""Multiplexer: which leads reach which cell, and which of them must never reach it together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from labctl.instruments.common import Identity, Instrument


@dataclass(frozen=True, slots=True)
class SwitchedLead:
    """What one relay of a multiplexer connects.

    Attributes
    ----------
    relay : int
        Its number, such as 101.
    slot : str
        Where the cell sits, such as ``cabinet/2``.
    instrument : str
        Whose leads it brings there.
    """

    relay: int
    slot: str
    instrument: str

    def plain(self) -> dict[str, Any]:
        """Plain data, as a driver finds it in its settings under ``leads``."""
        return asdict(self)


def read_leads(entries: Iterable[Mapping[str, Any]]) -> tuple[SwitchedLead, ...]:
    """Take leads from plain data, as :meth:`SwitchedLead.plain` gave them."""
    return tuple(SwitchedLead(int(one["relay"]), str(one["slot"]), str(one["instrument"])) for one in entries)


def forbidden(leads: Sequence[SwitchedLead], closed: Collection[int]) -> tuple[str, ...]:
    """Say what is wrong with these relays being closed together; nothing where it is allowed.

    The one place of the rule: never two instruments on one cell, never one instrument on two cells.

    Parameters
    ----------
    leads : sequence of SwitchedLead
        All that the relays of one multiplexer connect.
    closed : collection of int
        Relays that are closed, or would be.

    Returns
    -------
    tuple of str
        A sentence for each forbidden pair.
    """
    on = sorted((lead for lead in leads if lead.relay in closed), key=lambda lead: lead.relay)
    wrong = []
    for index, lead in enumerate(on):
        for other in on[index + 1 :]:
            if lead.relay == other.relay or not _clash(lead, other):
                continue
            pair = f"relays {lead.relay} and {other.relay}"
            if lead.slot == other.slot:
                wrong.append(f"{pair} put {lead.instrument} and {other.instrument} on {lead.slot} together")
            else:
                wrong.append(f"{pair} put {lead.instrument} on {lead.slot} and {other.slot} together")
    return tuple(wrong)


def rivals(leads: Sequence[SwitchedLead], relay: int) -> tuple[int, ...]:
    """Give ``relay`` and all relays that may never be closed together with it, in order: the group to switch in."""
    own = [lead for lead in leads if lead.relay == relay]
    others = {lead.relay for lead in leads if any(_clash(lead, mine) for mine in own)}
    return tuple(sorted({relay, *others}))


def _clash(one: SwitchedLead, other: SwitchedLead) -> bool:
    return one.slot == other.slot or one.instrument == other.instrument


class Multiplexer(Instrument, Protocol):
    """Relays by channel number, such as 101. Currents are stopped before any of them moves: that is the engine's part.

    One worker, one session; every group of writes ends with reading the error queue and the relays back. Its settings
    hold under ``leads`` what each relay connects, as the station says.
    """

    async def connect(self) -> Identity:
        """Also checks that the instrument does not close relays by itself when power returns."""

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed, by read-back; one whose contacts disagree counts as closed."""

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, verify, then close one of it (or none), verify: break before make.

        Raises
        ------
        Refused
            The instrument's error queue says so; or what is asked would leave a forbidden pair closed.
        VendorAlarm
            The relays did not read back as commanded, or a forbidden pair read back as closed.
        """
