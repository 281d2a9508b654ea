"""A TopSpin stand-in: the names of its Python interface above, a virtual spectrometer below, real datasets between.

It stands *below* the gateway, whose wire it knows nothing of. Seen in public code: the interface's names, the order of
the files, the texts of the audit trail, that an acquisition on an existing fid opens a dialog, behind which every call
waits until somebody closes it, that a rejected write is dropped silently. From nmrglue: the form of the data.
Guessed: that a second ``zg`` during an acquisition is ignored, two seconds of overhead per acquisition, ``status NS``
counting up, that ``atma`` takes a minute. Left out: processing, ``wobb``, lock, shims, receiver overflow messages,
queues.

The lines are those of what is in the probe when the acquisition starts and when it ends, half of each: exact for a
cell that current changes evenly meanwhile, but for the broadening by a line that moves. A sample that was changed
meanwhile goes unnoticed.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from labctl_simulators.cell import Line, VirtualCell
from labctl_simulators.topspin import fid, files, wobble
from labctl_simulators.topspin.api import ApiException, TopspinModule
from labctl_simulators.topspin.numbers import FORMATS, SPOILS, written
from labctl_simulators.topspin.parameters import CONSOLES, VERSION, Parameters

#: Seconds that an acquisition takes beside its scans; invented.
OVERHEAD: Final = 2.0
#: Length of the pi/2 pulse on the LiCl standard at 80 W, s; invented.
REFERENCE_T90_S: Final = 7.0e-6
#: Temperature at which a line's area is what the cell says.
_AREAS_AT_K: Final = 293.15
#: What is left of the probe's field and reception when it was detuned: invented.
_DETUNED: Final = 0.8
#: Seconds that automatic tuning takes: invented.
_ATMA: Final = 60.0
#: A cell that sits askew: shift of all its lines in ppm, their Gaussian width in its own, reception; invented.
_ASKEW: Final = (1.5, 1.3, 0.93)
#: Largest offset of the reference at 4.7 T, Hz; invented, a few tenths of a ppm.
_LARGEST_OFFSET: Final = 60.0
_PATIENCE: Final = 30.0
T = TypeVar("T")


@dataclass(slots=True)
class Running:
    """An acquisition that is going on. Laboratory times in s."""

    folder: Path
    started: float
    ends: float
    sample: str
    t90: float
    lines: list[Line]
    parameters: Parameters
    tuning: float = 1.0
    askew: bool = False


class TopspinSimulator:
    """One spectrometer with its TopSpin.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        The station's entry; ``data_folder`` is taken below the laboratory's folder. Under ``simulate``: ``console``,
        ``avance-iii`` at 4.7 T or ``neo`` at 14.1 T; ``numbers``, ``int32`` (as TopSpin 3 writes), ``float64`` (as a
        Neo does), or either with ``-big`` for the byte order of old consoles;
        ``audit``, ``late`` for a TopSpin that writes the audit trail only at the end; ``wobble``, ``none`` for one that
        stores no wobble curve; ``clock_ahead_s``, by which its
        PC's clock is ahead of the laboratory's; ``cooling_s``, the time constant with which a sample takes on the
        temperature around it (600; 0 for at once).
    laboratory : Laboratory
        Gives time, the sample in the probe, and noise.
    """

    version = VERSION

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        self._name = name
        self._laboratory = laboratory
        self.folder: Path = (laboratory.folder / str(settings.get("data_folder", "topspin-data"))).resolve()
        options = settings.get("simulate") or {}
        self.clock_ahead = timedelta(seconds=float(options.get("clock_ahead_s", 0.0)))
        if "cooling_s" in options:
            laboratory.cooling.seconds = float(options["cooling_s"])
        if (console := str(options.get("console", "avance-iii"))) not in CONSOLES:
            raise ValueError(f"unknown console {console!r}; known are {', '.join(CONSOLES)}")
        self._console = CONSOLES[console]
        ratio = self._console.proton_MHz / CONSOLES["avance-iii"].proton_MHz
        draw = laboratory.rng(name, "spectrometer")
        #: Hz by which 0 ppm lies above the basic frequency: what a reference spectrum finds out.
        self.reference_offset = float(draw.choice([-1.0, 1.0]) * draw.uniform(0.3, 1.0) * _LARGEST_OFFSET * ratio)
        #: Phase of the receiver in rad, the same for all spectra of this session.
        self.phase = float(draw.uniform(-math.pi, math.pi))
        #: Name of the spectrometer session, for the gateway.
        self.session = bytes(draw.integers(0, 256, 4, dtype="uint8")).hex()
        #: What a gateway uses in place of ``bruker.api.topspin``.
        self.api = TopspinModule(self)
        #: Field and reception of the probe, as parts of those when it is tuned.
        self.tuning = 1.0
        self._jammed = False
        self._stores_curve = options.get("wobble") != "none"
        self._tuning_ends: asyncio.TimerHandle | None = None
        self._askew: str | None = None
        self._wanted: dict[Path, Parameters] = {}
        self._running: Running | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._numbers = str(options.get("numbers", self._console.numbers))
        if self._numbers not in FORMATS:
            raise ValueError(f"unknown numbers {self._numbers!r}; known are {', '.join(FORMATS)}")
        self._early_audit = options.get("audit") != "late"
        self._spoil: str | None = None
        self._screen_free = threading.Event()
        self._screen_free.set()
        self._closed: asyncio.Event | None = None

    async def start(self) -> dict[str, Any]:
        """Switch on; gives the data folder that a gateway must be told."""
        self._loop = asyncio.get_running_loop()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._laboratory.register_breakdowns(self._name, self._break_down)
        self._arm()
        return {"data_folder": str(self.folder)}

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        """``stopped`` or ``halted``: somebody types that at the console.

        ``dialog``: one opens, and TopSpin answers nobody until ``closed``. ``truncated``, ``unwritten`` (zeros),
        ``holed``, ``flat`` (cut off by a receiver that tells nobody): what becomes of the next acquisition's data.
        ``detuned``: the probe, until ``atma``. ``jammed``: its motors too, until ``freed``. ``askew``: the sample
        slipped.
        """
        commands = {"stopped": "stop", "halted": "halt"}
        if kind == "dialog":
            self._open_dialog("somebody else's")
        elif kind == "closed":
            self.close_dialog()
        elif kind in SPOILS:
            self._spoil = kind
        elif kind == "detuned":
            self.tuning = _DETUNED
        elif kind in ("jammed", "freed"):
            self._jammed = kind == "jammed"
            self.tuning = _DETUNED if self._jammed else self.tuning
        elif kind == "askew":
            item = self._laboratory.in_probe(self._name)
            if item is None:
                raise ValueError("nothing is in the probe")
            self._askew = item.id
        elif kind not in commands:
            raise ValueError(f"unknown breakdown {kind!r} of a spectrometer")
        elif self._running is None:
            raise ValueError("nothing is being acquired")
        else:
            self._command(None, commands[kind])

    async def stop(self) -> None:
        """Switch off; what is being acquired is kept for :meth:`save`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tuning_ends is not None:
            self._tuning_ends.cancel()
            self._tuning_ends = None
        self.close_dialog()
        self._loop = None

    def save(self) -> dict[str, Any]:
        """Give the whole state as JSON values; datasets are on disk."""
        now = self._now()
        for folder, parameters in self._wanted.items():
            files.save_wanted(folder, parameters, now)
        state: dict[str, Any] = {"session": self.session, "running": None, "tuning": self.tuning, "askew": self._askew}
        running = self._running
        if running is not None:
            state["running"] = {
                "folder": running.folder.relative_to(self.folder).as_posix(),
                "started": running.started,
                "ends": running.ends,
                "sample": running.sample,
                "t90": running.t90,
                "tuning": running.tuning,
                "askew": running.askew,
                "lines": [asdict(line) for line in running.lines],
            }
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state, before the start."""
        self.session = state["session"]
        self.tuning, self._askew = state.get("tuning", 1.0), state.get("askew")
        saved = state["running"]
        if saved is not None:
            folder = self.folder / saved["folder"]
            lines = [Line(**line) for line in saved["lines"]]
            parameters = files.load_wanted(folder)
            self._running = Running(
                folder,
                saved["started"],
                saved["ends"],
                saved["sample"],
                saved["t90"],
                lines,
                parameters,
                saved.get("tuning", 1.0),
                saved.get("askew", False),
            )

    def _now(self) -> datetime:
        """Give the present by this PC's clock."""
        now: datetime = self._laboratory.now() + self.clock_ahead
        return now

    # What the interface's names stand for; called from any thread

    def create(self, folder: Path) -> bool:
        """Make an EXPNO; False where it exists."""
        return self._in_loop(lambda: self._create(folder))

    def known(self, folder: Path) -> bool:
        """Whether there is such an EXPNO."""
        return folder in self._wanted or (folder / "acqu").is_file()

    def set_parameter(self, folder: Path, name: str, value: str) -> None:
        """Offer a value; what does not fit, and what is being acquired, stays as it is."""
        with self._lock:
            self._parameters(folder).offer(name, value)

    def get_parameter(self, folder: Path, name: str) -> str:
        """Give a value; with ``status`` in front the one that was used, and NS as it counts up."""
        if not name.startswith("status "):
            with self._lock:
                return self._parameters(folder).get(name)
        name = name.removeprefix("status ")
        running = self._running
        if running is not None and running.folder == folder:
            return str(self._in_loop(self._scans_done)) if name == "NS" else running.parameters.get(name)
        used = files.load_used(folder)
        return "" if used is None else used.get(name)

    def command(self, folder: Path | None, command: str) -> None:
        """Take a command as typed into TopSpin; what this stand-in doesn't know it writes into its log."""
        self._in_loop(lambda: self._command(folder, command))

    def dialog(self, text: str) -> None:
        """Open a dialog: whoever did it, and everybody after, waits until it is closed."""
        self._in_loop(lambda: self._open_dialog(text))

    async def screen_free(self) -> None:
        """Wait until no dialog is open."""
        while self._closed is not None:
            await self._closed.wait()

    # In the loop

    def close_dialog(self) -> None:
        """Somebody answers the dialog with Cancel."""
        closed, self._closed = self._closed, None
        self._screen_free.set()
        if closed is not None:
            closed.set()

    def _open_dialog(self, text: str) -> None:
        self._laboratory.record(self._name, "dialog", text=text)
        self._screen_free.clear()
        self._closed = self._closed or asyncio.Event()

    def _in_loop(self, function: Callable[[], T]) -> T:
        """Call where laboratory and timers may be touched, and wait for it."""
        loop = self._loop
        if loop is None:
            raise ApiException("TopSpin is not running")
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            return function()
        # For as long as it takes: nobody outside is told that a dialog is open.
        self._screen_free.wait()
        if self._loop is not loop:
            raise ApiException("TopSpin is not running")
        answer: Future[T] = Future()

        def call() -> None:
            try:
                answer.set_result(function())
            except (OSError, ValueError, KeyError) as error:
                answer.set_exception(error)

        loop.call_soon_threadsafe(call)
        result = answer.result(_PATIENCE)
        self._screen_free.wait()
        return result

    def _create(self, folder: Path) -> bool:
        if folder.exists():
            return False
        parameters = Parameters(console=self._console)
        files.make(folder, parameters, self._now())
        self._wanted[folder] = parameters
        return True

    def _parameters(self, folder: Path) -> Parameters:
        if folder not in self._wanted:
            self._wanted[folder] = files.load_wanted(folder)
        return self._wanted[folder]

    def _command(self, folder: Path | None, command: str) -> None:
        self._laboratory.record(self._name, "command", command=command, dataset=str(folder) if folder else None)
        if command == "zg" and folder is not None:
            self._zg(folder)
        elif command == "halt" and self._running is not None:
            self._finish(self._scans_done())
        elif command == "stop" and self._running is not None:
            running, self._running = self._running, None
            self._disarm()
            files.discard(running.folder)
            self._laboratory.record(self._name, "discarded", dataset=str(running.folder), sample=running.sample)
        elif command == "tr" and self._running is not None and self._running.folder == folder:
            self._write_so_far()
        elif command.split()[0] == "atma" and folder is not None and self._running is None:
            self._atma(folder, command.split()[1:])
        elif command not in ("halt", "stop"):
            self._laboratory.record(self._name, "ignored", command=command, why="unknown to the stand-in")

    def _atma(self, folder: Path, options: list[str]) -> None:
        """Tune, and store the curve where ``storeWobb PROCNO`` says so."""
        if self._tuning_ends is None and self._loop is not None:
            procno = options[1] if options[:1] == ["storeWobb"] and options[1:] and self._stores_curve else None
            self._tuning_ends = self._loop.call_later(_ATMA, self._tuned, folder, procno)

    def _tuned(self, folder: Path, procno: str | None) -> None:
        self._tuning_ends = None
        self.tuning = self.tuning if self._jammed else 1.0
        if procno is not None and folder.is_dir():
            rng = self._laboratory.rng("wobble", "/".join(folder.parts[-2:]))
            wobble.store(folder, procno, self._parameters(folder), self.tuning, rng, f"{self._now():%Y-%m-%d %H:%M:%S}")
        self._laboratory.record(self._name, "tuned", dataset=str(folder), field=self.tuning)

    def _zg(self, folder: Path) -> None:
        if self._running is not None or self._tuning_ends is not None:
            why = "an acquisition is going on" if self._running is not None else "the probe is being tuned"
            self._laboratory.record(self._name, "ignored", command="zg", why=why)
            return
        if (folder / "fid").exists():
            self._open_dialog(f"zg: {folder} has data already; overwrite?")
            return
        with self._lock:
            parameters = self._wanted.pop(folder, None) or files.load_wanted(folder)
        now = self._laboratory.time()
        item = self._laboratory.in_probe(self._name)
        lines: list[Line] = []
        t90 = REFERENCE_T90_S
        if isinstance(item, VirtualCell):
            self._laboratory.bring_up_to_date(item)
            t90 = item.t90_s
        if item is None or item.id != self._askew:
            self._askew = None
        if item is not None:
            parameters.put("TE", self._laboratory.sample_temperature(item.id))
            lines = self._lines(item, askew=item.id == self._askew)
        scans = parameters.number("NS") + parameters.number("DS")
        repetition = fid.repetition(parameters)
        sample = item.id if item is not None else "empty"
        kind, order, _ = FORMATS[self._numbers]
        parameters.put("DTYPA", kind)
        parameters.put("BYTORDA", order)
        askew = sample == self._askew
        tuning = self.tuning * (_ASKEW[2] if askew else 1.0)
        ends = now + scans * repetition + OVERHEAD
        self._running = Running(folder, now, ends, sample, t90, lines, parameters, tuning, askew)
        files.begin(folder, parameters, self._laboratory.at(now) + self.clock_ahead, self._early_audit)
        self._laboratory.record(self._name, "acquiring", dataset=str(folder), sample=sample, ends=self._running.ends)
        self._arm()

    def _arm(self) -> None:
        if self._running is not None and self._loop is not None:
            left = max(0.0, self._running.ends - self._laboratory.time())
            self._timer = self._loop.call_later(left, self._complete)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write_so_far(self) -> None:
        """Write the data of the scans so far, as ``tr`` does."""
        running, scans = self._running, self._scans_done()
        if running is None or scans < 1:
            return
        parameters = running.parameters.copy()
        parameters.put("NS", scans)
        told = fid.acquisition_of(parameters, running.t90, self.reference_offset, self.phase, running.tuning)
        rng = self._laboratory.rng(running.sample, "/".join(running.folder.parts[-2:]))
        data, exponent, _ = fid.acquire(running.lines, told, rng)
        (running.folder / "fid").write_bytes(written(data, exponent, parameters, self._numbers))

    def _scans_done(self) -> int:
        running = self._running
        if running is None:
            return 0
        asked = int(running.parameters.number("NS"))
        share = (self._laboratory.time() - running.started) / (running.ends - running.started)
        return max(0, min(asked, int(share * asked)))

    def _complete(self) -> None:
        if self._running is not None:
            self._finish(int(self._running.parameters.number("NS")))

    def _finish(self, scans: int) -> None:
        """Write the data of so many scans."""
        running, self._running = self._running, None
        self._disarm()
        if running is None:
            return
        if not running.folder.is_dir():
            self._laboratory.record(self._name, "lost", dataset=str(running.folder), why="somebody deleted its folder")
            return
        parameters = running.parameters
        parameters.put("NS", max(1, scans))
        rng = self._laboratory.rng(running.sample, "/".join(running.folder.parts[-2:]))
        told = fid.acquisition_of(parameters, running.t90, self.reference_offset, self.phase, running.tuning)
        data, exponent, overloaded = fid.acquire(self._over_time(running), told, rng)
        parameters.put("OVERFLW", int(overloaded))
        raw = written(data, exponent, parameters, self._numbers)
        spoil, self._spoil = self._spoil, None
        if spoil is not None:
            raw = SPOILS[spoil](raw)
        now = self._now()
        started = self._laboratory.at(running.started) + self.clock_ahead
        parameters.put("DATE", int(now.timestamp()))
        parameters.put("DATE_START", int(started.timestamp()))
        files.end(running.folder, parameters, raw, started, now)
        self._laboratory.record(self._name, "acquired", dataset=str(running.folder), scans=scans, sample=running.sample)

    def _lines(self, item: Any, *, askew: bool) -> list[Line]:
        """Give the lines of what is in the probe now."""
        kelvin = self._laboratory.sample_temperature(item.id)
        # Nuclear magnetisation goes with 1/T.
        lines = [
            replace(line, area_mAh=line.area_mAh * _AREAS_AT_K / kelvin)
            for line in item.nmr_lines(self._laboratory.time(), self._console.tesla)
        ]
        return [_askew(line) for line in lines] if askew else lines

    def _over_time(self, running: Running) -> list[Line]:
        """Give the lines averaged over the acquisition, where a current has changed the cell meanwhile."""
        item = self._laboratory.in_probe(self._name)
        if not isinstance(item, VirtualCell) or item.id != running.sample:
            return running.lines
        self._laboratory.bring_up_to_date(item)
        after = self._lines(item, askew=running.askew)
        if after == running.lines:
            return running.lines
        return [replace(line, area_mAh=line.area_mAh / 2) for line in (*running.lines, *after)]


def _askew(line: Line) -> Line:
    shift, wider, _ = _ASKEW
    return replace(line, shift_ppm=line.shift_ppm + shift, gauss_fwhm_ppm=line.gauss_fwhm_ppm * wider)
