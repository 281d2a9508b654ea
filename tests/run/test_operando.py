"""A cell is charged in the probe while spectra are taken: every one is known by the charge that had passed."""

import csv
import json
from datetime import datetime

import numpy as np
import polars
import pytest
from laboratory_folder import Laboratory
from trouble import Scene, one_cell, play

from labctl.cli.running import RunRequest, run
from labctl.journal import Status

AHEAD_S = 42.0
SHORT = """
operando: {as: plating, current: 2 mA/cm2, until: {voltage: upper}, at_most: 4 h, experiment: quick, pauses: PAUSES}
""".replace("PAUSES", "{every: 20 min, experiment: slow}")
SP150E = "{driver: biologic, address: 192.0.2.20, channels: 1, model: SP-150e, simulate: {model: SP-150e, channels: 1}}"
EXPERIMENTS = """
experiments:
  quick: {nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 128, recycle_delay: 3 s, dwell_time: 1 us,
          points: 2048, pulse: {flip: 90 deg, power: 80 W}}
  slow: {nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 256, recycle_delay: 4 s, dwell_time: 1 us,
         points: 2048, pulse: {flip: 90 deg, power: 80 W}}
"""


def stamps(folder):
    with (folder / "stamps.csv").open() as file:
        return list(csv.DictReader(file))


class Truth:
    """When the cycler's program ran, and what its records say, seen from the laboratory itself."""

    def __init__(self, lab, folder, token, cycler="maccor") -> None:
        self._lab = lab
        moves = [
            (entry["t"], entry["event"])
            for entry in lab.records(cycler)
            if cycler != "maccor" or entry.get("test") == token
        ]
        self._on = [t for t, event in moves if event in ("started", "resumed")]
        self._off = [t for t, event in moves if event in ("suspended", "completed", "ended")]
        table = polars.read_parquet(folder / "records.parquet")
        self.numbers = table["Record Number / 1"].to_list()
        self.times = table["Test Time / s"].to_numpy()
        self.current = table["Current / A"].to_numpy()

    def charge(self, t: float) -> float:
        """Integrate the records' current up to a time of the laboratory."""
        elapsed = sum(min(t, off) - on for on, off in zip(self._on, self._off, strict=True) if t > on)
        steps = np.diff(self.times) * (self.current[1:] + self.current[:-1]) / 2
        passed = np.concatenate(([0.0], np.cumsum(steps)))
        return float(np.interp(elapsed, self.times, passed))

    def acquired(self):
        """Give token, begin and end of every acquisition, in the laboratory's time."""
        begins = {
            entry["dataset"]: entry["t"] for entry in self._lab.records("topspin") if entry["event"] == "acquiring"
        }
        return {
            entry["dataset"].split("/")[-2]: (begins[entry["dataset"]], entry["t"])
            for entry in self._lab.records("topspin")
            if entry["event"] == "acquired"
        }


def clock_ahead(laboratory: Laboratory, ahead: float = AHEAD_S) -> None:
    """Let the spectrometer's clock be ahead."""
    laboratory.replace("station.yaml", "{driver: bruker,", f"{{driver: bruker, simulate: {{clock_ahead_s: {ahead}}},")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The shipped protocol as it stands, in virtual time, the spectrometer's clock 42 s ahead."""
    laboratory = Laboratory(tmp_path_factory.mktemp("operando") / "lab")
    clock_ahead(laboratory)
    simulations = []
    request = RunRequest(
        laboratory.folder,
        laboratory.folder / "protocols" / "operando.yaml",
        laboratory.folder / "station.yaml",
        laboratory.folder / "cells-operando.yaml",
        simulate=True,
        accelerate=True,
        seed=3,
    )
    outcome = run(request, on_simulation=simulations.append)
    assert outcome.states == {"plated-01": "finished"}
    (folder,) = (laboratory.folder / "results").rglob("02-operando-plating/a1")
    document = json.loads((folder / "operation.json").read_text())
    return folder, document, Truth(simulations[0].laboratory, folder, document["token"]), simulations[0].laboratory


def test_one_command_gives_seven_long_and_at_least_twenty_four_short_spectra(ran):
    folder, document, _, lab = ran
    rows = stamps(folder)
    long = [row for row in rows if row["sort"] in ("pause", "end")]
    short = [row for row in rows if row["sort"] == "during"]
    assert len(long) == 7
    assert len(short) >= 24
    assert {float(row["flowing"]) for row in long} == {0.0}
    assert all(float(row["flowing"]) == 1.0 for row in short[:24])
    took = [datetime.fromisoformat(row["ended_utc"]) - datetime.fromisoformat(row["started_utc"]) for row in rows]
    minutes = {row["sort"]: took[index].total_seconds() / 60 for index, row in enumerate(rows)}
    assert minutes["during"] == pytest.approx(29.6, abs=0.2)
    assert minutes["pause"] == pytest.approx(138.8, abs=0.2)
    assert lab.violations == []
    assert document["summary"]["spectra"] == {"during": len(short), "pause": 6, "end": 1}


