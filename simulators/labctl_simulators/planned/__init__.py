"""A virtual laboratory without wires, files and records: for plans, where only what happens when is wanted.

The cells, the room, the chambers and the person are those of the other simulators, and so is how long everything
takes. What is left out is how instruments are talked to, what they write, and what goes wrong with them.
"""

from labctl_simulators.planned.laboratory import PlanningLaboratory

__all__ = ["PlanningLaboratory"]
