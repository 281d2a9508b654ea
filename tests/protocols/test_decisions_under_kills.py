"""An orchestrator that is killed around decisions, questions, marks and samples: each is made, asked, written once.

Longer runs of the same: ``python -m benchmarks.kill --campaign decisions``.
"""

import sys

import pytest

from tests.crash.kill_harness import Setting, boundary_kills, undisturbed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a POSIX signal")

#: Where a decision, an answer, a line of the history or a sample could come about a second time.
AROUND = (
    "charge requested before",
    "charge requested after",
    "mark fetched before",
    "pause running after",
    "insert commands before",
    "insert commands after",
    "disassemble fetched before",
    "assemble running after",
)


@pytest.mark.timeout(300)
def test_what_was_decided_answered_marked_or_put_together_is_so_once_whenever_the_orchestrator_dies(tmp_path):
    setting = Setting(cells=1, cycles=1, seed=6, speed=1500, campaign="decisions")
    twin = undisturbed(setting, tmp_path / "undisturbed")
    assert twin.truths != {}
    outcome = boundary_kills(setting, tmp_path / "killed", twin, AROUND)
    assert outcome.problems == []
    assert outcome.kills == len(AROUND)
    assert outcome.decisions == len(twin.truths)
