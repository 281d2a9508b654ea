"""The journal keeps every change of state, in its order, and lets nothing happen out of order."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labctl.engine.clock import WallClock
from labctl.errors import JournalError
from labctl.instruments import Confirmation
from labctl.journal import HELD, CampaignRow, Journal, LastWord, Status

LIFE = ["leased", "intent", "running", "fetched", "done"]


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "labctl.sqlite", WallClock())
    yield made
    made.close()


def request(journal, name="c/x/01/a1", token="x-1"):
    return journal.request(name, campaign="c", cell="x", step="01", kind="charge", attempt=1, token=token)


def enter(journal, status, name="c/x/01/a1"):
    arguments = {"leased": (["maccor:1"],), "running": ({"token": "x-1"},), "fetched": (name, {"capacity_C": 9.0})}
    return getattr(journal, status)(name, *arguments.get(status, ()))


def test_an_operation_lives_in_one_order_and_each_step_has_its_time(journal):
    request(journal)
    for status in LIFE:
        row = enter(journal, status)
        assert row.status == status
        assert (row.status in HELD) == (status != "done")
    assert list(row.times) == ["requested", *LIFE]
    assert row.result == {"capacity_C": 9.0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*LIFE, "failed", "aborted", "needs_operator"]), max_size=10))
@example(["leased", "needs_operator", "running"])
def test_no_order_of_calls_leads_past_a_step(tmp_path_factory, calls):
    journal = Journal(tmp_path_factory.mktemp("journal") / "labctl.sqlite", WallClock())
    request(journal)
    reached = ["requested"]
    for status in calls:
        try:
            if status in ("failed", "aborted", "needs_operator"):
                row = getattr(journal, status)("c/x/01/a1", "why")
            else:
                row = enter(journal, status)
        except JournalError:
            continue
        reached.append(row.status.value)
    # Only after a person was asked may the instrument be asked, or followed, once more.
    asked = reached.index("needs_operator") if "needs_operator" in reached else len(reached)
    seen = [
        status
        for n, status in enumerate(reached)
        if status in LIFE and not (n > asked and status in ("intent", "running") and status in reached[:n])
    ]
    assert seen == LIFE[: len(seen)]
    ended = [n for n, status in enumerate(reached) if status in ("done", "failed", "aborted")]
    assert not ended or ended == [len(reached) - 1]
    journal.close()


def test_asking_twice_is_asking_once(journal):
    first = request(journal)
    assert request(journal) == first
    assert len(journal.operations()) == 1


def test_a_token_is_never_used_twice(journal):
    request(journal)
    with pytest.raises(JournalError):
        request(journal, name="c/x/02/a1")


def test_a_lease_outlives_the_process_that_took_it(tmp_path):
    first = Journal(tmp_path / "labctl.sqlite", WallClock())
    request(first)
    enter(first, "leased")
    first.close()
    second = Journal(tmp_path / "labctl.sqlite", WallClock())
    assert [row.resources for row in second.held()] == [("maccor:1",)]
    second.close()


@pytest.mark.parametrize("end", ["failed", "aborted"])
def test_what_a_broken_off_operation_brought_outlives_the_process(tmp_path, end):
    first = Journal(tmp_path / "labctl.sqlite", WallClock())
    request(first)
    for status in ("leased", "intent", "running"):
        enter(first, status)
    getattr(first, end)("c/x/01/a1", "why", {"capacity_C": 4.5})
    kept = first.operation("c/x/01/a1")
    first.close()
    second = Journal(tmp_path / "labctl.sqlite", WallClock())
    assert second.operation("c/x/01/a1") == kept
    assert kept.result == {"capacity_C": 4.5}
    second.close()


def test_a_transfer_moves_its_cell_in_the_commit_that_ends_it(journal):
    row = CampaignRow("c", "simulated", {}, {}, journal.now(), None)
    journal.begin_campaign(row, {"x": "cabinet/1"})
    request(journal)
    for status in LIFE[:-1]:
        enter(journal, status)
    assert journal.places() == {"x": "cabinet/1"}
    journal.done("c/x/01/a1", place="probe/1")
    assert journal.places() == {"x": "probe/1"}


def test_a_confirmation_counts_once(journal):
    journal.confirm("t", Confirmation("x", "B1", "ana", "2025-01-01T00:00:00+00:00"))
    journal.confirm("t", Confirmation("x", "B1", "ben", "2025-01-01T00:01:00+00:00"))
    assert journal.confirmation("t").user == "ana"


def test_an_alarm_stands_until_it_is_cleared_and_is_not_raised_twice(journal):
    first = journal.alarm("warning", "no answer", instrument="maccor")
    assert journal.alarm("warning", "no answer", instrument="maccor") == first
    journal.clear_alarm(first)
    assert journal.alarms() == []
    assert len(journal.alarms(standing=False)) == 1


def test_what_is_no_journal_is_refused_in_words(tmp_path):
    path = tmp_path / "labctl.sqlite"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(JournalError, match="not a journal"):
        Journal(path, WallClock())


def test_looking_makes_no_journal(tmp_path):
    with pytest.raises(JournalError, match="no journal"):
        LastWord(tmp_path / "labctl.sqlite", WallClock())
    assert not list(tmp_path.iterdir())


def test_looking_into_what_is_no_journal_is_refused_in_words(tmp_path):
    path = tmp_path / "labctl.sqlite"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(JournalError, match="not a journal"):
        LastWord(path, WallClock())


def test_a_look_from_outside_sees_what_the_journal_has(journal):
    row = CampaignRow("c", "simulated", {"protocol": {"text": "x"}}, {"seed": 1}, journal.now(), None)
    journal.begin_campaign(row, {"x": "cabinet/1"})
    request(journal)
    for status in LIFE[:3]:
        enter(journal, status)
    journal.alarm("warning", "no answer", instrument="maccor")
    journal.clear_alarm(journal.alarm("warning", "late", cell="x"))
    journal.control("c", "x", state="held", wanted=None)
    look = LastWord(journal.path, WallClock())
    assert look.operations() == journal.operations()
    assert look.held() == journal.held()
    assert look.campaigns() == journal.campaigns()
    assert look.places() == journal.places()
    assert look.alarms() == journal.alarms()
    assert look.cell_states("c") == journal.cell_states("c")


def test_statuses_that_hold_something_are_those_of_the_architecture():
    assert {status.value for status in HELD} == {"leased", "intent", "running", "fetched", "needs_operator"}
    assert Status.DONE not in HELD
