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
from labctl.protocol.tasks import Handling, Note, Question, Reading
from labctl.protocol.together import Dynamic, Together
from labctl.protocol.values import in_cycle
from labctl.protocol.walk import Block, Placed, blocks, cycles

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
    "Note",
    "Placed",
    "PlannedCell",
    "PlannedOperation",
    "Protocol",
    "Question",
    "Reading",
    "Together",
    "blocks",
    "cycles",
    "expand",
    "in_cycle",
    "load_protocol",
    "measure_problem",
    "protocol_schema",
    "read_protocol",
    "shipped",
]
