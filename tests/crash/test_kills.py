"""Whatever instant the orchestrator is killed at: nothing is started twice, nothing is lost, the result is the same.

Longer runs of the same: ``python -m benchmarks.kill``.
"""

import sys

import pytest
from kill_harness import Setting, boundaries, boundary_kills, random_kills, undisturbed

pytestmark = [
    pytest.mark.protocols,
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a POSIX signal"),
]


@pytest.mark.timeout(600)
def test_orchestrators_killed_at_random_instants_leave_the_campaign_as_if_nothing_had_happened(tmp_path):
    kills, seed = 0, 5
    # One campaign takes them all, unless this machine is so busy that it is over before.
    while kills < 20:
        setting = Setting(cells=3, cycles=1, seed=seed, speed=1000)
        twin = undisturbed(setting, tmp_path / f"undisturbed-{seed}")
        outcome = random_kills(setting, tmp_path / f"killed-{seed}", twin, 20 - kills)
        assert outcome.problems == []
        assert outcome.kills > 0
        assert outcome.records > 0
        kills, seed = kills + outcome.kills, seed + 1


@pytest.mark.timeout(600)
def test_an_orchestrator_killed_right_before_and_after_its_commits_goes_on_where_it_was(tmp_path):
    setting = Setting(cells=1, cycles=1, seed=6, speed=1000)
    twin = undisturbed(setting, tmp_path / "undisturbed")
    # Where an instrument has been told and the journal may not know, for one kind of each instrument and a person.
    wanted = [
        *boundaries(("charge", "nmr", "eis", "transfer"), ("intent", "running")),
        *("update campaigns before", "update campaigns after"),
    ]
    outcome = boundary_kills(setting, tmp_path / "killed", twin, wanted)
    assert outcome.problems == []
    assert outcome.kills == len(wanted)
