"""Asking a station's instruments who they are and how they are set: each by itself, so that one spoils no other.

Nothing is changed unless it is asked for; what an orchestrator uses is left alone. How it is shown:
``instruments_shown``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from labctl.cli import plugins
from labctl.cli.attached import Attached, SimulationLock, attach
from labctl.cli.instruments_list import address_of, wiring
from labctl.cli.instruments_use import free_slots, held_by_campaigns, in_use
from labctl.cli.logs import open_log
from labctl.cli.output import say
from labctl.cli.secrets import resolve
from labctl.engine.bench import CONNECT_TIMEOUT
from labctl.engine.clock import LoopClock, run_real, run_scaled
from labctl.engine.lock import LaboratoryLock
from labctl.errors import (
    InstrumentError,
    LabctlError,
    Locked,
    UsageError,
)
from labctl.instruments import (
    DriverContext,
    Hiccup,
    Identity,
    Inspectable,
    Inspection,
    NotReachable,
    TimedOut,
)
from labctl.station import Station, load_station

#: Real seconds for one instrument, connecting included.
WITHIN: Final = 10.0
_NOTHING_MORE: Final = Inspection(
    unverified=("its driver tells nothing beyond its identity; read its settings at the instrument",)
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one instrument.

    Attributes
    ----------
    role : str or None
        None where its driver can't be loaded.
    error : LabctlError or None
        Why it can't be used, or was not asked.
    """

    name: str
    role: str | None
    driver: str
    address: str
    identity: Identity | None = None
    inspection: Inspection | None = None
    error: LabctlError | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found.

    Attributes
    ----------
    mode : str
        As the station file says.
    simulated : bool
        Whether a simulated laboratory of this folder was asked.
    """

    station: str
    mode: str
    simulated: bool
    exercised: bool
    instruments: tuple[Checked, ...]


def check_instruments(
    station: Path, cells: Path, lab: Path, *, names: Sequence[str], exercise: bool, as_json: bool
) -> None:
    """Ask instruments of a station, and show what they say.

    Parameters
    ----------
    station, cells : Path
        The files; the cells tell what an exercise must not touch, and may be missing.
    names : sequence of str
        Those to be asked; all where it is empty.
    exercise : bool
        Make harmless movements and undo them.

    Raises
    ------
    InstrumentError
        One can't be used; every answer has been shown by then.
    Locked
        An orchestrator uses one.
    UsageError
        The station has no instrument of that name.
    """
    from labctl.cli.instruments_shown import put_check, show_check

    found = check(station, cells, lab, names=names, exercise=exercise)
    (put_check if as_json else show_check)(found)
    errors = [one.error for one in found.instruments if one.error is not None]
    unusable = [error for error in errors if not isinstance(error, Locked)]
    text = "\n".join(map(str, errors))
    if unusable:
        raise InstrumentError(f"{len(errors)} of {len(found.instruments)} instruments can't be used:\n{text}")
    if errors:
        raise Locked(text)


def check(station: Path, cells: Path, lab: Path, *, names: Sequence[str], exercise: bool) -> Check:
    """Ask instruments of a station; what is wrong with one of them stands in the answer.

    Raises
    ------
    UsageError, InvalidFile
        The station has no such instrument, or its file has mistakes.
    """
    loaded = load_station(station, drivers=plugins.driver_names())
    for name in names:
        if name not in loaded.instruments:
            raise UsageError(
                f"{station}: no instrument is called '{name}'", hint=f"it has {', '.join(loaded.entries())}"
            )
    wanted = [name for name in loaded.instruments if not names or name in names]
    free = free_slots(loaded, cells, lab)
    lab.mkdir(parents=True, exist_ok=True)
    lock = LaboratoryLock(lab)
    used: Mapping[str, Locked] = {}
    try:
        try:
            # Held meanwhile, so that no campaign begins on what is being exercised.
            lock.take()
            lock.publish(what="labctl instruments check")
            used = held_by_campaigns(lab) if exercise else {}
        except Locked as locked:
            used = in_use(lab, wanted, locked)
        attached = simulated(loaded, lab)
        entries = loaded.entries() if attached is None else attached.entries

        async def main(clock: LoopClock) -> tuple[Checked, ...]:
            if attached is not None:
                await attached.align(clock)
            log, file = open_log(lab, clock)

            async def one(name: str) -> Checked:
                wired = wiring(loaded, name)
                context = DriverContext(
                    name=name,
                    settings=entries[name],
                    clock=clock,
                    log=log,
                    report=survived,
                    secret=resolve,
                    folder=lab,
                    read_only=True,
                    wired=tuple(sorted(wired)),
                    free=frozenset(lead for lead, slot in wired.items() if slot in free),
                )
                return await _ask(context, used.get(name), exercise=exercise)

            try:
                return tuple(await asyncio.gather(*(one(name) for name in wanted)))
            finally:
                file.close()

        found = run_real(main) if attached is None else run_scaled(main, attached.speed)
    finally:
        lock.release()
    return Check(loaded.station, loaded.mode, attached is not None, exercise, found)


async def _ask(context: DriverContext, used: Locked | None, *, exercise: bool) -> Checked:
    """Ask one instrument, within its time; whatever goes wrong belongs to it alone."""
    entry = context.settings
    checked = Checked(context.name, None, str(entry["driver"]), address_of(entry))
    try:
        checked = replace(checked, role=plugins.roles({context.name: entry})[context.name])
        if used is not None:
            return replace(checked, error=used)
        instrument = plugins.driver(entry["driver"])(context)
    except ImportError as error:
        message = f"its driver can't be loaded ({error})"
        return replace(checked, error=InstrumentError(message, instrument=context.name, address=checked.address))
    except LabctlError as error:
        return replace(checked, error=_named(error, checked))
    within = CONNECT_TIMEOUT
    try:
        async with asyncio.timeout(context.clock.patience(WITHIN)):
            async with asyncio.timeout(context.clock.patience(CONNECT_TIMEOUT)):
                checked = replace(checked, identity=await instrument.connect())
            within = WITHIN
            told = await instrument.inspect(exercise=exercise) if isinstance(instrument, Inspectable) else _NOTHING_MORE
            return replace(checked, inspection=told)
    except LabctlError as error:
        return replace(checked, error=_named(error, checked))
    except TimeoutError:
        kind = NotReachable if checked.identity is None else TimedOut
        message = f"no answer in {within:g} s"
        return replace(checked, error=kind(message, instrument=context.name, address=checked.address))
    except OSError as error:
        return replace(checked, error=NotReachable(str(error), instrument=context.name, address=checked.address))
    finally:
        await instrument.close()


def _named(error: LabctlError, checked: Checked) -> LabctlError:
    """Have an error say which instrument it is about."""
    if isinstance(error, InstrumentError) and error.instrument:
        return error
    return InstrumentError(error.message, instrument=checked.name, address=checked.address, hint=error.hint)


def survived(hiccup: Hiccup) -> None:
    """Say what went wrong on a wire and was survived."""
    say(f"{hiccup.instrument}: {hiccup.message}")


def simulated(station: Station, lab: Path) -> Attached | None:
    """Find the simulated laboratory of this folder, where the station is a simulated one."""
    if station.mode != "simulated":
        return None
    lock = SimulationLock(lab)
    if not lock.try_take():
        return attach(lab)
    lock.release()
    say("the station says 'mode: simulated', and no 'labctl simulate' runs here: the addresses of the file are asked")
    return None
