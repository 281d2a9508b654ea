"""A full disk stops what must be written, loses nothing that was, and is over when there is room again.

The limit is real: the operating system refuses to let files of a process grow (POSIX), or the database its pages.
"""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from labctl.engine.clock import WallClock
from labctl.errors import NoRoom
from labctl.instruments import Confirmation
from labctl.journal import Journal, LastWord, Status

LIFE = ("leased", "intent", "running", "fetched", "done")


def request(journal, number):
    name = f"c/x/{number:04d}/a1"
    return journal.request(
        name, campaign="c", cell="x", step=f"{number:04d}", kind="charge", attempt=1, token=f"x-{number}"
    )


def enter(journal, status, name):
    arguments = {"leased": (["maccor:1"],), "running": ({"token": name},), "fetched": (name, {"capacity_C": 9.0})}
    return getattr(journal, status)(name, *arguments.get(status, ()))


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "labctl.sqlite", WallClock())
    yield made
    made.close()


def fill(journal):
    """Let the database take no further page, and use up those it has; give the operation that did not fit."""
    journal._store.pragma("max_page_count=1")  # SQLite takes the present size as the smallest limit
    for number in range(10_000):
        try:
            request(journal, number)
        except NoRoom:
            return f"c/x/{number:04d}/a1"
    raise AssertionError("it never filled")


def make_room(journal):
    journal._store.pragma("max_page_count=1000000")


def snapshot(journal):
    return (journal.operations(), journal.held(), journal.places(), journal.cell_rows("c"))


def test_what_did_not_fit_has_not_happened_in_memory_or_in_the_file(journal):
    missing = fill(journal)
    assert missing not in {row.operation for row in journal.operations()}
    look = LastWord(journal.path, WallClock())
    assert look.operations() == journal.operations()


@pytest.mark.parametrize(
    "change",
    [
        lambda journal: journal.leased("c/x/0000/a1", ["maccor:1" * 2_000]),
        lambda journal: journal.failed("c/x/0000/a1", "x" * 20_000),
        lambda journal: journal.control("c", "x", state="held", reason="x" * 20_000),
        lambda journal: journal.confirm("t", Confirmation("x", "B1" * 10_000, "ana", "now")),
    ],
    ids=["leased", "failed", "control", "confirm"],
)
def test_every_kind_of_change_says_that_there_is_no_room_and_changes_nothing(journal, change):
    fill(journal)
    before = snapshot(journal)
    with pytest.raises(NoRoom, match="make room"):
        change(journal)
    assert snapshot(journal) == before
    assert journal.confirmation("t") is None
    make_room(journal)
    change(journal)
    assert snapshot(journal) != before or journal.confirmation("t") is not None


def test_the_same_operation_goes_on_once_there_is_room(journal):
    name = fill(journal)
    make_room(journal)
    request(journal, int(name.split("/")[2]))
    for status in LIFE:
        enter(journal, status, name)
    path = journal.path
    with closing(Journal(path, WallClock())) as again:
        assert again.operation(name).status is Status.DONE
        assert list(again.operation(name).times) == ["requested", *LIFE]


def test_alarms_and_lines_of_a_full_disk_are_seen_at_once_and_written_when_there_is_room(journal):
    fill(journal)
    number = journal.alarm("trip", "no room on the disk " + "x" * 20_000)
    other = journal.alarm("warning", "late " + "x" * 20_000)
    journal.note("fault", "while it was full " + "x" * 20_000)
    journal.clear_alarm(other)
    assert [alarm.alarm for alarm in journal.alarms()] == [number]
    assert LastWord(journal.path, WallClock()).alarms(standing=False) == []
    make_room(journal)
    journal.note("journal", "there is room")
    look = LastWord(journal.path, WallClock())
    assert look.alarms(standing=False) == journal.alarms(standing=False)
    assert [event.message.split(" x")[0] for event in journal.events(last=4)] == [
        "no room on the disk",
        "late",
        "while it was full",
        "there is room",
    ]


def test_what_waits_for_room_is_bounded_and_the_loss_is_told(journal):
    fill(journal)
    for number in range(3_000):
        journal.note("fault", f"{number} " + "x" * 500)
    make_room(journal)
    journal.note("journal", "there is room")
    kept = [event.message.split(" x")[0] for event in journal.events(category="fault")]
    told = next(event.message for event in journal.events() if "were lost" in event.message)
    assert kept[-1] == "2999"
    assert len(kept) < 2_100
    assert len(kept) + int(told.split()[0]) == 3_000


def test_closing_writes_what_waited(journal):
    fill(journal)
    number = journal.alarm("trip", "no room " + "x" * 20_000)
    make_room(journal)
    path = journal.path
    journal.close()
    with closing(Journal(path, WallClock())) as again:
        assert [alarm.alarm for alarm in again.alarms()] == [number]


LIMITED = """
import json, resource, sys
from pathlib import Path
from labctl.engine.clock import WallClock
from labctl.errors import NoRoom
from labctl.journal import Journal

journal = Journal(Path("labctl.sqlite"), WallClock())
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
done, refused = [], []
for number in range(3_000):
    name = f"c/x/{number:04d}/a1"
    try:
        journal.request(name, campaign="c", cell="x", step="s", kind="charge", attempt=1, token=f"x-{number}")
        done.append(name)
    except NoRoom as error:
        refused.append(name)
        if len(refused) == 20:
            alarm = journal.alarm("trip", str(error))
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            break
seen = [alarm.message for alarm in journal.alarms()]
journal.request(refused[0], campaign="c", cell="x", step="s", kind="charge", attempt=1, token="late")
done.append(refused[0])
journal.leased(refused[0], ["maccor:1"])
print(json.dumps({"done": done, "refused": len(refused), "seen": seen}))
sys.stdout.flush()
import os
os._exit(0)  # as if killed: nothing is tidied up
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the operating system has no such limit")
def test_a_disk_that_was_full_for_a_while_costs_no_commit_that_was_made(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["refused"] == 20
    assert len(said["done"]) > 20
    with closing(Journal(tmp_path / "labctl.sqlite", WallClock())) as journal:
        assert [row.operation for row in journal.operations()] == said["done"]
        assert [row.operation for row in journal.held()] == said["done"][-1:]
        assert [alarm.message for alarm in journal.alarms()] == said["seen"]
