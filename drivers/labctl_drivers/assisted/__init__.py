"""Assisted operations: a person runs the instrument by hand, labctl asks, checks the dropped file and takes it in."""

from labctl_drivers.assisted.roles import ASSISTED

__all__ = ["ASSISTED"]
