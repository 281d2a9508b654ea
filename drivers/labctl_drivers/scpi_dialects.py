"""How families of switch units say the same things: a table each. Nothing is sent from here.

Each entry of a table is a whole command; ``{list}`` stands for a channel list such as ``(@101:108)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Module:
    """A plug-in card whose relays stay where they are put.

    Attributes
    ----------
    what : str
        For people.
    channels : frozenset of int
        What may be named on it, without the slot's number.
    """

    what: str
    channels: frozenset[int]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one family of switch units understands.

    Attributes
    ----------
    slots : mapping of str to int
        Its models, as the station names them, and how many slots each has.
    identity : re.Pattern
        The second field of ``*IDN?``; its group is the model.
    close, open, state, wear : str
        To close, to open, to read back, to read the count of switchings.
    modules : mapping of str to Module
        Cards that labctl may use; all others measure or have relays that move by themselves.
    cards : tuple of str
        Questions for what is in the slots.
    card : re.Pattern
        Finds the model of one card, once for each slot, in the answers.
    recall : str
        Asks whether relays are closed by themselves when power returns.
    recall_answer : re.Pattern
        All good answers to that.
    harmless : re.Pattern
        Those by which none closes.
    forget : str
        Switches that off.
    clock : str
        Asks for date, time of day, and the date again; empty where that is not known.
    """

    slots: Mapping[str, int]
    identity: re.Pattern[str]
    close: str
    open: str
    state: str
    wear: str
    modules: Mapping[str, Module]
    cards: tuple[str, ...]
    card: re.Pattern[str]
    recall: str
    recall_answer: re.Pattern[str]
    harmless: re.Pattern[str]
    forget: str
    clock: str = ""


_MATRIX: Final = Module(
    "matrix of 4 rows and 8 columns", frozenset(10 * row + column for row in range(1, 5) for column in range(1, 9))
)

KEYSIGHT: Final = Dialect(
    slots={"34970A": 3, "34972A": 3, "DAQ970A": 3},
    identity=re.compile(r"\s*(\S+)\s*"),
    close="ROUT:CLOS {list}",
    open="ROUT:OPEN {list}",
    state="ROUT:CLOS? {list}",
    wear="DIAG:REL:CYCL? {list}",
    modules={
        "34903A": Module("20 actuators", frozenset(range(1, 21))),
        # Row 3, column 2 is channel 32.
        "34904A": _MATRIX,
        # Their successors for the DAQ970A, numbered alike.
        "DAQM903A": Module("20 actuators", frozenset(range(1, 21))),
        "DAQM904A": _MATRIX,
    },
    cards=("SYST:CTYP? 100", "SYST:CTYP? 200", "SYST:CTYP? 300"),
    card=re.compile(r"[^,]*,\s*([^,]*?)\s*,[^,]*,[^,]*"),
    recall="MEM:STAT:REC:AUTO?",
    recall_answer=re.compile(r"[+-]?[01]"),
    harmless=re.compile(r"[+-]?0"),
    forget="MEM:STAT:REC:AUTO OFF",
    clock="SYST:DATE?;:SYST:TIME?;:SYST:DATE?",
)

KEITHLEY: Final = Dialect(
    slots={"2700": 2, "2701": 2, "2750": 5},
    identity=re.compile(r"\s*MODEL (\S+)\s*"),
    # Plain ROUT:CLOS closes a channel for measuring, and opens others for it.
    close="ROUT:MULT:CLOS {list}",
    open="ROUT:MULT:OPEN {list}",
    state="ROUT:MULT:CLOS:STAT? {list}",
    wear="ROUT:CLOS:COUN? {list}",
    modules={
        "7705": Module("40 relays", frozenset(range(1, 41))),
        # Columns 1 to 8 of row 1, then those of row 2 and so on; 49 and 50 lead to the meter and are not offered.
        "7709": Module("matrix of 6 rows and 8 columns", frozenset(range(1, 49))),
    },
    cards=("*OPT?",),
    card=re.compile(r"\s*([A-Za-z0-9]+)\s*(?:,|$)"),
    recall="SYST:POS?",
    recall_answer=re.compile(r"[A-Z]+\d?"),
    harmless=re.compile(r"RST|PRES"),
    forget="SYST:POS RST",
)

DIALECTS: Final = (KEYSIGHT, KEITHLEY)
#: Every model that the driver knows.
MODELS: Final = tuple(model for dialect in DIALECTS for model in dialect.slots)
#: Every card that the driver knows.
MODULES: Final[Mapping[str, Module]] = {name: card for dialect in DIALECTS for name, card in dialect.modules.items()}


def dialect_of(model: str) -> Dialect | None:
    """Give the dialect that a model speaks, None for an unknown model."""
    return next((dialect for dialect in DIALECTS if model in dialect.slots), None)
