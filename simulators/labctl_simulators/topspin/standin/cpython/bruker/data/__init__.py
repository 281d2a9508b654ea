"""Stands where the vendor's package of this name would be; see ``labctl_simulators.topspin.api``."""
