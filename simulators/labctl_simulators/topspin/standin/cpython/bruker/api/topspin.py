"""``bruker.api.topspin`` for a process whose TopSpin is the virtual spectrometer behind a door."""

from labctl_simulators.topspin.api import DataProvider, Display, TopspinModule
from labctl_simulators.topspin.door import Outside

Topspin = TopspinModule(Outside.from_environment()).Topspin

__all__ = ["DataProvider", "Display", "Topspin"]
