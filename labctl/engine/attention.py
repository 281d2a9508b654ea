"""Working on something and listening meanwhile: whoever wants something sets an event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from labctl.engine.tasks import breaks_off

T = TypeVar("T")


async def attend(
    changed: asyncio.Event, work: Coroutine[Any, Any, T], interrupt: Callable[[asyncio.Task[T]], Awaitable[None]]
) -> T:
    """Work on something, and listen to people meanwhile.

    Raises
    ------
    asyncio.CancelledError
        An interruption broke the work off, or the orchestrator lets go.
    """
    task = asyncio.create_task(work)
    try:
        while not task.done():
            heard = asyncio.ensure_future(changed.wait())
            await asyncio.wait({task, heard}, return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
            if not task.done():
                changed.clear()
                await interrupt(task)
        return task.result()
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def attend_so_far(
    changed: asyncio.Event, work: Coroutine[Any, Any, T], interrupt: Callable[[asyncio.Task[T]], Awaitable[None]]
) -> None:
    """Work on something that a person's wish may break off; what is left of it is taken up again."""
    try:
        await attend(changed, work, interrupt)
    except asyncio.CancelledError:
        if breaks_off():
            raise


async def pause(changed: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until a person wants something."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
