"""Zahner potentiostats over Thales Remote."""

from labctl_drivers.zahner.driver import ZahnerPotentiostat

__all__ = ["ZahnerPotentiostat"]