def test_charge_stamps_agree_with_the_cyclers_record_within_a_thousandth(ran):
    folder, _, truth, _ = ran
    acquired = truth.acquired()
    for row in stamps(folder):
        began, over = acquired[row["token"]]
        for when, at in (("start", began), ("middle", (began + over) / 2), ("end", over)):
            assert float(row[f"charge_{when}_C"]) == pytest.approx(truth.charge(at), rel=1e-3, abs=1e-5)
        assert float(row["clock_offset_s"]) == pytest.approx(AHEAD_S, abs=0.1)


def test_the_stamps_rest_on_every_record_of_the_cycler(ran):
    _, document, truth, lab = ran
    (completed,) = (
        entry for entry in lab.records("maccor") if entry["event"] == "completed" and entry["test"] == document["token"]
    )
    assert truth.numbers == list(range(1, completed["records"] + 1))
    told = document["summary"]["stamps"]
    assert (told["first_record"], told["last_record"]) == (1, completed["records"])
    assert told["clock_gaps"] == 0


def test_one_bundle_holds_the_record_the_stamps_and_every_spectrum(ran):
    folder, document, _, _ = ran
    listed = {entry["name"] for entry in document["files"]}
    assert {"records.parquet", "records.log", "stamps.csv", "looks.csv"} <= listed
    for row in stamps(folder):
        assert f"{row['folder']}/operation.json" in listed
        inner = json.loads((folder / row["folder"] / "operation.json").read_text())
        assert inner["token"] == row["token"]
        assert (folder / row["folder"] / row["token"] / "1" / "fid").is_file()
        assert inner["asked"]["receiver_gain"] is not None or row["spectrum"] == "1"


def short(laboratory: Laboratory) -> None:
    """An operando charge of little more than an hour, with a pause every 20 minutes."""
    one_cell(laboratory, SHORT)
    clock_ahead(laboratory)
    laboratory.protocol.write_text(laboratory.protocol.read_text() + EXPERIMENTS)


def with_a_potentiostat(laboratory: Laboratory) -> None:
    """The same, with the channel of a small BioLogic instrument at the probe instead of the tester's."""
    short(laboratory)
    laboratory.replace("station.yaml", "leads: {maccor: 17}", "leads: {sp: 1}")
    laboratory.replace("station.yaml", "  topspin:", f"  sp: {SP150E}\n  topspin:")


def spectra(scene: Scene, *statuses: Status):
    return [row for row in scene.rows() if row.kind == "spectrum" and (not statuses or row.status in statuses)]


def of_sort(scene: Scene, sort: str, *statuses: Status):
    return [row for row in spectra(scene, *statuses) if row.result["sort"] == sort]


def test_cycler_and_spectrometer_are_under_one_lease_and_nothing_is_started_twice_after_restarts(laboratory):
    short(laboratory)

    async def in_a_short_one(scene: Scene) -> None:
        await scene.until(lambda: len(of_sort(scene, "during", Status.DONE)) == 1)
        await scene.until(lambda: of_sort(scene, "during", Status.RUNNING))
        assert {"topspin", "maccor:17", "probe/1"} <= set(scene.row("operando-plating").resources)

    async def before_the_long_one(scene: Scene) -> None:
        await scene.until(lambda: len(of_sort(scene, "during", Status.DONE)) == 3)
        # The spectrometer is away just when the cycler has been suspended for it.
        scene.lab.inject("topspin", "drop-before", count=60)
        await scene.until(lambda: scene.log("maccor", "suspended"), every=1.0)
        assert of_sort(scene, "pause")
        assert not of_sort(scene, "pause", Status.RUNNING)

    async def in_a_long_one(scene: Scene) -> None:
        await scene.until(lambda: of_sort(scene, "pause", Status.RUNNING))
        assert scene.is_open()

    async def to_the_end(scene: Scene) -> None:
        await scene.until_state("finished")
        row = scene.row("operando-plating")
        assert scene.starts(row) == 1
        begun = [entry["dataset"] for entry in scene.log("topspin", "acquiring")]
        assert len(begun) == len(set(begun)) == 1 + len(spectra(scene))
        assert {one.status for one in spectra(scene)} == {Status.DONE}
        assert {one.attempt for one in spectra(scene)} == {1}
        pauses = len(of_sort(scene, "pause"))
        assert len(scene.log("maccor", "suspended")) == len(scene.log("maccor", "resumed")) == pauses == 3
        assert len(of_sort(scene, "end")) == 1
        assert scene.lab.violations == []
        truth = Truth(scene.lab, scene.bundle(row), row.token)
        for stamp in stamps(scene.bundle(row)):
            began, over = truth.acquired()[stamp["token"]]
            middle = truth.charge((began + over) / 2)
            assert float(stamp["charge_middle_C"]) == pytest.approx(middle, rel=1e-3)

    for script in (in_a_short_one, before_the_long_one, in_a_long_one, to_the_end):
        play(laboratory, script)


