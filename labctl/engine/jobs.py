"""Which job belongs to which step or operation of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labctl.engine.byhand import HandJob
from labctl.engine.dynamic import DynamicJob
from labctl.engine.kinds import SPECTRUM
from labctl.engine.operando import OperandoJob
from labctl.engine.refuge import Refuge, is_refuge, step_of
from labctl.engine.routing import BY_HAND
from labctl.engine.series import Company
from labctl.engine.steps import StepJob, Surroundings
from labctl.engine.transfers import TransferJob
from labctl.journal import OperationRow
from labctl.protocol import Kind, PlannedOperation


class Jobs:
    """Makes the jobs of one cell.

    Parameters
    ----------
    around : Surroundings
        Of its campaign.
    cell : str
        Its id.
    planned : mapping
        Its steps, by path.
    refuge : Refuge
        Makes those that follow on a failure.
    company : Company
        For steps that have operations of their own.
    """

    def __init__(
        self,
        around: Surroundings,
        cell: str,
        planned: Mapping[str, PlannedOperation],
        refuge: Refuge,
        company: Company,
    ) -> None:
        self._around = around
        self._cell = cell
        self._planned = planned
        self._refuge = refuge
        self._company = company
        self._special: Mapping[Kind, Callable[[PlannedOperation], StepJob]] = {
            Kind.OPERANDO: self._operando,
            Kind.DEIS: lambda step: DynamicJob(around, cell, step),
        }

    def of(self, planned: PlannedOperation) -> StepJob | HandJob:
        """Make the job of a step."""
        if planned.kind in BY_HAND:
            return HandJob(self._around, self._cell, planned)
        make = self._special.get(planned.kind)
        return make(planned) if make is not None else StepJob(self._around, self._cell, planned)

    def of_row(self, row: OperationRow) -> StepJob | HandJob | TransferJob:
        """Make the job of an operation anew."""
        if row.kind == "transfer":
            return self._around.movement.job_of(row)
        if is_refuge(row):
            return self._refuge.job(row, self._planned[step_of(row)])
        if row.kind == SPECTRUM:
            parent = self._around.journal.operation(str(row.result["of"]))
            return self._operando(self._planned[parent.step]).spectrum(row)
        return self.of(self._planned[row.step])

    def _operando(self, planned: PlannedOperation) -> OperandoJob:
        return OperandoJob(self._around, self._cell, planned, self._company)
