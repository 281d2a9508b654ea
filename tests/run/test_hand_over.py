"""More campaigns than one: a second 'labctl run' hands its campaign to the orchestrator that runs here."""

import re
import signal
import sys
from datetime import datetime

import pytest
from second_terminal import HEAD, PROTOCOL, journal, running, simulated, until

from labctl.journal import Status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C and kills are sent as POSIX signals")

LONG = """
steps:
  - rest: {duration: 8 h}
"""

SPECTRA = """
steps:
  - rest: {duration: 1 min}
  - nmr: {as: pristine, experiment: metal}
experiments:
  metal: {nucleus: 7Li, pulse_program: zgpr, carrier: 250 ppm, scans: 32, recycle_delay: 0.5 s, dwell_time: 0.1 us,
          points: 32768, pulse: {flip: 90 deg, power: 80 W}}
"""


def cells_file(laboratory, name, *cells, **more):
    """Write a cells file of these cells of the shipped one, with further keys for each."""
    text = (laboratory.folder / "shipped-cells.yaml").read_text()
    head, *entries = re.split(r"(?m)^  - ", text)
    kept = [entry for cell in cells for entry in entries if f"id: {cell}," in entry]
    for index, cell in enumerate(cells):
        keys = "".join(f"{key}: {value}, " for key, value in more.get(cell.replace("-", "_"), {}).items())
        kept[index] = kept[index].replace("{id: ", f"{{{keys}id: ", 1)
    (laboratory.folder / name).write_text(head + "".join(f"  - {entry}" for entry in kept))
    return ("--cells", name)


@pytest.fixture
def shared(laboratory):
    """A laboratory whose cells are told apart into files."""
    laboratory.protocol.write_text(HEAD + LONG)
    text = re.sub(r", measure_at: \[\d+\]", "", (laboratory.folder / "cells.yaml").read_text())
    (laboratory.folder / "shipped-cells.yaml").write_text(text)
    (laboratory.folder / "cells.yaml").write_text(text)
    return laboratory


def test_campaigns_are_handed_over_followed_and_taken_up_together_after_a_kill(shared):
    first = cells_file(shared, "first.yaml", "bare-01", "bare-02")
    second = cells_file(shared, "second.yaml", "coated-01")
    cells_file(shared, "mixed.yaml", "bare-02", "coated-02")
    cells_file(shared, "third.yaml", "coated-03")
    (shared.folder / "other-station.yaml").write_text(
        (shared.folder / "station.yaml").read_text().replace("station: example", "station: elsewhere")
    )
    with simulated(shared) as terminal:
        with running(shared, PROTOCOL, *first):
            until(lambda: terminal.states() == {"bare-01": "resting", "bare-02": "resting"}, "the first rests")
            with running(shared, PROTOCOL, *second) as follower:
                until(lambda: terminal.state("coated-01") == "resting", "the second is handed over")
                follower.send_signal(signal.SIGINT)
                said, _ = follower.communicate(timeout=30)
            assert (follower.returncode, "the orchestrator and its instruments go on" in said) == (130, True), said
            report = terminal.ask("status")["status"]
            assert report["campaigns"] == ["dead-lithium-1", "dead-lithium-2"]
            assert {one["cell"]: one["campaign"] for one in report["cells"]} == {
                "bare-01": "dead-lithium-1",
                "bare-02": "dead-lithium-1",
                "coated-01": "dead-lithium-2",
            }
            screen = shared.labctl("status").stdout
            assert "campaign dead-lithium-1" in screen, "a cell's campaign can be told from the screen"
            assert "campaign dead-lithium-2" in screen
            assert terminal.state("coated-01") == "resting"
            for refusal, code, words in (
                (("--cells", "mixed.yaml"), 2, "bare-02 is in campaign dead-lithium-1"),
                (("--cells", "third.yaml", "--station", "other-station.yaml"), 2, "is not the station file"),
                (("--cells", "second.yaml", "--orchestrator"), 5, "another orchestrator runs here"),
            ):
                found, why = terminal.refused("run", PROTOCOL, "--simulate", *refusal)
                assert (found, words in why) == (code, True), why
            assert len(terminal.cells()) == 3, "what was refused left nothing"
        # Killed with two campaigns: files of either take up both.
        with running(shared, PROTOCOL, *second) as process:
            until(lambda: len(terminal.cells()) == 3, "both are taken up")
            with running(shared, PROTOCOL, *first) as again:
                assert "dead-lithium-1 runs there already" in again.stdout.readline()
                for cell in ("bare-01", "bare-02", "coated-01"):
                    terminal.ask("skip", cell=cell, user="ana", reason="enough of it")
                said, _ = again.communicate(timeout=60)
            assert (again.returncode, "dead-lithium-1 has ended: 2 cells finished" in said) == (0, True), said
            assert process.wait(60) == 0
        for name in ("dead-lithium-1", "dead-lithium-2"):
            assert (shared.folder / "results" / name / "analysis.json").is_file()
        starts = [
            one["test"]
            for one in terminal.laboratory_says("log", instrument="maccor")["log"]
            if one["event"] == "started"
        ]
        assert len(starts) == len(set(starts)) == 3
        over = shared.labctl("run", PROTOCOL, "--simulate", *first)
        assert (over.returncode, "has ended" in over.stderr, "--again" in over.stderr) == (0, True, True)
        with running(shared, PROTOCOL, *first, "--again"):
            until(
                lambda: terminal.ask("status").get("status", {}).get("campaign") == "dead-lithium-3", "another begins"
            )


