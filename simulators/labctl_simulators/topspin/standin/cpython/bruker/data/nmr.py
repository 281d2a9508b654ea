"""``bruker.data.nmr``: the data sets."""

from labctl_simulators.topspin.api import NMRDataSet

__all__ = ["NMRDataSet"]
