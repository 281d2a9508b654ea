"""A person who runs one instrument of the virtual laboratory by hand, as request sheets ask."""

from labctl_simulators.assisted.simulator import AssistedSimulator

__all__ = ["AssistedSimulator"]
