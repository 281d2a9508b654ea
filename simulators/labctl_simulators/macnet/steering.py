"""A channel whose test is not simply run from its first step to its end: direct mode and advanced starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl_simulators.macnet.channel import ACTIVE, SUSPENDED, Channel
from labctl_simulators.macnet.procedure import Step
from labctl_simulators.macnet.running import Test


class SteeredChannel(Channel):
    """A channel whose procedure can be changed under way, and whose tests can begin in the middle."""

    _beginning: Mapping[str, Any] | None = None

    def change(self, content: bytes, steps: tuple[Step, ...]) -> None:
        """Put another procedure under the running test and enter its first step."""
        now = self._laboratory.time()
        self.advance(now)
        test = self.test
        if test is None or self.stat != ACTIVE:
            return
        if self._segment is not None:
            self._carry(self._segment, test, self._at)
        test.content = content.decode()
        self._steps = steps
        self._enter(1, now)
        self.advance(now)

    def start_in_the_middle(
        self,
        name: str,
        procedure: str,
        comment: str,
        content: bytes,
        steps: tuple[Step, ...],
        one_c: float,
        **counters: Any,
    ) -> None:
        """Start like :meth:`start`, but with other counters of the test: ``step``, ``cycle``, ``loops``."""
        self._beginning = counters
        self.start(name, procedure, comment, content, steps, one_c)

    def _enter(self, number: int, t: float) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None and self.test is not None:
            self.test.cycle, self.test.loops = beginning["cycle"], beginning["loops"]
            self.test.began = t - beginning["test_s"]
            number = beginning["step"]
        super()._enter(number, t)

    def take_up(self, test: Test, steps: tuple[Step, ...]) -> None:
        """Go on with a test that stands still, such as one from the archive."""
        self.test, self._steps, self.stat = test, steps, SUSPENDED
        self._segment = None
        self._at = self._laboratory.time()
        self.resume()
