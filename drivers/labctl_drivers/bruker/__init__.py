"""Bruker spectrometer: the driver for labctl, and the gateway program that runs on the spectrometer PC."""

from labctl_drivers.bruker.driver import BrukerSpectrometer

__all__ = ["BrukerSpectrometer"]
