"""A Zahner workstation as its Thales Remote interface shows it, measuring virtual cells."""

from labctl_simulators.thales.simulator import ThalesSimulator

__all__ = ["ThalesSimulator"]
