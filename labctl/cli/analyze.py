"""``labctl analyze``: from bundles, listed files and single files to where the lithium went."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from labctl import analysis
from labctl.cli.output import put, put_json, say
from labctl.errors import AnalysisError, DataError, InvalidFile, LabctlError, UsageError

if TYPE_CHECKING:
    from labctl.analysis.bundles import Campaign
    from labctl.analysis.calibration import Calibration
    from labctl.analysis.loose import Broken, Seen, Source
    from labctl.analysis.model import Analysis
    from labctl.analysis.parallel import Workers
    from labctl.analysis.settings import Settings
    from labctl.cli.calibration_list import Series
    from labctl.cli.manifest import Manifest

#: Which figures are also drawn for print: none, those of groups and campaigns, those of single cells too.
Figures = Literal["none", "groups", "all"]

#: Where results go unless something else is said, below the current folder.
DEFAULT_OUT: Final = Path("analysis")
#: What a measured cycle of a cell takes to evaluate, roughly.
_CYCLE_S: Final = 0.1


@dataclass
class _Wanted:
    """What the paths of a command line hold."""

    campaigns: list[Campaign] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    files: list[Source] = field(default_factory=list)
    raw: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    invalid: bool = False

    def fail(self, path: Path | str, error: str) -> None:
        """Keep that something cannot be evaluated, and say so at once."""
        self.failed.append((str(path), error))
        say(error)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command line."""

    out: Path | None = None
    settings: Path | None = None
    jobs: int | None = None
    as_json: bool = False
    figures: Figures = "none"
    template: bool = False


@dataclass(frozen=True, slots=True)
class Design:
    """The options of ``--design``."""

    effect: float | None
    sd: float | None
    power: float
    alpha: float | None
    confidence: float | None
    known_from: int | None


def run(paths: Sequence[Path], asked: Asked, planned: Design | None = None) -> int:
    """Do what the command line asks for, and give the exit code.

    Raises
    ------
    UsageError
        The options contradict each other.
    """
    if planned is not None:
        from labctl.cli.design import design

        if paths or asked.template:
            raise UsageError("--design looks at no files", hint="leave the paths out")
        if planned.alpha is not None and planned.confidence is not None:
            raise UsageError("--alpha and --confidence say the same", hint="give one of them")
        alpha = 1.0 - planned.confidence if planned.confidence is not None else planned.alpha
        design(
            planned.effect, planned.sd, power=planned.power, alpha=0.05 if alpha is None else alpha,
            known_from=planned.known_from, as_json=asked.as_json,
        )  # fmt: skip
        return 0
    if asked.template:
        if len(paths) > 1:
            raise UsageError("--template writes one file", hint="name one, or none for stdout")
        print_template(paths[0] if paths else None)
        return 0
    return analyze_paths(paths, asked)


def analyze_paths(paths: Sequence[Path], asked: Asked) -> int:
    """Evaluate, print and write.

    Returns
    -------
    int
        The exit code: 0, also where single files could not be evaluated; 1 where nothing could; 6 where a list of files
        has mistakes.

    Raises
    ------
    UsageError
        Nothing was asked for, or ``out`` is in the way of raw data.
    InvalidFile
        The settings have mistakes.
    """
    from labctl.analysis import bundles
    from labctl.analysis.parallel import Workers, cores, less_searching

    if not paths:
        raise UsageError("nothing to analyze", hint="give a campaign, data files, or a list of them (--template)")
    given = None
    if asked.settings is not None:
        from labctl.cli.settings_file import load_settings

        given = load_settings(asked.settings)
    less_searching()
    with Workers(asked.jobs or cores()) as workers:
        # They load what they need while the campaigns' files are still looked through here.
        workers.begin("labctl.analysis.evaluate", seconds=_CYCLE_S * bundles.promised(paths))
        wanted = _find(paths)
        chosen = _settings(given, wanted.manifests)
        # With --json alone the document is all that was asked for.
        target = asked.out if asked.out is not None or asked.as_json else DEFAULT_OUT
        if target is not None:
            _refuse_among_raw(target, wanted.raw, named=asked.out is not None)
        calibrations = _calibrations(wanted, chosen)
        found, good = _evaluated(wanted, chosen, workers)
        nothing = found is None and not good and not calibrations
        if not nothing or asked.as_json:
            data = document(found, good, calibrations, wanted.failed, chosen)
            if asked.as_json:
                put_json(data)
            else:
                _show(data, found, good, calibrations)
            if target is not None and not nothing:
                write(found, calibrations, data, target, figures=asked.figures, workers=workers)
    return 6 if wanted.invalid else 1 if nothing else 0


