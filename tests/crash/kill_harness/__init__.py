"""The kill harness: a campaign against a laboratory that goes on, whose orchestrator is killed and started again.

``files`` make a laboratory whose results do not depend on waiting; ``laboratory`` and ``orchestrator`` are the two
processes; ``boundaries`` and ``launcher`` kill at commits; ``evidence`` is what the instruments say, ``journal`` what
labctl says, ``checks`` compares them; ``campaign`` puts it together.
"""

from .boundaries import ALL, boundaries
from .campaign import Outcome, Setting, Undisturbed, boundary_kills, random_kills, undisturbed

__all__ = [
    "ALL",
    "Outcome",
    "Setting",
    "Undisturbed",
    "boundaries",
    "boundary_kills",
    "random_kills",
    "undisturbed",
]