def test_a_spectrum_that_comes_to_nothing_suspends_the_cycler_and_holds_the_cell(laboratory):
    short(laboratory)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: of_sort(scene, "during", Status.RUNNING))
        scene.lab.break_down("topspin", "stopped")
        await scene.until_state("held")
        assert "s001" in scene.reason()
        assert scene.is_open()
        assert scene.row("operando-plating").status is Status.RUNNING
        assert len(scene.log("maccor", "suspended")) == 1
        await scene.tell("resume")
        await scene.until(lambda: of_sort(scene, "pause", Status.RUNNING))
        # A person's hold and resume in a pause lets no current flow into its spectrum.
        await scene.tell("hold", now=True)
        await scene.until_state("held")
        await scene.tell("resume")
        await scene.until_state("under way")
        assert scene.is_open()
        await scene.until_state("finished")
        assert [row.attempt for row in spectra(scene)[:2]] == [1, 2]
        assert len(spectra(scene, Status.FAILED)) == 1
        assert scene.lab.violations == []
        assert all(
            float(row["flowing"]) == 0.0
            for row in stamps(scene.bundle(scene.row("operando-plating")))
            if row["sort"] == "pause"
        )

    play(laboratory, script)


def test_a_fault_of_the_cycler_ends_the_acquisition_and_what_was_taken_is_stamped(laboratory):
    short(laboratory)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: len(of_sort(scene, "during", Status.DONE)) == 2)
        await scene.until(lambda: of_sort(scene, "during", Status.RUNNING))
        scene.lab.break_down("maccor", "problem", channel=17, code=254)
        await scene.until_state("held")
        row = scene.row("operando-plating")
        assert row.status is Status.FAILED
        assert scene.is_open()
        assert spectra(scene)[-1].status is Status.ABORTED
        assert scene.log("topspin", "command")[-1]["command"] == "halt"
        assert len(stamps(scene.bundle(row))) == 2
        assert scene.document(row)["status"] == "failed"
        assert row.operation not in {one.operation for one in scene.journal.held()}

    play(laboratory, script)


def test_a_potentiostat_charges_as_a_tester_does_and_is_taken_up_again_in_a_pause(laboratory):
    with_a_potentiostat(laboratory)

    async def in_the_second_long_one(scene: Scene) -> None:
        await scene.until(lambda: len(of_sort(scene, "pause", Status.DONE)) == 1)
        await scene.until(lambda: of_sort(scene, "pause", Status.RUNNING))
        assert scene.is_open()
        assert {"topspin", "sp:1", "probe/1"} <= set(scene.row("operando-plating").resources)

    async def to_the_end(scene: Scene) -> None:
        await scene.until_state("finished")
        row = scene.row("operando-plating")
        truth = Truth(scene.lab, scene.bundle(row), row.token, "sp")
        assert truth.numbers == list(range(1, len(truth.numbers) + 1))
        acquired, found = truth.acquired(), stamps(scene.bundle(row))
        assert {stamp["token"] for stamp in found} == {one.token for one in spectra(scene)}
        for stamp in found:
            began, over = acquired[stamp["token"]]
            for when, at in (("start", began), ("middle", (began + over) / 2), ("end", over)):
                assert float(stamp[f"charge_{when}_C"]) == pytest.approx(truth.charge(at), rel=1e-3, abs=1e-5)
        # Current flows for as long between two pauses as with a tester, whose clock stands in them.
        pauses = [float(stamp["started_s"]) for stamp in found if stamp["sort"] == "pause"]
        assert pauses == pytest.approx([1200.0 * (n + 1) for n in range(len(pauses))], rel=0.02)
        assert len(pauses) == 3
        assert len(scene.log("sp", "started")) == 1 + len(pauses)
        assert row.result["integrated_C"] == pytest.approx(row.result["capacity_C"], rel=1e-3)
        assert row.result["current_ended"]
        assert scene.lab.violations == []

    for script in (in_the_second_long_one, to_the_end):
        play(laboratory, script)


def test_a_persons_abort_leaves_neither_current_nor_acquisition_though_the_line_is_down_at_first(laboratory):
    with_a_potentiostat(laboratory)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: of_sort(scene, "during", Status.RUNNING))
        assert not scene.is_open()
        scene.lab.inject("sp", "drop-before", count=30)
        await scene.tell("abort")
        await scene.until_state("aborted")
        assert scene.row("operando-plating").status is Status.ABORTED
        assert scene.is_open()
        assert scene.log("topspin", "command")[-1]["command"] == "halt"
        assert scene.lab.violations == []

    play(laboratory, script)
