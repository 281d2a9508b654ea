"""A dropped connection and a garbled reply on each instrument leave a complete, correct result and a journal entry."""

import pytest
from laboratory_folder import Laboratory

from labctl import analysis
from labctl.cli.running import RunRequest, run
from labctl.engine.clock import WallClock
from labctl.journal import Journal

#: At the beginning of which step what is spoiled.
WHEN = {
    "c001/01-charge": "maccor",
    "c001/02-nmr-charged": "topspin",
    "c001/03-eis-charged": "zahner",
    "c001/06-eis-discharged": "mux",
    "c001/07-hold": "oven",
}


def measure(folder, kind: str | None):
    laboratory = Laboratory(folder)
    laboratory.keep_cells("bare-01")
    simulations = []

    def spoil(cell: str, step: str) -> None:
        if kind is not None and step in WHEN:
            simulations[0].laboratory.inject(WHEN[step], kind)

    request = RunRequest(
        laboratory.folder,
        laboratory.protocol,
        laboratory.folder / "station.yaml",
        laboratory.folder / "cells.yaml",
        simulate=True,
        accelerate=True,
        seed=5,
        faults=True,
    )
    outcome = run(request, on_simulation=simulations.append, on_progress=spoil)
    journal = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    events = journal.events(category="hiccup")
    alarms = [alarm for alarm in journal.alarms() if "later than" not in alarm.message]
    journal.close()
    cycle = analysis.analyze([laboratory.folder]).to_json()["cells"][0]["cycles"][-1]
    return outcome, events, alarms, cycle


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("undisturbed") / "lab", None)


@pytest.mark.parametrize("kind", ["drop", "garble"])
def test_a_spoiled_reply_on_every_instrument_changes_no_result(tmp_path, undisturbed, kind):
    outcome, events, alarms, cycle = measure(tmp_path / "lab", kind)
    assert outcome.states == {"bare-01": "finished"}
    assert outcome.violations == []
    assert {event.instrument for event in events} == set(WHEN.values())
    assert alarms == []
    expected = undisturbed[3]
    for key in ("charge_capacity_mAh", "discharge_capacity_mAh"):
        assert cycle[key] == pytest.approx(expected[key], rel=2e-3)
    for share in ("reversible", "excess", "dead", "interphase"):
        assert cycle[f"{share}_percent"] == pytest.approx(expected[f"{share}_percent"], abs=0.3)
