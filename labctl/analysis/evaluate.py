"""From bundles on disk to an :class:`~labctl.analysis.model.Analysis`: the one entry of the analysis core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from labctl.analysis import ageing, bundles, calibration, campaign_findings, cycling, under_current
from labctl.analysis.bundles import Campaign, Operation
from labctl.analysis.calibration import calibrated
from labctl.analysis.charges import Charges
from labctl.analysis.cycling import Course, CycleCapacities
from labctl.analysis.deposits import Deposits
from labctl.analysis.flags import Flag, within
from labctl.analysis.groups import group_results
from labctl.analysis.impedances import Impedances
from labctl.analysis.judgement import judged, neighbours, standing
from labctl.analysis.measured import Session, measure
from labctl.analysis.model import Analysis, CellResult, CycleResult, Measured, SocFactor
from labctl.analysis.parallel import Workers
from labctl.analysis.raw import raw_files
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError, InvalidFile, LabctlError

#: What a spectrum costs with all that belongs to it, roughly.
_SPECTRUM_S: Final = 0.05
_SPECTRA: Final = ("charged", "discharged", "dead")
_UNCALIBRATED: Final[Mapping[str, Any]] = {"value": 1.08, "sd": 0.015, "source": "paper, not calibrated here"}
_NOTES: Final = (
    "Shares are percent of the cell's own first charge capacity and add up to 100; interphase is what is missing to "
    "it, so it also holds alloyed lithium and lithium that stayed in the positive electrode.",
    "Standard deviations of one cell are propagated errors, whose terms are in its budget (noise and baseline of the "
    "spectra, phase, blank, insertion, pulse, relaxation, temperature, SOC factor, cycler's accuracy); those of a "
    "group are between cells (n - 1). The two are not to be compared.",
    "Replicates do not average down the uncertainty of the SOC factor: it is common to all cells of a set-up.",
    "Dense, mossy and dendritic are a model, three lines in stated windows: {morphology}. Their standard deviations "
    "hold for this model.",
    "Impedance of the charged, the discharged and the stripped cell are never mixed; circuits are fitted to {cut_off}.",
    "Probabilities of comparisons are of Welch's test, adjusted over all {comparisons} of them (Holm).",
)


def analyze(
    paths: Sequence[Path],
    *,
    settings: Settings | None = None,
    campaigns: Sequence[Campaign] = (),
    workers: Workers | None = None,
    done: Callable[[], None] | None = None,
) -> Analysis:
    """Evaluate everything found under ``paths``.

    Parameters
    ----------
    paths : sequence of Path
        Each a laboratory's folder, its results folder, a campaign, or one cell of a campaign.
    settings : Settings, optional
        Choices of the evaluation.
    campaigns : sequence of Campaign, optional
        More of them, already at hand.
    workers : Workers, optional
        Processes that share the cells; the result is the same.
    done : callable, optional
        Called after each cell.

    Raises
    ------
    DataError
        If there is no campaign, or its documents cannot be read. A measurement that is incomplete or was changed is
        flagged on its cell instead, by the name of the file.
    AnalysisError
        If simulated and live campaigns are given together.
    """
    chosen = settings or Settings()
    campaigns = [*(bundles.find(paths) if paths or not campaigns else ()), *campaigns]
    modes = sorted({campaign.mode for campaign in campaigns})
    if len(modes) > 1:
        raise AnalysisError(f"campaigns of different modes ({', '.join(modes)}) are not evaluated together",
                            hint="give their folders one by one")  # fmt: skip
    tasks = [(campaign.only(str(entry["cell"])), chosen, entry) for campaign in campaigns for entry in campaign.cells]
    cells = (workers or Workers()).mapped(_one, tasks, seconds=sum(_seconds(task[0]) for task in tasks), done=done)
    apart = neighbours(cells, chosen)
    cells = [replace(cell, flags=(*cell.flags, *apart.get((cell.campaign, cell.cell), ()))) for cell in cells]
    groups = group_results(cells)
    comparisons = campaign_findings.comparisons(cells, chosen)
    flags: list[str] = [text for campaign in campaigns for text in campaign.broken]
    flags += [within(cell.cell, text) for cell in cells for text in cell.flags]
    flags += [f"{group.group}, cycle {group.cycle}: {text}" for group in groups for text in group.flags]
    return Analysis(
        mode=modes[0],
        campaigns=tuple(campaign.name for campaign in campaigns),
        cells=tuple(cells),
        groups=tuple(groups),
        settings=chosen,
        notes=_notes(chosen, len(comparisons)),
        flags=tuple(flags),
        raw=raw_files(campaigns),
        comparisons=comparisons,
        rates=campaign_findings.rates(cells),
        conversions=campaign_findings.conversions(cells, chosen),
    )


def _notes(settings: Settings, comparisons: int) -> tuple[str, ...]:
    told = {
        "fixed": f"points above {settings.impedance_above_Hz:g} Hz",
        "kramers-kronig": "what passes the Kramers-Kronig test",
        "none": "all points",
    }
    calibrated = "" if settings.morphology.calibrated else ", not calibrated with this set-up"
    words = {"morphology": settings.morphology.source + calibrated, "cut_off": told[settings.impedance_cut_off],
             "comparisons": comparisons}  # fmt: skip
    return tuple(note.format(**words) for note in _NOTES if comparisons or "{comparisons}" not in note)


def _one(task: tuple[Campaign, Settings, Mapping[str, Any]]) -> CellResult:
    campaign, settings, entry = task
    try:
        return _cell(Session(campaign, settings), entry)
    except (LabctlError, *bundles.STUMBLES) as error:
        # Files that are odd in a way that no check foresaw cost this cell, and never the others.
        kind = "" if isinstance(error, LabctlError) else f" ({type(error).__name__})"
        why = Flag(f"the cell could not be evaluated{kind}: {error}", "not_evaluated")
        group, chemistry = str(entry.get("group") or ""), str(entry.get("chemistry") or "")
        factor = SocFactor(**_UNCALIBRATED)
        return CellResult(campaign.name, str(entry["cell"]), group, chemistry, 0.0, factor, (), (why,), ())


def _seconds(campaign: Campaign) -> float:
    """Guess what a cell takes: its spectra are most of it."""
    return _SPECTRUM_S * sum(one.kind == "nmr" for one in campaign.operations)


def _cell(session: Session, entry: Mapping[str, Any]) -> CellResult:
    campaign, name = session.campaign, str(entry["cell"])
    flags: list[str] = []
    operations = _latest(campaign, name, flags.append)
    courses = {id(one): _course(one, flags.append) for one in operations if one.kind in ("charge", "discharge", "hold")}
    numbers = sorted({one.cycle for one in operations if one.cycle > 0})
    capacities = [_capacities(number, operations, courses, flags.append) for number in numbers]
    accuracy = float(campaign.document.get("capacity_accuracy") or 0.0)
    accounts = cycling.ledger(
        capacities,
        accuracy=accuracy,
        reference_cycle=session.settings.reference_cycle,
    )
    factor = _factor(entry, campaign.folder, flags.append)
    first = next((one.charge for one in capacities if one.cycle == 1), None)
    measure_at = tuple(int(number) for number in entry.get("measure_at") or ())
    impedances, deposits = Impedances(session.settings), Deposits(session.settings, factor.calibration)
    cycles = []
    for one in capacities:
        mine = [operation for operation in operations if operation.cycle == one.cycle]
        charges = Charges(first, one.discharge, None, accounts[one.cycle].not_re_extracted_mAh, accuracy)
        measured = _measured(session, operations, one, charges, factor, measure_at, flags.append)
        if measured is not None:
            measured = replace(measured, deposits=deposits.of_cycle(one.cycle, measured))
        cycles.append(
            CycleResult(
                cycle=one.cycle,
                capacities=one,
                ledger=accounts[one.cycle],
                started=min((str(each.document.get("started")) for each in mine if each.started), default=None),
                ended=max((str(each.document["ended"]) for each in mine if each.document.get("ended")), default=None),
                measured=measured,
                charge_course=_curve_of("charge", mine, courses),
                discharge_course=_curve_of("discharge", mine, courses),
                ageing=ageing.of_cycle(one, *_sides(mine, courses)),
                impedance=impedances.of_cycle(one.cycle, mine, flags.append),
            )
        )
    area = float(entry.get("area_m2") or 0.0)
    every = under_current.added(session, name, cycles, flags.append)
    life = ageing.life(capacities, session.settings, flags.append)
    result = CellResult(campaign.name, name, str(entry.get("group") or ""), str(entry.get("chemistry") or ""), area,
                        factor, measure_at, (), every, life)  # fmt: skip
    flags[:0] = standing(result, session.settings)
    flags += [*judged(result, operations), *impedances.remarks(), *deposits.remarks()]
    return replace(result, flags=tuple(dict.fromkeys(flags)))


def _latest(campaign: Campaign, cell: str, flag: Callable[[str], None]) -> list[Operation]:
    """Give the operations that count: all attempts of what passes charge, the last of what only looks."""
    by_step: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for one in campaign.of(cell):
        by_step[one.step, one.kind].append(one)
    kept: list[Operation] = []
    for (step, kind), attempts in by_step.items():
        attempts.sort(key=lambda one: one.attempt)
        if kind in ("charge", "discharge", "hold"):
            kept += attempts
            if len(attempts) > 1:
                flag(f"{step}: {len(attempts)} attempts, their charges are added")
        else:
            kept.append(attempts[-1])
    kept.sort(key=lambda one: (one.started, one.cycle, one.step, one.attempt))
    said: dict[str, list[str]] = defaultdict(list)
    for one in kept:
        for text in one.document.get("flags") or ():
            said[str(text)].append(one.step)
    for text, steps in said.items():
        more = f" to {steps[-1]} ({len(steps)} steps)" if len(steps) > 1 else ""
        flag(f"{steps[0]}{more}: {text}")
    return kept


def _course(operation: Operation, flag: Callable[[str], None]) -> Course | None:
    if operation.told_mAh is not None:
        return cycling.told(operation.told_mAh, charging=operation.kind == "charge")
    try:
        return cycling.read(operation.file("records.parquet"))
    except DataError as error:
        flag(str(error))
        return None


def _capacities(
    number: int, operations: Sequence[Operation], courses: Mapping[int, Course | None], flag: Callable[[str], None]
) -> CycleCapacities:
    totals: dict[str, float | None] = {}
    hold = 0.0
    for one in operations:
        if one.cycle != number or id(one) not in courses:
            continue
        if one.end in ("time", "aborted", "fault"):
            how = "time-out" if one.end == "time" else one.end
            flag(f"cycle {number}: {one.kind} ended by {how}, its capacity is not that of a complete {one.kind}")
        course = courses[id(one)]
        if one.kind == "hold" and course is not None and course.capacity_mAh <= 0:
            hold -= course.capacity_mAh
            continue
        kind = "charge" if one.kind == "hold" else one.kind
        before = totals.get(kind, 0.0)
        totals[kind] = None if course is None or before is None else before + abs(course.capacity_mAh)
    return CycleCapacities(number, totals.get("charge"), totals.get("discharge"), hold)


def _measured(
    session: Session,
    operations: Sequence[Operation],
    capacities: CycleCapacities,
    charges: Charges,
    factor: SocFactor,
    measure_at: Sequence[int],
    flag: Callable[[str], None],
) -> Measured | None:
    number = capacities.cycle
    spectra = {one.label: one for one in operations if one.kind == "nmr" and one.cycle == number}
    if not any(label in spectra for label in _SPECTRA):
        if number in measure_at and capacities.discharge is not None:
            flag(f"cycle {number}: was to be measured, but there is no NMR")
        return None
    pristine = [one for one in operations if one.kind == "nmr" and one.label == "pristine"]
    if pristine:
        spectra["pristine"] = pristine[-1]
    others = [one for one in operations if one.kind != "nmr" and one.cycle == number]

    def flag_cycle(text: str) -> None:
        flag(within(f"cycle {number}", text))

    return measure(session, spectra, others, capacities, charges, factor, flag_cycle)


def _curve_of(kind: str, operations: Sequence[Operation], courses: Mapping[int, Course | None]) -> Course | None:
    found = next((courses[id(one)] for one in reversed(operations) if one.kind == kind), None)
    return found if found is not None and found.voltage_V.size else None


def _sides(
    operations: Sequence[Operation], courses: Mapping[int, Course | None]
) -> tuple[list[Course | None], list[Course | None]]:
    """Give the steps that a cycle's charge and discharge capacities count, in their order."""
    charges, discharges = [], []
    for one in operations:
        course = courses.get(id(one))
        if one.kind == "charge" or (one.kind == "hold" and (course is None or course.capacity_mAh > 0)):
            charges.append(course)
        elif one.kind == "discharge":
            discharges.append(course)
    return charges, discharges


def _factor(entry: Mapping[str, Any], folder: Path, flag: Callable[[str], None]) -> SocFactor:
    """Give the cell's factor; a calibration that ``soc_factor`` names is read.

    Its path is absolute or relative to the campaign's folder, the results or the laboratory, in this order.
    """
    given: Mapping[str, Any] = entry.get("soc_factor") or _UNCALIBRATED
    if given.get("calibration"):
        wanted = Path(str(given["calibration"]))
        places = [place / wanted for place in (folder, folder.parent, folder.parent.parent)]
        try:
            return calibrated(calibration.load(next((one for one in places if one.is_file()), places[0])).curve)
        except (InvalidFile, AnalysisError) as error:
            flag(Flag(f"calibration {wanted}: {error}", "uncalibrated"))
            given = given if "value" in given else _UNCALIBRATED
    source = str(given.get("source") or "no source given")
    return SocFactor(float(given["value"]), float(given.get("sd") or 0.0), source)
