"""A driver behind a blocking library, its simulator in a laboratory, the wire between them, and what was reported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import DriverContext, Hiccup
from labctl_simulators.laboratory import Laboratory

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


class Log:
    """Keeps what was said, as warnings and worse."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def debug(self, event: str, **fields: Any) -> None: ...

    def info(self, event: str, **fields: Any) -> None: ...

    def warning(self, event: str, **fields: Any) -> None:
        self.said.append((event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.said.append((event, fields))


class Bench:
    """One instrument under test, named ``name`` in a laboratory with fault proxies."""

    def __init__(
        self,
        clock: LoopClock,
        make_driver: Callable[[DriverContext], Any],
        make_simulator: Callable[[str, Mapping[str, Any], Any], Any],
        name: str,
        settings: Mapping[str, Any],
        description: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.clock = clock
        self.hiccups: list[Hiccup] = []
        self.log = Log()
        self.laboratory = Laboratory(description, folder=Path(), seed=1, clock=clock, log=Log(), faults=True)
        self.simulator = make_simulator(name, settings, self.laboratory)
        self.driver: Any = None
        self._make_driver = make_driver
        self._settings = settings

    async def start(self) -> None:
        reached = await self.simulator.start()
        context = context_of(self.clock, self.name, {**self._settings, **reached}, self.hiccups, self.log)
        self.driver = self._make_driver(context)

    async def stop(self) -> None:
        await self.driver.close()
        await self.laboratory.stop()
        await self.simulator.stop()

    def log_of(self, event: str, field: str) -> list[Any]:
        """What the simulator wrote into its own log under ``event``."""
        return [entry[field] for entry in self.laboratory.records(self.name) if entry["event"] == event]


def context_of(
    clock: LoopClock, name: str, settings: Mapping[str, Any], hiccups: list[Hiccup], log: Log | None = None
) -> DriverContext:
    return DriverContext(name, settings, clock, log or Log(), hiccups.append, str, Path())


def on_bench(
    make_driver: Callable[[DriverContext], Any],
    make_simulator: Callable[[str, Mapping[str, Any], Any], Any],
    name: str,
    test: Callable[[Bench], Awaitable[None]],
    settings: Mapping[str, Any],
    description: Mapping[str, Any],
) -> None:
    """Run ``test`` in virtual time."""

    async def main(clock: LoopClock) -> None:
        bench = Bench(clock, make_driver, make_simulator, name, settings, description)
        await bench.start()
        try:
            await test(bench)
        finally:
            await bench.stop()

    run_virtual(main, EPOCH)
