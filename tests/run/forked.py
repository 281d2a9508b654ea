"""Commands as processes of their own that need not import everything anew.

A process that has imported ``labctl`` once forks for every command: own process, own signals and exit code, the same
``main``, without the second that imports take of it. It is a program, so that nothing of the tests is in its memory.
That every command finds its imports by itself is kept by ``test_commands`` and the crash suite, which start afresh.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from labctl.engine.clock import real_seconds

#: What runs.
COMMAND = "from labctl.cli import main; main()"
_LONGEST = 1 << 20


class Process:
    """A command that runs, with what of :class:`subprocess.Popen` the tests use."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, program: str, *, stdin: int, stdout: int, stderr: int
    ) -> None:
        self._told, told = os.pipe()
        environment = dict(os.environ)
        request = {"arguments": arguments, "folder": str(folder), "environment": environment, "program": program}
        try:
            socket.send_fds(_server(), [json.dumps(request).encode()], [stdin, stdout, stderr, told])
        finally:
            os.close(told)
        self._told_file = os.fdopen(self._told, "rb")
        self.args = arguments
        self.pid = int(self._told_file.readline())
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None

    def poll(self) -> int | None:
        return self._wait(0.0)

    def _wait(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(self._told_file.readline()))
            self._told_file.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read what it still says to its end."""
        until = None if timeout is None else real_seconds() + timeout
        said = b""
        while True:
            left = None if until is None else max(0.0, until - real_seconds())
            if not select.select([self.stdout], [], [], left)[0]:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
            read = os.read(self.stdout.fileno(), _LONGEST)
            if not read:
                break
            said += read
        self.stdout.close()
        self.wait(timeout)
        return said.decode(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __del__(self) -> None:
        self._told_file.close()


def begin(arguments: Sequence[str], folder: Path, program: str = COMMAND) -> Process:
    """Start a command that goes on by itself; its words are in ``stdout``."""
    reading, writing = os.pipe()
    with Path(os.devnull).open() as nothing:
        try:
            process = Process(arguments, folder, program, stdin=nothing.fileno(), stdout=writing, stderr=writing)
        finally:
            os.close(writing)
    process.stdout = io.TextIOWrapper(os.fdopen(reading, "rb"), encoding="utf-8")
    return process


def run(arguments: Sequence[str], folder: Path, scratch: Path, stdin: str, timeout: float) -> Any:
    """Run a command to its end."""
    names = [scratch / name for name in ("stdin", "stdout", "stderr")]
    names[0].write_text(stdin, encoding="utf-8")
    with names[0].open() as given, names[1].open("w") as out, names[2].open("w") as err:
        process = Process(arguments, folder, COMMAND, stdin=given.fileno(), stdout=out.fileno(), stderr=err.fileno())
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait(10.0)
            raise
    said = [name.read_text(encoding="utf-8") for name in names[1:]]
    return subprocess.CompletedProcess(list(arguments), code, *said)


@cache
def _server() -> socket.socket:
    """Start the process that forks, once for a process of tests; it ends with this one."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        command = [sys.executable, __file__, str(there.fileno())]
        server = subprocess.Popen(command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        here.close()
        server.wait(10.0)

    atexit.register(end)
    return here


# -- the process that forks ------------------------------------------------------------------------------------------
def _import_all() -> None:
    from importlib import import_module
    from pkgutil import walk_packages

    import labctl.cli
    from labctl.cli import plugins

    for package in ("cli", "engine", "journal", "results", "station", "protocol", "safety"):
        for module in walk_packages([str(Path(labctl.__path__[0]) / package)], f"labctl.{package}."):
            import_module(module.name)
    for name in plugins.driver_names():
        plugins.driver(name)
        plugins.simulator(name)
        plugins.gateway(name)
    for name in ("laboratory", "person"):
        plugins.simulator(name)
    for name in ("labctl.analysis.insertion", "typer._adapters", "numpy", "scipy.optimize", "rich.table"):
        import_module(name)


def _serve(control: socket.socket) -> str:
    """Fork for every request; returns in the child, with the program that it is to run."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    tell: dict[int, int] = {}
    while True:
        ready, *_ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_of_ended(tell)
        if control not in ready:
            continue
        message, files, *_ = socket.recv_fds(control, _LONGEST, 4)
        if not message:
            # Not by exit(): that is for the commands.
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            for file in (*files, *tell.values()):
                os.close(file)
            for one in (control, woken, wake):
                one.close()
            return _become(json.loads(message))
        os.write(files[3], f"{pid}\n".encode())
        tell[pid] = files[3]
        for file in files[:3]:
            os.close(file)


def _tell_of_ended(tell: dict[int, int]) -> None:
    while tell:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(tell[pid], f"{status}\n".encode())
        os.close(tell.pop(pid))


def _become(request: dict[str, Any]) -> str:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = ["labctl", *request["arguments"]]
    return request["program"]


if __name__ == "__main__":
    sys.path[0] = ""
    _import_all()
    gc.collect()
    gc.freeze()
    exec(_serve(socket.socket(fileno=int(sys.argv[1]))), {"__name__": "__main__"})
