"""Steps that depend on what was measured: decided once, by the journal, whoever is killed meanwhile."""

from trouble import Scene, one_cell, play

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
