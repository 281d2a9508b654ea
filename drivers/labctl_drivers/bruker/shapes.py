"""What an answer of the gateway must look like before anybody reads it; by operation. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_Check = Callable[[Any], bool]


def misshapen(op: str, fields: Mapping[str, Any], reply: Mapping[str, Any]) -> str | None:
    """Name the first member of a good answer to ``op`` that is missing or of another kind, or nothing."""
    for member, fits in _MEMBERS.get(op, {}).items():
        # Of which dataset nobody asked, none is told.
        told = member in reply or member != "expnos" or "name" in fields
        if told and not fits(reply.get(member)):
            return member
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_dataset(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("state"), str)
        and isinstance(value.get("message", ""), str | None)
        and (value.get("scans") is None or _is_count(value["scans"]))
        and {"message", "scans", "elapsed_s"} <= value.keys()
        and (value["elapsed_s"] is None or _is_duration(value["elapsed_s"]))
    )


def _are_expnos(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(key) and _is_dataset(found) for key, found in value.items())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _is_busy(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and {"name", "expno"} <= value.keys())


def _are_parameters(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str | None) for one in value.values())


def _are_files(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_file, value))


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("file"), str)
        and isinstance(value.get("sha256"), str)
        and _is_count(value.get("size"))
    )


_MEMBERS: Final[Mapping[str, Mapping[str, _Check]]] = {
    "status": {"busy": _is_busy, "expnos": _are_expnos},
    "getpar": {"pars": _are_parameters},
    "setpar": {"read_back": _are_parameters},
    "list": {"files": _are_files},
}
