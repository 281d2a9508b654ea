"""The two gateways as programs of their own, each with the vendor's names in front of the same virtual spectrometer."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nmr_bench import TOKEN, Bench

import labctl_drivers.bruker
import labctl_simulators.topspin
from labctl.engine.clock import LoopClock, VirtualLoop, run_real, run_virtual
from labctl_simulators.topspin.door import VARIABLE, Door

STANDIN = Path(labctl_simulators.topspin.__file__).parent / "standin"
SCRIPT = Path(labctl_drivers.bruker.__file__).parent / "jython" / "labctl_gateway.py"
EPOCH = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
#: Half a minute of programs that live for seconds is better not spent on optimizing them.
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
BACKENDS = ("cpython", "jython")


class ProgramBench(Bench):
    """A bench whose gateway is a program behind which stands the vendor's stand-in; ``said`` is its first words."""

    def __init__(self, folder: Path, clock: LoopClock, backend: str, patience: float, **settings: str) -> None:
        super().__init__(folder, clock, faults=False, **settings)
        self.door = Door(self.simulator)
        self.backend = backend
        self.patience = patience
        self.program: asyncio.subprocess.Process | None = None
        self.said = ""

    async def open(self, api: Any = None, **settings: Any) -> None:
        changes = await self.simulator.start()
        environment = dict(os.environ, LABCTL_TOPSPIN_TOKEN=TOKEN) | {VARIABLE: await self.door.start()}
        arguments = ["--port", "0", "--data-folder", changes["data_folder"], "--patience", f"{self.patience}"]
        arguments += [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        self.program = await asyncio.create_subprocess_exec(
            *self._command(environment), *arguments, env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert self.program.stderr is not None
        while "listening on" not in self.said:
            line = await self.program.stderr.readline()
            assert line, self.said
            self.said += line.decode()
        self.port = int(self.said.split("127.0.0.1:")[1].split(",")[0])

    def _command(self, environment: dict[str, str]) -> list[str]:
        if self.backend == "jython":
            found = shutil.which("jython")
            assert found, "jython is missing: install the Debian package `jython`"
            environment["JAVA_TOOL_OPTIONS"] = _QUICK
            environment["JYTHONPATH"] = str(STANDIN / "jython")
            # Nothing is compiled to files: neither is ours to leave behind.
            return [
                found,
                "-Dpython.cachedir.skip=true",
                "-B",
                str(STANDIN / "jython" / "xpy.py"),
                str(SCRIPT),
            ]
        paths = [str(STANDIN / "cpython"), *(str(Path(path).resolve()) for path in sys.path if path)]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        return [sys.executable, "-m", "labctl_drivers.bruker.gateway"]

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let virtual time pass, while nobody asks the program anything."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.exchange_ended()
        try:
            yield
        finally:
            loop.exchange_began()

    async def close(self) -> None:
        self.simulator.close_dialog()
        if self.program is not None:
            if self.program.returncode is None:
                self.program.terminate()
            await self.program.communicate()
        await self.door.stop()
        await super().close()


def on_program(
    test: Callable[[ProgramBench], Awaitable[None]],
    folder: Path,
    backend: str,
    *,
    patience: float = 20.0,
    real: bool = False,
    grace: float = 120.0,
    **settings: str,
) -> None:
    async def main(clock: LoopClock) -> None:
        bench = ProgramBench(folder, clock, backend, patience, **settings)
        # The program is outside: for whatever is asked of it, virtual time stands still.
        try:
            with clock.exchange():
                await bench.open(grace=grace)
                await test(bench)
        finally:
            with clock.exchange():
                await bench.close()

    (run_real if real else run_virtual)(main, EPOCH)
