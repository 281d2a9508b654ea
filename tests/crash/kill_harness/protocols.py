"""The harness's protocols: short, and in nothing dependent on how long one waits."""

from __future__ import annotations

CYCLING = """\
labctl: 1
protocol: {name}
cutoffs: {{upper: 4.3 V, lower: 3.0 V}}
limits: {{voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}}
measure: {{cycles: {measured}, then: continue}}
steps:
  - rest: {{duration: 20 min}}
  - nmr: {{as: pristine, experiment: metal}}
  - cycle:
      count: {cycles}
      steps:
        - rest: {{duration: 20 min}}
        - charge: {{current: 1 mA/cm2, until: {{voltage: upper}}, at_most: 3 h}}
        - when_measured:
            - nmr: {{as: charged, experiment: metal}}
            - eis: {{as: charged, spectrum: standard}}
        - rest: {{duration: 20 min}}
        - discharge: {{current: 1 mA/cm2, until: {{voltage: lower}}, at_most: 3 h}}
        - when_measured:
            - nmr: {{as: discharged, experiment: metal}}
            - eis: {{as: discharged, spectrum: standard}}
            - hold: {{voltage: lower, temperature: 40 degC, soak: 10 min, limit: {{current: 3 mA}},
                     until: {{current: 1 uA, for: 60 s}}, at_most: 6 h}}
            - nmr: {{as: dead, experiment: metal}}
            - eis: {{as: stripped, spectrum: standard}}
experiments:
  metal: {{nucleus: 7Li, pulse_program: zgpr, carrier: 250 ppm, scans: 256, recycle_delay: 0.5 s, dwell_time: 0.1 us,
          points: 16384, pulse: {{flip: 90 deg, power: 80 W,
          calibrate: {{in: charged, points: 6, scans: 64, reuse: [discharged, dead]}}}},
          receiver_gain: {{from: charged}}}}
spectra:
  standard: {{control: galvanostatic, frequency: [10 kHz, 1 Hz], points_per_decade: 4, periods: 3,
             amplitude: 100 uA/cm2, rest_before: 5 min}}
"""

OPERANDO = """\
labctl: 1
protocol: {name}
cutoffs: {{upper: 4.3 V, lower: 3.0 V}}
limits: {{voltage: [2.8 V, 4.4 V], current: 5 mA}}
steps:
  - cycle:
      count: {cycles}
      steps:
        - rest: {{duration: 20 min}}
        - operando: {{as: plating, current: 0.6 mA/cm2, until: {{voltage: upper}}, at_most: 4 h, experiment: quick,
                     pauses: {{every: 20 min, experiment: slow}}}}
        - discharge: {{current: 1 mA/cm2, until: {{voltage: lower}}, at_most: 3 h}}
experiments:
  quick: {{nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 128, recycle_delay: 2 s, dwell_time: 1 us,
          points: 2048, pulse: {{flip: 90 deg, power: 80 W}}}}
  slow: {{nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 256, recycle_delay: 2 s, dwell_time: 1 us,
         points: 2048, pulse: {{flip: 90 deg, power: 80 W}}}}
"""

DEIS = """\
labctl: 1
protocol: {name}
cutoffs: {{upper: 4.3 V, lower: 3.0 V}}
limits: {{voltage: [2.8 V, 4.4 V], current: 5 mA}}
steps:
  - cycle:
      count: {cycles}
      steps:
        - rest: {{duration: 20 min}}
        - charge: {{current: 1 mA/cm2, until: {{voltage: upper}}, at_most: 3 h}}
        - discharge: {{current: 1 mA/cm2, until: {{voltage: 3.7 V}}, at_most: 3 h}}
        - deis: {{as: discharging, direction: discharge, current: 0.01 mA/cm2, until: {{voltage: lower}},
                 spectrum: dynamic, count: 6, at_most: 4 h}}
        - rest: {{duration: 10 min}}
        - deis: {{as: charging, direction: charge, current: 0.01 mA/cm2, until: {{voltage: upper}},
                 spectrum: dynamic, count: 6, at_most: 4 h}}
spectra:
  dynamic: {{control: galvanostatic, frequency: [10 kHz, 0.1 Hz], points_per_decade: 10, periods: 6,
            amplitude: 20 uA/cm2}}
"""

#: Conditions on what was measured and answered, work by hand, samples that are taken apart: nothing of it twice.
DECISIONS = """\
labctl: 1
protocol: {name}
cutoffs: {{upper: 4.3 V, lower: 3.0 V}}
limits: {{voltage: [2.8 V, 4.4 V], current: 5 mA}}
steps:
  - rest: {{duration: 10 min}}
  - mark: {{as: begun, note: all are on their channels}}
  - pause: {{as: sealed, ask: "Is the pouch sealed?", answers: {{"yes": continue, "no": end}}, at_most: 90 d}}
  - measure: {{as: mass, what: mass of the pouch, kind: mass}}
  - when:
      if: "answer.sealed == 'yes' and measured.mass > 10 mg"
      steps:
        - repeat:
            until: "voltage > 3.75 V"
            at_most: 6
            steps:
              - charge: {{current: 1 mA/cm2, until: {{any: [{{duration: 8 min}}, {{voltage: upper}}]}}}}
              - rest: {{duration: 10 min}}
      else:
        - mark: {{as: never}}
  - cycle:
      count: {at_most}
      until: "cycle >= {cycles} and charge_capacity < 5 mAh"
      steps:
        - charge: {{current: 1 mA/cm2, until: {{voltage: upper}}, at_most: 3 h}}
        - when:
            if: "cycle >= 2"
            steps:
              - mark: {{as: later}}
            else:
              - pause: {{as: flat, ask: "Is the pouch flat?", answers: {{"yes": continue, "no": hold}}, at_most: 90 d}}
        - discharge: {{current: 1 mA/cm2, until: {{voltage: lower}}, at_most: 3 h}}
        - mark: {{as: turn, note: a cycle has ended}}
  - disassemble: {{as: apart, gives: [negative, positive]}}
  - measure: {{as: size, what: area of the negative electrode, kind: area}}
  - assemble: {{as: rebuilt, from: [negative, positive]}}
  - rest: {{duration: 10 min}}
"""

#: By the name of the campaign.
PROTOCOLS = {"cycling": CYCLING, "operando": OPERANDO, "deis": DEIS, "decisions": DECISIONS}

#: Those in which a kill may have a cell held for a person, as a series under direct current that nobody has watched.
HELD_FOR_PEOPLE = frozenset({"operando", "deis"})
