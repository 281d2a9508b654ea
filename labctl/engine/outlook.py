"""What happens to a cell if this PC loses power now, and what a person can do for it, in plain sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labctl.engine.routing import BY_HAND, ROLE_OF
from labctl.engine.situation import HELD, UNDER_WAY, Situation
from labctl.engine.wording import degrees, doing, ends, how_to_confirm
from labctl.journal import Status
from labctl.protocol import Kind

_AFTERWARDS: Final = "The next 'labctl run' here attaches again and fetches every record"
_LEFT: Final[Mapping[str, str]] = {
    "open_circuit": "at open circuit",
    "hold_voltage": "with its voltage held by the cycler, which goes on by itself",
    "isolate": "at open circuit, its relay open",
}


# -- without power ----------------------------------------------------------------------------------------------------
def if_power_fails(now: Situation) -> str:
    """Say what becomes of the cell and of what it holds, and what the next start does."""
    sentences = [_cell(now)]
    if now.chamber is not None and now.temperature is not None:
        warm = f"{now.chamber} keeps {degrees(now.temperature)} by itself until labctl runs again"
        if now.status is Status.RUNNING:
            warm += ", so the cell stays there, and ages, even after its step has ended"
        sentences.append(warm)
    return ". ".join(sentences) + "."


def _cell(now: Situation) -> str:
    if now.state not in (UNDER_WAY, HELD):
        return f"Nothing: {now.cell} is {now.state}, at open circuit in {now.place}, and its results are stored"
    if now.status is Status.RUNNING:
        return _running(now)
    if now.status is Status.INTENT:
        return (
            f"{_told(now)} was just being told to start: it either runs by itself within its own limits or never "
            "began. The next start asks it by the operation's name, attaches if it runs, and starts nothing twice"
        )
    if now.status is Status.NEEDS_OPERATOR:
        return (
            f"Whatever {_told(now)} does goes on, within the limits that it holds itself; it stays reserved, "
            "and nothing is started before somebody has decided"
        )
    if now.transfer is not None:
        return (
            f"{now.cell} stays where it is, at open circuit; the request to move it stands and is shown again at the "
            "next start, and a confirmation that was answered counts"
        )
    if now.status is Status.FETCHED:
        return f"Nothing flows; the data of {_path(now)} are stored, and the next start goes on behind it"
    if now.state == HELD:
        left = now.planned.on_failure if now.planned is not None and now.status is Status.FAILED else "open_circuit"
        return f"{now.cell} stays {_LEFT[left]} in {now.place}, and is still held at the next start"
    return f"{now.cell} is at open circuit in {now.place}, nothing flows; {_afterwards(now)}"


def _afterwards(now: Situation) -> str:
    if now.status is Status.REQUESTED:
        return "at the next start its place in the queue is kept"
    if now.planned is None:
        return "at the next start nothing of it is left to do"
    return f"the next start goes on with {now.planned.path}"


def _told(now: Situation) -> str:
    return now.instrument or "the instrument"


def _path(now: Situation) -> str:
    return now.step.step if now.step is not None else "its step"


def _running(now: Situation) -> str:
    planned, instrument = now.planned, _told(now)
    if now.interrupted:
        return (
            f"{now.cell} stays at open circuit: its step is interrupted {now.where}, which does not go on by itself. "
            "The next 'labctl run' here finds it so"
        )
    if now.assisted:
        return (
            f"{instrument} is run by a person and goes on as it was set; the request and whatever is dropped into its "
            "folder stay, and are looked at again at the next start"
        )
    if planned is not None and planned.kind in BY_HAND:
        return (
            f"{now.cell} stays where it is, at open circuit; the request stands and is shown again at the next start, "
            "and what was confirmed counts"
        )
    if planned is None or ROLE_OF[planned.kind] == "spectrometer":
        return _acquiring(now, instrument)
    if planned.on_controller_loss == "stop":
        return f"{instrument}'s watchdog ends the step, and the cell is left at open circuit. {_AFTERWARDS}"
    if planned.kind is Kind.OPERANDO:
        return (
            f"{instrument}'s own program and its own limits go on without further pauses, to the end {ends(planned)}; "
            f"then the cell stands at open circuit in the probe. The spectrum that is being taken is taken to its end, "
            f"no other is begun until labctl runs again. {_AFTERWARDS}"
        )
    if planned.kind in (Kind.EIS, Kind.DEIS):
        relay = f" and {now.closed} stays closed" if now.closed is not None else ""
        return (
            f"The sweep goes on in {instrument} to its end, and its file stays there; only {instrument}'s own limits "
            f"watch over it. Its source stays as the sweep leaves it{relay} until labctl runs again and fetches the "
            "file"
        )
    relay = f"; {now.closed} stays closed" if now.closed is not None else ""
    if planned.kind is Kind.REST:
        return (
            f"Nothing flows: {instrument} goes on with the rest by its own program, which ends it "
            f"{ends(planned)}{relay}. {_AFTERWARDS}"
        )
    return (
        f"{instrument}'s own program and its own limits go on: it is {doing(planned).partition(',')[0]} and ends that "
        f"{ends(planned)}; then the cell stands at open circuit{relay}. {_AFTERWARDS}"
    )


def _acquiring(now: Situation, instrument: str) -> str:
    cell = f"{now.cell} is at open circuit in the probe"
    if now.planned is not None and now.planned.kind in (Kind.NUTATION, Kind.RECOVERY):
        what = "pulse length" if now.planned.kind is Kind.NUTATION else "recycle delay"
        return (
            f"{cell}; the {what} that is being measured is measured to its end in {instrument}, the others wait "
            "for labctl, and the datasets are fetched when all are there"
        )
    return f"{cell}; the acquisition goes on in {instrument}, and its dataset is fetched at the next start"


# -- what a person can do ---------------------------------------------------------------------------------------------
def advice(now: Situation, request: Mapping[str, Any] | None) -> str | None:
    """Say what a person can do now, with the command; None where nothing is to be done."""
    if now.state not in (UNDER_WAY, HELD):
        return None
    told = _needed(now, request)
    if now.running:
        return told
    start = "no orchestrator runs: 'labctl run' in this folder takes everything up again"
    return f"{start}; then {told}" if told is not None else start


def _needed(now: Situation, request: Mapping[str, Any] | None) -> str | None:
    cell = now.cell
    if now.transfer is not None and now.transfer.status is Status.RUNNING:
        return _bring(now, request)
    if now.status is Status.NEEDS_OPERATOR:
        return (
            f"look at {_told(now)}: 'labctl resume {cell}' asks it again, 'labctl retry {cell}' starts the step anew "
            f"on your word that it does not run, 'labctl abort {cell}' ends the cell"
        )
    if now.state == HELD and now.status is Status.FAILED:
        return (
            f"'labctl retry {cell}' tries {_path(now)} again, 'labctl skip {cell}' leaves it out, "
            f"'labctl abort {cell}' ends the cell"
        )
    if now.state == HELD:
        return f"'labctl resume {cell}' lets it go on{_with(now)}, 'labctl abort {cell}' ends it"
    if now.status is Status.RUNNING and now.planned is not None and now.planned.kind in BY_HAND:
        what = "answer the question" if now.planned.kind is Kind.PAUSE else f"say when it is done, {doing(now.planned)}"
        return f"{what}: {how_to_confirm(now.planned, cell)}"
    if request is not None and "instruction" in request:
        return _by_hand(request)
    return None


def _with(now: Situation) -> str:
    return f" with {now.planned.path}" if now.planned is not None else ""


def _bring(now: Situation, request: Mapping[str, Any] | None) -> str:
    asked: Mapping[str, Any] = now.transfer.result.get("request", {}) if now.transfer is not None else {}
    barcode = str(request["barcode"]) if request is not None and "barcode" in request else "<its barcode>"
    checklist = ", ".join(str(item) for item in request.get("checklist", ())) if request is not None else ""
    steps = f" ({checklist})" if checklist else ""
    way = f"bring {now.cell} from {asked.get('source', now.place)} to {asked.get('target', 'its place')}{steps}"
    return f"{way}, then 'labctl confirm {now.cell} --barcode {barcode}'"


def _by_hand(request: Mapping[str, Any]) -> str:
    told = str(request["instruction"])
    if request.get("folder"):
        told += f"; the file goes into {request['folder']} and is taken in by itself"
    differs = [str(one) for one in request.get("differs", ())]
    return f"{told}; what was dropped differs: {'; '.join(differs)}" if differs else told
