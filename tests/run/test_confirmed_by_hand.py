"""Cells are moved by people: the right barcode counts, the wrong one changes nothing, and nobody is asked at night."""

import sys
from datetime import datetime

import pytest
from second_terminal import HEAD, journal, running, simulated, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are sent as POSIX signals")

#: A spectrum after a rest, then the cycler again.
STEPS = """
steps:
  - rest: {duration: 1 min}
  - nmr: {as: pristine, experiment: metal}
  - rest: {duration: 1 min}
experiments:
  metal: {nucleus: 7Li, pulse_program: zgpr, carrier: 250 ppm, scans: 32, recycle_delay: 0.5 s, dwell_time: 0.1 us,
          points: 32768, pulse: {flip: 90 deg, power: 80 W}}
"""


@pytest.fixture
def two(laboratory):
    """A laboratory of two cells and a protocol with a spectrum."""
    laboratory.keep_cells("bare-01", "coated-01")
    laboratory.replace("cells.yaml", ", measure_at: [1]", "")
    laboratory.protocol.write_text(HEAD + STEPS)
    return laboratory


def asked(terminal, cell):
    """Where the cell is to be brought, if anybody is asked."""
    requests = terminal.ask("requests").get("requests", [])
    return next((one["to"] for one in requests if one["cell"] == cell), None)


def test_the_wrong_barcode_is_refused_and_the_right_one_counts_once_over_a_kill(two):
    two.replace("station.yaml", "{name: operator}", "{name: operator, simulate: false}")
    two.keep_cells("bare-01")
    with simulated(two, speed=100) as terminal:
        with running(two):
            until(lambda: asked(terminal, "reference") == "probe/1", "the reference standard is asked for")
            terminal.laboratory_says("move", cell="reference", to="probe/1")
            terminal.say("confirm", "reference", "--barcode", "reference")
            until(lambda: asked(terminal, "reference") == "bench", "and away again")
            terminal.laboratory_says("move", cell="reference", to="bench")
            terminal.say("confirm", "reference", "--barcode", "reference")
            until(lambda: asked(terminal, "bare-01") == "probe/1", "the cell is asked for")
            before = terminal.explain("bare-01")
            assert "labctl confirm bare-01 --barcode B0001" in before["advice"]
            code, why = terminal.refused("confirm", "bare-01", "--barcode", "C0001")
            assert (code, "B0001" in why or "C0001" in why) == (8, True)
            assert terminal.explain("bare-01") == before, "no change of state"
            assert terminal.cells()["bare-01"]["place"] == "cabinet/1"
            terminal.laboratory_says("move", cell="bare-01", to="probe/1")
            command = {"cell": "bare-01", "barcode": "B0001", "user": "ana", "id": "scan"}
            first = terminal.ask("confirm", **command)
        with running(two):
            # Killed right behind the answer: what was confirmed is not asked for again.
            until(lambda: terminal.state("bare-01") in ("in the spectrometer", "to be moved"), "it is measured")
            assert terminal.ask("confirm", **command) == first
            until(lambda: asked(terminal, "bare-01") == "cabinet/1", "the way home is asked for")
            assert terminal.laboratory_says("violations")["violations"] == []
        with journal(two) as kept:
            moves = [row for row in kept.operations(cell="bare-01") if row.kind == "transfer"]
        assert [row.result["request"]["target"] for row in moves] == ["probe/1", "cabinet/1"]
        assert moves[0].result["user"] == "ana"


def test_nobody_is_asked_outside_working_hours_and_the_campaign_comes_to_its_end(two):
    two.replace("station.yaml", "{name: operator}", '{name: operator, hours: "Mo-Fr 08:00-19:00"}')
    # A rest of half a day, so that its end falls anywhere.
    two.protocol.write_text(two.protocol.read_text().replace("duration: 1 min", "duration: 13 h"))
    ran = two.labctl("run", "protocols/dead-lithium.yaml", "--simulate", "--accelerate", "--seed", "4")
    assert ran.returncode == 0, ran.stderr
    with journal(two) as kept:
        moves = [row for row in kept.operations() if row.kind == "transfer"]
    assert len(moves) >= 4
    for row in moves:
        for status in ("running", "done"):
            at = datetime.fromisoformat(row.times[status]).astimezone()
            assert at.weekday() < 5, f"{row.operation} {status} {at}"
            assert 8 <= at.hour < 19 or status == "done", f"{row.operation} {status} {at}"
