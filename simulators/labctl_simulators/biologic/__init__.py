"""Simulated BioLogic potentiostats."""

from labctl_simulators.biologic.eclib_simulator import BiologicSimulator

__all__ = ["BiologicSimulator"]