def accelerated(shared, *arguments):
    ran = shared.labctl("run", PROTOCOL, "--simulate", "--accelerate", *arguments)
    assert "Traceback" not in ran.stderr
    return ran


def times(kept, step, status):
    return {row.cell: datetime.fromisoformat(row.times[status]) for row in kept.operations() if row.step == step}


def test_cells_start_staggered_and_a_held_one_does_not_hang_a_hurried_run(shared):
    staggered = cells_file(shared, "cells.yaml", "bare-01", "bare-02", bare_02={"start_after": "2 h"})
    assert accelerated(shared, *staggered).returncode == 0
    with journal(shared) as kept:
        begun = times(kept, "c000/01-rest", "running")
    assert 7200 <= (begun["bare-02"] - begun["bare-01"]).total_seconds() < 7300


def test_a_step_that_its_guard_time_ended_holds_its_cell_and_a_hurried_run_ends_with_it(shared):
    steps = (
        "steps:\n  - charge: {current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 1 h}\n  - rest: {duration: 1 h}\n"
    )
    shared.protocol.write_text(HEAD + steps)
    ran = accelerated(shared, *cells_file(shared, "cells.yaml", "bare-01"))
    assert (ran.returncode, "bare-01 is held" in ran.stderr) == (1, True), ran.stderr


def test_two_users_share_one_spectrometer_and_the_urgent_go_first(shared):
    shared.protocol.write_text(HEAD + SPECTRA)
    users = {f"bare_0{number}": {"user": "ana"} for number in (1, 2, 3)}
    users |= {"coated_01": {"user": "bo"}, "coated_02": {"user": "bo", "priority": 9}}
    names = ("bare-01", "bare-02", "bare-03", "coated-01", "coated-02")
    assert accelerated(shared, *cells_file(shared, "cells.yaml", *names, **users)).returncode == 0
    with journal(shared) as kept:
        leased = times(kept, "c000/02-nmr-pristine", "leased")
    order = sorted(leased, key=leased.__getitem__)
    # Who comes first has it at once; of those who wait, the urgent one is next.
    assert "coated-02" in order[:2], f"the urgent one first: {order}"
    assert order.index("coated-01") < 4, f"ana's three don't all go before bo's second: {order}"


@pytest.mark.parametrize("steps", [SPECTRA, LONG], ids=["ending in the probe", "ending on the cycler"])
def test_more_cells_than_channels_take_turns_where_channels_are_given_back(shared, steps):
    shared.protocol.write_text("channels: give_back\n" + (HEAD + steps).lstrip())
    shared.replace("station.yaml", "channels: 1-17", "channels: 1-2")
    shared.replace("station.yaml", ", leads: {maccor: 17}", "")
    shared.replace("station.yaml", "maccor: 1-8, zahner: {through: mux, relays: 101-108}", "maccor: 1-2")
    shared.replace("station.yaml", "cabinet: {count: 8", "cabinet: {count: 2")
    shared.replace("station.yaml", "  oven:    {count: 8, temperature: oven, leads: {maccor: 9-16}}\n", "")
    text = (shared.folder / "station.yaml").read_text()
    (shared.folder / "station.yaml").write_text(f"{text}  shelf:   {{count: 8, temperature: ambient}}\n")
    names = ("bare-01", "bare-02", "bare-03")
    files = cells_file(shared, "cells.yaml", *names)
    shared.replace("cells.yaml", "place: cabinet/1", "place: shelf/1")
    shared.replace("cells.yaml", "place: cabinet/2", "place: shelf/2")
    shared.replace("cells.yaml", "place: cabinet/3", "place: shelf/3")
    ran = accelerated(shared, *files)
    assert ran.returncode == 0, ran.stderr
    with journal(shared) as kept:
        assert [kept.place(cell) for cell in names] == ["shelf/1", "shelf/2", "shelf/3"]
        rests = [row for row in kept.operations() if row.step == "c000/01-rest"]
    assert {row.status for row in rests} == {Status.DONE}
    assert {one for row in rests for one in row.resources if one.startswith("maccor")} == {"maccor:1", "maccor:2"}
