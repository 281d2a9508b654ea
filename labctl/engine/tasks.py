"""Breaking off what a task works on, and telling who breaks off."""

from __future__ import annotations

import asyncio
from typing import Any


def breaks_off() -> bool:
    """Whether it is the orchestrator that breaks off, not a person's wish for one step."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def let_go(task: asyncio.Task[Any]) -> None:
    """Stop working on something; its operation stays where it is."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
