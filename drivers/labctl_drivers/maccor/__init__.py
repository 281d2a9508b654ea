"""MACCOR Series 4000 cyclers over MacNet, the tester program's own network protocol."""

from labctl_drivers.maccor.driver import MaccorCycler

__all__ = ["MaccorCycler"]
