"""The kill harness: a campaign against a laboratory that goes on, whose orchestrator is killed and started again.

``files`` make a laboratory whose results do not depend on waiting; ``laboratory`` and ``orchestrator`` are the two
processes; ``boundaries`` and ``launcher`` kill at commits; ``evidence`` is what the instruments say, ``journal`` what
labctl says, ``checks`` and ``together`` compare them; ``person`` is there for held cells; ``campaign`` puts all of it
together.
"""

from .boundaries import ALL, boundaries, boundaries_of
from .campaign import Outcome, Setting, Undisturbed, boundary_kills, random_kills, undisturbed
from .protocols import PROTOCOLS

__all__ = [
    "ALL",
    "PROTOCOLS",
    "Outcome",
    "Setting",
    "Undisturbed",
    "boundaries",
    "boundaries_of",
    "boundary_kills",
    "random_kills",
    "undisturbed",
]
