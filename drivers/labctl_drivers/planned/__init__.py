"""The roles on the objects of a planning laboratory: what an engine is given to make a plan.

No station names these drivers. Each is given its device under ``device`` in its settings, and answers at once.
"""

from labctl_drivers.planned.chamber import PlannedChamber
from labctl_drivers.planned.cycler import PlannedCycler
from labctl_drivers.planned.multiplexer import PlannedMultiplexer
from labctl_drivers.planned.potentiostat import PlannedPotentiostat
from labctl_drivers.planned.spectrometer import PlannedSpectrometer

__all__ = ["PlannedChamber", "PlannedCycler", "PlannedMultiplexer", "PlannedPotentiostat", "PlannedSpectrometer"]
