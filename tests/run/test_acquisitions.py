"""What a protocol asks around an acquisition is done before it or told after it, in a whole virtual run."""

import asyncio
import re
from datetime import datetime

import pytest
from trouble import Scene, one_cell, play

from labctl.journal import Status

#: As wide as in the paper: the noise of 5 MHz takes its part of the receiver's range.
WIDE = "dwell_time: 0.1 us, points: 32768"
CHARGE = "charge: {current: 0.4 mA/cm2, until: {voltage: upper}, at_most: 16 h}"
EXPERIMENT = """
experiments:
  metal: {nucleus: 7Li, pulse_program: zgcomb, presaturation: {kind: comb, pulses: 20, spacing: 5 ms}, carrier: 250 ppm,
          scans: 1024, recycle_delay: 0.5 s, DWELL,
          pulse: {flip: 90 deg, power: 80 W}, MORE}
"""


def asked(laboratory, steps: str, more: str, dwell: str = "dwell_time: 0.4 us, points: 8192") -> None:
    one_cell(laboratory, steps)
    text = EXPERIMENT.replace("MORE", more).replace("DWELL", dwell)
    laboratory.protocol.write_text(laboratory.protocol.read_text() + text)


def test_a_pulse_is_calibrated_within_a_percent_and_the_result_tells_the_strength_of_the_field(laboratory):
    asked(
        laboratory,
        f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}\nnmr: {{as: again, experiment: metal}}",
        "receiver_gain: {from: charged, at: 64}",
    )
    calibrated = "power: 80 W, calibrate: {in: charged, points: 8, reuse: [again], scans: 1024}"
    laboratory.protocol.write_text(laboratory.protocol.read_text().replace("power: 80 W", calibrated))

    async def script(scene: Scene) -> None:
        told = []
        for step in ("nutation-charged", "nmr-charged"):
            await scene.until_running(step, every=60.0)
            (cell,) = (await scene.ask("status"))["status"]["cells"]
            words = (await scene.ask("explain", cell="bare-01"))["explain"]["doing"]
            assert f"{cell['scans_done']:.0f} of {cell['scans']:.0f} scans" in words
            told.append((cell["scans"], cell["expected_end"]))
        await scene.until_state("finished", every=60.0)
        assert [scans for scans, _ in told] == [8 * 1024, 1024]
        for step, (_, expected) in zip(("nutation-charged", "nmr-charged"), told, strict=True):
            late = datetime.fromisoformat(scene.row(step).result["ended"]) - datetime.fromisoformat(expected)
            assert abs(late.total_seconds()) < 60, "of the whole series, not of its first spectrum"
        truth = scene.lab.cells["bare-01"].t90_s
        found = scene.row("nutation-charged").result
        assert found["pi_half_s"] == pytest.approx(truth, rel=0.01)
        assert abs(found["pi_half_s"] - truth) < 4 * found["pi_half_sd_s"]
        assert found["b1_kHz"] == pytest.approx(0.25e-3 / truth, rel=0.01)
        assert scene.document(scene.row("nutation-charged"))["summary"]["b1_kHz"] == found["b1_kHz"]
        for state in ("charged", "again"):
            document = scene.document(scene.row(f"nmr-{state}"))
            assert document["summary"]["pulse_us"] == [pytest.approx(found["pi_half_s"] * 1e6, abs=1e-3)]
            assert document["summary"]["receiver_gain"] == 64, "one gain for the whole set, its calibration included"
            assert (document["sent"]["L 20"], document["sent"]["D 20"]) == ("20", "0.005")
        differs = scene.document(scene.row("nmr-again"))["summary"]["insertion"]
        assert differs == pytest.approx({"shift_ppm": 0, "width": 0, "integral": 0}, abs=0.05), "told also unasked"

    play(laboratory, script)


def test_an_overloaded_receiver_is_met_by_one_repeat_at_half_the_gain_to_which_the_set_is_bound(laboratory):
    asked(
        laboratory,
        f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}\nnmr: {{as: again, experiment: metal}}",
        "receiver_gain: {from: charged, at: 203}",
        WIDE,
    )

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=60.0)
        first, later = (scene.document(scene.row(f"nmr-{state}")) for state in ("charged", "again"))
        assert first["asked"]["receiver_gain"] == 203
        gains = [one["summary"]["receiver_gain"] for one in (first, later)]
        assert gains == [101.0, 101.0], "the step of the receiver that is nearest to half"
        assert "overloaded" in first["warnings"][0]
        assert later["warnings"] == []
        told = scene.log("topspin", "acquired")
        assert [entry["sample"] for entry in told] == ["reference", "bare-01", "bare-01", "bare-01"]

    play(laboratory, script)


