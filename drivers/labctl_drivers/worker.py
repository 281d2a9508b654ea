"""One thread per instrument, for libraries that block (pyserial, pyvisa). Not a general thread pool.

What runs here may use only objects that no other thread touches: a session is opened, used and closed by calls of
:meth:`Worker.run`, which follow each other in one thread. Real time-outs of what runs here stay at about a second,
because a clock that jumps waits for real while it runs.

A vendor's library may never come back. Its thread is then left behind; it keeps nobody from ending the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from labctl.instruments import Clock

P = ParamSpec("P")
T = TypeVar("T")


class _Job:
    """A call that waits for its turn; whatever it raises is handed to whoever waits for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.done: Future[Any] = Future()
        self._function = function

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if error is not None:
            self.done.set_exception(error)
        return True

    def run(self) -> None:
        """Call it, unless it was given up."""
        if self.done.set_running_or_notify_cancel():
            with self:
                self.done.set_result(self._function())


def _serve(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # what it gave is not kept until the next one comes


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
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        # The first of them is what the thread does, or is about to.
        self._waiting: list[_Job] = []

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in the instrument's thread and give what it returns or raises.

        A caller that is cancelled goes on at once. The call itself can't be stopped: it ends in its own time, the clock
        is told so only then, and whatever is run next waits for it.

        Raises
        ------
        RuntimeError
            After :meth:`close`.
        """
        if self.closed:
            raise RuntimeError(f"the thread of {self._name} was closed")
        if self._thread is None:
            # A daemon: the program's end does not wait for a call that never comes back.
            self._thread = Thread(target=_serve, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        job = _Job(partial(function, *args, **kwargs))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        mark = ExitStack()
        mark.enter_context(self._clock.exchange())

        def finish(done: Future[T]) -> None:
            mark.close()
            self._waiting.remove(job)
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

        self._waiting.append(job)
        job.done.add_done_callback(hand_over)
        self._jobs.put(job)
        try:
            return await answer
        except asyncio.CancelledError:
            job.done.cancel()
            raise

    def close(self) -> None:
        """Let the thread end after what it is doing now, without waiting for it. Idempotent."""
        self.closed = True
        for job in self._waiting[1:]:
            job.done.cancel()
        self._jobs.put(None)
