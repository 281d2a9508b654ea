"""Protocols of other programs: what a protocol's electrochemistry becomes there, and what theirs becomes here.

Only electrochemistry passes, and nothing is dropped in silence: whatever the other side cannot say is a remark.
"""

from labctl.interchange.exchanged import Exchange, Item, Repeat, Step, Sweep, cycler_program, items_of
from labctl.interchange.incoming import protocol_text
from labctl.interchange.outgoing import exchange_of
from labctl.interchange.pybamm_script import write_pybamm
from labctl.interchange.unicycler import read_unicycler, write_unicycler

__all__ = [
    "Exchange",
    "Item",
    "Repeat",
    "Step",
    "Sweep",
    "cycler_program",
    "exchange_of",
    "items_of",
    "protocol_text",
    "read_unicycler",
    "write_pybamm",
    "write_unicycler",
]
