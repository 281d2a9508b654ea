"""What people tell cells: decided at once, written down in one commit with the answer, then carried out.

A command carries an id made where it was typed: the same id again gets the same answer and changes nothing, so a
command may be repeated after a crash or a lost connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from labctl.cell.machine import ENDED, HELD, UNDER_WAY
from labctl.engine.conductor import Conductor
from labctl.engine.wishes import HOLD, HOLD_NOW, RESUME, RETRIES, RETRY, RETRY_KNOWN, SKIP
from labctl.errors import NotConfirmed, UsageError
from labctl.instruments import Clock
from labctl.journal import CellRow, CommandRow, Journal, OperationRow, Status
from labctl.protocol import Kind

CYCLING: Final = frozenset(
    {Kind.REST.value, Kind.CHARGE.value, Kind.DISCHARGE.value, Kind.HOLD.value, Kind.OPERANDO.value}
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command does.

    Attributes
    ----------
    will : str
        What happens and the state after, for the person who asked.
    wanted : str or None
        What the conductor is to carry out.
    state : str or None
        The cell's state from now on, None where it stays.
    changes : bool
        Whether there is anything to carry out.
    """

    will: str
    wanted: str | None = None
    state: str | None = None
    changes: bool = True


def _nothing(will: str) -> Decision:
    return Decision(will, changes=False)


def hold(cell: str, row: CellRow, latest: OperationRow | None, *, now: bool) -> Decision:
    """Hold after the step, or now."""
    if row.state == HELD:
        return _nothing(f"{cell} is held already; 'labctl resume {cell}' lets it go on")
    if row.wanted == HOLD_NOW:
        return _nothing(f"{cell} is being held now")
    if row.wanted == HOLD and not now:
        return _nothing(f"{cell} is held when its step has ended, as was asked for already")
    running = latest is not None and latest.status is Status.RUNNING
    if not now:
        return Decision(f"{cell} is held when its step has ended; nothing flows then until 'labctl resume'", HOLD)
    if running and latest is not None and latest.kind in CYCLING:
        return Decision(f"{cell} goes to open circuit now, its step can go on later; state: held", HOLD_NOW)
    if running and latest is not None and latest.kind in (Kind.EIS, Kind.DEIS):
        return Decision(f"{cell}: the sweep ends now and is taken again on 'labctl resume'; state: held", HOLD_NOW)
    if running:
        return Decision(f"{cell} is at open circuit; what runs comes to its end, then nothing more: held", HOLD_NOW)
    return Decision(f"{cell} is at open circuit and starts nothing more; state: held", HOLD_NOW)


def resume(cell: str, row: CellRow, latest: OperationRow | None) -> Decision:
    """Go on from a hold, or forget one that was wanted."""
    if row.state == UNDER_WAY:
        if row.wanted in (HOLD, HOLD_NOW, "stop"):
            return Decision(f"{cell} goes on after its step; the '{row.wanted}' is forgotten")
        if row.wanted == RESUME:
            return _nothing(f"{cell} is being let go on already")
        return _nothing(f"{cell} is under way already")
    if latest is not None and latest.status is Status.FAILED:
        raise UsageError(
            f"{cell} is held because {latest.step} has failed: {latest.error}",
            hint=f"'labctl retry {cell}' tries the step again, 'labctl skip {cell}' leaves it out",
        )
    if latest is not None and latest.status is Status.NEEDS_OPERATOR:
        return Decision(f"{cell}: the instrument is asked again what became of {latest.step}", state=UNDER_WAY)
    # Where its instrument is to be told, that is done even if it can only be done after a crash.
    told = RESUME if latest is not None and latest.status is Status.RUNNING else None
    return Decision(f"{cell} goes on where it was held", told, UNDER_WAY)


def retry(cell: str, row: CellRow, latest: OperationRow | None, *, known: bool) -> Decision:
    """Try a failed step again, under a new token; ``known``: the person has read the right barcode from the cell."""
    wanted, word = (RETRY_KNOWN, ", on your word that it is the booked cell") if known else (RETRY, "")
    if row.wanted in RETRIES or (row.state == UNDER_WAY and latest is not None and latest.attempt > 1):
        return _nothing(f"{cell}: its step is being tried again already")
    if row.state == HELD and latest is not None and latest.status is Status.FAILED:
        return Decision(f"{cell}: {latest.step} is tried again, attempt {latest.attempt + 1}{word}", wanted, UNDER_WAY)
    if row.state == HELD and latest is not None and latest.status is Status.NEEDS_OPERATOR:
        will = f"{cell}: on your word that it does not run, {latest.step} is started anew, attempt {latest.attempt + 1}"
        return Decision(will, wanted, UNDER_WAY)
    raise UsageError(f"no step of {cell} has failed", hint="'labctl explain' says what it is doing")