def _calibrations(wanted: _Wanted, settings: Settings) -> list[Calibration]:
    """Evaluate calibration series; one that tells nothing costs one line."""
    from labctl.analysis import calibration_series

    found = []
    for one in wanted.series:
        try:
            found.append(
                calibration_series.evaluate(one.entries, id=one.name, source=one.source, recipe=settings.recipe)
            )
        except (DataError, AnalysisError) as error:
            wanted.fail(one.name, str(error))
    return found


def _evaluated(wanted: _Wanted, settings: Settings, workers: Workers) -> tuple[Analysis | None, list[Seen]]:
    """Evaluate campaigns together and single files each by itself."""
    from labctl.analysis import loose

    found: Analysis | None = None
    with tempfile.TemporaryDirectory(prefix="labctl-analyze-") as scratch:
        campaigns = [*wanted.campaigns, *_listed(wanted, Path(scratch))]
        with _progress(sum(len(one.cells) for one in campaigns) + len(wanted.files)) as done:
            if campaigns:
                try:
                    found = analysis.analyze([], settings=settings, campaigns=campaigns, workers=workers, done=done)
                except AnalysisError as error:  # simulated and live ones together
                    wanted.fail(", ".join(one.name for one in campaigns), str(error))
            seen = loose.look(wanted.files, settings, workers=workers, done=done)
    return found, _kept(seen, wanted)


def document(
    found: Analysis | None,
    seen: Sequence[Seen],
    calibrations: Sequence[Calibration],
    failed: Sequence[tuple[str, str]],
    settings: Settings,
) -> dict[str, Any]:
    """Give the ``labctl.analysis/1`` document, with what is in no campaign under ``files`` and ``calibrations``."""
    from labctl.analysis import calibration_series, loose

    if found is not None:
        data = found.to_json()
    else:
        # Files by themselves do not say whether they are simulated.
        data = {"schema": "labctl.analysis/1", "mode": "unknown", "campaigns": [], "cells": [], "groups": [],
                "settings": settings.to_json(), "notes": [], "flags": []}  # fmt: skip
    if seen:
        data["files"] = [loose.to_json(one) for one in seen]
    if calibrations:
        data["calibrations"] = [calibration_series.table(one).to_json() for one in calibrations]
    if failed:
        data["failed"] = [{"path": path, "error": error} for path, error in failed]
    return data


def write(
    found: Analysis | None,
    calibrations: Sequence[Calibration],
    data: Mapping[str, Any],
    out: Path,
    *,
    figures: Figures,
    workers: Workers,
) -> None:
    """Write everything that an evaluation leaves behind into ``out``; the one place where files are written.

    ``report.html`` with ``cells/`` and ``figures/``, ``analysis.json``, ``data/`` with netCDF and CSV, ``print/``;
    of a calibration the file that ``soc_factor`` can name.
    """
    import json

    from labctl.analysis import calibration, plots, storage

    written = out / "analysis.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_whole(written, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        for one in calibrations:
            written = calibration.save(one, out / f"{one.curve.id}.yaml")
        if found is not None:
            written = analysis.write_report(found, out, workers=workers)
            storage.write(found, out / "data", workers=workers)
            if figures != "none":
                plots.draw_all(found, out / "print", cells=figures == "all")
    except OSError as error:
        raise LabctlError(f"{out}: results cannot be written ({error.strerror or error})") from error
    say(f"results: {written}" if found is None else f"report: {written}")


