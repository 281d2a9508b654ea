"""What the operating system asks of a process that serves."""

from __future__ import annotations

import asyncio
import signal
import sys


def let_go_on_terminate() -> None:
    """Take a service that stops and a terminal that closes as Ctrl-C: let go in order. Windows has no such signals."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        for request in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(request, task.cancel)
