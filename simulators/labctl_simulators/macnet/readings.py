"""Class 4: status, readings, names, flags, auxiliary inputs and ends.

Known: members and codes. Guessed: that an auxiliary input without a cell reads the room's temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from labctl_simulators.macnet.channel import COMPLETED, Channel
from labctl_simulators.macnet.members import Answer, Params, channel, several, single
from labctl_simulators.macnet.procedure import compile_procedure
from labctl_simulators.macnet.tester import Tester

_ZERO_CELSIUS: Final = 273.15

Handler = Callable[[Tester, Params], Answer]


def statuses(tester: Tester, params: Params) -> Answer:
    """Answer (4,1)."""
    head, channels = several(tester, params)
    return {**head, "Status": [{"RF1": one.doing, "RF2": one.reason, "Stat": tester.shown(one)} for one in channels]}


def of_several(name: str, key: str) -> Handler:
    """Make the answer to (4,2), (4,3) or (4,9)."""

    def handler(tester: Tester, params: Params) -> Answer:
        head, channels = several(tester, params)
        return {**head, name: [single(one.reading()[key]) for one in channels]}

    return handler


def auxiliary_values(tester: Tester, params: Params) -> Answer:
    """Answer (4,4)."""
    one = channel(tester, params)
    values = [single(_auxiliary(tester, one, unit)) for unit in tester.settings.auxiliary]
    return {"Chan": one.number - 1, "Len": len(values), "AuxValues": values}


def auxiliary_units(tester: Tester, params: Params) -> Answer:
    """Answer (4,5)."""
    units = list(tester.settings.auxiliary)
    return {"Chan": channel(tester, params).number - 1, "Len": len(units), "AuxUnit": units}


def _auxiliary(tester: Tester, one: Channel, unit: str) -> float:
    if unit == "V":
        return one.reading()["V"]
    cell = tester.laboratory.cell_on(tester.name, one.number)
    kelvin = tester.laboratory.ambient if cell is None else tester.laboratory.temperature_of(cell)
    return float(kelvin) - _ZERO_CELSIUS


def names(tester: Tester, params: Params) -> Answer:
    """Answer (4,6)."""
    one = channel(tester, params)
    one.advance(tester.laboratory.time())
    test = one.test
    return {
        "Chan": one.number - 1,
        "TestName": "" if test is None else test.name,
        "ProcName": "" if test is None else test.procedure,
    }


def status(tester: Tester, params: Params) -> Answer:
    """Answer (4,7)."""
    one = channel(tester, params)
    now = one.reading()
    test = one.test
    return {
        "Chan": one.number - 1,
        "RF1": one.doing,
        "RF2": one.reason,
        "Stat": tester.shown(one),
        "LastRecNum": 0 if test is None else test.records,
        "Cycle": 0 if test is None else test.cycle,
        "Step": 0 if test is None else test.step,
        "TestTime": single(now["test"]),
        "StepTime": single(now["step"]),
        "Capacity": single(now["Q"]),
        "Energy": single(now["E"]),
        "Current": single(now["I"]),
        "Voltage": single(now["V"]),
        "TesterTime": tester.laboratory.now().isoformat(timespec="seconds")[:19],
    }


def flags(tester: Tester, params: Params) -> Answer:
    """Answer (4,8)."""
    one = channel(tester, params)
    return {
        "Chan": one.number - 1,
        "GlobFlags": f"0x{tester.flags:08X}",
        "VARs": [single(value) for value in one.variables],
    }


def end_status(tester: Tester, params: Params) -> Answer:
    """Answer (4,10): how many End steps the procedure has, and at which of them it arrived."""
    one = channel(tester, params)
    one.advance(tester.laboratory.time())
    if one.test is None:
        return {"Chan": one.number - 1, "NumOfEnds": 0, "EndNum": 0}
    steps = compile_procedure(one.test.content.encode(), one.test.one_c)
    ends = [index for index, step in enumerate(steps, start=1) if step.kind == "End"]
    reached = 1 + ends.index(one.test.step) if one.stat == COMPLETED else 0
    return {"Chan": one.number - 1, "NumOfEnds": len(ends), "EndNum": reached}
