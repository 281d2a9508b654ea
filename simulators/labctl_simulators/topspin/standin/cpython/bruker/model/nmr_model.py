"""``bruker.model.nmr_model``: the exception that TopSpin's Python interface raises."""

from labctl_simulators.topspin.api import ApiException

__all__ = ["ApiException"]
