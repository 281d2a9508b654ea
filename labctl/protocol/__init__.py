"""What to do: protocol files, their models and meaning, and the plan that they expand to for one cell."""

from labctl.protocol.acquisition import Acquisition
from labctl.protocol.files import load_protocol, protocol_schema, read_protocol, shipped
from labctl.protocol.models import Protocol
from labctl.protocol.nesting import Condition
from labctl.protocol.plan import (
    CONTINUED,
    Cycling,
    Impedance,
    Kind,
    PlannedCell,
    PlannedOperation,
    expand,
    measure_problem,
)
from labctl.protocol.resolving import Moment
from labctl.protocol.selection import Selection
from labctl.protocol.tasks import Handling, Note, Question, Reading
from labctl.protocol.together import Dynamic, Together
from labctl.protocol.values import each, in_cycle
from labctl.protocol.walk import Block, Placed, blocks, cycles, measured

__all__ = [
    "CONTINUED",
    "Acquisition",
    "Block",
    "Condition",
    "Cycling",
    "Dynamic",
    "Handling",
    "Impedance",
    "Kind",
    "Moment",
    "Note",
    "Placed",
    "PlannedCell",
    "PlannedOperation",
    "Protocol",
    "Question",
    "Reading",
    "Selection",
    "Together",
    "blocks",
    "cycles",
    "each",
    "expand",
    "in_cycle",
    "load_protocol",
    "measure_problem",
    "measured",
    "protocol_schema",
    "read_protocol",
    "shipped",
]
