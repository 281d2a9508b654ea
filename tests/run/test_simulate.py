"""The simulators alone, for any other client: one line says where everything listens."""

import json
import signal
import socket
import sys
from contextlib import closing

import pytest

from labctl.cli import plugins
from labctl.cli.logs import open_log
from labctl.cli.running import RunRequest, run
from labctl.cli.simulation import Simulation
from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import UsageError
from labctl.station import load_cells, load_station


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_one_line_says_where_everything_listens_and_each_answers_there(laboratory):
    process = laboratory.begin("simulate", "--speed", "100", "--seed", "4", "--json")
    try:
        line = json.loads(process.stdout.readline())
        assert line["schema"] == "labctl.simulate/1"
        assert (line["speed"], line["seed"]) == (100.0, 4)
        instruments = {one["name"]: one for one in line["instruments"]}
        roles = {one["role"] for one in instruments.values()}
        assert roles == {"cycler", "spectrometer", "potentiostat", "chamber", "multiplexer"}
        asked = json.dumps({"jsonrpc": "2.0", "method": "MacNet", "params": {"FClass": 1, "FNum": 2}, "id": 1987})
        general = ask("127.0.0.1", instruments["maccor"]["json_port"], asked.encode())
        assert json.loads(general)["result"]["TestChannels"] >= 16
        host, port = instruments["topspin"]["address"].split(":")
        hello = json.dumps({"id": 7, "op": "hello", "token": instruments["topspin"]["token"]})
        assert json.loads(ask(host, int(port), hello.encode() + b"\n"))["ok"] is True
        assert ask("127.0.0.1", int(instruments["oven"]["address"].rsplit(":", 1)[1]), b"version\r")[:6] == b"JULABO"
        assert b"34970A" in ask("127.0.0.1", int(instruments["mux"]["address"].split("::")[2]), b"*IDN?\n")
        host, port = line["control"].split(":")
        where = json.loads(ask(host, int(port), b'{"id": 1, "op": "where"}\n'))
        assert where["ok"] is True
        assert "cabinet/1" in json.dumps(where)
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in output


def simulated_once(folder, cells_file: str, saved=None):
    """Begin or go on with the simulated laboratory of a folder; gives what it says of itself, and its saved state."""
    station = load_station(folder / "station.yaml", drivers=plugins.driver_names())
    cells = load_cells(folder / cells_file)

    async def main(clock: LoopClock) -> tuple[dict, dict]:
        log, file = open_log(folder, clock)
        with closing(file):
            made = Simulation(station, cells, folder=folder, seed=1, clock=clock, log=log)
            await made.start(saved)
            truth = made.truth()["cells"]
            await made.stop()
        return truth, json.loads((folder / "simulation.json").read_text(encoding="utf-8"))

    return run_virtual(main)


def test_other_cells_find_the_laboratory_of_a_folder_as_it_was_left(laboratory):
    folder = laboratory.folder
    first, saved = simulated_once(folder, "cells.yaml")
    second, saved = simulated_once(folder, "cells-operando.yaml", saved)
    # What was on the place of the new cell has been taken off it, and is still there.
    assert set(second) == {*first, "plated-01"}
    positions = saved["laboratory"]["positions"]
    assert positions["plated-01"] == "cabinet/1"
    assert [cell for cell in first if positions[cell] == "bench"] == ["bare-01"]
    again, _ = simulated_once(folder, "cells.yaml", saved)
    assert again == second


def test_a_folder_whose_simulated_laboratory_has_other_instruments_is_told_in_plain_words(laboratory):
    folder = laboratory.folder
    simulated_once(folder, "cells.yaml")
    named = ("protocols/operando.yaml", "examples/station-14t.yaml", "examples/cells-alloying.yaml")
    files = (folder / name for name in named)
    with pytest.raises(UsageError, match="there is no 'sp' in it; run these in another laboratory folder"):
        run(RunRequest(folder, *files, simulate=True, accelerate=True))


def ask(host: str, port: int, request: bytes) -> bytes:
    """Send one request and give the first line of the answer."""
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b"\n"):
            chunk = connection.recv(65536)
            assert chunk, f"closed after {answer!r}"
            answer += chunk
        return answer
