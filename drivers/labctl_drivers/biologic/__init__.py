"""BioLogic potentiostats, through the vendor's library or through EC-Lab."""

from labctl_drivers.biologic.roles import BIOLOGIC

__all__ = ["BIOLOGIC"]
