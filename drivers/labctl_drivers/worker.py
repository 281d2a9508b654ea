"""One thread per instrument, for libraries that block (pyserial, pyvisa). Not a general thread pool.

What runs here may use only objects that no other thread touches: a session is opened, used and closed by calls of
:meth:`Worker.run`, which follow each other in one thread. Real time-outs of what runs here stay at about a second,
because a clock that jumps waits for real while it runs. A call that never comes back keeps its thread, but not the
process: the interpreter waits for the threads of a pool at its end, and not for this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from labctl.instruments import Clock

P = ParamSpec("P")
T = TypeVar("T")

#: A call and where its outcome goes; None ends the thread.
_Job = tuple[Future[Any], Callable[[], Any]] | None


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
        self._name = name
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._thread: Thread | None = None

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
            job = self._submit(partial(function, *args, **kwargs))
        except BaseException:
            mark.close()
            raise
        job.add_done_callback(hand_over)
        try:
            return await answer
        except asyncio.CancelledError:
            job.cancel()
            raise

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        if self.closed:
            raise RuntimeError(f"the thread of {self._name} was closed")
        job: Future[T] = Future()
        self._jobs.put((job, call))
        if self._thread is None:
            self._thread = Thread(target=_serve, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        return job

    def close(self) -> None:
        """Let the thread end after what it is doing now, without waiting for it. Idempotent."""
        self.closed = True
        with suppress(Empty):
            while (waiting := self._jobs.get_nowait()) is not None:
                waiting[0].cancel()
        self._jobs.put(None)


def _serve(jobs: SimpleQueue[_Job]) -> None:
    """Do one call after the other until there is an end of them."""
    while (taken := jobs.get()) is not None:
        job, call = taken
        if not job.set_running_or_notify_cancel():
            continue
        try:
            job.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the call gets it
            job.set_exception(error)
        # A thread that waits for the next call holds nothing of the last.
        del taken, job, call
