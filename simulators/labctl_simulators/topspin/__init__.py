"""A stand-in for TopSpin and the spectrometer behind it; see :mod:`labctl_simulators.topspin.simulator`."""

from labctl_simulators.topspin.simulator import TopspinSimulator

__all__ = ["TopspinSimulator"]
