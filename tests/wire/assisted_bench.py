"""A drop folder, the driver that asks in it, and a person who drops real files there; for the tests of this folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import DriverContext, Handle, Hiccup, Progress, State
from labctl_drivers.assisted import ASSISTED

#: Everything is asked and measured from here on.
EPOCH = datetime(2026, 7, 3, 8, 0, tzinfo=UTC)


class Quiet:
    """A logger that says nothing."""

    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


class Assistant:
    """One assisted instrument in a laboratory folder."""

    def __init__(self, folder: Path, clock: LoopClock, **entry: Any) -> None:
        self.folder, self.clock = folder, clock
        self.entry = {"driver": "assisted", "drop_folder": "drop", **entry}
        self.hiccups: list[Hiccup] = []
        self.made: list[Any] = []
        self.driver: Any = self.another()

    @property
    def drop(self) -> Path:
        return self.folder / "drop"

    def another(self, name: str = "by-hand", **entry: Any) -> Any:
        """A driver made anew, as after a restart."""
        context = DriverContext(
            name, {**self.entry, **entry}, self.clock, Quiet(), self.hiccups.append, str, self.folder
        )
        self.made.append(ASSISTED(context))
        return self.made[-1]

    async def close(self) -> None:
        for driver in self.made:
            await driver.close()

    async def look(self, handle: Handle) -> Progress:
        """Look until the dropped files have been quiet for long enough."""
        for _ in range(3):
            progress: Progress = await self.driver.poll(handle)
            assert progress.remaining is not None
            if progress.state is not State.RUNNING:
                return progress
            await asyncio.sleep(progress.remaining)
        return progress

    async def differs(self, handle: Handle) -> list[str]:
        """What labctl says is wrong with what was dropped."""
        progress = await self.look(handle)
        assert progress.state is State.RUNNING, progress
        assert progress.request is not None
        return list(progress.request["differs"])

    def put(self, source: Path, token: str, name: str | None = None) -> Path:
        """Copy a file or a whole folder into the request's folder, in place of what was there."""
        target = self.drop / token / (name or source.name)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return target

    def accept(self, token: str, text: str = "name: Ada\nreason: shorter, but enough\n") -> None:
        (self.drop / token / "accept.txt").write_text(text, encoding="utf-8")

    async def take(self, handle: Handle) -> Any:
        """Look, and fetch into a fresh bundle."""
        progress = await self.look(handle)
        assert progress.state is State.DONE, progress
        bundle = self.folder / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        return await self.driver.fetch(handle, bundle)


def assisted(folder: Path, story: Callable[[Assistant], Awaitable[None]], **entry: Any) -> None:
    """Run a story with an assisted instrument, in virtual time."""

    async def main(clock: LoopClock) -> None:
        assistant = Assistant(folder, clock, **entry)
        try:
            await assistant.driver.connect()
            await story(assistant)
        finally:
            await assistant.close()

    run_virtual(main, EPOCH)
