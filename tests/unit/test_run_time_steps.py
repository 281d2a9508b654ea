"""What depends on measured values still gives a list that is known beforehand, and nonsense in it is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from labctl.errors import InvalidFile
from labctl.protocol import Dynamic, Kind, PlannedOperation, Together, expand, read_protocol

HEAD = """\
labctl: 1
protocol: some
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
measure: {cycles: [2], then: continue}
experiments:
  quick: {nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 128, recycle_delay: 2 s, dwell_time: 1 us,
          points: 2048, pulse: {flip: 90 deg, power: 80 W}}
spectra:
  short: {control: galvanostatic, frequency: [1 kHz, 1 Hz], points_per_decade: 5, periods: 3, amplitude: 100 uA/cm2}
steps:
"""
CHARGE = "charge: {current: 1 mA, until: {voltage: upper}, at_most: 4 h}"
DISCHARGE = "discharge: {current: 1 mA, until: {voltage: lower}, at_most: 4 h}"


@dataclass(frozen=True)
class SomeCell:
    id: str = "bare-01"
    area: float = 1e-4
    measure_at: tuple[int, ...] = (2,)
    capacity: float | None = None
    mass: float | None = None


def planned(steps: str) -> tuple[PlannedOperation, ...]:
    return expand(read_protocol(HEAD + steps, "some.yaml"), SomeCell())


def test_every_turn_and_both_branches_have_a_path_of_their_own() -> None:
    plan = planned(f"""\
  - cycle:
      count: 2
      until: "soh < 80 %"
      steps:
        - {CHARGE}
        - repeat:
            until: "voltage < 3.2 V"
            at_most: 2
            steps:
              - {DISCHARGE}
              - repeat: {{count: 2, steps: [rest: {{duration: 1 h}}]}}
        - when_measured:
            - when:
                if: "ce > 99 %"
                steps: [eis: {{as: a, spectrum: short}}]
                else: [eis: {{as: a, spectrum: short}}]
  - mark: {{as: done}}
""")
    assert [one.path for one in plan if one.cycle == 1] == [
        "c001/01-charge",
        "c001/02-r1-discharge",
        "c001/03-r1-r1-rest",
        "c001/03-r1-r2-rest",
        "c001/02-r2-discharge",
        "c001/03-r2-r1-rest",
        "c001/03-r2-r2-rest",
    ]
    by_path = {one.path: one for one in plan}
    assert len(by_path) == len(plan)
    told = {path: [(one.expression.text, one.wants) for one in by_path[path].conditions] for path in by_path}
    assert told["c001/03-r1-r2-rest"] == []
    assert told["c001/02-r2-discharge"] == [("voltage < 3.2 V", False)]
    assert told["c002/01-charge"] == [("soh < 80 %", False)]
    assert told["c002/04-eis-a"] == [("soh < 80 %", False), ("ce > 99 %", True)]
    assert told["c002/05-eis-a"] == [("soh < 80 %", False), ("ce > 99 %", False)]
    assert told["c002/06-mark-done"] == []
    ids = {path: [one.id for one in by_path[path].conditions] for path in by_path}
    assert ids["c002/04-eis-a"] == ids["c002/05-eis-a"], "both branches are decided at once"
    assert ids["c001/02-r2-discharge"][0] != ids["c002/02-r2-discharge"][1], "each cycle decides anew"


def test_a_temperature_is_a_rest_where_it_can_be_set() -> None:
    (rest, mark) = planned("  - temperature: {to: 40 degC, soak: 2 h}\n  - mark: {as: warm}\n" + WHOLE)[:2]
    assert (rest.kind, rest.temperature, rest.expected_duration) == (Kind.REST, pytest.approx(313.15), 7200.0)
    assert mark.kind is Kind.MARK


WHOLE = f"  - cycle: {{count: 2, steps: [{CHARGE}, when_measured: [rest: {{duration: 1 h}}]]}}\n"


def test_what_two_instruments_do_at_once_is_another_spelling() -> None:
    eis = "eis: {as: dyn, spectrum: short, count: 3}"
    nmr = "nmr: {as: plating, experiment: quick, every: back-to-back}"
    plan = planned(f"{WHOLE}  - parallel: [{CHARGE}, {nmr}]\n  - parallel: [{eis}, {DISCHARGE}]\n")
    both = "current: 1 mA, at_most: 4 h"
    same = planned(
        f"{WHOLE}  - operando: {{as: plating, {both}, until: {{voltage: upper}}, experiment: quick}}\n"
        f"  - deis: {{as: dyn, {both}, direction: discharge, until: {{voltage: lower}}, spectrum: short, count: 3}}\n"
    )
    assert isinstance(plan[-2].parameters, Together)
    assert isinstance(plan[-1].parameters, Dynamic)
    assert plan == same


NEVER = f"  - cycle: {{count: 3, until: soh < 80 %, steps: [{CHARGE}, when_measured: [rest: {{duration: 1 h}}]]}}\n"
ASK = '  - pause: {as: x, ask: q, answers: {"yes": continue}, at_most: 1 d}\n'
USE = "  - when: {if: \"answer.x == 'yes'\", steps: [rest: {duration: 1 h}]}\n"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (NEVER, "nothing in this 'cycle' changes 'soh'"),
        ("  - repeat: {steps: [rest: {duration: 1 h}]}\n", "nothing ends this 'repeat'; add 'count: 3'"),
        ("  - repeat: {until: voltage < 3 V, steps: [rest: {duration: 1 h}]}\n", "add for example 'at_most: 50'"),
        (USE, "no 'pause' step is labelled 'x'"),
        (USE + ASK, "'answer.x' is known only after a later step; put 'pause' before this"),
        (ASK + USE.replace("yes", "yess"), "'yess' is no answer to 'answer.x'; did you mean 'yes'?"),
        (ASK.replace('"yes": continue', ""), "a question without answers"),
        (ASK.replace("continue", "end"), "no answer lets the cell go on"),
        (f"  - parallel: [{CHARGE}, rest: {{duration: 1 h}}]\n", "'rest' can't be done at the same time"),
        (f"  - parallel: [{CHARGE}, {DISCHARGE}]\n", "a cell has one current, not two at once"),
        ("  - assemble: {as: a, from: [positive]}\n", "no step before gives a part 'positive'"),
        (
            "  - repeat: {count: 1000, steps: [repeat: {count: 1000, steps: [rest: {duration: 1 h}]}]}\n",
            "comes to 1000000 operations in each cell; write fewer",
        ),
        ("  - measure: {as: a, what: it, kind: weight}\n", "'weight' is not known; write 'mass'"),
        ("  - temperature: {to: 90 degC, soak: 1 h}\n", "90 degC lies outside the limits of temperature"),
        ("  - when: {if: cycle == 0, steps: [when_measured: [rest: {duration: 1 h}]]}\n", "it belongs into 'cycle'"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(steps: str, said: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        read_protocol(HEAD + steps + WHOLE, "some.yaml")
    (mistake,) = refused.value.mistakes
    assert said in f"{mistake.found}; {mistake.right}"
    assert mistake.line >= len(HEAD.splitlines()) + 1


def test_measured_cycles_in_which_nothing_is_measured_are_refused() -> None:
    with pytest.raises(InvalidFile, match="cycles are measured, but no cycle says what is done then"):
        read_protocol(f"{HEAD}  - cycle: {{count: 2, steps: [{CHARGE}]}}\n", "some.yaml")
