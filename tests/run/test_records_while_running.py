"""Records are kept while a step runs: a crash finds them in the record file, and the end of the step makes it whole."""

import asyncio

import pytest
from laboratory_folder import Laboratory
from trouble import Scene, one_cell, play

from labctl.journal import Status
from labctl.results import RecordWriter, keep_records, read_records

UP = "charge: {current: 0.5 mA/cm2, until: {voltage: upper}, at_most: 16 h}"


@pytest.fixture
def laboratory(tmp_path) -> Laboratory:
    return Laboratory(tmp_path / "lab")


def log_of(scene: Scene, row):
    return scene.bundle(row) / "records.log"


def truth(scene: Scene, row) -> int:
    """The number of the tester's last record of an operation."""
    (found,) = [one["records"] for one in scene.log("maccor", "completed") if one["test"] == row.token]
    return found


def written_in_one_go(folder, row, found) -> bytes:
    """What the record file of these records is where it is written at the end, all at once."""
    folder.mkdir()
    (folder / "records.csv").write_text(found.csv())
    keep_records(folder, row.operation)
    return (folder / "records.log").read_bytes()


def test_a_step_that_was_let_go_and_taken_up_again_has_one_whole_record_file(laboratory, tmp_path):
    one_cell(laboratory, UP)
    seen: list[list[int]] = []

    async def first(scene: Scene) -> None:
        row = await scene.until_running("charge")
        for _ in range(2):
            await asyncio.sleep(3900)
            seen.append(read_records(log_of(scene, row)).numbers())
        # As by a kill in the middle of an append.
        with log_of(scene, row).open("ab") as file:
            file.write(b"7012,25000.0,1,3.9")

    async def second(scene: Scene) -> None:
        row = await scene.until_running("charge")
        await asyncio.sleep(3900)
        seen.append(read_records(log_of(scene, row)).numbers())
        assert scene.find("charge", "bare-01", Status.RUNNING)
        await scene.until_state("finished")
        row = scene.row("charge")
        found = read_records(log_of(scene, row))
        assert found.numbers() == list(range(1, truth(scene, row) + 1))
        assert (found.operation, found.torn) == (row.operation, 0)
        assert log_of(scene, row).read_bytes() == written_in_one_go(tmp_path / "whole", row, found)
        assert [file["name"] for file in scene.document(row)["files"] if file["name"].startswith("records")] == [
            "records.log",
            "records.parquet",
        ]
        assert scene.starts(row) == 1
        assert scene.journal.alarms() == []

    play(laboratory, first)
    play(laboratory, second)
    lengths = [len(numbers) for numbers in seen]
    assert 0 < lengths[0] < lengths[1] < lengths[2]
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)


def test_records_that_the_tester_takes_back_are_set_aside_and_said(laboratory):
    one_cell(laboratory, UP)

    async def first(scene: Scene):
        row = await scene.until_running("charge")
        await asyncio.sleep(3900)
        return row, log_of(scene, row)

    async def second(scene: Scene) -> None:
        await scene.until_state("finished")
        row = scene.row("charge")
        assert read_records(log_of(scene, row)).numbers() == list(range(1, truth(scene, row) + 1))
        names = [file["name"] for file in scene.document(row)["files"]]
        assert "records-set-aside.log" in names
        assert read_records(scene.bundle(row) / "records-set-aside.log").rows()[0].voltage_V == 1.0
        messages = [alarm.message for alarm in scene.journal.alarms()]
        assert any("records-set-aside.log" in alarm for alarm in messages)

    row, log = play(laboratory, first)
    kept = read_records(log).rows()
    log.unlink()
    with RecordWriter(log, row.operation) as writer:
        writer.append([kept[0]._replace(voltage_V=1.0), *kept[1:]])
    play(laboratory, second)


def test_an_export_that_is_not_understood_for_now_stops_nothing(laboratory):
    one_cell(laboratory, UP)

    async def script(scene: Scene) -> None:
        row = await scene.until_running("charge")
        (export,) = (laboratory.folder / "simulated" / "maccor-export").glob(f"{row.token}.*")
        whole = export.read_bytes()
        export.write_bytes(whole.replace(b"Amps", b"mAmps"))
        await asyncio.sleep(3600)
        notes = [event.message for event in scene.journal.events(category="records")]
        assert len(notes) == 1
        assert "records can't be kept for now" in notes[0]
        assert "unknown heading" in notes[0]
        export.write_bytes(export.read_bytes().replace(b"mAmps", b"Amps"))
        await scene.until_state("finished")
        assert read_records(log_of(scene, row)).numbers() == list(range(1, truth(scene, row) + 1))

    play(laboratory, script)
