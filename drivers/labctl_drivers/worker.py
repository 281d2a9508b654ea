"""One thread per instrument, for libraries that block (pyserial, pyvisa). Not a general thread pool.

What runs here may use only objects that no other thread touches: a session is opened, used and closed by calls of
:meth:`Worker.run`, which follow each other in one thread. Real time-outs of what runs here stay at about a second,
because a clock that jumps waits for real while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import ParamSpec, TypeVar

from labctl.instruments import Clock

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """The single thread of one instrument.

    Parameters
    ----------
    clock : Clock
        Is told by ``exchange()`` that the thread is at work.
    name : str
        The station's name of the instrument; the thread carries it.
    """

    def __init__(self, clock: Clock, name: str) -> None:
        self._clock = clock
        #: Whether :meth:`close` was called.
        self.closed = False
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in the instrument's thread and give what it returns or raises.

        A caller that is cancelled goes on at once. The call itself can't be stopped: it ends in its own time, the clock
        is told so only then, and whatever is run next waits for it.

        Raises
        ------
        RuntimeError
            After :meth:`close`.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        mark = ExitStack()
        mark.enter_context(self._clock.exchange())

        def finish(done: Future[T]) -> None:
            mark.close()
            if answer.done():
                return
            if done.cancelled():
                answer.cancel()
            elif (error := done.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(done.result())

        def hand_over(done: Future[T]) -> None:
            # A loop that was closed meanwhile has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, done)

        try:
            job = self._threads.submit(function, *args, **kwargs)
        except BaseException:
            mark.close()
            raise
        job.add_done_callback(hand_over)
        try:
            return await answer
        except asyncio.CancelledError:
            job.cancel()
            raise

    def close(self) -> None:
        """Let the thread end after what it is doing now, without waiting for it. Idempotent."""
        self.closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
