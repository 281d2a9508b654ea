"""The laboratory of a plan: the usual one without its logs and its control port, and its instruments by role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from labctl_simulators.laboratory import Laboratory
from labctl_simulators.planned.chamber import PlannedBath
from labctl_simulators.planned.channel import PlannedTester
from labctl_simulators.planned.person import PlannedPerson
from labctl_simulators.planned.spectrometer import PlannedConsole
from labctl_simulators.planned.workstation import PlannedWorkstation

_DEVICES: Final[Mapping[str, Callable[[str, Mapping[str, Any], Any], Any]]] = {
    "cycler": PlannedTester,
    "spectrometer": PlannedConsole,
    "potentiostat": PlannedWorkstation,
    "chamber": PlannedBath,
}


class PlanningLaboratory(Laboratory):
    """As :class:`Laboratory`, but nothing is written down, and instruments are objects.

    Parameters are those of the other; planned faults in the description are left out.
    """

    def device(self, role: str, name: str, entry: Mapping[str, Any]) -> Any:
        """Make the instrument of a role; a multiplexer is its set of closed relays.

        Raises
        ------
        ValueError
            There is no such role.
        """
        if role == "multiplexer":
            return self.relays(name)
        if role not in _DEVICES:
            raise ValueError(f"nothing is planned with a {role}; roles are {', '.join(_DEVICES)}, multiplexer")
        return _DEVICES[role](name, entry, self)

    def person(self, desk: Any, on_duty: Callable[[datetime], str | None]) -> PlannedPerson:
        """Give a person who works on what ``desk`` asks for; see :class:`PlannedPerson`."""
        return PlannedPerson(self, desk, on_duty)

    def record(self, instrument: str, event: str, **data: Any) -> None:
        """Write nothing down."""
