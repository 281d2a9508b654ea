"""What people tell labctl is kept with who, when and why, and is carried out once however often it is said."""

from contextlib import closing

import pytest

from labctl.engine.clock import WallClock
from labctl.errors import JournalError
from labctl.instruments import Confirmation
from labctl.journal import CampaignRow, CellRow, CommandRow, Journal, LastWord


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "labctl.sqlite", WallClock())
    made.begin_campaign(CampaignRow("c", "simulated", {}, {}, made.now(), None), {"x": "p/1", "y": "p/2"}, ["x", "y"])
    yield made
    made.close()


def command(journal, id="1", op="hold", cell="x", **more):
    values = {"reason": "smells odd", "data": {"now": False}, "answer": {"cell": cell, "state": "under way"}, **more}
    return CommandRow(id, journal.now(), op, "c", cell, "ana", **values)


def test_cells_of_a_campaign_that_begins_are_under_way(journal):
    assert {cell: (row.state, row.wanted) for cell, row in journal.cell_rows("c").items()} == {
        "x": ("under way", None),
        "y": ("under way", None),
    }
    assert journal.cell_states("c") == {}


def test_a_wish_is_kept_with_its_command_and_reason_until_it_is_carried_out(journal):
    row = journal.control("c", "x", wanted="hold", reason="smells odd", by="ana", command=command(journal))
    assert (row.state, row.wanted, row.reason, row.by) == ("under way", "hold", "smells odd", "ana")
    row = journal.control("c", "x", state="held", wanted=None, reason="smells odd", by="ana")
    assert (row.state, row.wanted) == ("held", None)
    assert journal.cell_states("c") == {"x": "held"}
    assert [event.category for event in journal.events(cell="x")] == ["command", "cell"]
    assert "ana: hold x: smells odd" in journal.events(cell="x")[0].message


def test_what_is_left_out_stays_as_it_was(journal):
    journal.control("c", "x", wanted="stop", reason="full", by="ben")
    before = journal.cell_rows("c")["x"]
    assert journal.control("c", "x") == before
    assert journal.control("c", "x", wanted=None).reason == "full"
    assert journal.control("c", "x", state="held").reason == ""


def test_the_same_command_again_changes_nothing_and_has_the_same_answer(journal):
    journal.control("c", "x", wanted="hold", command=command(journal))
    journal.control("c", "x", state="held", wanted=None)
    journal.control("c", "x", state="under way", wanted="hold", command=command(journal))
    assert journal.cell_rows("c")["x"].state == "held"
    assert journal.command("1").answer == {"cell": "x", "state": "under way"}
    journal.remember(command(journal, answer={"other": True}))
    assert journal.command("1").answer == {"cell": "x", "state": "under way"}
    assert journal.command("2") is None


def test_a_confirmation_is_stored_with_the_command_it_came_by(journal):
    said = Confirmation("x", "B1", "ana", "2025-01-01T00:00:00+00:00")
    for _ in range(2):
        journal.confirm("t", said, command(journal, id="7", op="confirm"))
    assert journal.confirmation("t") == said
    assert journal.command("7").op == "confirm"
    assert len(journal.events(category="confirmation")) == 1


@pytest.mark.parametrize("wrong", [{"state": "asleep"}, {"wanted": "dance"}])
def test_only_known_states_and_wishes_are_taken(journal, wrong):
    before = journal.cell_rows("c")
    with pytest.raises(JournalError, match="there are"):
        journal.control("c", "x", **wrong, command=command(journal))
    assert journal.cell_rows("c") == before
    assert journal.command("1") is None


def test_what_people_said_outlives_the_process(journal):
    journal.control("c", "x", wanted="hold now", reason="hot", by="ana", command=command(journal))
    number = journal.alarm("warning", "no answer", cell="x")
    journal.acknowledge(number, "ana")
    rows, alarms = journal.cell_rows("c"), journal.alarms()
    journal.close()
    with closing(Journal(journal.path, WallClock())) as again:
        assert again.cell_rows("c") == rows
        assert again.alarms() == alarms
        assert again.command("1").data == {"now": False}
        look = LastWord(journal.path, WallClock())
        assert look.cell_rows("c") == rows
        assert look.alarms() == alarms
        assert look.command("1") == again.command("1")


def test_an_acknowledged_alarm_stands_and_a_reset_one_does_not(journal):
    number = journal.alarm("trip", "too hot", cell="x")
    seen = journal.acknowledge(number, "ana")
    assert (seen.by, seen.cleared) == ("ana", None)
    assert journal.acknowledge(number, "ben") == seen
    assert [alarm.alarm for alarm in journal.alarms()] == [number]
    gone = journal.reset(number, "ben")
    assert (gone.by, gone.acknowledged) == ("ben", seen.acknowledged)
    assert journal.reset(number, "cem") == gone
    assert journal.alarms() == []
    assert journal.alarm("trip", "too hot", cell="x") != number


def test_an_alarm_that_is_none_can_not_be_acknowledged_or_reset(journal):
    for act in (journal.acknowledge, journal.reset):
        with pytest.raises(JournalError, match="no alarm 5"):
            act(5, "ana")


def test_history_is_followed_by_its_numbers_and_seen_alike_from_outside(journal):
    journal.note("clock", "the clock jumped", data={"seconds": 3600.0})
    last = journal.events()[-1].id
    journal.note("fault", "gone", cell="x", instrument="maccor")
    journal.note("fault", "gone", cell="y")
    look = LastWord(journal.path, WallClock())
    for asked in ({}, {"since": last}, {"cell": "x"}, {"category": "fault", "last": 1}, {"category": "clock"}):
        assert look.events(**asked) == journal.events(**asked)
    assert [event.cell for event in journal.events(since=last)] == ["x", "y"]
    assert [event.cell for event in journal.events(category="fault", last=1)] == ["y"]
    assert journal.events(category="clock")[0].data == {"seconds": 3600.0}
    numbers = [event.id for event in journal.events()]
    assert numbers == sorted(set(numbers))


def test_a_cell_nobody_spoke_of_has_no_row_and_is_under_way(journal):
    assert "z" not in journal.cell_rows("c")
    row = journal.control("c", "z", wanted="skip")
    assert isinstance(row, CellRow)
    assert row.state == "under way"
