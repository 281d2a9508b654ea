"""A Zahner workstation with Thales and Term, on a loopback port, measuring virtual cells.

Captured from the vendor's client (driven unmodified against this): registration, telegrams, DevCli commands, script
commands and the form of their replies, file transfer, online display, the sign-off. Guessed: the reply to ``EIS``,
the
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import cards, curves, eis
from labctl_simulators.thales import settings as texts
from labctl_simulators.thales.curves import Curves
from labctl_simulators.thales.eis import NOISE, Spectra
from labctl_simulators.thales.sequences import Step
from labctl_simulators.thales.settings import Settings
from labctl_simulators.thales.source import Source
from labctl_simulators.thales.tables import READ_BACK
from labctl_simulators.thales.term import END, Connection, Term
from labctl_simulators.thales.workstation import Measurement, Workstation

SERIAL: Final = "33021"
_CALIBRATION_S: Final = 2.0
_FORCE_S: Final = 2.0
_SEQUENCE: Final = "c:\\thales\\script\\sequencer\\sequences\\sequence{:02d}.seq"
_LASTSHOT: Final = "c:\\thales\\temp\\lastshot"


class ThalesSimulator:
    """One instrument behind its Term program.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        Its station entry; ``simulate`` may hold ``port`` (default: a free one), ``script`` (whether the Remote script
        runs already, default true), ``sign_off`` (``empty``, ``fin``, ``rst``, ``mute``) and ``sequences`` (texts by
        number, 0 to 9) and ``noise`` (of an impedance, relative; default 0.002).
    laboratory : Laboratory
        Cells, relays and time.

    Breakdowns
    ----------
    ``overload`` (the measurement that runs ends with an error; the source stays on), ``lost reply`` (the next
    measurement's answer never comes, its file does), ``no files`` (Term never answers when asked for a file),
    ``freeze`` (Thales gives no sign of life any more, measures nothing and cannot be forced; Term answers on).
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Laboratory) -> None:
        options = settings.get("simulate") or {}
        self.name = name
        self.serial = str(settings.get("serial", SERIAL))
        self.settings = Settings()
        self.files: dict[str, bytes] = {}
        self._port = int(options.get("port", 0))
        self.laboratory = laboratory
        self.source = Source(name, self.settings, laboratory)
        self.term = Term(self, str(options.get("sign_off", "empty")))
        self._script = bool(options.get("script", True))
        self._queue: deque[tuple[Connection, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._asked: Connection | None = None
        self._running: Measurement | None = None
        #: Kinds of curves whose settings were checked since they were last changed.
        self.checked: set[str] = set()
        self.sequence: list[Step] | None = None
        for number, text in (options.get("sequences") or {}).items():
            self.files[_SEQUENCE.format(int(number))] = str(text).encode("ascii")
        self.noise = float(options.get("noise", NOISE))
        self._loses_reply = False
        self._frozen_at: float | None = None

    async def start(self) -> dict[str, Any]:
        """Listen; a sweep that was saved goes on. Gives ``address`` and ``port`` for the station's entry."""
        port = await self.laboratory.expose(self.name, await self.term.listen(self._port), "thales")
        self.laboratory.register_breakdowns(self.name, self._break_down)
        self.source.rewire()
        if self._running is not None:
            self._running.go_on()
        return {"address": f"127.0.0.1:{port}", "port": port}

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        if kind == "overload":
            if self._running is None or self._timer is None:
                raise ValueError("nothing is measured that could be broken off")
            self._timer.cancel()
            self._timer = None
            self.finish(texts.OVERLOAD)
            self._serve()
        elif kind == "lost reply":
            self._loses_reply = True
        elif kind == "no files":
            self.term.gives_files = False
        elif kind == "freeze":
            self._frozen_at = self.laboratory.time()
            if self._timer is not None:
                self._timer.cancel()
        else:
            raise ValueError(f"unknown breakdown {kind!r} of a workstation")

    async def stop(self) -> None:
        """Close everything; a sweep stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.term.close()

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values."""
        self.source.update(self.laboratory.time())
        return {
            "settings": self.settings.to_json(),
            "script": self._script,
            "checked": sorted(self.checked),
            "sequence": None if self.sequence is None else [asdict(step) for step in self.sequence],
            "files": {path: base64.b64encode(content).decode("ascii") for path, content in self.files.items()},
            "running": None if self._running is None else [self._running.kind, self._running.to_json()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up :meth:`save` again, before the start."""
        if "settings" not in state:
            # Saved by an older labctl, between two sweeps: it knew the set-up and the files alone.
            self.settings.restore({"numbers": state["numbers"], "texts": state["texts"], "channels": {}})
            state = {"checked": (), "sequence": None, "running": None, **state}
        else:
            self.settings.restore(state["settings"])
        self._script = state["script"]
        self.checked = set(state["checked"])
        self.sequence = None if state["sequence"] is None else [Step(**step) for step in state["sequence"]]
        self.files = {path: base64.b64decode(content) for path, content in state["files"].items()}
        self._running = None
        if state["running"] is not None:
            kind, measurement = state["running"]
            self._running = _MEASUREMENTS[kind](self, measurement)

    # What Term asks of Thales.

    def heartbeat_ms(self) -> int:
        """Milliseconds since Thales last gave a sign of life."""
        now = self.laboratory.time()
        return int(now * 1000) % 1000 if self._frozen_at is None else int((now - self._frozen_at) * 1000)

    def file(self, path: str) -> bytes:
        """Content of a file on the Term PC; empty where there is none."""
        return self.files.get(path.lower().replace("/", "\\"), b"")

    def start_script(self) -> None:
        """Start the Remote script."""
        self._script = True
        self._serve()

    def force(self, then: Callable[[], None]) -> None:
        """Leave whatever runs, a measurement too, and call ``then``; that takes a while if something runs."""
        if self._frozen_at is not None:
            return
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
        return self._timer is not None or self._frozen_at is not None

    def _serve(self) -> None:
        while self._queue and self._script and not self._busy:
            connection, text = self._queue.popleft()
            self.source.update(self.laboratory.time())
            self.source.rewire()
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
        if command in READ_BACK or command == "SENDPAD4SETUP":
            return self.settings.read_back(command)
        if command.startswith("SELSEQ="):
            return curves.select_sequence(self, command.removeprefix("SELSEQ="))
        self.checked.discard(command.partition("_")[0])
        # A path holds a colon of its own.
        parts = [command] if command.partition("=")[0].endswith(("_PATH", "_ROOT")) else command.split(":")
        reply = texts.UNKNOWN
        for part in parts:
            reply = self.settings.assign(part)
            if reply != texts.OK:
                break
        if command.startswith("Pot="):
            self.laboratory.record(self.name, "source", on=self.settings["Pot"] == -1)
        self.source.rewire()
        return reply

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Be busy for ``seconds``, then do ``action``."""

        def act() -> None:
            self._timer = None
            action()
            self._serve()

        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), act)

    def reply(self, text: str) -> None:
        """Answer the command that is being worked on."""
        if self._asked is not None:
            self._asked.send(2, text)
        self._asked = None

    def measure(self, measurement: Measurement) -> None:
        """Start a measurement."""
        self._running = measurement
        measurement.go_on()

    def deliver(self, path: str, content: bytes) -> None:
        """Write a result, push it to who asked for such files, and keep it as the last shot."""
        for name in (path, f"{_LASTSHOT}.{path.rpartition('.')[2]}"):
            self.files[name] = content
            self.term.push(name, content)

    def finish(self, reply: str) -> None:
        """End the measurement that runs, and answer."""
        about = {} if self._running is None else self._running.about
        self.laboratory.record(self.name, "swept", reply=reply.strip(), **about)
        self._running = None
        self.source.held = None
        self.term.display(END)
        if self._loses_reply:
            self._loses_reply, self._asked = False, None
        self.reply(reply)

    def _forced(self, then: Callable[[], None]) -> None:
        self._timer = None
        if self._running is not None:
            self.finish(texts.ABORTED)
        else:
            self.reply(texts.ABORTED)
        self._script = False
        then()

    # Queries.

    def _potential(self) -> str:
        return f"potential= {self.source.voltage():.6e}V\r"

    def _current(self) -> str:
        return f"current= {self.source.current():.6e}A\r"

    def _send_setup(self) -> str:
        return self.settings.setup()

    def _numbers(self) -> str:
        return f"OK;{self.serial};ZenniumPro\r"

    def _information(self) -> str:
        return f"OK;DEVINF;ZENNIUM PRO;{self.serial}\r"

    def _taken(self) -> str:
        return texts.OK

    def _calibrate(self) -> None:
        self.later(_CALIBRATION_S, lambda: self.reply(texts.OK))


_MEASUREMENTS: Final[dict[str, Callable[[Workstation, Mapping[str, Any]], Measurement]]] = {
    "EIS": Spectra.restored,
    "CV": Curves.restored,
    "IE": Curves.restored,
    "SEQ": Curves.restored,
}
_QUERIES: Final[dict[str, Callable[[ThalesSimulator], str | None]]] = {
    "POTENTIAL": ThalesSimulator._potential,
    "CURRENT": ThalesSimulator._current,
    "SENDSETUP": ThalesSimulator._send_setup,
    "ALLNUM": ThalesSimulator._numbers,
    "DEVINF": ThalesSimulator._information,
    "CALOFFSETS": ThalesSimulator._calibrate,
    "IMPEDANCE": eis.impedance,
    "PAD4IMP": eis.pad4_impedance,
    "EIS": Spectra.begin,
    "CHECKCV": curves.check_cv,
    "CV": curves.cv,
    "CHECKIE": curves.check_ie,
    "IE": curves.ie,
    "DOSEQ": curves.run_sequence,
    "ANALOGALL": cards.analog_all,
    "ANALOGIN": cards.analog_in,
    "SETUSB": ThalesSimulator._taken,
    "HOT2USB": ThalesSimulator._taken,
}
