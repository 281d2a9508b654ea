"""Steps that depend on what was measured: decided once, by the journal, whoever is killed meanwhile."""

from typing import Any

import pytest
from trouble import Scene, one_cell, play, reread

from labctl.journal import Journal, Status

BRANCHES = """
rest: {duration: 10 min}
when: {if: "voltage > 4 V", steps: [rest: {duration: 30 min}, mark: {as: full}], else: [mark: {as: not-full}]}
repeat: {until: "charge_capacity > 0.04 mAh", at_most: 4, steps: [charge: {current: 0.5 mA, until: {voltage: upper}, at_most: 5 min, on_timeout: continue}]}
repeat: {count: 2, steps: [rest: {duration: 5 min}]}
when: {if: "cycle == 0", steps: [mark: {as: before-the-first, note: "nothing was cycled yet"}]}
"""  # noqa: E501


def test_what_does_not_hold_is_left_out_and_says_why(laboratory):
    one_cell(laboratory, BRANCHES)

    async def script(scene: Scene) -> None:
        await scene.until_state("finished")
        assert [(row.step, row.status.value) for row in scene.rows()] == [
            ("c000/01-rest", "done"),
            ("c000/02-rest", "aborted"),
            ("c000/04-mark-not-full", "done"),
            ("c000/05-r1-charge", "done"),
            ("c000/05-r2-charge", "aborted"),
            ("c000/06-r1-rest", "done"),
            ("c000/06-r2-rest", "done"),
            ("c000/07-mark-before-the-first", "done"),
        ]
        assert "'voltage > 4 V' is false (voltage = 2.9" in scene.row("02-rest").error
        assert "'charge_capacity > 0.04 mAh' is true" in scene.row("r2-charge").error
        mark = scene.document(scene.row("mark-before-the-first"))
        assert mark["files"] == []
        assert mark["conditions"][0]["values"] == {"cycle": 0}
        assert mark["sample"] == {"id": "bare-01", "kind": "cell", "parents": []}
        assert any("nothing was cycled yet" in event.message for event in scene.journal.events(category="mark"))

    play(laboratory, script)


@pytest.mark.parametrize("instant", ["request", "aborted"])
def test_a_decision_is_made_once_whatever_instant_the_orchestrator_dies_at(laboratory, instant):
    one_cell(laboratory, BRANCHES)

    def dying(journal: Journal) -> None:
        """Die where the step that is left out is asked for, or right after the decision has been written."""
        write = getattr(journal, instant)

        def die(operation: str, *arguments: Any, **more: Any) -> Any:
            if operation.endswith("/02-rest/a1"):
                raise SystemExit("killed")
            return write(operation, *arguments, **more)

        setattr(journal, instant, die)

    async def nothing(scene: Scene) -> None:
        await scene.until_state("finished")

    with pytest.raises(SystemExit):
        play(laboratory, nothing, prepare=dying)
    journal = reread(laboratory)
    before = [row.result["decisions"] for row in journal.operations() if "decisions" in row.result]
    journal.close()
    assert len(before) == (1 if instant == "aborted" else 0)

    async def script(scene: Scene) -> None:
        await scene.until_state("finished")
        assert [row.attempt for row in scene.rows("02-rest")] == [1]
        assert scene.row("02-rest").result["skipped"]
        assert not scene.rows("mark-full")
        assert scene.row("mark-not-full").status is Status.DONE
        decided = [one["id"] for row in scene.rows() for one in row.result.get("decisions", ())]
        assert len(decided) == len(set(decided)) == 3
        if before:
            assert scene.row("02-rest").result["decisions"] == before[0]
        assert scene.starts(scene.row("02-rest")) == 0

    play(laboratory, script)


def test_a_cycle_ends_after_the_one_in_which_its_condition_has_come_true(laboratory):
    one_cell(
        laboratory,
        """
        cycle: {count: 5, until: "cycle >= 3", steps: [rest: {duration: 5 min}, rest: {duration: 5 min}]}
        mark: {as: after}
        pause: {as: enough, ask: "Enough?", answers: {"yes": continue}, at_most: 1 d}
        """,
    )

    async def script(scene: Scene) -> None:
        await scene.until_running("pause-enough")
        explained = await scene.explained()
        assert explained["last"]["step"] == "c005/03-mark-after"
        assert explained["next"] == []
        assert [row.step for row in scene.rows()] == [
            *(f"c00{cycle}/0{step}-rest" for cycle in (1, 2) for step in (1, 2)),
            "c003/01-rest",
            "c005/03-mark-after",
            "c005/04-pause-enough",
        ]
        assert scene.row("c003/01-rest").result["skipped"]
        assert scene.document(scene.row("after"))["cycle"] == 2, "it belongs to the cycle that was the last"

    play(laboratory, script, people=False)


def test_a_value_that_is_not_there_holds_the_cell_and_counts_neither_way(laboratory):
    one_cell(
        laboratory,
        """
        when: {if: "charge_capacity < 1 mAh", steps: [mark: {as: a}], else: [mark: {as: b}]}
        mark: {as: c}
        """,
    )

    async def script(scene: Scene) -> None:
        await scene.until_state("held")
        assert "'charge_capacity' is not known: nothing has been charged yet" in scene.reason()
        assert scene.rows() == []
        await scene.tell("resume")
        await scene.until(lambda: scene.state() == "held" and len(scene.journal.events(category="cell")) == 2)
        for _ in range(2):
            await scene.tell("skip")
        await scene.until_state("finished")

    play(laboratory, script)
