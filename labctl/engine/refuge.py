"""After a step that failed, and whose protocol says ``on_failure: hold_voltage``: the cell's voltage is held.

An operation of its own, ``<step>/on-failure``, with its own token and journalled like any other, so that it survives a
restart and is never started twice. It holds what was last seen on the cell, inside the limits and with a small current,
on the channel where the cell is, until a person decides; then it is ended before anything else is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from labctl.engine.actions import Action
from labctl.engine.leases import Need
from labctl.engine.steps import StepJob, Surroundings
from labctl.journal import ENDED, OperationRow, Status
from labctl.protocol import Cycling, Kind, PlannedOperation

#: What is added to a step's path.
ON_FAILURE: Final = "/on-failure"
#: Largest current, as a share of what the step that failed was allowed.
GENTLE: Final = 0.1
#: Seconds that a channel is asked for at once; then it is asked again. No tester is known to take less.
AT_ONCE: Final = 96 * 3600.0


def is_refuge(row: OperationRow) -> bool:
    """Whether an operation is one of these."""
    return row.step.endswith(ON_FAILURE)


def step_of(row: OperationRow) -> str:
    """Give the path of the step that failed before."""
    return row.step.removesuffix(ON_FAILURE)


def planned_hold(planned: PlannedOperation, held: Mapping[str, Any]) -> PlannedOperation:
    """Plan the hold after ``planned``; ``held`` is what the journal says of it (V, and which way current flows)."""
    step = planned.parameters
    if not isinstance(step, Cycling):
        raise ValueError(f"{planned.path} is no step for a cycler")
    parameters = replace(
        step,
        current=GENTLE * (step.current or step.current_max),
        voltage=float(held["voltage_V"]),
        end_voltage=None,
        end_current=None,
        end_capacity=None,
        end_together=False,
        duration=None,
        discharging=bool(held["discharging"]),
    )
    return PlannedOperation(
        path=planned.path + ON_FAILURE,
        kind=Kind.HOLD,
        cycle=planned.cycle,
        label=None,
        parameters=parameters,
        start_within=None,
        at_most=AT_ONCE,
        temperature=planned.temperature,
        soak=0.0,
        expected_duration=None,
        flags=planned.flags,
        on_timeout="continue",
        temperature_limits=planned.temperature_limits,
    )


def what_to_hold(planned: PlannedOperation, failed: OperationRow) -> Mapping[str, Any] | None:
    """Say which voltage is held after ``failed``; None where the step never ran or nobody knows its last voltage."""
    step, seen = planned.parameters, failed.result.get("voltage_V")
    if not isinstance(step, Cycling) or seen is None or Status.RUNNING not in failed.times:
        return None
    voltage = min(max(float(seen), step.voltage_min), step.voltage_max)
    # A cell comes back from where the current has brought it, so holding it takes current the same way.
    discharging = planned.kind is Kind.DISCHARGE or (planned.kind is Kind.HOLD and step.discharging)
    return {"voltage_V": voltage, "discharging": discharging, "after": failed.operation}


class RefugeJob(StepJob):
    """Holds the voltage of a cell whose step has failed."""

    def need(self, row: OperationRow) -> Need:
        """Only where the cell is: nobody moves it for this."""
        here = self._around.journal.place(self._cell.id)
        need = super().need(row)
        return replace(need, options=tuple(one for one in need.options if here in one))

    async def ready(self, row: OperationRow) -> Action:
        """Keep the chamber as it was; the account and the place are for a person to judge."""
        route = self._route(row)
        if route.chamber is not None and self._planned.temperature is not None:
            await self._around.ovens[route.chamber].join(
                row.operation, self._planned.temperature, self._planned.temperature_limits
            )
        return self.action(row)

    def _described(self) -> Mapping[str, Any]:
        """No hold of the protocol's, so nothing that an evaluation may take for one."""
        return {"kind": "on-failure"}


class Refuge:
    """Finds, and asks for, what a held cell of one conductor needs.

    Parameters
    ----------
    around : Surroundings
        Of the campaign.
    cell : str
        Its id.
    token_of : callable
        Names an operation for the instrument.
    """

    def __init__(self, around: Surroundings, cell: str, token_of: Callable[[str], str]) -> None:
        self._around = around
        self._cell = cell
        self._token_of = token_of

    def _rows(self, step: str | None = None) -> Sequence[OperationRow]:
        around = self._around
        rows = around.journal.operations(campaign=around.campaign.name, cell=self._cell)
        return [row for row in rows if is_refuge(row) and step in (None, step_of(row))]

    def active(self) -> OperationRow | None:
        """Give the hold that has begun and not ended."""
        return next((row for row in self._rows() if row.status not in ENDED), None)

    def job(self, row: OperationRow, planned: PlannedOperation) -> RefugeJob:
        """Make the job of a hold anew from its row and the step that failed."""
        return RefugeJob(self._around, self._cell, planned_hold(planned, row.result["hold"]))

    def wanted(self, planned: PlannedOperation, failed: OperationRow | None) -> OperationRow | None:
        """Give the hold that should run now after ``failed``, asked for if it is new; None where there is none.

        One that failed or was ended is not begun again: the cell is at open circuit then.
        """
        if failed is None or failed.status is not Status.FAILED or planned.on_failure != "hold_voltage":
            return None
        rows = self._rows(planned.path)
        mine = [row for row in rows if row.result["hold"]["after"] == failed.operation]
        if mine and mine[-1].status not in ENDED:
            return mine[-1]
        hold = what_to_hold(planned, failed)
        if hold is None or (mine and mine[-1].status is not Status.DONE):
            return None
        campaign = self._around.campaign.name
        attempt = len(rows) + 1
        operation = f"{campaign}/{self._cell}/{planned.path}{ON_FAILURE}/a{attempt}"
        return self._around.journal.request(
            operation,
            campaign=campaign,
            cell=self._cell,
            step=planned.path + ON_FAILURE,
            kind=Kind.HOLD.value,
            attempt=attempt,
            token=self._token_of(operation),
            result={"hold": dict(hold)},
        )
