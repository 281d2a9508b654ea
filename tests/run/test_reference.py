"""The session's shift reference goes before every cell; after it, the most urgent cell goes first."""

from trouble import Scene, one_cell, play

from labctl.journal import Status
from labctl_drivers.bruker.gateway import Gateway

CELLS = ("bare-01", "bare-02", "coated-01")
SPECTRUM = """
nmr: {as: pristine, experiment: quick}
rest: {duration: 10 min}
"""
QUICK = """
experiments:
  quick: {nucleus: 7Li, pulse_program: zgpr, carrier: 250 ppm, scans: 64, recycle_delay: 0.5 s, dwell_time: 0.1 us,
          points: 32768, pulse: {flip: 90 deg, power: 80 W}}
"""


def three_cells(laboratory) -> None:
    one_cell(laboratory, SPECTRUM, *CELLS)
    laboratory.protocol.write_text(laboratory.protocol.read_text() + QUICK)
    laboratory.replace("cells.yaml", "id: coated-01,", "id: coated-01, priority: 9,")


def references(scene: Scene) -> list[str]:
    return [row.status.value for row in scene.journal.operations(cell="reference") if row.kind == "reference"]


def test_after_the_reference_the_most_urgent_cell_goes_first(laboratory):
    three_cells(laboratory)

    async def script(scene: Scene) -> None:
        for cell in CELLS:
            await scene.until_state("finished", cell)
        began = {cell: scene.row("nmr-pristine", cell).times["running"] for cell in CELLS}
        assert sorted(began, key=lambda cell: began[cell]) == ["coated-01", "bare-01", "bare-02"]
        assert references(scene) == ["done"]
        assert scene.lab.violations == []

    play(laboratory, script)


def test_cells_whose_reference_failed_are_held_together_and_go_on_with_the_next(laboratory):
    three_cells(laboratory)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: "running" in references(scene))
        scene.lab.break_down("topspin", "stopped")
        for cell in CELLS:
            await scene.until_state("held", cell)
            assert scene.row("nmr-pristine", cell).status is Status.FAILED
            assert "no reference spectrum" in scene.reason(cell)
        assert references(scene) == ["failed"]
        assert not scene.journal.held()
        # One of them may try again, without the others.
        await scene.tell("retry", "bare-01")
        await scene.until_state("finished", "bare-01")
        assert references(scene) == ["failed", "done"]
        for cell in CELLS[1:]:
            assert scene.state(cell) == "held"
            await scene.tell("retry", cell)
        for cell in CELLS[1:]:
            await scene.until_state("finished", cell)
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_cell_that_is_held_while_it_waits_for_the_reference_leaves_the_queue(laboratory):
    three_cells(laboratory)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: "running" in references(scene))
        await scene.tell("hold", "coated-01")
        await scene.until_state("held", "coated-01")
        for cell in CELLS[:2]:
            await scene.until_state("finished", cell)
        assert not scene.journal.held()
        await scene.tell("resume", "coated-01")
        await scene.until_state("finished", "coated-01")

    play(laboratory, script)


def test_a_spectrum_is_bound_to_the_reference_of_the_session_in_which_it_was_begun(laboratory, monkeypatch):
    one_cell(laboratory, "nmr: {as: pristine, experiment: quick}\nnmr: {as: later, experiment: quick}")
    laboratory.protocol.write_text(laboratory.protocol.read_text() + QUICK)
    gateways: list[Gateway] = []
    start = Gateway.start

    async def watched(gateway: Gateway) -> int:
        gateways.append(gateway)
        return await start(gateway)

    monkeypatch.setattr(Gateway, "start", watched)

    async def script(scene: Scene) -> None:
        await scene.until_running("nmr-pristine", every=1.0)
        # The cell stays in the probe for its next spectrum: it has to make room for the standard.
        # As if the gateway had been started anew meanwhile.
        gateways[0].session = "another0"
        scene.lab.inject("topspin", "drop")
        await scene.until_state("finished", every=10.0)
        first, second = (row for row in scene.journal.operations(cell="reference") if row.kind == "reference")
        early, late = (scene.document(scene.row(f"nmr-{state}")) for state in ("pristine", "later"))
        assert (early["reference"], late["reference"]) == (first.token, second.token)
        assert "session changed" in early["warnings"][0]
        assert (early["flags"], late["flags"]) == ([], [])

    play(laboratory, script)


def test_the_standard_gets_the_pulse_that_the_station_says_its_probe_bears(laboratory):
    one_cell(laboratory, "nmr: {as: pristine, experiment: quick}")
    laboratory.protocol.write_text(laboratory.protocol.read_text() + QUICK)
    asked = "limits: {power: 90 W}, reference: {pulse: 9.9 us, power: 40 W, scans: 8, recycle_delay: 3 s}"
    laboratory.replace("station.yaml", "driver: bruker,", f"driver: bruker, {asked},")

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=10.0)
        (row,) = (row for row in scene.journal.operations(cell="reference") if row.kind == "reference")
        sent = scene.document(row)["sent"]
        assert [float(sent[name]) for name in ("P 1", "PLW 1", "NS", "D 1")] == [9.9, 40.0, 8.0, 3.0]
        assert scene.document(scene.row("nmr-pristine"))["reference"] == row.token

    play(laboratory, script)
