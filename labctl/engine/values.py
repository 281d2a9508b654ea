"""The values that conditions name, as the journal has them of one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from labctl.engine.ledgers import signed
from labctl.journal import ENDED, Journal, OperationRow, Status
from labctl.protocol import Kind, PlannedOperation
from labctl.protocol.conditions import ANSWER, MEASURED, Value
from labctl.units import parse

#: Steps that move charge on purpose; a hold strips, which no cycle's efficiency counts.
_FLOWING: Final = frozenset({Kind.CHARGE, Kind.DISCHARGE, Kind.OPERANDO, Kind.DEIS})

#: Why a value may not be there yet, in plain words.
WHY: Final[Mapping[str, str]] = {
    "soh": "it needs the whole discharge of this or an earlier cycle, and that of the reference cycle",
    "ce": "it needs the whole charge and discharge of a cycle",
    "voltage": "no step has left a voltage yet",
    "charge_capacity": "nothing has been charged yet",
    "discharge_capacity": "nothing has been discharged yet",
    "first_charge_capacity": "nothing has been charged yet",
    "temperature": "no step was at a place whose temperature is known",
}


def why_missing(name: str) -> str:
    """Say why a value is not there."""
    if name.startswith(ANSWER):
        return "that question has no answer"
    if name.startswith(MEASURED):
        return "nobody has measured it"
    return WHY.get(name, "it is a quotient by zero")


class Values:
    """What the journal knows of one cell in one campaign; rows are read once.

    Parameters
    ----------
    journal : Journal
        Where they are.
    campaign, cell : str
        Whose.
    reference : int
        Cycle whose discharge capacity is a state of health of 1.
    """

    def __init__(self, journal: Journal, campaign: str, cell: str, reference: int) -> None:
        self._journal = journal
        self._campaign = campaign
        self._cell = cell
        self._reference = reference
        self._seen: set[str] = set()
        self._latest: dict[str, Value] = {}
        self._charged: dict[int, float] = {}
        self._discharged: dict[int, float] = {}

    def at(self, cycle: int, ahead: Sequence[PlannedOperation]) -> Mapping[str, Value]:
        """Give the values for an operation of ``cycle``; what is ``ahead`` says which cycles are not whole yet."""
        self._read()
        found: dict[str, Value] = {"cycle": float(cycle), **self._latest}
        unfinished = {planned.cycle for planned in ahead if planned.kind in _FLOWING}
        whole = [one for one in sorted(self._discharged) if one not in unfinished and one > 0]
        fresh = self._discharged.get(self._reference) if self._reference in whole else None
        if whole and fresh:
            found["soh"] = self._discharged[whole[-1]] / fresh
        both = [one for one in whole if self._charged.get(one)]
        if both:
            found["ce"] = self._discharged[both[-1]] / self._charged[both[-1]]
        return found

    def _read(self) -> None:
        new = []
        for row in self._journal.backwards(self._campaign, self._cell):
            if row.operation in self._seen:
                # What came before it has ended, too: a cell does one thing at a time.
                break
            if row.status in ENDED:
                new.append(row)
        for row in reversed(new):
            self._seen.add(row.operation)
            self._take(row)

    def _take(self, row: OperationRow) -> None:
        result = row.result
        if "voltage_V" in result and "ended" in result:
            self._latest["voltage"] = float(result["voltage_V"])
        temperature = _temperature(row)
        if temperature is not None:
            self._latest["temperature"] = temperature
        if row.kind in _FLOWING:
            self._charge(row)
        if row.status is Status.DONE and row.kind == Kind.PAUSE and "answer" in result:
            self._latest[f"{ANSWER}{result['label']}"] = str(result["answer"])
        if row.status is Status.DONE and row.kind == Kind.MEASURE:
            self._latest[f"{MEASURED}{result['label']}"] = float(result["value"])

    def _charge(self, row: OperationRow) -> None:
        moved = signed(row.kind, row.result)
        if moved is None:
            return
        # What an attempt moved that then failed was moved all the same.
        cycle, sums = int(row.step.split("/")[0][1:]), self._charged if moved > 0 else self._discharged
        sums[cycle] = sums.get(cycle, 0.0) + abs(moved)
        if row.status is Status.DONE:
            self._latest["charge_capacity" if moved > 0 else "discharge_capacity"] = abs(moved)
            if moved > 0:
                self._latest.setdefault("first_charge_capacity", abs(moved))


def _temperature(row: OperationRow) -> float | None:
    """Give the temperature (K) that a step was done at: what was measured, or what its chamber was settled at."""
    measured = row.result.get("temperature_K", row.result.get("sample_temperature_K"))
    if measured is not None:
        return float(measured)
    setting = next((name.partition("=")[2] for name in row.resources if "=" in name), None)
    return parse(setting, "temperature") if setting is not None and Status.RUNNING in row.times else None