def test_a_cell_that_sits_in_the_probe_otherwise_than_last_time_is_held(laboratory):
    steps = "\n".join(f"nmr: {{as: {label}, experiment: metal}}" for label in ("one", "two", "three", "four"))
    asked(laboratory, steps, "insertion: {shift: 0.5 ppm, width: 20 %, integral: 5 %, else: hold}")

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.find("nmr-one", "bare-01", Status.DONE), every=1.0)
        # The second has begun as the first was; the third shows it.
        scene.lab.break_down("topspin", "askew")
        await scene.until_state("held", every=60.0)
        two = scene.row("nmr-two").result
        assert two["electrolyte"]["shift_ppm"] == pytest.approx(-1.0, abs=0.05), "against the session's LiCl"
        assert two["insertion"]["integral"] == pytest.approx(0.0, abs=0.02)
        assert "hold" not in two
        assert "nmr-three: the electrolyte's line differs by +1.5" in scene.reason()
        assert scene.row("nmr-three").status is Status.DONE, "the spectrum is kept; a person decides"
        (flag,) = scene.document(scene.row("nmr-three"))["flags"]
        assert all(word in flag for word in ("ppm from where it was", "% in width", "% in integral"))
        await scene.tell("resume")
        await scene.until_state("finished", every=60.0)

    play(laboratory, script)


def test_a_warm_sample_is_waited_for_and_its_temperature_is_on_the_result(laboratory):
    steps = "rest: {duration: 10 min, temperature: 40 degC, soak: 1 h}\nnmr: {as: cool, experiment: metal}"
    asked(laboratory, steps, "sample_temperature: {at: 20 degC, within: 1 K, at_most: 2 h}")

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=60.0)
        document = scene.document(scene.row("nmr-cool"))
        assert document["summary"]["sample_temperature_K"] == pytest.approx(293.15, abs=1.0)
        moves = [one for one in scene.lab.records("laboratory") if one["event"] == "moved" and one["cell"] == "bare-01"]
        came = [one["t"] for one in moves if one["to"] == "probe/1"]
        scans = [one["t"] for one in scene.log("topspin", "acquiring") if one["sample"] == "bare-01"]
        waited = scans[-1] - came[-1]
        assert 1500 < waited < 2400, "20 K become less than 1 K in three time constants of ten minutes"

    play(laboratory, script)


def test_a_sample_that_does_not_come_to_its_temperature_is_held(laboratory):
    steps = "rest: {duration: 10 min, temperature: 40 degC, soak: 1 h}\nnmr: {as: warm, experiment: metal}"
    asked(laboratory, steps, "sample_temperature: {at: 20 degC, within: 0.5 K, at_most: 10 min}")

    async def script(scene: Scene) -> None:
        await scene.until_state("held", every=60.0)
        assert "20 degC within 0.5 K is asked" in scene.reason()
        assert scene.row("nmr-warm").status is Status.FAILED

    play(laboratory, script)


def test_a_recycle_delay_that_is_short_against_t1_is_told(laboratory):
    asked(
        laboratory,
        f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}",
        "recovery: {in: charged, pulse_program: zgcomb, scans: 512, at_least: 99 %}",
    )

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=60.0)
        row = scene.row("recovery-charged")
        assert row.result["t1_s"] == pytest.approx(0.15, rel=0.08)
        assert row.result["share"] == pytest.approx(1 - 2.718281828 ** (-0.5033 / 0.15), abs=0.01)
        (flag,) = scene.document(row)["flags"]
        assert re.search(r"gives 9[67] % of the signal, 99 % are asked", flag)

    play(laboratory, script)


def test_an_acquisition_ends_early_when_the_metal_stands_out_far_enough(laboratory):
    asked(laboratory, f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}", "enough: {signal_to_noise: 100}")

    async def script(scene: Scene) -> None:
        await scene.until_running("nmr-charged")
        await asyncio.sleep(70)
        (cell,) = (await scene.ask("status"))["status"]["cells"]
        left = datetime.fromisoformat(cell["expected_end"]) - scene.clock.now()
        assert left.total_seconds() > 400, "at the latest; not at the next look"
        await scene.until_state("finished", every=60.0)
        document = scene.document(scene.row("nmr-charged"))
        assert document["summary"]["signal_to_noise"] == pytest.approx(100, rel=0.3)
        assert document["summary"]["signal_to_noise"] >= 90
        scans = document["summary"]["scans"]
        assert 50 < scans < 900
        assert document["flags"][0].startswith(f"ended after {scans} of 1024 scans")
        assert document["asked"]["scans"] == 1024

    play(laboratory, script)