def _write_whole(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _find(paths: Sequence[Path]) -> _Wanted:
    """Say what each path holds; what holds nothing costs one line."""
    from labctl.analysis import bundles, loose
    from labctl.analysis.listed import raw_folders

    wanted = _Wanted()
    of_labctl: list[Path] = []
    for path in paths:
        try:
            if path.suffix.lower() in (".yaml", ".yml"):
                from labctl.cli.manifest import Manifest, load_listed

                listed = load_listed(path)
                if isinstance(listed, Manifest):
                    wanted.manifests.append(listed)
                    wanted.raw += raw_folders(listed.cells, listed.reference)
                else:
                    wanted.series.append(listed)
                    wanted.raw += [one.path for one in listed.entries if one.path.is_dir()]
            elif bundles.has_campaign(path):
                wanted.campaigns = bundles.find([path])
                of_labctl.append(path)
            else:
                found = loose.sources(path)
                wanted.files += found
                wanted.raw += [path] if path.is_dir() else [one.path for one in found if one.path.is_dir()]
        except InvalidFile as error:
            wanted.invalid = True
            wanted.fail(path, str(error))
        except (DataError, OSError) as error:
            wanted.fail(path, str(error))
    if len(of_labctl) > 1:
        # Together: cells of one campaign that are given one by one belong together.
        wanted.campaigns = bundles.find(of_labctl)
    for one in wanted.campaigns:
        wanted.raw.append(one.folder)
        for text in one.broken:
            wanted.fail(one.name, text)
    wanted.files = list({one.path: one for one in wanted.files}.values())
    return wanted


def _listed(wanted: _Wanted, scratch: Path) -> Iterator[Campaign]:
    from labctl.analysis import listed

    for number, one in enumerate(wanted.manifests):

        def broken(text: str, name: str = one.name) -> None:
            wanted.fail(name, text)

        yield listed.campaign(
            one.name, one.cells, folder=one.folder, scratch=scratch / str(number), say=broken, mode=one.mode,
            accuracy=one.accuracy, reference=one.reference,
        )  # fmt: skip


def _settings(given: Settings | None, manifests: Sequence[Manifest]) -> Settings:
    """Choose the settings: those of the command line stand over those of a list, and two lists must agree."""
    if given is not None:
        return given
    told = [one.settings for one in manifests if one.settings is not None]
    if any(one != told[0] for one in told):
        raise UsageError(
            "the lists of files have different settings", hint="analyze them one by one, or say --settings"
        )
    return told[0] if told else analysis.Settings()


def _refuse_among_raw(out: Path, raw: Sequence[Path], *, named: bool) -> None:
    """Refuse to write inside or above a folder of raw data.

    Raises
    ------
    UsageError
        Where it would be.
    """
    target = out.resolve()
    if target.exists() and not target.is_dir():
        raise UsageError(f"{out} is no folder", hint="give a folder by --out")
    for one in raw:
        folder = one.resolve()
        if target == folder or folder in target.parents or target in folder.parents:
            where = "above" if target in folder.parents else "in"
            raise UsageError(f"results would be written {where} the raw data of {one}: {target}",
                             hint="give another folder by --out" if named else "give a folder by --out")  # fmt: skip


def _kept(seen: Sequence[Seen | Broken], wanted: _Wanted) -> list[Seen]:
    from labctl.analysis.loose import Broken

    good: list[Seen] = []
    for one in seen:
        if isinstance(one, Broken):
            wanted.fail(one.path, one.error)
        else:
            good.append(one)
    return good


def _show(
    data: Mapping[str, Any], found: Analysis | None, seen: Sequence[Seen], calibrations: Sequence[Calibration]
) -> None:
    """Print shares and flags, and what has tables of its own: spectra under current, single files, symmetric cells."""
    from labctl.analysis import calibration_series, summaries
    from labctl.analysis.symmetric_summary import SeenSymmetric
    from labctl.cli import analyze_shown
    from labctl.cli.tables_shown import print_table

    tables = [] if found is None else summaries.under_current(found)
    if data["cells"]:
        analyze_shown.print_shares(data, others=bool(tables))
        analyze_shown.print_flags(data)
    if data.get("files"):
        analyze_shown.print_files(data["files"])
    tables += [one.table for one in seen if isinstance(one, SeenSymmetric)]
    tables += [calibration_series.table(one) for one in calibrations]
    for one in tables:
        print_table(one)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar where a person watches; it leaves nothing behind."""
    if not sys.stderr.isatty() or total < 2:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluating", total=total)
        yield lambda: bar.advance(task)


def print_template(path: Path | None) -> None:
    """Write the commented list of files to ``path``, which must not exist, or to stdout.

    Raises
    ------
    UsageError
        The file exists.
    """
    from labctl.cli.manifest import TEMPLATE

    text = TEMPLATE.read_text(encoding="utf-8")
    if path is None:
        put(text.rstrip("\n"))
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists", hint="name a new file") from None
    except OSError as error:
        raise LabctlError(f"{path}: cannot be written ({error.strerror or error})") from error
    say(f"{path}: put your files in, then: labctl analyze {path}")
