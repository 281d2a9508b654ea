"""The status says how the laboratory is by its exit code, and never shows a dead orchestrator's values as live."""

import pytest

from labctl.cli.status import exit_code
from labctl.engine.clock import WallClock
from labctl.engine.status import status_report
from labctl.journal import CampaignRow, Journal, LastWord


@pytest.mark.parametrize(
    ("orchestrator", "alarms", "code"),
    [("running", [], 0), ("running", [{}], 7), ("not running", [], 3), ("not running", [{}], 3)],
)
def test_exit_codes(orchestrator, alarms, code):
    assert exit_code({"orchestrator": orchestrator, "alarms": alarms}) == code


def test_without_an_orchestrator_only_the_journal_speaks(tmp_path):
    journal = Journal(tmp_path / "labctl.sqlite", WallClock())
    journal.begin_campaign(CampaignRow("c-1", "live", {}, {}, journal.now(), None), {"x": "cabinet/1"}, ["x"])
    name = "c-1/x/c001/01-charge/a1"
    journal.request(name, campaign="c-1", cell="x", step="c001/01-charge", kind="charge", attempt=1, token="x-1")
    journal.leased(name, ["maccor:1", "cabinet/1"])
    journal.intent(name)
    journal.running(name, {"token": "x-1", "place": "1", "started": journal.now(), "data": {}})
    journal.alarm("warning", "no answer", cell="x", instrument="maccor")
    journal.close()
    report = status_report(LastWord(journal.path, WallClock()), ["c-1"])
    (cell,) = report["cells"]
    assert report["orchestrator"] == "not running"
    assert (cell["state"], cell["instrument"], cell["channel"]) == ("charging", "maccor", "1")
    assert cell["since"] is not None
    assert [cell[key] for key in ("voltage_V", "current_A", "capacity_mAh", "age_s", "expected_end")] == [None] * 5
    assert report["alarms"][0]["message"] == "no answer"
