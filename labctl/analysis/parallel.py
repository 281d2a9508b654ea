"""The same work on many things, on several cores where that pays; results always in the order of the things.

Each process is started anew (``spawn``), as on Windows: it imports numpy and the rest once more, which takes a second,
and shares no thread or lock with this one. It is kept for what comes next.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Final, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Work that takes less than so many seconds is done here: it would be over before others have started.
WORTH_S: Final = 3.0


def cores() -> int:
    """Count the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux tells
        return os.cpu_count() or 1


class Workers:
    """Processes that share work out; none is started before there is work that is worth it.

    Parameters
    ----------
    jobs : int
        How many at most; with 1 everything is done in this process.
    """

    def __init__(self, jobs: int = 1) -> None:
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def begin(self, module: str, *, seconds: float) -> None:
        """Start the processes for work of so many seconds that is still being read; they load its ``module``."""
        if self._jobs > 1 and seconds >= WORTH_S:
            for _ in range(self._jobs):
                self._started().submit(_load, module)

    def mapped(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        seconds: float = 0.0,
        done: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Result]:
        """Apply ``function`` to each of ``items``.

        Parameters
        ----------
        function : callable
            Of a module, not made on the fly: other processes import it.
        items : sequence
            Plain data.
        seconds : float
            What all of it takes on one core, roughly.
        done : callable, optional
            Called after each, in this process.
        meanwhile : callable, optional
            What else there is to do, in this process, once the others work.

        Returns
        -------
        list
            In the order of ``items``, whichever was ready first.
        """
        found: dict[int, Result] = {}

        def keep(index: int, result: Result) -> None:
            found[index] = result
            if done is not None:
                done()

        alone = min(self._jobs, len(items)) < 2 or (seconds < WORTH_S and self._pool is None)
        if alone and meanwhile is not None:
            meanwhile()
        if not alone:
            try:
                self._spread(function, items, keep, meanwhile)
            except BrokenProcessPool:
                # Something killed a process, such as a machine without memory: what it left is done here.
                self._end()
                self._jobs = 1
        for index, item in enumerate(items):
            if index not in found:
                keep(index, function(item))
        return [found[index] for index in range(len(items))]

    def _spread(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        keep: Callable[[int, Result], None],
        meanwhile: Callable[[], None] | None,
    ) -> None:
        pool = self._started()
        waiting: dict[Future[Result], int] = {pool.submit(function, item): index for index, item in enumerate(items)}
        try:
            if meanwhile is not None:
                meanwhile()
            for one in as_completed(waiting):
                keep(waiting[one], one.result())
        except BaseException:
            self._end()
            raise

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_quiet)
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def less_searching() -> None:
    """Look for garbage less often: results and figures are many small objects that live until they are written."""
    gc.set_threshold(200_000, 50, 50)


def _load(module: str) -> None:
    importlib.import_module(module)


def _quiet() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    less_searching()
    # Its results are handed over: to give its memory back piece by piece takes half a second that somebody waits for.
    atexit.register(os._exit, 0)
