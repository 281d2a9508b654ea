"""What the gateway does for each operation of its wire: arguments checked, TopSpin called, datasets judged.

Standard library only. TopSpin's calls block, so they run one after the other in a single worker thread; the event loop
stays free, and a ping is answered while TopSpin is not. Nothing here opens a dialog or starts anything that would:
an EXPNO that holds data is never acquired again, because TopSpin would ask about it on its screen.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from labctl_drivers.bruker.acquisition import Occupation
from labctl_drivers.bruker.backend import TopspinApi
from labctl_drivers.bruker.dataset import DONE, PREPARED, RUNNING, manifest

#: Seconds after which TopSpin counts as stuck, for instance behind a dialog on its screen.
PATIENCE: Final = 20.0
_MOMENT: Final = 2.0
#: Most bytes of a file in one answer.
CHUNK: Final = 196608
#: Most bytes of files that a listing carries with it.
INLINE: Final = 393216
#: What may be told, alone, to a dataset that is not complete: data so far of a running one, tuning of a fresh one.
_EARLY: Final[Mapping[str, str]] = {"tr": RUNNING, "atma": PREPARED}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}( \d{1,2})?")
#: Written, it would make of one spectrum a series without the files that a series needs.
_FORBIDDEN: Final = ("PARMODE",)
#: An acquisition is halted after this times what the client expects, and so many seconds; labctl does so earlier.
_FACTOR: Final = 1.5
GRACE: Final = 120.0
_COMMAND: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,31}( [A-Za-z0-9_.+-]{1,32}){0,4}")

T = TypeVar("T")
Reply = dict[str, Any]


class GatewayError(Exception):
    """An operation that was declined.

    Parameters
    ----------
    code : str
        ``BUSY``, ``NODATA``, ``EXISTS``, ``PAR_REJECTED``, ``TIMEOUT``, ``TOPSPIN``, ``AUTH`` or ``REQUEST`` (the
        request itself makes no sense).
    message : str
        For a lab person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Operations:
    """The operations behind the wire.

    Parameters
    ----------
    api : TopspinApi
        Called in the worker thread only.
    folder : Path
        The data folder; nothing outside it is read or made.
    exchange : callable
        Gives a context manager that is held while the worker thread is in TopSpin.
    patience : float
        Real seconds after which TopSpin counts as stuck.
    loop_seconds : callable
        Gives the running loop's seconds that correspond to real ones.
    grace : float
        Seconds beyond 1.5 times the expected duration after which an acquisition is halted.
    """

    def __init__(
        self,
        api: TopspinApi,
        folder: Path,
        exchange: Callable[[], AbstractContextManager[None]],
        patience: float = PATIENCE,
        loop_seconds: Callable[[float], float] = float,
        grace: float = GRACE,
    ) -> None:
        self._patience = patience
        self._grace = grace
        self._loop_seconds = loop_seconds
        self._api = api
        self._folder = folder
        self._exchange = exchange
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="topspin")
        # For a halt, past whatever keeps the first one waiting.
        self._spare = ThreadPoolExecutor(max_workers=1, thread_name_prefix="topspin-halt")
        self._watchdog: asyncio.TimerHandle | None = None
        self._halting: asyncio.Task[None] | None = None
        self._stuck: Future[Any] | None = None
        self._version = ""
        self._one_at_a_time = asyncio.Lock()
        self._occupation = Occupation(folder)
        self._table = {
            "create": self._create,
            "setpar": self._setpar,
            "getpar": self._getpar,
            "start": self._start,
            "status": self._status,
            "halt": self._halt,
            "stop": self._halt,
            "process": self._process,
            "list": self._list,
            "read": self._read,
        }

    def open(self) -> None:
        """Make the data folder and take up what was going on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._occupation.load()

    def close(self) -> None:
        """Let the worker threads end after what they are doing now."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._halting is not None:
            self._halting.cancel()
        for worker in (self._worker, self._spare):
            worker.shutdown(wait=False, cancel_futures=True)

    async def version(self) -> str:
        """TopSpin's version; empty where TopSpin does not say it within a moment."""
        if not self._version:
            try:
                self._version = await self._call(self._api.version, patience=_MOMENT)
            except GatewayError:
                return ""
        return self._version

    async def run(self, op: str, request: Mapping[str, Any]) -> Reply:
        """Carry out one operation.

        Raises
        ------
        GatewayError
            It was declined.
        """
        operation = self._table.get(op)
        if operation is None:
            raise GatewayError("REQUEST", f"there is no operation '{op}'")
        try:
            # A client that lost its connection asks what became of its command: not before that has ended.
            async with self._one_at_a_time:
                return await operation(request)
        except PermissionError as error:
            # On Windows whoever writes a file keeps others out of it: that passes.
            raise GatewayError("TIMEOUT", f"the data folder: {error}") from error
        except OSError as error:
            raise GatewayError("TOPSPIN", f"the data folder: {error}") from error

    # -- datasets ------------------------------------------------------------------------------------------------

    async def _create(self, request: Mapping[str, Any]) -> Reply:
        name, expno = _name(request), _expno(request)
        title = _text(request, "title", "")
        parameter_set = _text(request, "parset", "PROTON")
        folder = self._folder / name / str(expno)
        if folder.exists():
            raise GatewayError("EXISTS", f"{name}/{expno} exists")
        made = await self._call(self._api.create, self._folder, name, expno, parameter_set)
        if not made or not (folder / "acqu").is_file():
            raise GatewayError("TOPSPIN", f"TopSpin made no dataset {name}/{expno} from '{parameter_set}'")
        if title:
            (folder / "pdata" / "1" / "title").write_text(title + "\n", encoding="utf-8")
        return {"name": name, "expno": expno}

    async def _setpar(self, request: Mapping[str, Any]) -> Reply:
        name, expno = _name(request), _expno(request)
        parameters = request.get("pars")
        if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
            raise GatewayError("REQUEST", "'pars' must be an object of texts")
        for parameter in parameters:
            if _matching(_PARAMETER, parameter, "parameter") in _FORBIDDEN:
                raise GatewayError("PAR_REJECTED", f"{parameter} is not set here: one EXPNO for each spectrum")
        if self._occupation.verdict(name, expno).state in (RUNNING, DONE):
            raise GatewayError("EXISTS", f"{name}/{expno} holds an acquisition")
        answers = await self._call(self._api.write, self._folder, name, expno, parameters)
        if answers is None:
            raise GatewayError("NODATA", f"there is no dataset {name}/{expno}")
        unknown = sorted(parameter for parameter, value in answers.items() if value == "")
        if unknown:
            raise GatewayError("PAR_REJECTED", f"TopSpin does not take {', '.join(unknown)}")
        return {"read_back": answers}

    async def _getpar(self, request: Mapping[str, Any]) -> Reply:
        name, expno = _name(request), _expno(request)
        names = request.get("names")
        if not isinstance(names, list):
            raise GatewayError("REQUEST", "'names' must be a list")
        prefix = "status " if request.get("status") is True else ""
        wanted = [prefix + _matching(_PARAMETER, parameter, "parameter") for parameter in names]
        answers = await self._call(self._api.read, self._folder, name, expno, wanted)
        if answers is None:
            raise GatewayError("NODATA", f"there is no dataset {name}/{expno}")
        return {"pars": {parameter.removeprefix("status "): value for parameter, value in answers.items()}}

    async def _process(self, request: Mapping[str, Any]) -> Reply:
        name, expno = _name(request), _expno(request)
        commands = request.get("cmds")
        if not isinstance(commands, list):
            raise GatewayError("REQUEST", "'cmds' must be a list")
        checked = [_matching(_COMMAND, command, "command") for command in commands]
        state = _EARLY.get(checked[0].split()[0], DONE) if len(checked) == 1 else DONE
        if self._occupation.verdict(name, expno).state != state:
            raise GatewayError("NODATA", f"{name}/{expno} is not {state}")
        if state == PREPARED and self._occupation.refresh() is not None:
            raise GatewayError("BUSY", "something is being acquired")
        # Tuning takes minutes: nobody waits for it here.
        await self._call(lambda: self._api.launch(self._folder, name, expno, checked, wait=state != PREPARED))
        return {}

    # -- acquisition ---------------------------------------------------------------------------------------------

    async def _start(self, request: Mapping[str, Any]) -> Reply:
        name, expno = _name(request), _expno(request)
        command = _matching(_COMMAND, request.get("cmd", "zg"), "command")
        expected = float(_number(request, "expected_s", 0))
        taken = self._occupation.refresh()
        if taken is not None:
            raise GatewayError("BUSY", f"{taken.name}/{taken.expno} is being acquired")
        found = self._occupation.verdict(name, expno)
        if found.state == "absent":
            raise GatewayError("NODATA", f"there is no dataset {name}/{expno}")
        if found.state != PREPARED:
            raise GatewayError("EXISTS", f"{name}/{expno} holds an acquisition already ({found.state})")
        self._occupation.begin(name, expno)
        if expected:
            self._watch(name, expno, _FACTOR * expected + self._grace)
        # Where TopSpin reports a fault or stays silent, the start may have come through: the dataset tells.
        taken_up = await self._call(lambda: self._api.launch(self._folder, name, expno, [command], wait=False))
        if not taken_up:
            self._occupation.end()
            raise GatewayError("NODATA", f"TopSpin knows no dataset {name}/{expno}")
        return {"name": name, "expno": expno}

    def _watch(self, name: str, expno: int, allowed: float) -> None:
        """Halt an acquisition that takes far too long, also where nobody asks any more."""

        def overdue() -> None:
            running = self._occupation.refresh()
            if running is not None and (running.name, running.expno) == (name, expno) and running.halted is None:
                self._halting = asyncio.get_running_loop().create_task(self._halt_overdue())

        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(allowed, overdue)

    async def _halt_overdue(self) -> None:
        self._occupation.halting()
        # Where TopSpin does not take it, the next look says that it took no notice.
        with suppress(GatewayError):
            await self._tell("halt")

    async def _status(self, request: Mapping[str, Any]) -> Reply:
        reply: Reply = {}
        if "name" in request:
            name = _name(request)
            expnos = [_expno(request)] if "expno" in request else self._expnos(name)
            reply["expnos"] = {str(expno): await self._one_status(name, expno) for expno in expnos}
        # What was just judged need not be judged again.
        running = self._occupation.running
        if running is not None and (running.name != request.get("name") or str(running.expno) not in reply["expnos"]):
            running = self._occupation.refresh()
        reply["state"] = "idle" if running is None else "running"
        reply["busy"] = None if running is None else {"name": running.name, "expno": running.expno}
        return reply

    async def _one_status(self, name: str, expno: int) -> Reply:
        found = self._occupation.verdict(name, expno)
        scans = found.scans
        if found.state == RUNNING:
            scans = await self._scans_so_far(name, expno)
        elapsed = self._occupation.elapsed(name, expno)
        return {"state": found.state, "message": found.message, "scans": scans, "elapsed_s": elapsed}

    async def _scans_so_far(self, name: str, expno: int) -> int | None:
        try:
            answers = await self._call(self._api.read, self._folder, name, expno, ["status NS"])
        except GatewayError:
            return None  # the state is judged from the dataset, and told even where TopSpin does not answer
        text = (answers or {}).get("status NS", "")
        return int(text) if text.isdigit() else None

    async def _halt(self, request: Mapping[str, Any]) -> Reply:
        name = _name(request)
        states = [self._occupation.verdict(name, expno).state for expno in self._expnos(name)]
        running = self._occupation.refresh()
        if RUNNING not in states and (running is None or running.name != name):
            return {"halted": False}
        await self._tell("stop" if request.get("op") == "stop" else "halt")
        self._occupation.halting()
        return {"halted": True}

    async def _tell(self, command: str) -> None:
        """Give a command to the spectrometer, past whatever keeps the worker thread waiting."""
        if self._stuck is None or self._stuck.done():
            await self._call(self._api.execute, command)
            return
        future = self._spare.submit(self._api.execute, command)
        if not await self._within(future, self._patience):
            raise GatewayError("TIMEOUT", f"TopSpin does not take '{command}'; look for a dialog on its screen")
        if (error := future.exception()) is not None:
            raise GatewayError("TOPSPIN", f"{type(error).__name__}: {error}")

    # -- files ---------------------------------------------------------------------------------------------------

    async def _list(self, request: Mapping[str, Any]) -> Reply:
        name = _name(request)
        if "expno" not in request:
            return {"expnos": self._expnos(name)}
        folder = self._dataset(name, _expno(request))
        budget = min(_number(request, "inline", 0), INLINE)
        files: list[Reply] = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            entry: Reply = {"file": path.relative_to(folder).as_posix(), "size": len(content), "sha256": digest}
            if len(content) <= budget:
                budget -= len(content)
                entry["data"] = base64.b64encode(content).decode("ascii")
            files.append(entry)
        state = self._occupation.verdict(name, _expno(request)).state
        return {"files": files, "manifest": manifest(files), "state": state}

    async def _read(self, request: Mapping[str, Any]) -> Reply:
        folder = self._dataset(_name(request), _expno(request))
        relative = PurePosixPath(_text(request, "file"))
        if relative.is_absolute() or ".." in relative.parts or "\\" in str(relative) or ":" in str(relative):
            raise GatewayError("REQUEST", f"'{relative}' is no file of a dataset")
        path = folder / relative
        if not path.is_file():
            raise GatewayError("NODATA", f"there is no file '{relative}'")
        offset = _number(request, "offset", 0)
        length = min(_number(request, "length", CHUNK), CHUNK)
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        return {"data": base64.b64encode(content).decode("ascii"), "offset": offset, "size": path.stat().st_size}

    def _dataset(self, name: str, expno: int) -> Path:
        folder = self._folder / name / str(expno)
        if not folder.is_dir():
            raise GatewayError("NODATA", f"there is no dataset {name}/{expno}")
        return folder

    def _expnos(self, name: str) -> list[int]:
        folder = self._folder / name
        if not folder.is_dir():
            return []
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit() and path.is_dir())

    # -- TopSpin -------------------------------------------------------------------------------------------------

    async def _call(self, function: Callable[..., T], *args: Any, patience: float | None = None) -> T:
        """Call into TopSpin in the worker thread."""
        if self._stuck is not None and not self._stuck.done():
            raise GatewayError("TIMEOUT", "TopSpin has not answered an earlier call; look for a dialog on its screen")
        patience = self._patience if patience is None else patience
        future = self._worker.submit(function, *args)
        if not await self._within(future, patience):
            self._stuck = future
            raise GatewayError("TIMEOUT", f"TopSpin has not answered within {patience:g} s; look for a dialog there")
        error = future.exception()
        if error is not None:
            self._api.forget()
            raise GatewayError("TOPSPIN", f"{type(error).__name__}: {error}")
        return future.result()

    async def _within(self, future: Future[Any], patience: float) -> bool:
        """Wait for a call into TopSpin; False where it takes too long."""
        waited = asyncio.wrap_future(future)
        # Whatever it says when it comes back too late, nobody waits for it any more.
        waited.add_done_callback(lambda late: late.cancelled() or late.exception())
        with self._exchange():
            done, _ = await asyncio.wait({waited}, timeout=self._loop_seconds(patience))
        return bool(done)


def _name(request: Mapping[str, Any]) -> str:
    return _matching(_NAME, request.get("name"), "dataset name")


def _expno(request: Mapping[str, Any]) -> int:
    expno = _number(request, "expno")
    if not 1 <= expno <= 99999:
        raise GatewayError("REQUEST", f"EXPNO {expno} is outside 1..99999")
    return expno


def _matching(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise GatewayError("REQUEST", f"{value!r} is no {what}")
    return value


def _text(request: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = request.get(key, default)
    if not isinstance(value, str):
        raise GatewayError("REQUEST", f"'{key}' must be a text")
    return value


def _number(request: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = request.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise GatewayError("REQUEST", f"'{key}' must be a whole number, not negative")
    return value