def skip(cell: str, row: CellRow, step: str | None) -> Decision:
    """Leave out the present step."""
    if row.wanted == SKIP + str(step):
        return _nothing(f"{cell}: {step} is being left out already")
    return Decision(
        f"{cell}: {step} is left out, to open circuit if it runs; the cell goes on", SKIP + str(step), UNDER_WAY
    )


def stop(cell: str, row: CellRow) -> Decision:
    """End after the step."""
    if row.state == HELD:
        return Decision(f"{cell} is stopped now, at open circuit; it takes no further step", "stop")
    if row.wanted == "stop":
        return _nothing(f"{cell} is stopped when its step has ended")
    return Decision(f"{cell} is stopped when its step has ended; it takes no further step", "stop")


def abort(cell: str) -> Decision:
    """End now."""
    return Decision(
        f"{cell}: its instrument goes to open circuit now and it takes no further step; state: aborted", "abort"
    )


class Commands:
    """Serves the commands that change what a cell does.

    Parameters
    ----------
    journal : Journal
        Where they are written down.
    clock : Clock
        Stamps them.
    conductor_of : callable
        Finds who drives a cell.

    Raises
    ------
    UsageError
        From the conductor lookup, for a cell that is in no campaign.
    """

    def __init__(self, journal: Journal, clock: Clock, conductor_of: Callable[[str], Conductor]) -> None:
        self._journal = journal
        self._clock = clock
        self._conductor_of = conductor_of

    async def serve(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Serve ``hold``, ``resume``, ``stop``, ``abort``, ``skip`` or ``retry``.

        Raises
        ------
        UsageError
            It makes no sense in the cell's state.
        NotConfirmed
            A barcode was given, and it is that of another cell.
        """
        command = str(request.get("id") or uuid4().hex)
        known = self._journal.command(command)
        if known is not None:
            return known.answer
        op, cell = str(request["op"]), str(request.get("cell"))
        conductor = self._conductor_of(cell)
        barcode = request.get("barcode")
        booked = conductor.around.campaign.cell(cell).barcode
        if barcode is not None and barcode != booked:
            raise NotConfirmed(f"barcode '{barcode}' is not that of {cell}, which is '{booked}'; nothing has changed")
        decided = self._decide(op, conductor, now=bool(request.get("now")), known=barcode is not None)
        answer = {"cell": cell, "state": decided.state or conductor.row.state, "will": decided.will}
        user, reason = str(request.get("user") or "somebody"), str(request.get("reason") or "no reason given")
        campaign = conductor.around.campaign.name
        told = {**({} if barcode is None else {"barcode": barcode}), **({"now": True} if request.get("now") else {})}
        row = CommandRow(command, self._journal.now(), op, campaign, cell, user, reason, told, answer)
        change: dict[str, Any] = {}
        if decided.changes:
            change = {"wanted": decided.wanted, "reason": reason, "by": user}
            if decided.state is not None:
                change["state"] = decided.state
        self._journal.control(campaign, cell, command=row, **change)
        conductor.changed()
        return answer

    @staticmethod
    def _decide(op: str, conductor: Conductor, *, now: bool, known: bool) -> Decision:
        cell, row, latest = conductor.cell, conductor.row, conductor.latest()
        if conductor.state in ENDED:
            return _ended(op, cell, conductor.state)
        if row.wanted == "abort":
            return _nothing(f"{cell} is being aborted")
        if op == "hold":
            return hold(cell, row, latest, now=now)
        if op == "skip":
            return skip(cell, row, conductor.machine.step)
        if op == "retry":
            return retry(cell, row, latest, known=known)
        if op == "resume":
            return resume(cell, row, latest)
        return stop(cell, row) if op == "stop" else abort(cell)


def _ended(op: str, cell: str, state: str) -> Decision:
    if op in ("stop", "abort"):
        return _nothing(f"{cell} is {state} already")
    raise UsageError(f"{cell} is {state}: nothing more happens to it", hint="'labctl status' shows where cells are")
