"""What the station's ``driver: biologic`` stands for: a cycler or a potentiostat, as its entry says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labctl.instruments import (
    ENDS_TOGETHER,
    LONG_STEPS,
    SERIES,
    SUSPENDS,
    TEST_CLOCK,
    DriverContext,
    DynamicPotentiostat,
)
from labctl_drivers.biologic.cycling import BiologicCycler
from labctl_drivers.biologic.measuring import BiologicPotentiostat
from labctl_drivers.biologic.station import Settings, role_of


class BiologicDriver:
    """Makes the instrument of the role that the station file gives it."""

    def role_of(self, entry: Mapping[str, Any]) -> str:
        """Give the role that an entry asks for. Raises ``UsageError`` where it is none."""
        return role_of(entry)

    def capabilities_of(self, entry: Mapping[str, Any]) -> frozenset[str]:
        """Say what it can do beyond its role. EC-Lab can't be given the rest of a program that was stopped."""
        if role_of(entry) == "potentiostat":
            return frozenset({SERIES} if issubclass(BiologicPotentiostat, DynamicPotentiostat) else ())
        return frozenset(
            {TEST_CLOCK, ENDS_TOGETHER, LONG_STEPS}
            | ({SUSPENDS} if entry.get("backend", "eclib") == "eclib" else set())
        )

    def __call__(self, context: DriverContext) -> BiologicCycler | BiologicPotentiostat:
        """Make it. Raises ``UsageError`` with what is wrong with the entry."""
        settings = Settings.read(context)
        made = BiologicCycler if settings.role == "cycler" else BiologicPotentiostat
        return made(context, settings)


#: What the entry point names.
BIOLOGIC: Final = BiologicDriver()