def tuned_automatically(laboratory, steps: str) -> None:
    """``metal`` as it is, ``tuned`` the same after automatic tuning and matching."""
    asked(laboratory, steps, "insertion: {}")
    head, _, experiment = laboratory.protocol.read_text().partition("  metal: ")
    laboratory.protocol.write_text(
        f"{head}  metal: {experiment}  tuned: {experiment.replace('}}', '}, tuning: automatic}', 1)}"
    )


def test_a_detuned_probe_is_tuned_before_the_spectrum_that_asks_for_it_and_the_result_says_how_it_came_out(laboratory):
    tuned_automatically(laboratory, "nmr: {as: one, experiment: metal}\nnmr: {as: two, experiment: tuned}")

    async def script(scene: Scene) -> None:
        scene.lab.break_down("topspin", "detuned")
        await scene.until_state("finished", every=60.0)
        commands = [one for one in scene.log("topspin", "command") if one["command"].startswith("atma")]
        assert [one["command"] for one in commands] == ["atma storeWobb 100"]
        (over,) = scene.log("topspin", "tuned")
        acquired = [one for one in scene.log("topspin", "acquiring") if one["sample"] == "bare-01"]
        assert 0 <= acquired[1]["t"] - over["t"] < 20, "as soon as the curve is there, not when the time is over"
        one, two = (scene.row(f"nmr-{state}").result["electrolyte"]["integral"] for state in ("one", "two"))
        assert one / two == pytest.approx(0.78, abs=0.04), "less reception, and a pulse that is too short"
        document = scene.document(scene.row("nmr-two"))
        assert document["summary"]["tuning"]["reflected"] < 0.05 < document["summary"]["tuning"]["at_most"]
        assert document["summary"]["tuning"]["beside_Hz"] < 10e3
        assert "tuning" not in scene.document(scene.row("nmr-one"))["summary"]

    play(laboratory, script)


def test_a_probe_that_does_not_come_into_tune_holds_the_cell_before_a_scan_is_taken(laboratory):
    tuned_automatically(laboratory, "nmr: {as: one, experiment: tuned}")

    async def script(scene: Scene) -> None:
        scene.lab.break_down("topspin", "jammed")
        await scene.until_state("held", every=60.0)
        assert re.search(r"reflects \d\d % at the transmitter's frequency .* 20 % are allowed", scene.reason())
        assert re.search(r"in resonance 1[789]\d kHz beside it", scene.reason()), "187.5 kHz, by the field that is left"
        assert [one for one in scene.log("topspin", "acquiring") if one["sample"] == "bare-01"] == []
        scene.lab.break_down("topspin", "freed")
        await scene.tell("retry")
        await scene.until_state("finished", every=60.0)
        assert len(scene.log("topspin", "tuned")) == 2
        assert scene.document(scene.row("nmr-one"))["summary"]["tuning"]["reflected"] < 0.05

    play(laboratory, script)


def test_a_console_that_stores_no_curve_is_given_its_time_and_the_result_says_that_nobody_checked(laboratory):
    tuned_automatically(laboratory, "nmr: {as: one, experiment: tuned}")
    laboratory.replace("station.yaml", "driver: bruker,", "driver: bruker, simulate: {wobble: none},")

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=60.0)
        (given,) = [one for one in scene.log("topspin", "command") if one["command"].startswith("atma")]
        acquired = [one for one in scene.log("topspin", "acquiring") if one["sample"] == "bare-01"]
        assert acquired[0]["t"] - given["t"] == pytest.approx(180, abs=20), "the time that the station says"
        warnings = scene.document(scene.row("nmr-one"))["warnings"]
        assert "the spectrometer does not say how tuning and matching came out" in warnings

    play(laboratory, script)


def test_what_a_person_confirmed_of_tuning_stands_on_the_result_and_the_next_line_checks_it(laboratory):
    asked(
        laboratory,
        f"nmr: {{as: one, experiment: metal}}\n{CHARGE}\nnmr: {{as: two, experiment: metal}}\nrest: {{duration: 1 h}}",
        "tuning: operator, insertion: {else: hold}",
    )

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.find("nmr-one", "bare-01", Status.DONE), every=60.0)
        scene.lab.break_down("topspin", "detuned")
        await scene.until_state("held", every=60.0)
        assert "look at the cell's orientation and the probe's tuning" in scene.reason(), "a person said so; it was not"
        for state in ("one", "two"):
            told = scene.document(scene.row(f"nmr-{state}"))["summary"]["tuning"]
            assert "tune and match" in told["checklist"]
            assert told["by"] == "operator"
            assert told["at"] <= scene.document(scene.row(f"nmr-{state}"))["started"]

    play(laboratory, script)


