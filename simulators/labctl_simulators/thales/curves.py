"""Everything that is no impedance: cyclic voltammetry, current-voltage curves and sequences, sample by sample.

A curve is a list of steps: what the source does, for how long, and whether a sample is taken at the step's end. What a
measurement of this kind does with the switch afterwards is unverified; here the source ends as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from labctl_simulators.cell import Current, Drive, Rest, Voltage
from labctl_simulators.thales import curvefiles
from labctl_simulators.thales import settings as texts
from labctl_simulators.thales.sequences import Step, Unreadable, read_sequence
from labctl_simulators.thales.tables import CURRENT_LIMIT
from labctl_simulators.thales.term import BEGIN, COLUMNS, ROW, UNITS
from labctl_simulators.thales.workstation import Workstation

_TITLES: Final = {"CV": "1,Cyclic Voltammetry", "IE": "2,Current Potential Curve", "SEQ": "4,Sequencer"}
_MOST_SAMPLES: Final = 30000
_WRITERS: Final[dict[str, Callable[[curvefiles.Curve], bytes]]] = {
    "CV": curvefiles.isc,
    "IE": curvefiles.iss,
    "SEQ": curvefiles.sequence_text,
}


@dataclass
class Progress:
    """How far a curve has come; JSON-able.

    Attributes
    ----------
    kind, path, cell : str
        ``CV``, ``IE`` or ``SEQ``; the file that will be written; whose curve it is.
    started : float
        Laboratory time, s.
    was_on : float
        The switch before.
    settings : dict
        The instrument's settings at the start.
    steps : list of Step
        What is still to be done, and what is done.
    done : int
        Steps that are over.
    time, voltage, current : list of float
        Samples: s since the start, V, A.
    """

    kind: str
    path: str
    cell: str
    started: float
    was_on: float
    settings: dict[str, float]
    steps: list[Step]
    done: int = 0
    time: list[float] = field(default_factory=list)
    voltage: list[float] = field(default_factory=list)
    current: list[float] = field(default_factory=list)


class Curves:
    """A curve that is being measured."""

    def __init__(self, station: Workstation, progress: Progress) -> None:
        self._station = station
        self._progress = progress
        self.kind = progress.kind

    @property
    def about(self) -> dict[str, Any]:
        """File and cell."""
        return {"file": self._progress.path, "cell": self._progress.cell}

    def to_json(self) -> dict[str, Any]:
        """Plain data, for :meth:`restored`."""
        return asdict(self._progress)

    @classmethod
    def restored(cls, station: Workstation, state: Mapping[str, Any]) -> Curves:
        """Take up :meth:`to_json`."""
        return cls(station, Progress(**{**state, "steps": [Step(**step) for step in state["steps"]]}))

    def go_on(self) -> None:
        """Do the next step."""
        step = self._progress.steps[self._progress.done]
        self._station.source.update(self._station.laboratory.time())
        self._station.source.held = _drive(step)
        self._station.later(step.seconds, self._step)

    def _step(self) -> None:
        station, progress = self._station, self._progress
        now, cell = station.laboratory.time(), station.source.cell()
        station.source.update(now)
        if cell is None or cell.id != progress.cell:
            self._end(texts.OVERLOAD)
            return
        step = progress.steps[progress.done]
        progress.done += 1
        if step.sample:
            progress.time.append(now - progress.started)
            progress.voltage.append(station.source.voltage())
            progress.current.append(station.source.current())
            row = (progress.time[-1], progress.voltage[-1], progress.current[-1])
            station.term.display(ROW, "".join(f"{value: .5e}," for value in row))
        if progress.done < len(progress.steps):
            self.go_on()
            return
        curve = curvefiles.Curve(
            begun=station.laboratory.at(progress.started),
            ended=station.laboratory.at(now),
            settings=progress.settings,
            time=progress.time,
            voltage=progress.voltage,
            current=progress.current,
        )
        station.deliver(progress.path, _WRITERS[self.kind](curve))
        station.settings.count_up(self.kind)
        self._end(f"{self.kind} DONE\r")

    def _end(self, reply: str) -> None:
        station = self._station
        station.settings.numbers["Pot"] = self._progress.was_on
        station.source.held = None
        station.source.rewire()
        station.finish(reply)


def _drive(step: Step) -> Drive:
    if step.mode == "potential":
        return Voltage(step.value, CURRENT_LIMIT)
    return Current(step.value) if step.mode == "current" and step.value != 0 else Rest()


def _begin(station: Workstation, kind: str, steps: Sequence[Step]) -> str | None:
    now = station.laboratory.time()
    path = station.settings.output_path(kind, f"{station.laboratory.now():%y%m%d%H%M%S}")
    cell = station.source.cell()
    if path in station.files:
        return texts.FILE_EXISTS
    if cell is None:
        return texts.OVERLOAD
    if not steps or len(steps) > _MOST_SAMPLES:
        return texts.OUT_OF_RANGE
    numbers = station.settings.numbers
    progress = Progress(kind, path, cell.id, now, numbers["Pot"], dict(numbers), list(steps))
    numbers["Pot"] = -1.0
    station.source.rewire()
    station.laboratory.record(station.name, "curve", kind=kind, file=path, cell=cell.id)
    station.term.display(BEGIN, _TITLES[kind])
    station.term.display(COLUMNS, "time,voltage,current,")
    station.term.display(UNITS, "s,V,A,")
    station.measure(Curves(station, progress))
    return None


def check_cv(station: Workstation) -> str:
    """Answer ``CHECKCV``; the curve can be run only after a good check."""
    numbers = station.settings
    if numbers["CV_Plower"] >= numbers["CV_Pupper"] or numbers["CV_Periods"] % 0.5:
        return texts.OUT_OF_RANGE
    station.checked.add("CV")
    return texts.OK


def check_ie(station: Workstation) -> str:
    """Answer ``CHECKIE``; the curve can be run only after a good check."""
    numbers = station.settings
    if numbers["IE_WZmax"] < numbers["IE_WZmin"] or numbers["IE_WZmax"] <= 0:
        return texts.OUT_OF_RANGE
    station.checked.add("IE")
    return texts.OK


def cv(station: Workstation) -> str | None:
    """Answer ``CV``: a hold, triangles between the reversing potentials, a hold."""
    if "CV" not in station.checked:
        return texts.NOT_CHECKED
    numbers = station.settings
    upper, lower, rate = numbers["CV_Pupper"], numbers["CV_Plower"], numbers["CV_Srate"]
    turns = [upper if n % 2 == 0 else lower for n in range(round(2 * numbers["CV_Periods"]))]
    step = 2 * (upper - lower) / numbers["CV_PpPer"]
    steps = [Step("potential", numbers["CV_Pstart"], max(numbers["CV_Tstart"], step / rate), sample=True)]
    for target in (*turns, numbers["CV_Pend"]):
        steps += _ramp(steps[-1].value, target, step, rate)
    if numbers["CV_Tend"] > 0:
        steps.append(Step("potential", numbers["CV_Pend"], numbers["CV_Tend"], sample=False))
    return _begin(station, "CV", steps)


def _ramp(begin: float, end: float, step: float, rate: float) -> list[Step]:
    count = max(1, round(abs(end - begin) / step))
    return [
        Step("potential", begin + (end - begin) * n / count, abs(end - begin) / count / rate, sample=True)
        for n in range(1, count + 1)
        if end != begin
    ]


def ie(station: Workstation) -> str | None:
    """Answer ``IE``: a staircase over the four edges.

    Steady-state sampling waits as long as fixed sampling here: ``IE_WZmax`` at each step. Tolerances are kept for the
    file and have no effect.
    """
    if "IE" not in station.checked:
        return texts.NOT_CHECKED
    numbers, start = station.settings, station.source.voltage()
    edges = [numbers[f"IE_EckPot{n}"] + (start if numbers[f"IE_EckPot{n}rel"] == -1 else 0.0) for n in range(1, 5)]
    resolution, wait = numbers["IE_Resolution"], numbers["IE_WZmax"]
    if numbers["IE_SweepMode"] == 2:
        wait = resolution / numbers["IE_Srate"]
    steps = [Step("potential", edges[0], wait, sample=True)]
    for edge in edges[1:]:
        steps += _ramp(steps[-1].value, edge, resolution, resolution / wait)
    return _begin(station, "IE", steps)


def select_sequence(station: Workstation, number: str) -> str:
    """Answer ``SELSEQ=n``."""
    text = station.files.get(f"c:\\thales\\script\\sequencer\\sequences\\sequence{number.zfill(2)}.seq")
    try:
        station.sequence = None if text is None else read_sequence(text.decode("ascii", "replace"))
    except Unreadable:
        station.sequence = None
    return texts.NO_SEQUENCE if station.sequence is None else "SELOK\r"


def run_sequence(station: Workstation) -> str | None:
    """Answer ``DOSEQ``."""
    if station.sequence is None:
        return texts.NO_SEQUENCE
    if sum(step.seconds for step in station.sequence) > 3600.0 * station.settings["SEQ_MAXTIME"]:
        return texts.OUT_OF_RANGE
    return _begin(station, "SEQ", station.sequence)
