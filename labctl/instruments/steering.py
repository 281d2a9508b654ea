"""A cycler channel in the hands of a person, output by output, while somebody is there. No campaign uses it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from labctl.instruments.cycler import Mode, Reading, SafetyLimits


class Steered(Protocol):
    """A channel that a person steers now."""

    async def output(self, mode: Mode, current: float, voltage: float) -> None:
        """Charge or discharge with ``current`` (A, a magnitude), and no further than to ``voltage`` (V).

        Raises
        ------
        OutOfRange
            Beyond the channel; what it does goes on.
        Refused
            The instrument declines, or has ended it.
        """

    async def rest(self) -> None:
        """Let no current flow, and see that it is so. Raises ``Refused``."""

    async def reading(self) -> Reading:
        """Read voltage and current. Raises ``Refused`` where the instrument has ended it, such as at a limit."""


@runtime_checkable
class Steerable(Protocol):
    """A cycler whose channels a person can steer."""

    def steer(
        self, channel: int, name: str, mode: Mode, current: float, voltage: float, safety: SafetyLimits
    ) -> AbstractAsyncContextManager[Steered]:
        """Steer a channel for the time of a block, beginning with this output; however it ends, the channel is opened.

        Parameters
        ----------
        channel : int
            From 1; it must be free.
        name : str
            Under which the instrument keeps its records.
        mode, current, voltage
            As for :meth:`Steered.output`.
        safety : SafetyLimits
            Downloaded to the channel and read back before.

        Raises
        ------
        Busy, OutOfRange, Refused
            Nothing was begun.
        """
