"""A journal that can't be believed is refused when it is opened, in words, and nothing is written into it."""

import sqlite3
from contextlib import closing

import pytest

from labctl.engine.clock import WallClock
from labctl.errors import JournalError
from labctl.journal import Journal, Status

LIFE = ("leased", "intent", "running", "fetched", "done")


def run(journal, cell, number, *, until="done"):
    name = f"c/{cell}/{number:03d}/a1"
    journal.request(
        name, campaign="c", cell=cell, step=f"{number:03d}", kind="charge", attempt=1, token=f"{cell}-{number}"
    )
    values = {"leased": ([f"maccor:{cell}", "oven=313.15 K"],), "running": ({"token": name},)}
    values["fetched"] = (name, {"number": number})
    for status in LIFE[: LIFE.index(until) + 1]:
        getattr(journal, status)(name, *values.get(status, ()))
    return name


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "labctl.sqlite"
    with closing(Journal(path, WallClock())) as journal:
        run(journal, "1", 1, until="running")
        run(journal, "2", 1, until="running")
        for number in range(2, 40):
            journal.note("fault", "x" * 2_000, data={"number": number})
    return path


def change(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def test_cells_that_share_a_temperature_are_no_contradiction(path):
    with closing(Journal(path, WallClock())) as journal:
        assert len(journal.held()) == 2


@pytest.mark.parametrize("resources", ['["maccor:2"]', '["oven=298.15 K"]'])
def test_a_resource_that_is_held_twice_is_refused_by_name(path, resources):
    change(path, "UPDATE operations SET resources = ? WHERE cell = '1'", resources)
    with pytest.raises(JournalError, match=r"c/1/001/a1 and c/2/001/a1 both hold (maccor:2|oven)"):
        Journal(path, WallClock())


def test_a_status_that_is_none_is_refused_by_name(path):
    change(path, "UPDATE operations SET status = 'dreaming' WHERE cell = '1'")
    with pytest.raises(JournalError, match=r"c/1/001/a1.*dreaming"):
        Journal(path, WallClock())


def test_a_row_that_is_not_json_is_refused(path):
    change(path, "UPDATE operations SET handle = '{half' WHERE cell = '1'")
    with pytest.raises(JournalError, match="not a journal that can be used"):
        Journal(path, WallClock())


def test_a_damaged_page_is_refused(path):
    content = bytearray(path.read_bytes())
    for start in range(4096 * 20, len(content) - 4096, 4096):
        content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged|malformed|can be used"):
        Journal(path, WallClock())
    assert path.read_bytes() == bytes(content)


def test_somebody_else_who_writes_is_noticed(path):
    with closing(Journal(path, WallClock())) as journal:
        change(path, "UPDATE operations SET status = 'fetched' WHERE cell = '1'")
        with pytest.raises(JournalError, match="somebody else"):
            journal.fetched("c/1/001/a1", "b", {})


def test_what_ended_long_ago_is_told_in_full_before_and_after_a_restart(tmp_path):
    path = tmp_path / "labctl.sqlite"
    with closing(Journal(path, WallClock())) as journal:
        names = [run(journal, "1", number) for number in range(30)]
        names.append(run(journal, "1", 30, until="intent"))
        before = [journal.operation(name) for name in names]
        assert [row.result.get("number") for row in before[:-1]] == list(range(30))
        assert all(list(row.times) == ["requested", *LIFE] for row in before[:-1])
        assert journal.reached("c", "1") == {row.step: row.status for row in before}
        fence = before[-1].fence
    with closing(Journal(path, WallClock())) as again:
        assert again.reached("c", "1") == {row.step: row.status for row in before}
        assert [row.operation for row in again.held()] == names[-1:]
        assert again.operations(campaign="c", cell="1") == before
        assert again.operations(cell="1", status={Status.INTENT}) == before[-1:]
        assert again.request(
            names[0], campaign="c", cell="1", step="000", kind="charge", attempt=1, token="new"
        ) == before[0]  # fmt: skip
        another = run(again, "2", 1, until="leased")
        assert again.operation(another).fence > fence
        assert list(before[0].times) == ["requested", *LIFE]
