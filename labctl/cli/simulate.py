"""``labctl simulate``: the wire-level simulators alone, for any other client."""

from __future__ import annotations

import asyncio
from pathlib import Path

from labctl.cli import plugins
from labctl.cli.logs import open_log
from labctl.cli.output import put, put_json, say
from labctl.cli.running import let_go_on_terminate
from labctl.cli.simulation import Simulation
from labctl.engine.clock import LoopClock, run_real, run_scaled
from labctl.station import load_cells, load_station

SCHEMA = "labctl.simulate/1"


def serve_simulators(station: Path, cells: Path, lab: Path, *, speed: float, seed: int, as_json: bool) -> None:
    """Serve until interrupted; one line says where everything listens."""
    loaded_station = load_station(station, drivers=plugins.driver_names())
    loaded_cells = load_cells(cells)

    async def main(clock: LoopClock) -> None:
        log, file = open_log(lab, clock)
        simulation = Simulation(loaded_station, loaded_cells, folder=lab, seed=seed, clock=clock, log=log, faults=True)
        await simulation.start()
        roles = plugins.roles(simulation.entries)
        line = {
            "schema": SCHEMA,
            "speed": speed,
            "epoch": clock.epoch.isoformat(),
            "seed": seed,
            "control": f"127.0.0.1:{simulation.laboratory.control_port}",
            "instruments": [{"name": name, "role": roles[name], **entry} for name, entry in simulation.entries.items()],
        }
        if as_json:
            put_json(line, indent=None)
        else:
            put(f"SIMULATED laboratory at {speed:g} times real time; control port {line['control']}; Ctrl-C ends it")
            for name, entry in simulation.entries.items():
                ports = ", ".join(
                    f"{key} {entry[key]}" for key in ("address", "json_port", "binary_port") if key in entry
                )
                put(f"  {name:<10} {entry['driver']:<18} {ports}")
        let_go_on_terminate()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("the simulated laboratory stops")
        finally:
            await simulation.stop()
            file.close()

    run_real(main) if speed == 1.0 else run_scaled(main, speed)
