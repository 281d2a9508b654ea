"""Drivers of the instruments: each speaks its instrument's own protocol and offers a role of ``labctl.instruments``."""