def test_a_pulse_that_is_another_one_than_the_cells_last_is_for_a_person_to_accept(laboratory):
    steps = f"cycle: {{count: 2, steps: [{CHARGE.replace('charge: ', '{charge: ')}}}, SPECTRUM, DISCHARGE]}}"
    spectrum = "{nmr: {as: charged, experiment: metal}}"
    discharge = "{discharge: {current: 0.6 mA/cm2, until: {voltage: lower}, at_most: 8 h}}"
    asked(laboratory, steps.replace("SPECTRUM", spectrum).replace("DISCHARGE", discharge), "")
    calibrated = "power: 80 W, calibrate: {in: charged, points: 6, scans: 512}"
    laboratory.protocol.write_text(laboratory.protocol.read_text().replace("power: 80 W", calibrated))

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.find("nmr-charged", "bare-01", Status.DONE), every=60.0)
        scene.lab.break_down("topspin", "detuned")
        await scene.until_state("held", every=60.0)
        assert re.search(r"the π/2 pulse is [\d.]+ µs, \+2\d % against the cell's last one", scene.reason())

    play(laboratory, script)


def test_a_decay_that_is_cut_off_holds_the_cell_also_where_the_console_says_nothing(laboratory):
    asked(laboratory, f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}\nnmr: {{as: again, experiment: metal}}", "")

    async def script(scene: Scene) -> None:
        await scene.until_running("nmr-charged", every=60.0)
        scene.lab.break_down("topspin", "flat")
        await scene.until_state("held", every=60.0)
        assert re.search(r"nmr-charged: \d+ points of EXPNO 1 lie at exactly its largest value", scene.reason())
        assert "overloaded" in scene.document(scene.row("nmr-charged"))["flags"][0]
        await scene.tell("resume")
        await scene.until_state("finished", every=60.0)
        assert scene.document(scene.row("nmr-again"))["flags"] == []

    play(laboratory, script)


def test_every_experiment_has_the_pulse_that_was_calibrated_for_it(laboratory):
    steps = [f"nmr: {{as: {state}-{power}, experiment: w{power}}}" for state in ("one", "two") for power in (80, 40)]
    asked(laboratory, "\n".join([CHARGE, *steps]), "")
    head, _, plain = laboratory.protocol.read_text().partition("  metal: ")
    experiments = ""
    for power in (80, 40):
        calibrated = f"{power} W, calibrate: {{in: one-{power}, points: 8, reuse: [two-{power}], scans: 512}}"
        experiments += f"  w{power}: {plain.replace('80 W', calibrated)}"
    laboratory.protocol.write_text(head + experiments)

    async def script(scene: Scene) -> None:
        await scene.until_state("finished", every=60.0)
        t90 = scene.lab.cells["bare-01"].t90_s * 1e6
        for state in ("one", "two"):
            for power in (80, 40):
                document = scene.document(scene.row(f"nmr-{state}-{power}"))
                assert document["summary"]["pulse_us"] == [pytest.approx(t90 * (80 / power) ** 0.5, rel=0.02)]
                assert document["nutation"] == scene.row(f"nutation-one-{power}").token

    play(laboratory, script)


def test_a_pulse_that_is_known_badly_or_far_from_the_nominal_one_is_for_a_person_to_accept(laboratory):
    asked(laboratory, f"{CHARGE}\nnmr: {{as: charged, experiment: metal}}", "")
    calibrated = "power: 80 W, nominal: 13 us, calibrate: {in: charged, points: 8, scans: 512}"
    laboratory.protocol.write_text(laboratory.protocol.read_text().replace("power: 80 W", calibrated))

    async def script(scene: Scene) -> None:
        await scene.until_state("held", every=60.0)
        assert "far from the nominal 13.00 µs" in scene.reason()
        await scene.tell("resume")
        await scene.until_state("finished", every=60.0)
        found = scene.row("nutation-charged").result["pi_half_s"]
        assert scene.document(scene.row("nmr-charged"))["summary"]["pulse_us"] == [pytest.approx(found * 1e6, abs=1e-3)]

    play(laboratory, script)
