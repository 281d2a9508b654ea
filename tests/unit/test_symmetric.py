from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis import loose
from labctl.analysis.nucleation import nucleation_overvoltage
from labctl.analysis.resistances import evolution, jumps
from labctl.analysis.settings import Settings
from labctl.analysis.symmetric import SymmetricSettings, evaluate
from labctl.analysis.symmetric_summary import SeenSymmetric, is_symmetric, of_record
from labctl.errors import AnalysisError, DataError

AREA = np.pi * 0.6**2  # cm2, 12 mm discs
CURRENT = 1e-3 * AREA  # A, at 1 mA/cm2
HALF = 1800.0  # s, 0.5 mAh/cm2


def cell(half_cycles, *, rest=0.0, step=6.0, noise=1e-4, seed=0):
    """A record of half cycles, each a function of the share of its charge that gives volts; None cuts it off there."""
    rng = np.random.default_rng(seed)
    times, volts, currents, now = [], [], [], 0.0
    for index, shape in enumerate(half_cycles):
        sign = -1.0 if index % 2 else 1.0
        at = np.arange(0.0, HALF + step / 2, step)
        value = np.array([shape(one) for one in at / HALF])
        end = np.flatnonzero(value >= 1.5)
        stop = end[0] + 1 if len(end) else len(at)
        at, value = at[:stop], value[:stop]
        times.append(now + at)
        volts.append(sign * (value + noise * rng.normal(size=stop)))
        currents.append(np.full(stop, sign * CURRENT))
        now = times[-1][-1] + step
        if rest:
            pause = np.arange(0.0, rest, step)
            times.append(now + pause)
            volts.append(noise * rng.normal(size=len(pause)))
            currents.append(np.zeros(len(pause)))
            now += rest
    return np.concatenate(times), np.concatenate(volts), np.concatenate(currents)


def flat(level):
    return lambda x: level


def peaked(level, first, last):
    """A small sharp peak at the start, a valley, a larger rise at the end: bare lithium after 75 cycles."""
    return lambda x: level + first * np.exp(-x / 0.02) + last * np.exp(-(1 - x) / 0.08)


def arched(level, height):
    """A broad hump, then a plateau: the layers."""
    return lambda x: level + height * np.exp(-(((x - 0.15) / 0.11) ** 2)) - 0.6 * height * np.exp(-x / 0.02)


def test_each_half_cycle_has_its_overvoltage_and_its_charge():
    levels = [0.12, 0.10, 0.09, 0.085, 0.08, 0.082]
    found = evaluate(*cell([flat(one) for one in levels]))
    assert [one.overvoltage_V for one in found.half_cycles] == pytest.approx(levels, abs=1e-4)
    assert [one.cycle for one in found.half_cycles] == [1, 1, 2, 2, 3, 3]
    assert [one.direction for one in found.half_cycles] == [1, -1] * 3
    assert [one.capacity_mAh for one in found.half_cycles] == pytest.approx([0.5 * AREA] * 6, rel=1e-9)
    assert (found.cut_off_cycle, found.completed_cycles, found.flags) == (None, 3, ())


def test_rests_for_impedance_do_not_count():
    found = evaluate(*cell([flat(0.1)] * 4, rest=600.0))
    assert len(found.half_cycles) == 4
    assert [one.capacity_mAh for one in found.half_cycles] == pytest.approx([0.5 * AREA] * 4, rel=1e-9)


def test_a_half_cycle_that_was_interrupted_is_one():
    time, voltage, current = cell([flat(0.1)] * 4)
    at = 400  # in the second
    pause = time[at] + 600.0 * np.arange(1, 6)
    time = np.concatenate((time[: at + 1], pause, time[at + 1 :] + 3600.0))
    voltage, current = (np.insert(one, at + 1, np.zeros(5)) for one in (voltage, current))
    found = evaluate(time, voltage, current)
    assert len(found.half_cycles) == 4
    # One interval of 6 s is lost to the pause.
    assert [one.capacity_mAh for one in found.half_cycles] == pytest.approx([0.5 * AREA] * 4, rel=0.0034)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (flat(0.1), "plateau"),
        (peaked(0.1, 0.05, 0.0), "peak"),
        (peaked(0.1, 0.05, 0.15), "peak and rise"),
        (peaked(0.1, 0.0, 0.15), "rise"),
        (arched(0.1, 0.12), "arc"),
        (lambda x: arched(0.1, 0.12)(x) + 0.2 * np.exp(-(1 - x) / 0.06), "arc and rise"),
    ],
)
@pytest.mark.parametrize("step", [6.0, 60.0])
def test_peak_arc_plateau_and_rise_are_told_apart(shape, name, step):
    half = evaluate(*cell([shape, shape], step=step)).half_cycles[1]
    assert half.shape == name


