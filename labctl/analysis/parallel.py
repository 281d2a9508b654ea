"""The same work on many things, on several cores where that pays; results always in the order of the things.

Each process is started anew (``spawn``), as on Windows: it imports numpy and the rest once more, which takes a second,
and shares no thread or lock with this one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

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


def mapped(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int = 1,
    seconds: float = 0.0,
    done: Callable[[], None] | None = None,
) -> list[Result]:
    """Apply ``function`` to each of ``items``.

    Parameters
    ----------
    function : callable
        Of a module, not made on the fly: other processes import it.
    items : sequence
        Plain data.
    jobs : int
        How many processes at most.
    seconds : float
        What all of it takes on one core, roughly.
    done : callable, optional
        Called after each, in this process.

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

    workers = min(jobs, len(items))
    if workers > 1 and seconds >= WORTH_S:
        try:
            _spread(function, items, workers, keep)
        except BrokenProcessPool:
            # Something killed a process, such as a machine without memory: what it left is done here.
            found = dict(found)
    for index, item in enumerate(items):
        if index not in found:
            keep(index, function(item))
    return [found[index] for index in range(len(items))]


def _spread(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, keep: Callable[[int, Result], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet) as pool:
        waiting: dict[Future[Result], int] = {pool.submit(function, item): index for index, item in enumerate(items)}
        try:
            for one in as_completed(waiting):
                keep(waiting[one], one.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _quiet() -> None:
    """Ctrl-C reaches every process of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
