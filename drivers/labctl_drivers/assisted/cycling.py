"""A cycler program asked of a person: the sheet and a procedure file, and how a dropped export is judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.instruments import CyclerProgram, CyclerStep, End, Fetched, Handle, Mode, SafetyLimits
from labctl.instruments.cycler import Loop
from labctl.units import show
from labctl_drivers.assisted.desk import content_of
from labctl_drivers.assisted.findings import Candidate, Difference, Setting, Window
from labctl_drivers.assisted.tolerances import CAPACITY, CURRENT, END_CURRENT, EXACT, RECORDS, SAFETY, TIME, VOLTAGE
from labctl_drivers.maccor import deliver, export
from labctl_drivers.maccor.procedure import compile_program, write

_LETTERS: Final = {Mode.REST: "R", Mode.CHARGE: "C", Mode.DISCHARGE: "D"}
_WORDS: Final = {"R": "rest", "C": "charge", "D": "discharge"}
_CHANNEL: Final = re.compile(r"\.(\d{3})\Z")
_TOLERANCES: Final = {"voltage": VOLTAGE, "current": END_CURRENT, "capacity": CAPACITY, "time": TIME}
_AFTER: Final = "its ends count from then on"
#: Share of the largest current below which the first record still shows the open circuit.
OPEN_CIRCUIT: Final = 1e-3
#: Names that the bundle has for itself.
_RESERVED: Final = frozenset({"records.csv", "records.parquet", "operation.json", "request.json"})


class CyclerTask:
    """One program on one channel; see ``findings.Task``.

    Parameters
    ----------
    token : str
        The test's name: must stand in the file's name or its first line.
    channel : int
        From 1.
    program : CyclerProgram
        What is asked.

    Raises
    ------
    OutOfRange
        No tester of this vendor can do it.
    """

    def __init__(self, token: str, channel: int, program: CyclerProgram) -> None:
        self._token = token
        self._channel = channel
        self._program = program
        # The person's tester chooses its current range itself.
        self._plan = compile_program(program, lambda current: "A")
        self.asked: Mapping[str, Any] = {"channel": channel, "program": asdict(program)}
        self.title = f"{' and '.join(step.mode.value for step in program.steps)} on channel {channel}"
        self.settings: Sequence[Setting] = self._settings()
        self.attachments: Mapping[str, bytes] = {f"{token}.000": write(self._plan)}
        self.steps: Sequence[str] = (
            f"make sure that the cell of {program.name} is on channel {channel}",
            f"use the procedure {token}.000 that lies here, or build one with the same steps and ends",
            "set the safety limits on the channel before the start",
            f"start it with the test name {token} and let it end by itself; leave the channel at open circuit",
            "export the test as text (all records) and copy the file here",
        )

    @classmethod
    def again(cls, token: str, asked: Mapping[str, Any]) -> CyclerTask:
        """Make it from what a handle or a request keeps."""
        program = asked["program"]
        steps = tuple(
            CyclerStep(
                **{
                    **step,
                    "mode": Mode(step["mode"]),
                    "ends": tuple(End(**end) for end in step["ends"]),
                    "not_before": End(**first) if (first := step.get("not_before")) else None,
                }
            )
            for step in program["steps"]
        )
        safety = SafetyLimits(**program["safety"])
        loops = tuple(Loop(**loop) for loop in program.get("loops", ()))
        again = CyclerProgram(program["name"], steps, safety, loops, program.get("capacity"))
        return cls(token, int(asked["channel"]), again)

    def _settings(self) -> list[Setting]:
        safety, lines = self._program.safety, [Setting("channel", str(self._channel), EXACT.text, "the cell's own")]
        for number, step in enumerate(self._program.steps, start=1):
            lines.append(Setting(f"step {number}", step.mode.value, EXACT.text, "what the protocol asks"))
            if step.mode is not Mode.REST:
                name = "current limit" if step.mode is Mode.HOLD else "current"
                within = "at most" if step.mode is Mode.HOLD else CURRENT.text
                lines.append(Setting(f"step {number} {name}", show(step.current, "mA", 6), within, CURRENT.why))
            if step.voltage is not None:
                lines.append(Setting(f"step {number} held at", show(step.voltage, "V"), VOLTAGE.text, VOLTAGE.why))
            if step.not_before is not None:
                first = step.not_before
                lines.append(
                    Setting(f"step {number} not before", end_text(first), _TOLERANCES[first.what].text, _AFTER)
                )
            for end in step.ends:
                tolerance = _TOLERANCES[end.what]
                note = "guard: must not be what ends it" if end.guard else tolerance.why
                lines.append(Setting(f"step {number} until", end_text(end), tolerance.text, note))
            every = show(step.record_every, "s")
            lines.append(Setting(f"step {number} records", f"every {every}", "twice as rare at most", RECORDS.why))
        voltages = f"{show(safety.voltage_min, 'V')} to {show(safety.voltage_max, 'V')}"
        currents = f"{show(safety.charge_current, 'mA')} charging, {show(safety.discharge_current, 'mA')} discharging"
        lines.append(Setting("safety voltage", voltages, SAFETY.text, SAFETY.why))
        lines.append(Setting("safety current", currents, SAFETY.text, SAFETY.why))
        return lines

    # -- judging -------------------------------------------------------------------------------------------------
    def candidates(self, folder: Path, files: Sequence[Path]) -> list[Candidate]:
        """Each file; the tester gives an export any ending."""
        return [Candidate(file.relative_to(folder).as_posix(), (file,)) for file in files]

    def check(self, candidate: Candidate, window: Window) -> list[Difference]:
        """Compare with the request. Raises ``DataError`` for a file with gaps, cut short, or of another kind."""
        file, where = candidate.parts[0], candidate.where
        raw = content_of(file)
        records = export.parse(raw, file.name)
        export.check_gaps(records, file.name, None)
        if not records.closed():
            last = int(records.number[-1])
            return [Difference(f"end: {where} ends with record {last} and without an end of the test", final=True)]
        found = self._name(file, raw)
        begun = export.begun_at(raw)
        began = None if begun is None else begun - window.ahead - timedelta(seconds=float(records.time[0]))
        ended = None if began is None else began + timedelta(seconds=float(records.time[-1]))
        found += window.check(began, ended, where)
        how, _ = export.how_ended(records, self._plan)
        if how in ("aborted", "fault"):
            why = "ended by hand" if how == "aborted" else "ended by a fault of the channel"
            found.append(Difference(f"end: {why}, an end of its own asked ({where})"))
        seen = export.program_view(records, self._plan)
        for number, step in enumerate(self._program.steps, start=1):
            found += [Difference(f"{text} ({where})") for text in _step(number, step, seen, how)]
        return found + [Difference(f"{text} ({where})") for text in self._safety(seen)]

    def _name(self, file: Path, raw: bytes) -> list[Difference]:
        found = []
        heading = raw.split(b"\n", 1)[0].decode("latin-1").strip()
        if self._token not in file.name.lower() and self._token not in heading.lower():
            found.append(Difference(f"name: '{file.name}' found, test name {self._token} asked"))
        channel = _CHANNEL.search(file.name)
        if channel is not None and int(channel[1]) != self._channel:
            text = f"channel: {int(channel[1])} found, {self._channel} asked (name of {file.name})"
            found.append(Difference(text))
        return found

    def _safety(self, seen: export.Records) -> list[str]:
        limits, texts = self._program.safety, []
        low, high = float(seen.voltage.min()), float(seen.voltage.max())
        if low < limits.voltage_min or high > limits.voltage_max:
            asked = f"{show(limits.voltage_min, 'V')} to {show(limits.voltage_max, 'V')}"
            texts.append(f"limits: {show(low, 'V')} to {show(high, 'V')} found, {asked} asked")
        charging, discharging = float(seen.current.max()), float(-seen.current.min())
        for name, has, asked_current in (
            ("charging", charging, limits.charge_current),
            ("discharging", discharging, limits.discharge_current),
        ):
            if has > asked_current:
                texts.append(f"limits: {show(has, 'mA')} {name} found, at most {show(asked_current, 'mA')} asked")
        return texts

    # -- taking in -----------------------------------------------------------------------------------------------
    def store(self, candidate: Candidate, handle: Handle, folder: Path) -> Fetched:
        """Copy the export untouched, and write ``records.csv`` and the procedure beside it."""
        file = candidate.parts[0]
        raw = content_of(file)
        records = export.parse(raw, file.name)
        name = f"raw-{file.name}" if file.name.lower() in _RESERVED else file.name
        fetched = deliver.bundle(folder, handle, name, raw, records, self._plan)
        warnings = [*fetched.warnings, "the channel's safety limits were set by a person and can't be read back"]
        summary = {**fetched.summary, "dropped": candidate.where}
        largest = float(np.abs(records.current).max())
        if abs(float(records.current[0])) <= OPEN_CIRCUIT * largest:
            summary["open_voltage_V"] = float(records.voltage[0])
        else:
            warnings.append("the file begins under current: that it is the booked cell rests on its name alone")
        sent = {**fetched.sent, "safety": asdict(self._program.safety)}
        return replace(fetched, sent=sent, summary=summary, warnings=tuple(warnings))


def end_text(end: End) -> str:
    """Write an end as a person reads it."""
    if end.what == "time":
        return f"{show(end.value, 'h')} have passed"
    if end.what == "capacity":
        return f"{show(end.value, 'mAh')} have passed"
    name, value = ("voltage", show(end.value, "V")) if end.what == "voltage" else ("current", show(end.value, "uA"))
    held = f" for {show(end.held, 's')}" if end.held else ""
    return f"{name} {'≥' if end.above else '≤'} {value}{held}"


def _step(number: int, step: CyclerStep, seen: export.Records, how: str) -> list[str]:
    """Say in which ways one step of the program was carried out otherwise."""
    letters = np.array([state[:1] for state in seen.state])
    rows = np.flatnonzero((seen.step == number) & np.isin(letters, list(_WORDS)))
    if not rows.size:
        return [f"step {number}: no records found, a {step.mode.value} asked"]
    wanted = ("D" if step.discharging else "C") if step.mode is Mode.HOLD else _LETTERS[step.mode]
    others = sorted(set(letters[rows]) - {wanted})
    if others:
        words = ", ".join(_WORDS[letter] for letter in others)
        return [f"step {number}: {words} found, {step.mode.value} asked"]
    voltage, current, time = seen.voltage[rows], np.abs(seen.current[rows]), seen.time[rows]
    # A step begins where the one before it ended.
    began = float(seen.time[rows[0] - 1]) if rows[0] > 0 else float(time[0])
    texts = _set(number, step, voltage, current)
    texts += _density(number, step, np.concatenate(([began], time)))
    if how not in ("aborted", "fault"):
        last = float(voltage[-1]), float(current[-1]), float(seen.capacity[rows[-1]])
        texts += _ending(number, step, *last, float(time[-1]) - began)
    return texts


def _set(number: int, step: CyclerStep, voltage: NDArray[np.float64], current: NDArray[np.float64]) -> list[str]:
    texts = []
    if step.mode in (Mode.CHARGE, Mode.DISCHARGE):
        middle = float(np.median(current))
        if not CURRENT.allows(step.current, middle):
            has, asked = show(middle, "mA"), show(step.current, "mA")
            texts.append(f"step {number} current: {has} found, {asked} asked ({CURRENT.text})")
    if step.voltage is not None:
        # The later half: on its way to the voltage the current limit reigns.
        middle = float(np.median(voltage[voltage.size // 2 :]))
        if not VOLTAGE.allows(step.voltage, middle):
            has, asked = show(middle, "V"), show(step.voltage, "V")
            texts.append(f"step {number} voltage: {has} found, {asked} asked ({VOLTAGE.text})")
        if float(current.max()) > step.current * (1 + CURRENT.relative):
            has, asked = show(float(current.max()), "mA"), show(step.current, "mA")
            texts.append(f"step {number} current limit: {has} found, at most {asked} asked")
    return texts


def _density(number: int, step: CyclerStep, time: NDArray[np.float64]) -> list[str]:
    widest = float(np.diff(time).max()) if time.size > 1 else 0.0
    if widest <= step.record_every * (1 + RECORDS.relative) + 1.0:
        return []
    asked = show(step.record_every, "s")
    return [f"step {number} points: up to {show(widest, 's')} between records found, {asked} asked"]


def _ending(number: int, step: CyclerStep, voltage: float, current: float, charge: float, lasted: float) -> list[str]:
    def reached(end: End) -> bool:
        if end.what == "time":
            return lasted >= end.value or TIME.allows(end.value, lasted)
        if end.what == "capacity":
            return charge >= end.value or CAPACITY.allows(end.value, charge)
        if end.what == "current":
            return current <= end.value or END_CURRENT.allows(end.value, current)
        past = voltage >= end.value if end.above else voltage <= end.value
        return past or VOLTAGE.allows(end.value, voltage)

    asked = " or ".join(end_text(end) for end in step.ends)
    here = f"{show(voltage, 'V')} and {show(current, 'mA')} after {show(lasted, 'h')}"
    if not any(reached(end) for end in step.ends):
        return [f"step {number} end: {here} found, until {asked} asked"]
    first = step.not_before
    if first is not None and not ((lasted if first.what == "time" else charge) >= 0.98 * first.value):
        return [f"step {number} end: {here} found, not before {end_text(first)} asked"]
    waited = first.value if first is not None and first.what == "time" else 0.0
    waited += first.value / step.current if first is not None and first.what == "capacity" else 0.0
    times = [end.value + waited for end in step.ends if end.what == "time"]
    if times and lasted > min(times) and not TIME.allows(min(times), lasted):
        return [f"step {number} end: {here} found, {show(min(times), 'h')} at most asked"]
    beyond = [
        end
        for end in step.ends
        if end.what == "voltage"
        and step.not_before is None
        and (voltage > end.value if end.above else voltage < end.value)
        and not VOLTAGE.allows(end.value, voltage)
    ]
    return [f"step {number} end: {here} found, until {end_text(end)} asked" for end in beyond]