def test_peaks_have_their_heights():
    half = evaluate(*cell([peaked(0.1, 0.06, 0.2)], step=2.0)).half_cycles[0]
    assert half.overvoltage_V == pytest.approx(0.1, abs=2e-3)
    # A peak is the mean over a hundredth of the half cycle.
    assert half.first_peak_V == pytest.approx(0.1 + 0.06, rel=0.1)
    assert half.last_peak_V == pytest.approx(0.1 + 0.2, rel=0.06)
    assert evaluate(*cell([arched(0.1, 0.12)])).half_cycles[0].first_peak_width > 0.12


@pytest.mark.parametrize(("half", "completed", "at"), [(8, 4, 4.25), (9, 4, 4.75)])
def test_the_cut_off_has_its_cycle_and_the_share_of_it(half, completed, at):
    runaway = lambda x: 0.3 + 2.4 * x  # noqa: E731 - reaches 1.5 V in the middle
    found = evaluate(*cell([flat(0.3)] * half + [runaway]))
    assert found.cut_off_cycle == completed + 1
    assert found.completed_cycles == completed
    assert found.cut_off_at == pytest.approx(at, abs=0.01)
    assert found.half_cycles[-1].early
    other = evaluate(*cell([flat(0.3)] * half + [runaway]), settings=SymmetricSettings(cut_off_V=1.0))
    assert other.cut_off_at < found.cut_off_at


def test_uneven_sampling_and_a_first_sample_of_the_old_polarity_change_nothing():
    """Dense where the voltage moves, sparse on the plateau, as cyclers record."""
    time, voltage, current = cell([flat(0.1)] * 4, step=1.0)
    since = np.mod(np.arange(len(time)), 1801)
    kept = (since < 20) | (since % 120 == 0) | (since == 1800)
    time, voltage, current = time[kept], voltage[kept], current[kept]
    starts = np.flatnonzero(np.diff(np.sign(current))) + 1
    voltage[starts] *= -8.0
    found = evaluate(time, voltage, current)
    assert [one.shape for one in found.half_cycles] == ["plateau"] * 4
    assert [one.capacity_mAh for one in found.half_cycles] == pytest.approx([0.5 * AREA] * 4, rel=1e-9)
    assert evaluate(time, -voltage, current).half_cycles[2].overvoltage_V == pytest.approx(0.1, abs=1e-3)


def test_a_single_glitch_is_no_cut_off():
    time, voltage, current = cell([flat(0.1)] * 4)
    voltage[400] = 2.0
    assert evaluate(time, voltage, current).cut_off_cycle is None


def test_a_sudden_drop_is_a_suspected_short_circuit():
    between = evaluate(*cell([flat(0.1)] * 8 + [flat(0.03)] * 2))
    assert "from 100 mV to 30 mV in half cycle 9 (cycle 5)" in between.flags[0]
    within = evaluate(*cell([flat(0.1)] * 6 + [lambda x: 0.1 if x < 0.6 else 0.02]))
    assert any("within half cycle 7" in flag for flag in within.flags)


def test_falling_slowly_or_while_settling_is_no_short_circuit():
    breaking_in = [flat(0.26), flat(0.10), flat(0.09), flat(0.085)]
    slow = [flat(0.085 * 0.97**n) for n in range(30)]
    assert evaluate(*cell([*breaking_in, *slow], step=30.0)).flags == ()
    assert evaluate(*cell([peaked(0.1, 0.3, 0.2)] * 8)).flags == ()


def test_ending_early_without_the_cut_off_is_said():
    time, voltage, current = cell([flat(0.1)] * 6)
    kept = ~((time > 2 * HALF + 900) & (time < 3 * HALF + 15))
    flags = evaluate(time[kept], voltage[kept], current[kept]).flags
    assert any("half cycle 3" in flag and "without" in flag for flag in flags)


def test_the_first_deposition_gives_the_nucleation_overvoltage():
    """The paper's definition on its three numbers."""
    for truth in (0.26, 0.20, 0.19):
        shape = lambda x, height=truth: 0.08 + height * np.exp(-(((x - 0.01) / 0.006) ** 2))  # noqa: E731
        time, voltage, current = cell([shape], step=1.0)
        found = nucleation_overvoltage(time, voltage, current, signal="symmetric cell")
        assert found.overvoltage_V == pytest.approx(truth, abs=2e-3)


def test_a_record_without_current_has_no_half_cycles():
    with pytest.raises(AnalysisError, match="no current flows"):
        evaluate([0, 1, 2], [0, 0, 0], [0, 0, 0])
    with pytest.raises(AnalysisError, match="passes charge"):
        evaluate([0, 0, 0], [0.1, 0.1, 0.1], [1e-3, 1e-3, 1e-3])


# -- resistances ---------------------------------------------------------------------------------------------------


