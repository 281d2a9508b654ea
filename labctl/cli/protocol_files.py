"""What the commands that take a protocol have in common: ``--set NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.errors import UsageError


def values_of(said: Sequence[str] | None) -> dict[str, str]:
    """Read what was said for parameters.

    Raises
    ------
    UsageError
        Something is no ``name=value``, or a name is said twice.
    """
    values: dict[str, str] = {}
    for one in said or ():
        name, equals, value = one.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"'--set {one}' says nothing", hint="write for example '--set current=0.2C'")
        if name.strip() in values:
            raise UsageError(f"'{name.strip()}' is set twice", hint="say it once")
        values[name.strip()] = value.strip()
    return values
