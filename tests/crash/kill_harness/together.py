"""Judging steps in which current flows and something is measured: every spectrum there once, its stamps right."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars

from .evidence import Work
from .journal import Operation

_SAME = 1e-3
"""Relative difference between a stamp and the cycler's own record that counts as none."""


def stamps_of(operation: Operation, results: Path) -> list[dict[str, str]]:
    """Give the rows of an operation's stamps; none where it has no table."""
    path = results / operation.operation / "stamps.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def spectra(work: Iterable[Work], operations: Sequence[Operation], results: Path) -> Iterator[str]:
    """Spectra of operando steps that are missing, there twice, or not as they were taken."""
    taken = {one.name: one for one in work if math.isfinite(one.ended)}
    for step in (one for one in operations if one.kind == "operando"):
        mine = [one for one in operations if one.kind == "spectrum" and one.result.get("of") == step.operation]
        done = Counter(one.token for one in mine if one.status == "done")
        stamped = Counter(row["token"] for row in stamps_of(step, results))
        if step.status == "done" and stamped != done:
            yield f"{step.operation}: stamped are {sum(stamped.values())} spectra, {sum(done.values())} were taken"
        for one in mine:
            files = [*(results / one.operation).rglob("fid")]
            if one.status == "done" and (one.token not in taken or len(files) != 1):
                yield f"{one.operation}: done, with {len(files)} datasets"
            elif one.status not in ("done", "aborted", "failed"):
                yield f"{one.operation} is {one.status}"


def wrong_stamps(
    work: Iterable[Work],
    flowing: Mapping[str, Sequence[tuple[float, float]]],
    operations: Sequence[Operation],
    results: Path,
    slack: float,
) -> Iterator[str]:
    """Stamps that differ from the cycler's record at the instants that the instruments' logs tell; current in pauses.

    Parameters
    ----------
    slack : float
        Seconds of the laboratory in which an answer may be under way; what flows in them is no difference.
    """
    taken = {one.name: one for one in work}
    for step in (one for one in operations if one.kind == "operando" and one.status == "done"):
        table = polars.read_parquet(results / step.operation / "records.parquet")
        times, currents = table["Test Time / s"].to_numpy(), table["Current / A"].to_numpy()
        passed = np.concatenate(([0.0], np.cumsum(np.diff(times) * (currents[1:] + currents[:-1]) / 2)))
        stretches, little = flowing[step.token], slack * float(np.abs(currents).max())
        for row in stamps_of(step, results):
            one = taken[row["token"]]
            for when, at in (("start", one.began), ("middle", (one.began + one.ended) / 2), ("end", one.ended)):
                elapsed = sum(max(0.0, min(at, until) - since) for since, until in stretches)
                truth, stamp = float(np.interp(elapsed, times, passed)), float(row[f"charge_{when}_C"])
                if not math.isclose(stamp, truth, rel_tol=_SAME, abs_tol=little):
                    yield f"{step.operation} {row['folder']}: {when} stamped {stamp:.6g} C, it was {truth:.6g} C"
            if row["sort"] != "during" and any(since < one.ended and until > one.began for since, until in stretches):
                yield f"{step.operation} {row['folder']}: current flowed in a spectrum at open circuit"


def series(work: Iterable[Work], operations: Sequence[Operation], results: Path) -> Iterator[str]:
    """Spectra under direct current that came to their end and are not, or not once, in the bundle of their step."""
    made = Counter(one.name for one in work if one.part and math.isfinite(one.ended))
    for step in (one for one in operations if one.kind == "deis"):
        rows = stamps_of(step, results)
        numbers = [int(row["spectrum"]) for row in rows]
        if numbers != list(range(1, len(rows) + 1)):
            yield f"{step.operation}: spectra {numbers}"
        if step.status == "done" and len(rows) != made[step.token]:
            yield f"{step.operation}: {len(rows)} spectra, the instrument has made {made[step.token]}"
        charges = [float(row[f"soc_{when}"]) for row in rows for when in ("start", "middle", "end")]
        if charges not in (sorted(charges), sorted(charges, reverse=True)):
            yield f"{step.operation}: states of charge that go to and fro"
