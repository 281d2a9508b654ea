"""What a switch unit is, as the station says and as it says itself: model, cards, and which channels a relay takes.

No relay is moved from here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext, OutOfRange, SwitchedLead, forbidden, read_leads
from labctl_drivers.scpi_dialects import DIALECTS, KEYSIGHT, MODELS, MODULES, Dialect, Module, dialect_of
from labctl_drivers.scpi_lists import words
from labctl_drivers.visa_line import where

_RECALL: Final = ("refuse", "warn")


class SwitchUnit:
    """A unit's settings, and what has been found out about it.

    Parameters
    ----------
    context : DriverContext
        Its settings.

    Attributes
    ----------
    dialect : Dialect
        What it speaks; the station's model decides, or else the unit's own name.
    cards : mapping of int to str
        What its slots hold, once it was asked; empty where it can't say.
    leads : tuple of SwitchedLead
        What the station's relays connect.
    """

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        self._name = context.name
        self.address = str(settings["address"])
        self.model = str(settings.get("model") or "")
        self.dialect: Dialect = dialect_of(self.model) or KEYSIGHT
        self.cards: Mapping[int, str] = {}
        self.leads: tuple[SwitchedLead, ...] = read_leads(settings.get("leads") or ())
        self.refuses_recall = str(settings.get("power_fail_recall") or "refuse") == "refuse"
        self._module = str(settings.get("module") or "")
        self._also = tuple(int(number) for number in settings.get("also") or ())
        self._found = ""
        self._check(settings)

    def _check(self, settings: Mapping[str, Any]) -> None:
        if "::" not in self.address:
            raise self._wrong("address", self.address, "is no VISA address", "such as TCPIP::192.0.2.13::5025::SOCKET")
        if self.model and dialect_of(self.model) is None:
            raise self._wrong("model", self.model, "is unknown", f"one of {', '.join(MODELS)}")
        known = self.dialect.modules if self.model else MODULES
        if self._module and self._module not in known:
            raise self._wrong("module", self._module, "is unknown", f"one of {', '.join(known)}")
        recall = settings.get("power_fail_recall")
        if recall is not None and recall not in _RECALL:
            raise self._wrong("power_fail_recall", str(recall), "is unknown", f"one of {', '.join(_RECALL)}")
        taken: dict[int, int] = {}
        for relay in sorted(self.wired):
            for channel in self.channels([relay]):
                if channel in taken:
                    found = f"would move channel {channel} for relay {taken[channel]} and for relay {relay}"
                    hint = "name one relay of each cell, and count 'also' from it"
                    raise self._wrong("also", str(list(self._also)), found, hint)
                taken[channel] = relay

    def _wrong(self, key: str, value: str, found: str, hint: str) -> InstrumentError:
        return InstrumentError(f"{key}: '{value}' {found}", instrument=self._name, hint=hint)

    @property
    def wired(self) -> frozenset[int]:
        """Relays that the station names."""
        return frozenset(lead.relay for lead in self.leads)

    @property
    def slots(self) -> int:
        """How many slots the unit has; the most that one of its family has, as long as its model is not known."""
        return self.dialect.slots.get(self._found or self.model, max(self.dialect.slots.values()))

    def named(self, model: str) -> str | None:
        """Take over what the unit calls itself; gives its model, None where that is not the station's."""
        for dialect in DIALECTS:
            match = dialect.identity.fullmatch(model)
            if match is not None and match[1] in dialect.slots and self.model in ("", match[1]):
                self.dialect, self._found = dialect, match[1]
                return self._found
        return None

    # -- relays and channels -------------------------------------------------------------------------------------
    def channels(self, relays: Collection[int]) -> frozenset[int]:
        """Give the channels of relays: their own, and those that move with them."""
        return frozenset(relay + more for relay in relays for more in (0, *self._also))

    def relays(self, among: Collection[int], channels: Collection[int]) -> frozenset[int]:
        """Give those relays of which at least one channel is closed: their cell is not isolated."""
        return frozenset(relay for relay in among if self.channels([relay]) & set(channels))

    def checked(self, relays: Collection[int]) -> frozenset[int]:
        """Refuse relays that the unit can't have: a refused query costs a whole time-out.

        Raises
        ------
        OutOfRange
            With the first of them.
        """
        for channel in sorted(self.channels(relays)):
            slot, number = divmod(channel, 100)
            if not 1 <= slot <= self.slots:
                hint = f"slots 1 to {self.slots}, such as 101"
                raise self._out_of_range(
                    f"a {self._found or self.model or 'unit of this family'} has no relay {channel}", hint
                )
            name, card = self._card(slot)
            if card is None:
                hint = f"use slots with {', '.join(self.dialect.modules)}"
                raise self._out_of_range(f"there is no relay {channel}: slot {slot} holds {name}", hint)
            if number not in card.channels:
                low, high = min(card.channels), max(card.channels)
                hint = f"slot {slot}, {card.what}: channels {low:02d} to {high:02d}, such as {slot}{low:02d}"
                raise self._out_of_range(f"a {name} has no relay {channel}", hint)
        return frozenset(relays)

    def _card(self, slot: int) -> tuple[str, Module | None]:
        modules = self.dialect.modules
        if self.cards:
            name = self.cards.get(slot, "")
            if name not in modules:
                return (f"a {name}, which is none for switching cells" if name else "no card"), None
            if self._module and name != self._module:
                return f"a {name}, and the station names a {self._module}", None
            return name, modules[name]
        name = self._module or next(iter(modules))
        return name, modules[name]

    def _out_of_range(self, message: str, hint: str) -> InstrumentError:
        return OutOfRange(message, instrument=self._name, address=where(self.address), hint=hint)

    def against(self, closed: Collection[int]) -> str | None:
        """Say why these relays must not be closed together, None where they may."""
        wrong = forbidden(self.leads, closed)
        return f"{words(closed)} closed: {'; '.join(wrong)}" if wrong else None