def test_a_jump_of_the_voltage_is_a_resistance_and_says_how_soon_it_was_seen():
    time = np.array([0.0, 10.0, 10.01, 20.0, 20.01, 30.0])
    current = np.array([0.0, 0.0, 1e-3, 1e-3, -1e-3, -1e-3])
    found = jumps(time, 25.0 * current, current)
    assert [one.resistance_ohm for one in found] == pytest.approx([25.0, 25.0])
    assert [one.after_s for one in found] == pytest.approx([0.01, 0.01])
    with pytest.raises(AnalysisError, match="sample faster"):
        jumps(1000 * time, 25.0 * current, current)
    with pytest.raises(AnalysisError, match="never changes"):
        jumps(time, current, 0 * current)


def test_the_dual_layers_resistance_falls_and_is_then_steady_and_the_single_layers_is_not():
    cycles = [0, *range(1, 11), *range(15, 51, 5)]
    scatter = dict(zip(cycles, np.resize([2.0, -2.0, -1.5, 1.5], len(cycles)), strict=True))
    dual = {n: 60 + 140 * np.exp(-n / 1.5) + scatter[n] for n in cycles}
    single = {n: 150 * np.exp(-n / 25.0) + 20 + scatter[n] for n in cycles}
    steady = evolution(dual, area_cm2=AREA)
    assert steady.steady
    assert steady.settled_ohm == pytest.approx(60, abs=2)
    assert steady.drop_percent == pytest.approx(70, abs=2)
    assert steady.resistance_ohm_cm2[0] == pytest.approx(0.5 * AREA * dual[0])
    assert not evolution(single).steady
    assert evolution(single).trend.slope < 0


def test_resistances_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="cycle 3"):
        evolution({1: 20.0, 3: -5.0, 12: 9.0})
    with pytest.raises(AnalysisError, match="from cycle 10 on"):
        evolution({1: 20.0, 3: 5.0})


def test_a_record_becomes_a_table_by_cycles_with_its_cut_off_and_resistance():
    half = [flat(0.12), flat(0.11), flat(0.08), flat(0.08), lambda x: 0.08 + 2.0 * x]
    table = of_record(*cell(half, rest=60.0, step=1.0), name="s-1", area_cm2=AREA)
    assert table.title == "symmetric cell s-1"
    assert [row["cycle"] for row in table.rows] == [1, 2, 3]
    assert [row["overvoltage_mV"] for row in table.rows[:2]] == pytest.approx([115.0, 80.0], abs=0.2)
    assert table.rows[1]["resistance_ohm"] == pytest.approx(0.08 / CURRENT, rel=0.01)
    assert table.rows[1]["resistance_ohm_cm2"] == pytest.approx(0.5 * AREA * 0.08 / CURRENT, rel=0.01)
    assert table.rows[1]["shape"] == "plateau"
    assert "the cut-off of 1.5 V was reached in cycle 3, after 2.35 cycles" in table.notes


def exported(times, volts, currents):
    """The text export of a MACCOR tester: magnitudes of the current, and which way it flows in a column of its own."""
    lines = ["Today's Date\t01/05/2026\tDate of Test:\t01/05/2026\tFilename:\ts.001\t",
             "Rec#\tCyc#\tStep\tTestTime\tStepTime\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tES\tDPt Time"]  # fmt: skip
    step, passed, before, begun = 0, 0.0, None, 0.0
    for number, (at, volt, current) in enumerate(zip(times, volts, currents, strict=True), start=1):
        sign = np.sign(current)
        if sign != before:
            step, passed, before, begun = step + 1, 0.0, sign, at
        passed = abs(current) * (at - begun) / 3600
        clock = f"0d {int(at // 3600):02d}:{int(at // 60 % 60):02d}:{at % 60:05.2f}"
        state = {1.0: "C", -1.0: "D", 0.0: "R"}[sign]
        lines.append(f"{number}\t0\t{step}\t{clock}\t{clock}\t{passed:.9f}\t0.0\t{abs(current):.8f}\t{volt:.6f}\t{state}\t1"
                     "\t01/05/2026 10:00:00")  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


def test_an_exported_record_of_a_symmetric_cell_is_known_by_its_voltage(tmp_path):
    path = tmp_path / "s.001"
    path.write_text(exported(*cell([flat(0.12), flat(0.11), flat(0.08), flat(0.08)], step=10.0)))
    (seen,) = loose.look(loose.sources(path), Settings())
    assert isinstance(seen, SeenSymmetric), seen
    assert [row["overvoltage_mV"] for row in seen.table.rows] == pytest.approx([115.0, 80.0], abs=0.2)
    assert loose.to_json(seen)["kind"] == "symmetric"
    full = np.array([3.6, 3.7, 3.6, 3.5])
    assert not is_symmetric(full, np.array([1.0, 1.0, -1.0, -1.0]))


def test_a_record_without_jumps_that_were_sampled_says_so():
    table = of_record(*cell([flat(0.1)] * 4, step=6.0))
    assert "R_int ohm" not in [column.title for column in table.columns]
    assert any(note.startswith("R_int is not told: ") for note in table.notes)
