"""Letting go while a cell is being carried home leaves a request that the next run takes up, not one that blocks it."""

import asyncio

from labctl.cli.running import RunRequest, run
from labctl.engine.clock import WallClock
from labctl.journal import Journal, Status


def test_a_transfer_that_was_pending_is_taken_up_again(laboratory):
    laboratory.keep_cells("bare-01")
    interrupted = []

    def interrupt_the_way_home(simulation):
        task, move = asyncio.current_task(), simulation.laboratory.move

        def carry(cell, place):
            if cell == "bare-01" and place == "cabinet/1" and not interrupted:
                interrupted.append(place)
                task.cancel()
                raise ValueError("the person was called away")
            move(cell, place)

        simulation.laboratory.move = carry

    files = (laboratory.protocol, laboratory.folder / "station.yaml", laboratory.folder / "cells.yaml")
    request = RunRequest(laboratory.folder, *files, simulate=True, accelerate=True)
    first = run(request, on_simulation=interrupt_the_way_home)
    assert interrupted
    assert first.detached
    second = run(request)
    assert second.states == {"bare-01": "finished"}
    journal = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    rows = journal.operations(cell="bare-01")
    journal.close()
    assert {row.status for row in rows} == {Status.DONE}
    assert second.violations == []
