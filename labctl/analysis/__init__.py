"""The analysis core: from bundles on disk to shares of capacity, figures and a report.

It knows units and errors of labctl and nothing else, so it also evaluates what labctl did not acquire. Names are
loaded when they are first used: numpy, scipy, nmrglue and matplotlib cost seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.analysis.evaluate import analyze
    from labctl.analysis.inventory import Allocation, allocate
    from labctl.analysis.model import Analysis
    from labctl.analysis.report import write_report
    from labctl.analysis.settings import Settings
    from labctl.analysis.truth import truth_shares

__all__ = ["Allocation", "Analysis", "Settings", "allocate", "analyze", "truth_shares", "write_report"]

_HOMES = {
    "Allocation": "inventory",
    "Analysis": "model",
    "Settings": "settings",
    "allocate": "inventory",
    "analyze": "evaluate",
    "truth_shares": "truth",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
