"""``labctl simulate``: the virtual laboratory as a process of its own, for ``labctl run --simulate`` and others.

Instruments, gateways and the scripted person go on whatever becomes of an orchestrator. A clean stop saves everything.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from labctl.cli import plugins
from labctl.cli.attached import SimulationLock
from labctl.cli.logs import open_log
from labctl.cli.output import put, put_json, say
from labctl.cli.signals import let_go_on_terminate
from labctl.cli.simulation import Simulation, read_saved, saved_clock
from labctl.engine.clock import LoopClock, run_real, run_scaled
from labctl.station import load_cells, load_station

SCHEMA = "labctl.simulate/1"


def serve_simulators(station: Path, cells: Path, lab: Path, *, speed: float, seed: int, as_json: bool) -> None:
    """Serve until interrupted; one line says where everything listens.

    Parameters
    ----------
    station, cells : Path
        What is to be simulated.
    lab : Path
        The laboratory folder; a state that was saved there goes on, with its own seed.
    speed : float
        Simulated seconds in a real one.
    seed : int
        Of everything random.
    as_json : bool
        Say where everything listens as ``labctl.simulate/1``.

    Raises
    ------
    Locked
        Another process simulates this folder.
    LabctlError
        The laboratory was killed with its process, or its saved state is of other files.
    InvalidFile
        With every mistake of the files.
    """
    loaded_station = load_station(station, drivers=plugins.driver_names())
    loaded_cells = load_cells(cells)
    lab.mkdir(parents=True, exist_ok=True)
    lock = SimulationLock(lab)
    lock.take()
    try:
        saved = read_saved(lab)
        kept_seed = int(saved["seed"]) if saved is not None else seed

        async def main(clock: LoopClock) -> None:
            log, file = open_log(lab, clock, "simulation")
            simulation = Simulation(
                loaded_station, loaded_cells, folder=lab, seed=kept_seed, clock=clock, log=log, faults=True, speed=speed
            )
            try:
                await simulation.start(saved)
                _say_where(simulation, clock, speed, kept_seed, as_json=as_json)
                await _serve(simulation)
            finally:
                file.close()

        epoch = saved_clock(saved)
        run_real(main, epoch) if speed == 1.0 else run_scaled(main, speed, epoch)
    finally:
        lock.release()


async def _serve(simulation: Simulation) -> None:
    people = simulation.people()
    let_go_on_terminate()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("the simulated laboratory stops; its state is saved")
    finally:
        for person in people:
            person.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        await simulation.stop()


def _say_where(simulation: Simulation, clock: LoopClock, speed: float, seed: int, *, as_json: bool) -> None:
    roles = plugins.roles(simulation.entries)
    control = f"127.0.0.1:{simulation.laboratory.control_port}"
    if as_json:
        line: dict[str, Any] = {
            "schema": SCHEMA,
            "speed": speed,
            "epoch": clock.epoch.isoformat(),
            "seed": seed,
            "control": control,
            "instruments": [{"name": name, "role": roles[name], **entry} for name, entry in simulation.entries.items()],
        }
        put_json(line, indent=None)
        return
    put(f"SIMULATED laboratory at {speed:g} times real time; control port {control}; Ctrl-C ends it")
    for name, entry in simulation.entries.items():
        ports = ", ".join(f"{key} {entry[key]}" for key in ("address", "json_port", "binary_port") if key in entry)
        put(f"  {name:<10} {entry['driver']:<18} {ports}")
