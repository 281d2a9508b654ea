"""Drivers, simulators and gateways, found by their entry points: third parties plug in the same way as ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from labctl.errors import LabctlError


@cache
def _found(group: str) -> dict[str, EntryPoint]:
    # Once for a process: every look reads what all installed packages say of themselves.
    return {entry.name: entry for entry in entry_points(group=group)}


def driver_names() -> list[str]:
    """Names that a station file may give as ``driver``."""
    return sorted(_found("labctl.drivers"))


def _load(group: str, name: str) -> Any:
    entry = _found(group).get(name)
    if entry is None:
        raise LabctlError(f"no '{name}' among the installed {group}", hint="reinstall labctl or the package with it")
    return entry.load()


def driver(name: str) -> Any:
    """Load the driver class of that name."""
    return _load("labctl.drivers", name)


def roles(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Give the role of every instrument of a station, as its driver says."""
    return {name: _role(driver(entry["driver"]), entry) for name, entry in entries.items()}


def _role(made: Any, entry: Mapping[str, Any]) -> str:
    # A driver that can fill several roles tells which by the entry.
    role_of = getattr(made, "role_of", None)
    return str(made.role if role_of is None else role_of(entry))


def capabilities(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Give what the driver of every instrument can do beyond its role; a driver that says nothing can do nothing."""
    return {name: _capabilities(driver(entry["driver"]), entry) for name, entry in entries.items()}


def _capabilities(made: Any, entry: Mapping[str, Any]) -> frozenset[str]:
    capabilities_of = getattr(made, "capabilities_of", None)
    return frozenset(getattr(made, "capabilities", ()) if capabilities_of is None else capabilities_of(entry))


def simulator(name: str) -> Any:
    """Load a simulator class, or ``laboratory``, ``planning`` (the laboratory of a plan) and ``person``."""
    return _load("labctl.simulators", name)


def planned(role: str) -> Any:
    """Load the driver that stands for every instrument of a role in a plan."""
    return _load("labctl.planning", role)


def gateway(name: str) -> Any | None:
    """Load the gateway program of a driver that needs one, or None."""
    return _load("labctl.gateways", name) if name in _found("labctl.gateways") else None
