"""A whole campaign under kills: at random instants, or at commit boundaries; and its undisturbed twin."""

from __future__ import annotations

import json
import math
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.engine.clock import real_seconds

from . import checks, decided, evidence, journal, orchestrator, together
from .boundaries import Plan
from .files import make_files
from .laboratory import COMMAND, SimulatedLaboratory
from .person import Person
from .protocols import HELD_FOR_PEOPLE

FIRST_LIFE = 0.4
"""Seconds that an orchestrator lives on average at first; later lives follow from how far the campaign has come."""
GROWN_UP = 0.6
"""Share of the lives that are counted from when the orchestrator is there; the others from the start of the process."""
_UNDISTURBED_WITHIN = 900.0
_PERSON_LOOKS = 0.5
_ANSWERS = 0.05
"""Real seconds that an answer may be under way on a busy machine."""


@dataclass(slots=True)
class Outcome:
    """What came of a campaign.

    Attributes
    ----------
    kills, restarts : int
        Orchestrators that were killed, and started anew.
    operations : int
        In the journal.
    records : int
        That the tester has made.
    double_starts, overlaps, violations, unknown : list of str
        Each a sentence; all empty where all is well.
    lost : int
        Records that are missing or doubled in our bundles.
    decisions : int
        Made by conditions of the protocol.
    spectra : int
        Taken while current flowed, or between.
    wrong_spectra : list of str
        Those that are missing, there twice, or wrongly stamped.
    unfinished : list of str
        Cells that have not finished, and how.
    twice : list of str
        What was decided, asked, marked or done by hand more than once, or differently after a restart.
    differences : list of str
        From the analysis of the undisturbed run, and from what was decided and which samples were measured in it.
    delivered : bool
        Whether the analysis was written by the run itself.
    boundaries_left : list of str
        Of a plan: at which nobody died.
    seconds : float
        Of real time.
    """

    kills: int = 0
    restarts: int = 0
    operations: int = 0
    records: int = 0
    double_starts: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    lost: int = 0
    spectra: int = 0
    wrong_spectra: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    decisions: int = 0
    differences: list[str] = field(default_factory=list)
    delivered: bool = False
    boundaries_left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Everything that must not be, a sentence each."""
        return [
            *self.double_starts,
            *self.overlaps,
            *self.violations,
            *self.unknown,
            *([f"{self.lost} records are not in the bundles as they were made"] if self.lost else []),
            *self.wrong_spectra,
            *self.unfinished,
            *self.twice,
            *self.differences,
            *([] if self.delivered else ["no analysis was delivered"]),
            *(f"nobody died at: {boundary}" for boundary in self.boundaries_left),
        ]

    def line(self) -> str:
        """One line of counts."""
        return (
            f"kills {self.kills}, restarts {self.restarts}, operations {self.operations}, records {self.records}, "
            f"double starts {len(self.double_starts)}, overlaps {len(self.overlaps)}, lost records {self.lost}, "
            f"spectra {self.spectra}, wrong {len(self.wrong_spectra)}, "
            f"decisions {self.decisions}, twice {len(self.twice)}, "
            f"violations {len(self.violations)}, unknown {len(self.unknown)}, unfinished {len(self.unfinished)}, "
            f"all equal {'no' if self.differences else 'yes'}, duration {self.seconds:.0f} s"
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """A campaign that can be run again and again: so many cells and cycles, a seed, and the laboratory's speed.

    ``campaign`` is one of :data:`.protocols.PROTOCOLS`. Only that of ``cycling`` has the same results whenever and
    however often it is killed; the others are judged spectrum by spectrum.
    """

    cells: int = 8
    cycles: int = 2
    seed: int = 1
    speed: float = 300.0
    campaign: str = "cycling"

    def person(self, folder: Path) -> Person | None:
        """Who is there for held cells; nobody where no kill may have a cell held."""
        return Person(folder) if self.campaign in HELD_FOR_PEOPLE else None


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """How the campaign goes where nobody kills anything."""

    analysis: dict[str, Any]
    operations: int
    truths: dict[str, bool]
    samples: dict[str, Any]


def undisturbed(setting: Setting, folder: Path) -> Undisturbed:
    """Run the campaign in one process in virtual time.

    Raises
    ------
    RuntimeError
        It did not come to its end.
    """
    protocol = make_files(folder, cells=setting.cells, cycles=setting.cycles, campaign=setting.campaign)
    command = (*COMMAND, "run", str(protocol), "--simulate", "--accelerate", "--seed", str(setting.seed))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_UNDISTURBED_WITHIN, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the undisturbed run ended with {done.returncode}: {done.stderr[-2000:]}")
    campaign = journal.ended_campaigns(folder)[0]
    analysis = json.loads((folder / "results" / campaign / "analysis.json").read_text(encoding="utf-8"))
    operations = journal.operations(folder)
    return Undisturbed(analysis, len(operations), decided.truths(operations), decided.samples(folder / "results"))


def random_kills(setting: Setting, folder: Path, twin: Undisturbed, kills: int) -> Outcome:
    """Kill the orchestrator ``kills`` times at random instants while the laboratory goes on; fewer if it ends first."""
    chance = random.Random(setting.seed)
    protocol = make_files(folder, cells=setting.cells, cycles=setting.cycles, campaign=setting.campaign)
    outcome, seen, began = Outcome(), decided.Seen(), real_seconds()
    life = FIRST_LIFE
    with SimulatedLaboratory(folder, speed=setting.speed, seed=setting.seed) as laboratory:
        while True:
            with orchestrator.running(folder, protocol) as process:
                seconds = None
                if outcome.kills < kills:
                    if chance.random() < GROWN_UP:
                        orchestrator.wait_until_it_is_there(folder, process)
                    seconds = chance.uniform(0.0, 2.0 * life)
                ended = _live(folder, process, seconds, setting)
            outcome.kills += not ended
            seen.look(folder)
            if _over(folder, process, setting, killed=not ended):
                break
            outcome.restarts += 1
            life = _next_life(life, outcome.kills / kills if kills else 1.0, _progress(folder, twin))
        outcome.twice = seen.changed
        _judge(outcome, setting, folder, laboratory, twin)
    outcome.seconds = real_seconds() - began
    return outcome


def boundary_kills(setting: Setting, folder: Path, twin: Undisturbed, boundaries: Sequence[str]) -> Outcome:
    """Have the orchestrator die once at each of these commit boundaries."""
    protocol = make_files(folder, cells=setting.cells, cycles=setting.cycles, campaign=setting.campaign)
    outcome, seen, began = Outcome(), decided.Seen(), real_seconds()
    plan = Plan(folder / "boundaries.plan")
    plan.make(boundaries)
    with SimulatedLaboratory(folder, speed=setting.speed, seed=setting.seed) as laboratory:
        while True:
            before = len(plan.done())
            with orchestrator.running(folder, protocol, plan=folder / "boundaries.plan") as process:
                _live(folder, process, None, setting)
            seen.look(folder)
            killed = len(plan.done()) > before
            outcome.kills += killed
            if _over(folder, process, setting, killed=killed):
                break
            outcome.restarts += 1
        outcome.boundaries_left = sorted(plan.left())
        outcome.twice = seen.changed
        _judge(outcome, setting, folder, laboratory, twin)
    outcome.seconds = real_seconds() - began
    return outcome


def _live(folder: Path, process: orchestrator.Life, seconds: float | None, setting: Setting) -> bool:
    """Let an orchestrator live, until a cell is held for which nobody is there; whether it ended by itself."""
    person, until = setting.person(folder), math.inf if seconds is None else real_seconds() + seconds
    while (left := until - real_seconds()) > 0:
        if orchestrator.ends_within(process, min(left, _PERSON_LOOKS)):
            return True
        if person is not None:
            person.look()
        elif journal.held(folder):
            return False
    return False


def _over(folder: Path, process: orchestrator.Life, setting: Setting, *, killed: bool) -> bool:
    """Whether the campaign has come to its end, or to a held cell that nobody lets go on: it stays unfinished."""
    if journal.ended_campaigns(folder) or (setting.person(folder) is None and journal.held(folder)):
        return True
    if not killed and process.returncode is not None:
        # It ended by itself without the campaign's end: cells are held, or something stands against it.
        if journal.operations(folder):
            return True
        raise RuntimeError(f"labctl run ended with {process.returncode}: {orchestrator.said(folder)}")
    return False


def _progress(folder: Path, twin: Undisturbed) -> float:
    done = sum(one.status == "done" for one in journal.operations(folder))
    return done / twin.operations


def _next_life(life: float, killed: float, progress: float) -> float:
    """Longer lives where kills are ahead of the campaign, shorter ones where they lag behind, so that all fit in."""
    factor = 1.25 if killed > 0.1 + 1.5 * progress else 0.6
    return min(max(life * factor, 0.1), 30.0)


def _judge(
    outcome: Outcome, setting: Setting, folder: Path, laboratory: SimulatedLaboratory, twin: Undisturbed
) -> None:
    operations, results = journal.operations(folder), folder / "results"
    cycling = evidence.of_cycler("maccor", laboratory.log("maccor"))
    acquired = evidence.of_spectrometer("topspin", laboratory.log("topspin"))
    swept = evidence.of_potentiostat("zahner", laboratory.log("zahner"))
    work = [*cycling, *acquired, *swept]
    by_hand = laboratory.log("laboratory")
    moves = evidence.moves(by_hand)
    campaign = operations[0].operation.split("/")[0]
    outcome.operations = len(operations)
    outcome.double_starts = [*checks.double_starts(work, operations), *checks.double_moves(moves, operations)]
    outcome.overlaps = checks.overlaps(work, operations)
    outcome.unknown = checks.never_started(work, operations)
    outcome.decisions = len(decided.truths(operations))
    outcome.twice += [
        *decided.twice(operations, journal.told(folder), journal.marks(folder)),
        *decided.reworked(by_hand, operations),
    ]
    tests = laboratory.ask("tests", instrument="maccor")["tests"]
    outcome.records, outcome.lost = checks.lost_records(tests, operations, results)
    flowing = evidence.flowing(laboratory.log("maccor"))
    outcome.wrong_spectra = [
        *together.spectra(acquired, operations, results),
        *together.wrong_stamps(acquired, flowing, operations, results, _ANSWERS * setting.speed),
        *together.series(swept, operations, results),
    ]
    outcome.spectra = sum(len(together.stamps_of(one, results)) for one in operations)
    outcome.violations = [json.dumps(violation) for violation in laboratory.ask("violations")["violations"]]
    source = [entry["on"] for entry in laboratory.log("zahner") if entry["event"] == "source"]
    outcome.violations += ["the potentiostat's source was left on"] if source and source[-1] else []
    states = journal.cell_states(folder, campaign)
    outcome.unfinished = [f"{cell} is {state}" for cell, state in states.items() if state != "finished"]
    written = results / campaign / "analysis.json"
    outcome.delivered = written.is_file()
    analysis = json.loads(written.read_text(encoding="utf-8")) if outcome.delivered else {}
    if setting.campaign == "cycling":
        outcome.differences = list(checks.differences(analysis, twin.analysis))
    elif setting.campaign == "decisions":
        outcome.differences = [
            *decided.other_than(twin.truths, decided.truths(operations), "decided"),
            *decided.other_than(twin.samples, decided.samples(results), "sample of"),
        ]
