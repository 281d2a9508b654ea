"""A record that is killed in the middle of an append stays readable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="the processes that are killed are forks")
def test_two_hundred_kills_in_mid_append_at_300000_rows_leave_nothing_unreadable(tmp_path):
    program = Path(__file__).with_name("appending.py")
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "records.log"), "300000", "200", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["kills"] == 200
    assert (found["unreadable"], found["lost"], found["changed"]) == (0, 0, 0)
    assert found["whole"]
    assert found["records"] >= 300_000
    # Kills that never met a line in the making would have shown nothing.
    assert found["torn"] > 0
