"""Advanced start, (6,13): a test that begins in the middle of its procedure, or an archived one that goes on.

Known: the members, their default of -1, the codes, and that at most 20 records can be taken away. Guessed: the meaning
of ``Options`` (bit 0: go on with the archived test), that an archived test goes on under its own name and in its own
file, and that times and sums of a new test begin at zero whatever is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from labctl_simulators.macnet import codes, orders
from labctl_simulators.macnet.codes import outcome
from labctl_simulators.macnet.members import Answer, Params, channel, number, text, whole
from labctl_simulators.macnet.procedure import CompileError, Step, compile_procedure
from labctl_simulators.macnet.running import Test
from labctl_simulators.macnet.steering import SteeredChannel
from labctl_simulators.macnet.tester import SELECTED, Tester

RESTART: Final = 1
"""Bit of ``Options``: go on with ``ArchivedTestName``."""

_MOST_REMOVED: Final = 20
_INVALID_CHANNEL, _IN_USE, _OPTIONS, _NO_FILE, _NO_PROCEDURE, _STEP, _BLANK, _KIND, _POINTS = range(1, 10)
_OTHER: Final = 0xFFFF


class _Declined(Exception):
    """Carries the code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def start(tester: Tester, params: Params) -> Answer:
    """Answer (6,13)."""
    index = whole(params, "Chan")
    if not 0 <= index < len(tester.channels):
        return {"Chan": index, "Result": outcome(_INVALID_CHANNEL, codes.ADVANCED)}
    one = channel(tester, params)
    try:
        _start(tester, one, params)
    except _Declined as declined:
        return {"Chan": index, "Result": outcome(declined.code, codes.ADVANCED)}
    return {"Chan": index, "Result": codes.OK}


def _start(tester: Tester, one: SteeredChannel, params: Params) -> None:
    one.advance(tester.laboratory.time())
    if one.stat > SELECTED:
        raise _Declined(_IN_USE)
    options = whole(params, "Options", 0)
    if options not in (0, RESTART):
        raise _Declined(_OPTIONS)
    if options == RESTART:
        _restart(tester, one, params)
        return
    name = tester.fresh(text(params, "TestName"))
    procedure = text(params, "ProcName")
    one_c = orders.one_c(params)
    content, steps = _compiled(tester, procedure, one_c)
    step = _beginning(steps, whole(params, "TestStep", -1))
    if isinstance(name, int):
        raise _Declined(_OTHER)
    one.start_in_the_middle(
        name,
        procedure,
        str(params.get("Comment", ""))[:80],
        content,
        steps,
        one_c,
        step=step,
        cycle=max(0, whole(params, "Cycle", -1)),
        loops=_loops(params, steps, [0, 0, 0, 0]),
        test_s=max(0.0, number(params, "TestTime", -1.0)),
    )


def _restart(tester: Tester, one: SteeredChannel, params: Params) -> None:
    name = text(params, "ArchivedTestName")
    kept = tester.archived.get(name)
    file = None if kept is None else tester.exports / kept["file"]
    if kept is None or file is None or not file.is_file():
        raise _Declined(_NO_FILE)
    content, steps = _compiled(tester, kept["procedure"], kept["one_c"])
    step = _beginning(steps, whole(params, "TestStep", -1), kept["step"])
    now = tester.laboratory.time()

    def given(key: str, otherwise: float, factor: float = 1.0) -> float:
        value = number(params, key, -1.0)
        return otherwise if value < 0 else value * factor

    sums = {"charge": given("Capacity", kept["charge"], 3600.0), "energy": given("Energy", kept["energy"], 3600.0)}
    removed = whole(params, "RemoveLastDataRecords", 0)
    written = _without_last(file, removed, kept)
    tester.unarchive(name)
    test = Test(
        name=name,
        procedure=kept["procedure"],
        comment=kept["comment"],
        content=content.decode("utf-8", "replace"),
        began=now - given("TestTime", kept["test_s"]),
        file=kept["file"],
        step=step,
        step_began=now - given("StepTime", kept["step_s"]),
        cycle=int(given("Cycle", kept["cycle"])),
        loops=_loops(params, steps, kept["loops"]),
        records=kept["records"] - removed,
        ended=now,
        written=written,
        one_c=kept["one_c"],
        **sums,
    )
    one.take_up(test, steps)


def _compiled(tester: Tester, procedure: str, one_c: float) -> tuple[bytes, tuple[Step, ...]]:
    content = tester.procedure(procedure)
    if content is None:
        raise _Declined(_NO_PROCEDURE)
    try:
        return content, compile_procedure(content, one_c)
    except CompileError as error:
        raise _Declined(_OTHER) from error


def _beginning(steps: tuple[Step, ...], wanted: int, otherwise: int = 1) -> int:
    step = otherwise if wanted < 0 else wanted
    if not 1 <= step <= len(steps):
        raise _Declined(_STEP)
    if steps[step - 1].kind in ("End", "Loop", "AdvCycle"):
        raise _Declined(_KIND)
    return step


def _loops(params: Params, steps: tuple[Step, ...], otherwise: list[int]) -> list[int]:
    """Passes done, from those that remain: the tester counts down, this stand-in up."""
    done = list(otherwise)
    for step in steps:
        remaining = whole(params, f"RemainingLoop{step.label}", -1) if step.kind == "Loop" else -1
        if remaining >= 0:
            total = next(int(way.value) for way in step.exits if way.what == "Loop Cnt")
            done[step.label - 1] = max(0, total - remaining)
    return done


def _without_last(file: Path, removed: int, kept: dict[str, Any]) -> int:
    """Take the last records out of an archived file; give its length after."""
    # Two lines of heading are no records, and the first record stays.
    if not 0 <= removed <= min(_MOST_REMOVED, kept["records"] - 1):
        raise _Declined(_POINTS)
    lines = file.read_bytes()[: kept["written"]].splitlines(keepends=True)
    content = b"".join(lines[: len(lines) - removed])
    temporary = file.with_name(file.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(file)
    return len(content)
