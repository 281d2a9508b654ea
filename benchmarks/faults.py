"""The fault table: every fault x every driver x every phase of its life, and what became of it.

    python -m benchmarks.faults                         every reply of every phase, twice with another seed: minutes
    python -m benchmarks.faults --quick                 the first, the middle and the last reply of every phase
    python -m benchmarks.faults --driver maccor --kind wrong-value --seeds 20

Phases: *connect* a new driver; *identify* again after the cable was pulled; *command* (start a program, regulate,
switch a relay); *poll* (one look at what runs, or at relays and temperature); *fetch* the record; *abort* what runs. In
each run one reply, or one request for ``busy`` and ``refuse``, meets one fault; then the wire is sound again, and the
operation is led to its end. Whoever is told that something is broken off must find every source off at once.

Outcomes
    recovered   the driver asked again or went round it, and the operation is complete
    refused     an error of a defined kind, and what runs is found or started afterwards, exactly once
    held safe   an alarm, a failed operation or "cannot say": a person or the engine decides, nothing was recorded
    WRONG       a wrong or shifted value in the record, a second start, relays or a source other than told, or an
                operation whose end was believed too early
    LOST        an exception of another kind, no end, or no way to go on after the fault

What "wrong" means for a value: a number that is impossible (no number, another channel, another question) must be
refused. A number that is only other than the truth, and could be true, cannot be told by anybody at one look: a *live*
reading of that kind may be shown ("shown" counts them) and is corrected at the next look, but it never gets into the
record, which comes from the instrument's file, and never decides by itself that an operation has ended. Set-points,
safety limits, relays and files are read back or read twice: there a wrong number must not be accepted at all.

Exit 1 where an outcome is WRONG or LOST.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.fault_rigs import PHASES, RIGS
from labctl.engine.clock import real_seconds, run_virtual
from labctl.errors import LabctlError
from labctl.instruments import CannotSay, State, VendorAlarm
from labctl_simulators.faults import KINDS

_LONGEST = 7 * 86400.0
OUTCOMES = ("recovered", "refused", "held safe", "WRONG", "LOST")


def run(driver: str, phase: str, kind: str, nth: int, seed: int) -> tuple[str, bool, str, int]:
    """Give outcome, whether something was only shown, what was said, and how many replies the phase had."""

    async def main(clock: Any) -> tuple[str, bool, str, int]:
        with tempfile.TemporaryDirectory() as folder:
            rig = RIGS[driver](clock, Path(folder), f"{seed}/{driver}/{phase}/{kind}/{nth}")
            await rig.open()
            try:
                async with asyncio.timeout(_LONGEST):
                    return await _judged(rig, phase, kind, nth)
            except TimeoutError:
                return "LOST", False, "it does not end", 0
            finally:
                await rig.shut()

    return run_virtual(main)


async def _judged(rig: Any, phase: str, kind: str, nth: int) -> tuple[str, bool, str, int]:
    await rig.before(phase)
    rig.plan.arm(kind, nth, rig.seconds)
    said, outcome, failed = "", "recovered", False
    try:
        state = await getattr(rig, phase)()
        if state is State.FAILED:
            outcome, said = "held safe", "failed"
    except (VendorAlarm, CannotSay) as held:
        outcome, said, failed = "held safe", f"{held.category}: {held.message}", True
    except LabctlError as refusal:
        outcome, said, failed = "refused", f"{refusal.category}: {refusal.message}", True
    except Exception:  # noqa: BLE001 - whatever else a driver raises is a finding
        return "LOST", False, traceback.format_exc(limit=-3), rig.plan.replies
    replies = max(rig.plan.replies, rig.plan.requests)
    fired, rig.plan.kind = rig.plan.fired, ""
    if not fired and kind:
        return "", False, "", replies
    try:
        await rig.aftermath(phase, failed=failed)
    except (VendorAlarm, CannotSay) as held:
        outcome, said = "held safe", f"{said}; then {held.category}: {held.message}"
        rig.doubts += rig.left_on() if phase == "abort" else []
    except Exception:  # noqa: BLE001 - as above
        if outcome != "held safe":
            return "LOST", False, f"{said}; then {traceback.format_exc(limit=-3)}", replies
    if rig.doubts:
        return "WRONG", False, f"{said} {rig.doubts[0]}", replies
    if rig.failed and outcome == "recovered" and phase != "abort":
        outcome, said = "held safe", said or "failed afterwards"
    return outcome, bool(rig.shown), said or "; ".join(rig.shown[:1]), replies


def main() -> int:
    """Run the table and print it."""
    parser = argparse.ArgumentParser(description="Every fault x every driver x every phase.")
    parser.add_argument("--quick", action="store_true", help="first, middle and last reply of each phase only")
    parser.add_argument("--driver", choices=sorted(RIGS), action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--phase", choices=PHASES, action="append")
    parser.add_argument("--jobs", type=int, default=8, help="runs at once (8); most of them wait")
    parser.add_argument("--seeds", type=int, default=0, help="runs of each case with another seed (2; quick: 1)")
    chosen = parser.parse_args()
    begun = real_seconds()
    seeds = chosen.seeds or (1 if chosen.quick else 2)
    total: Counter[str] = Counter()
    bad: list[str] = []
    print("recovered/refused/held safe, + shown; '-' where the fault does not apply")
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for driver in chosen.driver or RIGS:
            cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
            cases = []
            for phase in chosen.phase or RIGS[driver].phases:
                if phase in RIGS[driver].phases:
                    count = run(driver, phase, "", 1, 0)[3]
                    places = sorted({1, (count + 1) // 2, count}) if chosen.quick else range(1, count + 1)
                    for kind in chosen.kind or KINDS:
                        # Only what is changed by chance has another course with another seed.
                        again = range(seeds if kind == "wrong-value" else 1)
                        cases += [(driver, phase, kind, nth, seed) for seed in again for nth in places]
            for case, (outcome, shown, said, _) in zip(cases, pool.map(run, *zip(*cases, strict=True)), strict=True):
                if outcome:
                    _, phase, kind, nth, seed = case
                    cells[kind, phase][outcome] += 1
                    cells[kind, phase]["shown"] += shown
                    if outcome in ("WRONG", "LOST"):
                        bad.append(f"{driver} {phase} {kind} {nth} seed {seed}: {outcome} {said}")
            total += _print(driver, cells)
    print("\nall: " + ", ".join(f"{total[one]} {one}" for one in (*OUTCOMES, "shown")), end="")
    print(f"; {real_seconds() - begun:.0f} s")
    for one in bad:
        print(one)
    return 1 if bad else 0


def _print(driver: str, cells: dict[tuple[str, str], Counter[str]]) -> Counter[str]:
    print(f"\n{driver:<16}" + "".join(f"{phase:>16}" for phase in PHASES))
    total: Counter[str] = Counter()
    for kind in KINDS:
        row = ""
        for phase in PHASES:
            found = cells.get((kind, phase))
            text = "-"
            if found:
                text = "/".join(str(found[one]) for one in OUTCOMES[:3])
                text += f" +{found['shown']}" if found["shown"] else ""
                text += "".join(f" {found[one]} {one}" for one in OUTCOMES[3:] if found[one])
                total += found
            row += f"{text:>16}"
        print(f"  {kind:<14}{row}", flush=True)
    return total


if __name__ == "__main__":
    sys.exit(main())
