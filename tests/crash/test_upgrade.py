"""A laboratory of an older labctl is opened, brought up to date, and goes on where it was."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from version_one import VERSION_TWO, unpack, write_journal

from labctl.engine.clock import WallClock
from labctl.errors import JournalError
from labctl.journal import Journal, LastWord, Status, migrations

LABCTL = (sys.executable, "-c", "from labctl.cli import main; main()")


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "labctl.sqlite"
    write_journal(path)
    return path


def ask(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_an_older_laboratory_goes_on_in_the_middle_of_its_campaign(tmp_path):
    unpack(tmp_path / "lab")
    before = LastWord(tmp_path / "lab" / "labctl.sqlite", WallClock())
    rows = {row.operation: row for row in before.operations()}
    assert {row.status for row in rows.values()} == {Status.REQUESTED, Status.RUNNING, Status.DONE}
    ran = subprocess.run(
        [*LABCTL, "run", "protocols/short.yaml", "--simulate", "--accelerate"],
        cwd=tmp_path / "lab",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    after = Journal(tmp_path / "lab" / "labctl.sqlite", WallClock())
    assert {row.state for row in after.cell_rows("short-1").values()} == {"finished"}
    assert {row.status for row in after.operations()} == {Status.DONE}
    for name, row in rows.items():
        found = after.operation(name)
        assert found.token == row.token
        # Nothing that had happened happened again.
        assert {status: found.times[status] for status in row.times} == row.times
    assert sum(row.kind == "nmr" for row in after.operations()) == 6
    assert after.campaigns()[0].ended is not None
    after.close()


def test_everything_that_an_old_journal_knew_is_known_after_the_upgrade(old):
    before = LastWord(old, WallClock())
    campaigns, operations, places = before.campaigns(), before.operations(), before.places()
    held = [row.operation for row in before.held()]
    lines = before.events()
    journal = Journal(old, WallClock())
    assert journal.campaigns() == campaigns
    assert journal.operations() == operations
    assert journal.places() == places
    assert [row.operation for row in journal.held()] == held
    assert journal.events()[: len(lines)] == lines
    assert "schema version 1 to 3" in journal.events()[-1].message
    journal.close()


def test_a_journal_of_the_second_version_loses_nothing_and_has_an_empty_outbox(tmp_path):
    path = tmp_path / "labctl.sqlite"
    write_journal(path, VERSION_TWO)
    before, old = LastWord(path, WallClock()), dump(path)
    known = [before.campaigns(), before.operations(), before.places(), before.cell_rows("short-1")]
    said, alarms, lines = before.command("k1"), before.alarms(standing=False), before.events()
    assert before.waiting() == []
    journal = Journal(path, WallClock())
    assert [journal.campaigns(), journal.operations(), journal.places(), journal.cell_rows("short-1")] == known
    assert {row.status for row in journal.held()} == {Status.FETCHED, Status.INTENT}
    assert journal.cell("short-1", "bare-02").state == "held"
    assert (journal.command("k1"), journal.alarms(standing=False)) == (said, alarms)
    assert journal.events()[: len(lines)] == lines
    assert journal.waiting() == []
    journal.close()
    assert dump(path.with_name("labctl.sqlite.v2.bak")) == old
    new = tmp_path / "new.sqlite"
    Journal(new, WallClock()).close()
    assert ask(path, "PRAGMA table_info(outbox)") == ask(new, "PRAGMA table_info(outbox)")


def test_cells_that_were_on_their_way_are_under_way_after_the_upgrade(old):
    journal = Journal(old, WallClock())
    rows = journal.cell_rows("short-1")
    journal.close()
    assert {cell: (row.state, row.wanted) for cell, row in rows.items()} == {
        "bare-01": ("under way", None),
        "bare-02": ("under way", None),
    }


def test_the_old_journal_is_kept_beside_the_new_one(old):
    before = dump(old)
    Journal(old, WallClock()).close()
    assert dump(old.with_name("labctl.sqlite.v1.bak")) == before
    assert ask(old, "SELECT value FROM laboratory WHERE key = 'schema'") == [("3",)]


def test_what_stood_only_in_the_write_ahead_log_is_in_the_copy_too(old):
    with closing(sqlite3.connect(old)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO positions VALUES ('late', 'cabinet/7', 'now')")
        writer.commit()
        Journal(old, WallClock()).close()
    assert ("late",) in ask(old.with_name("labctl.sqlite.v1.bak"), "SELECT cell FROM positions")


def test_an_upgrade_that_fails_half_way_leaves_the_old_journal(old, monkeypatch):
    before = dump(old)
    broken = (*migrations.MIGRATIONS[1], "ALTER TABLE nothing ADD COLUMN x TEXT")
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", {**migrations.MIGRATIONS, 1: broken})
        with pytest.raises(JournalError, match="nothing"):
            Journal(old, WallClock())
    assert dump(old) == before
    Journal(old, WallClock()).close()
    assert LastWord(old, WallClock()).version == 3


def test_an_upgraded_journal_has_the_tables_of_a_new_one(old, tmp_path):
    Journal(old, WallClock()).close()
    new = tmp_path / "new.sqlite"
    Journal(new, WallClock()).close()
    for table in ("operations", "cell_states", "commands", "alarms", "events", "campaigns", "confirmations", "outbox"):
        columns = [(name, kind) for _, name, kind, *_ in ask(new, f"PRAGMA table_info({table})")]
        assert [(name, kind) for _, name, kind, *_ in ask(old, f"PRAGMA table_info({table})")] == columns, table
    indices = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    assert ask(old, indices) == ask(new, indices)


@pytest.mark.parametrize("opened", [Journal, LastWord])
def test_a_journal_of_a_newer_labctl_is_refused_and_left_alone(old, opened):
    Journal(old, WallClock()).close()
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE laboratory SET value = '99' WHERE key = 'schema'")
        connection.commit()
    before = dump(old)
    with pytest.raises(JournalError, match=r"schema version 99.*versions 1 to 3.*newer"):
        opened(old, WallClock())
    assert dump(old) == before


def test_upgrading_is_done_once(old):
    Journal(old, WallClock()).close()
    copy = old.with_name("labctl.sqlite.v1.bak")
    copy.unlink()
    Journal(old, WallClock()).close()
    assert not copy.exists()
