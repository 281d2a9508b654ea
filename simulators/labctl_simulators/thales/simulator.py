"""A Zahner workstation with Thales and Term, on a loopback port, measuring virtual cells.

Captured from the vendor's client (driven unmodified against this): registration, telegrams, DevCli commands, script
commands and the form of their replies, file transfer, online display, the sign-off. Guessed: the reply to ``EIS``,
the error numbers other than 100, how points and periods are spread, that script commands sent during a measurement
wait their turn, and that a forced return to the script ends a measurement without a file and leaves the source as it
was. Left out: CV, current-voltage curves, the sequencer, PAD4, ACQ channels, FRA and external potentiostats, whose
commands are answered as unknown.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from labctl_simulators.cell import VirtualCell
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ism
from labctl_simulators.thales import settings as texts
from labctl_simulators.thales.settings import Settings
from labctl_simulators.thales.source import Source
from labctl_simulators.thales.sweep import SHORTEST, Sweep, durations, frequencies
from labctl_simulators.thales.term import BEGIN, COLUMNS, END, ROW, UNITS, Connection, Term

SERIAL: Final = "33021"
_NOISE: Final = 0.002
_CALIBRATION_S: Final = 2.0
_FORCE_S: Final = 2.0
_LASTSHOT: Final = "c:\\thales\\temp\\lastshot.ism"


class ThalesSimulator:
    """One instrument behind its Term program.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        Its station entry; ``simulate`` may hold ``port`` (default: a free one), ``script`` (whether the Remote script
        runs already, default true) and ``sign_off`` (``empty``, ``fin``, ``rst``, ``mute``).
    laboratory : Laboratory
        Cells, relays and time.

    Breakdowns
    ----------
    ``overload`` (the sweep that runs ends with an error; the source stays on).
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Laboratory) -> None:
        options = settings.get("simulate") or {}
        self.name = name
        self.serial = str(settings.get("serial", SERIAL))
        self.settings = Settings()
        self.files: dict[str, bytes] = {}
        self._port = int(options.get("port", 0))
        self._laboratory = laboratory
        self._source = Source(name, self.settings, laboratory)
        self._term = Term(self, str(options.get("sign_off", "empty")))
        self._script = bool(options.get("script", True))
        self._queue: deque[tuple[Connection, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._asked: Connection | None = None
        self._sweep: Sweep | None = None

    async def start(self) -> dict[str, Any]:
        """Listen; a sweep that was saved goes on. Gives ``address`` and ``port`` for the station's entry."""
        port = await self._laboratory.expose(self.name, await self._term.listen(self._port), "thales")
        self._laboratory.register_breakdowns(self.name, self._break_down)
        self._source.rewire()
        if self._sweep is not None:
            self._await_point()
        return {"address": f"127.0.0.1:{port}", "port": port}

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        if kind != "overload":
            raise ValueError(f"unknown breakdown {kind!r} of a workstation")
        if self._sweep is None or self._timer is None:
            raise ValueError("no sweep runs that could be broken off")
        self._timer.cancel()
        self._timer = None
        self._finish(texts.OVERLOAD)
        self._serve()

    async def stop(self) -> None:
        """Close everything; a sweep stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._term.close()

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values."""
        self._source.update(self._laboratory.time())
        return {
            "numbers": dict(self.settings.numbers),
            "texts": dict(self.settings.texts),
            "script": self._script,
            "files": {path: base64.b64encode(content).decode("ascii") for path, content in self.files.items()},
            "sweep": None if self._sweep is None else self._sweep.to_json(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up :meth:`save` again, before the start."""
        self.settings.numbers.update(state["numbers"])
        self.settings.texts.update(state["texts"])
        self._script = state["script"]
        self.files = {path: base64.b64decode(content) for path, content in state["files"].items()}
        self._sweep = None if state["sweep"] is None else Sweep(**state["sweep"])

    # What Term asks of Thales.

    def heartbeat_ms(self) -> int:
        """Milliseconds since Thales last gave a sign of life."""
        return int(self._laboratory.time() * 1000) % 1000

    def file(self, path: str) -> bytes:
        """Content of a file on the Term PC; empty where there is none."""
        return self.files.get(path.lower().replace("/", "\\"), b"")

    def start_script(self) -> None:
        """Start the Remote script."""
        self._script = True
        self._serve()

    def force(self, then: Callable[[], None]) -> None:
        """Leave whatever runs, a measurement too, and call ``then``; that takes a while if something runs."""
        if not self._busy:
            self._script = False
            then()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_FORCE_S, self._forced, then)

    def submit(self, connection: Connection, text: str) -> None:
        """Queue a script telegram; while the script does not run or is busy, it waits."""
        self._queue.append((connection, text))
        self._serve()

    # The Remote script.

    @property
    def _busy(self) -> bool:
        return self._timer is not None

    def _serve(self) -> None:
        while self._queue and self._script and not self._busy:
            connection, text = self._queue.popleft()
            self._source.update(self._laboratory.time())
            self._source.rewire()
            reply = self._run(connection, text)
            if reply is not None:
                connection.send(2, reply)

    def _run(self, connection: Connection, text: str) -> str | None:
        if not text.startswith("1:"):
            return texts.UNKNOWN
        command = text[2:].removesuffix(":")
        query = _QUERIES.get(command)
        if query is not None:
            self._asked = connection
            return query(self)
        parts = [command] if command.startswith(("EIS_PATH=", "EIS_ROOT=")) else command.split(":")
        reply = texts.UNKNOWN
        for part in parts:
            reply = self.settings.assign(part)
            if reply != texts.OK:
                break
        if command.startswith("Pot="):
            self._laboratory.record(self.name, "source", on=self.settings["Pot"] == -1)
        self._source.rewire()
        return reply

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timer = None
            action()
            self._serve()

        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), act)

    def _reply(self, text: str) -> None:
        if self._asked is not None:
            self._asked.send(2, text)
        self._asked = None

    def _forced(self, then: Callable[[], None]) -> None:
        self._timer = None
        if self._sweep is not None:
            self._finish(texts.ABORTED)
        else:
            self._reply(texts.ABORTED)
        self._script = False
        then()

    # Queries.

    def _potential(self) -> str:
        return f"potential= {self._source.voltage():.6e}V\r"

    def _current(self) -> str:
        return f"current= {self._source.current():.6e}A\r"

    def _send_setup(self) -> str:
        return self.settings.setup()

    def _numbers(self) -> str:
        return f"OK;{self.serial};ZenniumPro\r"

    def _information(self) -> str:
        return f"OK;DEVINF;ZENNIUM PRO;{self.serial}\r"

    def _calibrate(self) -> None:
        self._later(_CALIBRATION_S, lambda: self._reply(texts.OK))

    def _impedance(self) -> str | None:
        cell, frequency = self._source.cell(), self.settings["Frq"]
        if cell is None or self.settings["Pot"] == 0:
            return texts.OVERLOAD
        value = self._measure(cell, np.array([frequency]), np.array([0.0]), f"impedance-{frequency:g}")[0]
        text = f"impedance= {value.real:.6e},{value.imag: .6e}\r"
        self._later(max(SHORTEST, self.settings["Nw"] / frequency), lambda: self._reply(text))
        return None

    def _eis(self) -> str | None:
        now, numbers = self._laboratory.time(), self.settings
        path = numbers.spectrum_path(f"{self._laboratory.now():%y%m%d%H%M%S}").lower()
        declined = numbers.sweep_error()
        if declined is None and path in self.files:
            declined = texts.FILE_EXISTS
        if declined is not None:
            return declined
        cell = self._source.cell()
        if cell is None:
            self._later(SHORTEST, lambda: self._reply(texts.OVERLOAD))
            return None
        to_max = numbers["ScanDirection"] == 0
        low, high = numbers["Fmin"], numbers["Fmax"]
        grid = frequencies(numbers["Fstart"], low, high, numbers["dfm"], numbers["dfl"], to_max)
        elapsed = np.cumsum(durations(grid, low, numbers["Nws"], numbers["Nwl"]))
        value = self._measure(cell, np.array(grid), elapsed, self.settings.texts["EIS_ROOT"])
        self._sweep = Sweep(
            path=path,
            cell=cell.id,
            started=now,
            settings=dict(numbers.numbers),
            frequency=grid,
            ready=(now + elapsed).tolist(),
            real=value.real.tolist(),
            imaginary=value.imag.tolist(),
        )
        self._laboratory.record(self.name, "sweep", file=path, cell=cell.id, points=len(grid))
        self._term.display(BEGIN, "3,Impedance Spectroscopy")
        self._term.display(COLUMNS, "frequency,impedance,phase,time,significance,voltage,current,")
        self._term.display(UNITS, "Hz,Ohm,rad,s, ,V,A,")
        self._await_point()
        return None

    def _measure(self, cell: VirtualCell, frequency: Any, elapsed: Any, token: str) -> Any:
        self._laboratory.bring_up_to_date(cell)
        exact = cell.impedance(frequency, elapsed, self._laboratory.time())
        noise = self._laboratory.rng(cell.id, token).standard_normal((2, len(frequency)))
        return exact * (1 + _NOISE / np.sqrt(2) * (noise[0] + 1j * noise[1]))

    # A sweep.

    def _await_point(self) -> None:
        if self._sweep is not None:
            self._later(self._sweep.ready[self._sweep.done] - self._laboratory.time(), self._point)

    def _point(self) -> None:
        sweep, cell = self._sweep, self._source.cell()
        if sweep is None:
            return
        self._source.update(self._laboratory.time())
        self._source.rewire()
        if cell is None or cell.id != sweep.cell:
            self._finish(texts.OVERLOAD)
            return
        sweep.voltage.append(self._source.voltage())
        sweep.current.append(self._source.current())
        self._term.display(ROW, sweep.row())
        if not sweep.complete:
            self._await_point()
            return
        if self.settings["EIS_MOD"] == 1:
            self.settings.numbers["EIS_NUM"] += 1
        content = ism.write(self._spectrum(sweep))
        for path in (sweep.path, _LASTSHOT):
            self.files[path] = content
            self._term.push(path, content)
        self._finish("EIS DONE\r")

    def _finish(self, reply: str) -> None:
        swept = {} if self._sweep is None else {"file": self._sweep.path, "cell": self._sweep.cell}
        self._laboratory.record(self.name, "swept", reply=reply.strip(), **swept)
        self._sweep = None
        self._term.display(END)
        self._reply(reply)

    def _spectrum(self, sweep: Sweep) -> ism.Spectrum:
        used = sweep.settings
        galvanostatic = used["Gal"] == -1 and used["GAL"] == 1
        return ism.Spectrum(
            frequency=np.array(sweep.frequency),
            impedance=np.array(sweep.real) + 1j * np.array(sweep.imaginary),
            measured=tuple(self._laboratory.at(t) for t in sweep.ready),
            voltage=np.array(sweep.voltage),
            current=np.array(sweep.current),
            galvanostatic=galvanostatic,
            amplitude=used["Ampl"],
            pset=used["Pset"],
            cset=used["Cset"],
            fmin=used["Fmin"],
            fmax=used["Fmax"],
            fstart=used["Fstart"],
            nwl=used["Nwl"],
            nws=used["Nws"],
            dfl=used["dfl"],
            dfm=used["dfm"],
            serial=self.serial,
        )


_QUERIES: Final[dict[str, Callable[[ThalesSimulator], str | None]]] = {
    "POTENTIAL": ThalesSimulator._potential,
    "CURRENT": ThalesSimulator._current,
    "SENDSETUP": ThalesSimulator._send_setup,
    "ALLNUM": ThalesSimulator._numbers,
    "DEVINF": ThalesSimulator._information,
    "CALOFFSETS": ThalesSimulator._calibrate,
    "IMPEDANCE": ThalesSimulator._impedance,
    "EIS": ThalesSimulator._eis,
}
