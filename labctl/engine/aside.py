"""Work that blocks, such as sending to a slow receiver, in a thread that nobody has to wait for at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

from labctl.instruments import Clock

T = TypeVar("T")


async def aside(clock: Clock, work: Callable[[], T], name: str) -> T:
    """Do work in a thread of its own; a virtual clock stands still meanwhile.

    Who is cancelled goes on at once. The work ends in its own time then, and nobody is told what came of it; a process
    does not wait for it at its end.

    Parameters
    ----------
    work : callable
        May use only what no other thread touches.
    name : str
        Of the thread.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def finish(settle: Callable[[Any], None], outcome: Any) -> None:
        if not answer.done():
            settle(outcome)

    def tell(settle: Callable[[Any], None], outcome: Any) -> None:
        # A loop that was closed meanwhile has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, settle, outcome)

    def serve() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            tell(answer.set_exception, error)
        else:
            tell(answer.set_result, result)

    with clock.exchange():
        Thread(target=serve, name=name, daemon=True).start()
        return await answer
