"""Questions, samples and values that people answer for: they stand until somebody does, and count once."""

import pytest
from trouble import Asked, Scene, one_cell, play

from labctl.journal import Status

ASKING = """
pause: {as: ready, ask: "Is the electrode back?", answers: {"yes": continue, "no": end, "unsure": hold}, at_most: 3 d}
when: {if: "answer.ready == 'yes'", steps: [measure: {as: weight, what: mass of the electrode, kind: mass}]}
disassemble: {as: apart, gives: [negative, positive], note: in the glovebox}
assemble: {as: rebuilt, from: [negative, positive]}
when: {if: "measured.weight > 10 mg", steps: [mark: {as: heavy}], else: [mark: {as: light}]}
"""


def test_what_people_are_asked_waits_for_their_word_and_counts_once(laboratory):
    one_cell(laboratory, ASKING)

    async def script(scene: Scene) -> None:
        await scene.until_running("pause-ready")
        explained = await scene.explained()
        assert "Is the electrode back?" in explained["doing"]
        assert "labctl confirm bare-01 --answer 'yes'" in explained["advice"]
        assert explained["waits_for"] == "a person who does it and confirms"
        shown = (await scene.ask("status"))["status"]["cells"][0]
        assert shown["state"] == "question to the operator"
        assert "Is the electrode back?" in shown["waits_for"]
        for wrong in ({}, {"answer": "perhaps"}, {"answer": "yes", "barcode": "B0002"}):
            with pytest.raises(Asked) as refused:
                await scene.ask("confirm", cell="bare-01", user="ana", **wrong)
            assert refused.value.code == 8
        told = [await scene.ask("confirm", cell="bare-01", user="ana", answer="yes", id="one") for _ in range(2)]
        assert told[0]["will"] == told[1]["will"] == "bare-01: 'yes' was answered, it goes on"
        await scene.until_running("measure-weight")
        with pytest.raises(Asked, match="not a unit of mass"):
            await scene.ask("confirm", cell="bare-01", value="12 mV")
        await scene.ask("confirm", cell="bare-01", value="12.3 mg")
        for step in ("disassemble-apart", "assemble-rebuilt"):
            await scene.until_running(step)
            with pytest.raises(Asked):
                await scene.ask("confirm", cell="bare-01")
            await scene.ask("confirm", cell="bare-01", barcode="B0001")
        await scene.until_state("finished")
        assert scene.rows("mark-heavy")[0].status is Status.DONE
        assert not scene.rows("mark-light")
        answered = scene.document(scene.row("pause-ready"))
        assert answered["summary"]["answer"] == "yes"
        assert answered["summary"]["user"] == "ana"
        weight = scene.document(scene.row("measure-weight"))["summary"]
        assert weight["written"] == "12.3 mg"
        assert weight["value"] == pytest.approx(12.3e-6)
        made = scene.document(scene.row("mark-heavy"))["sample"]
        assert made == {
            "id": "bare-01-rebuilt",
            "kind": "cell",
            "parents": ["bare-01-negative", "bare-01-positive"],
        }

    play(laboratory, script, people=False)


@pytest.mark.parametrize(("answer", "state"), [("no", "finished"), ("unsure", "held")])
def test_an_answer_may_end_the_cell_or_have_it_held(laboratory, answer, state):
    one_cell(laboratory, ASKING)

    async def script(scene: Scene) -> None:
        await scene.until_running("pause-ready")
        await scene.ask("confirm", cell="bare-01", user="ana", answer=answer)
        await scene.until_state(state)
        assert [row.step for row in scene.rows()] == ["c000/01-pause-ready"]
        if state == "held":
            assert "ana answered 'unsure'" in scene.reason()

    play(laboratory, script, people=False)


def test_without_an_answer_in_time_the_cell_is_held_and_can_be_asked_again(laboratory):
    one_cell(laboratory, ASKING)

    async def script(scene: Scene) -> None:
        await scene.until_state("held", hours=100, every=600)
        assert "nobody has answered within 3 d" in scene.reason()
        await scene.tell("retry")
        await scene.until_running("pause-ready")
        await scene.ask("confirm", cell="bare-01", answer="no")
        await scene.until_state("finished")

    play(laboratory, script, people=False)


def test_a_question_can_be_left_out_and_a_held_cell_still_answered_for(laboratory):
    one_cell(laboratory, ASKING)

    async def script(scene: Scene) -> None:
        await scene.until_running("pause-ready")
        await scene.tell("hold", now=True)
        await scene.until_state("held")
        assert len((await scene.ask("requests"))["requests"]) == 1
        await scene.tell("resume")
        await scene.tell("skip")
        await scene.until_state("held")
        assert scene.row("pause-ready").result["skipped"]
        assert "that question has no answer" in scene.reason(), "it is neither yes nor no"
        assert (await scene.ask("requests"))["requests"] == []

    play(laboratory, script, people=False)


def test_an_answer_outlives_the_orchestrator_that_took_it(laboratory):
    one_cell(laboratory, ASKING)

    async def answered(scene: Scene) -> None:
        await scene.until_running("pause-ready")
        await scene.ask("confirm", cell="bare-01", user="ana", answer="no")

    async def ended(scene: Scene) -> None:
        await scene.until_state("finished")
        assert scene.row("pause-ready").result["user"] == "ana"

    play(laboratory, answered, people=False)
    play(laboratory, ended, people=False)


def test_the_simulated_operator_answers_so_that_the_cell_goes_on(laboratory):
    one_cell(laboratory, ASKING)

    async def script(scene: Scene) -> None:
        await scene.until_state("finished")
        assert scene.row("pause-ready").result["answer"] == "yes"
        assert scene.row("mark-heavy").status is Status.DONE

    play(laboratory, script)
