"""Judging a campaign by what the instruments did: started once, nothing at once, no record missing, same analysis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .decided import BY_HAND
from .evidence import Work
from .journal import Operation

#: Of an analysis: instants, which no two runs share.
TIMES = frozenset({"started", "ended"})
#: Entries of lists of flags that tell how long a spectrum waited, which is of instants as well.
WAITED = {"flags": "after cycling ended", "flag_names": "waited"}
TOLERANCE = 1e-6
"""Relative difference between two analyses that counts as none. The physics is the same, but instants differ, and with
them the last digits of all that is computed from them; a voltage or a charge that then falls on the other side of a
rounding (exports have 4 to 10 decimals, decays are whole numbers) comes out at 1e-8 to 1e-7. A lost or doubled
record, pulse or minute would be 1e-4 at least."""
_TOUCH = 0.02
"""Seconds by which one thing may seem to begin before the other has ended: twice the tester's tick."""


def double_starts(work: Iterable[Work], operations: Sequence[Operation]) -> list[str]:
    """Names that were started more than once, and steps of a cell that were begun anew without having failed."""
    step_of = {one.token: (one.cell, one.step) for one in operations}
    failed = Counter((one.cell, one.step) for one in operations if one.status in ("failed", "aborted"))
    names: dict[tuple[tuple[str, str], str], list[str]] = {}
    for one in work:
        names.setdefault((step_of.get(one.name, ("", one.name)), one.part), []).append(one.name)
    return [
        f"{cell} {step} {part}: {len(started)} starts"
        for ((cell, step), part), started in names.items()
        if len(started) > len(set(started)) or len(started) > 1 + failed[cell, step]
    ]


def double_moves(moves: Iterable[tuple[str, str]], operations: Iterable[Operation]) -> list[str]:
    """Cells that were carried about more often than transfers were asked for."""
    carried = Counter(cell for cell, _ in moves)
    asked = Counter(one.cell for one in operations if one.kind == "transfer")
    return [
        f"{cell} was moved {count} times, and {asked[cell]} times were asked for"
        for cell, count in carried.items()
        if count > asked[cell]
    ]


def never_started(work: Iterable[Work], operations: Iterable[Operation]) -> list[str]:
    """Operations that are done in the journal and that no instrument knows; and work that the journal does not know."""
    names = {one.name for one in work}
    known = {one.token for one in operations}
    return [
        *(f"{one.operation}: done, but nobody did it" for one in operations
          if one.kind not in {"transfer", *BY_HAND} and one.status == "done" and one.token not in names),
        *(f"{name}: done by an instrument, unknown to the journal" for name in sorted(names - known)),
    ]  # fmt: skip


def overlaps(work: Sequence[Work], operations: Sequence[Operation] = ()) -> list[str]:
    """Things that went on at once on one channel or on one cell; spectra within a step are meant to."""
    within = {one.token for one in operations if one.kind == "spectrum"}
    return [*_at_once(work, "where"), *_at_once([one for one in work if one.name not in within], "cell")]


def _at_once(work: Sequence[Work], of: str) -> Iterator[str]:
    keyed: dict[str, list[Work]] = {}
    for one in work:
        keyed.setdefault(one.where if of == "where" else one.cell, []).append(one)
    for key, several in keyed.items():
        several.sort(key=lambda one: one.began)
        until, last = -math.inf, ""
        for one in several:
            if one.began < until - _TOUCH:
                yield f"{key}: {one.name} began at {one.began:.1f} s while {last} went on until {until:.1f} s"
            if one.ended > until:
                until, last = one.ended, one.name


def lost_records(tests: Iterable[Mapping[str, Any]], operations: Iterable[Operation], results: Path) -> tuple[int, int]:
    """Records that the tester made, and how many of them are not, or not once, in our bundles.

    Parameters
    ----------
    tests : iterable of mapping
        The tester's own list: ``test`` and ``records``, the number of its last record.
    """
    import polars

    operation_of = {one.token: one.operation for one in operations}
    made = lost = 0
    for test in tests:
        theirs = list(range(1, int(test["records"]) + 1))
        table = results / operation_of.get(str(test["test"]), "unknown") / "records.parquet"
        ours = polars.read_parquet(table)["Record Number / 1"].to_list() if table.is_file() else []
        made += len(theirs)
        difference = Counter(theirs)
        difference.subtract(ours)
        lost += sum(abs(count) for count in difference.values())
    return made, lost


def _without_order(conversion: Mapping[str, Any]) -> dict[str, Any]:
    """Give conversion factors by name: which cell was measured first is not the same in two runs, nor is the chart."""
    values = dict(zip(conversion["names"], conversion["values_mAh_per_au"], strict=True))
    found = {**conversion, "names": None, "values_mAh_per_au": values, "chart": None}
    if conversion["pooled"] is not None:
        by_name = {each["name"]: each for each in conversion["pooled"]["measurements"]}
        found["pooled"] = {**conversion["pooled"], "measurements": by_name}
    return found


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two analyses differ, instants and what is in their order aside."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key == "conversions":
                mine, yours = ([_without_order(each) for each in some.get(key, ())] for some in (one, other))
                yield from differences(mine, yours, f"{where}/{key}")
            elif key in WAITED:
                mine, yours = (
                    [each for each in some.get(key) or () if WAITED[key] not in (each or "")] for some in (one, other)
                )
                yield from differences(mine, yours, f"{where}/{key}")
            elif key not in TIMES:
                yield from differences(one.get(key), other.get(key), f"{where}/{key}")
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            more = [each for each in one if each not in other]
            missing = [each for each in other if each not in one]
            yield f"{where}: {len(one)} entries and {len(other)}; more: {more}; missing: {missing}"
            return
        for index, (mine, yours) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, yours, f"{where}/{index}")
    elif isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12):
            yield f"{where}: {one!r} and {other!r}"
    elif one != other:
        yield f"{where}: {one!r} and {other!r}"
