"""The harness's own laboratory: the shipped one, made short, and with nothing in it that depends on how long one waits.

A killed orchestrator costs simulated minutes, so results can equal those of an undisturbed run only where waiting
changes nothing: the cells' voltages relax fast against the rests of the protocol, the bath stands exactly at its set
point, a sample has the temperature around it at once, all channels measure the same current (which channel of the oven
a cell gets depends on who came first), and no step has a deadline.
"""

from __future__ import annotations

from pathlib import Path

from labctl.cli.init import make_laboratory

PROTOCOL = """\
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

NAME = "kill"


def _cell(number: int) -> str:
    copper = "bare" if number % 2 else "coated"
    return (
        f"  - {{id: cell-{number:02d}, barcode: K{number:04d}, group: {copper}, area: 1.0 cm2, chemistry: Cu||NMC622, "
        f"place: cabinet/{number}, soc_factor: {{value: 1.08, sd: 0.015, source: harness}}, "
        f"simulate: {{substrate: {copper}, capacity_mAh: 0.65, relaxation: 0.02}}}}\n"
    )


def make_files(folder: Path, *, cells: int = 8, cycles: int = 2) -> Path:
    """Make the laboratory folder with so many cells (at most 8), each measured in every cycle; give the protocol."""
    make_laboratory(folder, quiet=True)
    protocol = folder / "protocols" / f"{NAME}.yaml"
    measured = list(range(1, cycles + 1))
    protocol.write_text(PROTOCOL.format(name=NAME, cycles=cycles, measured=measured), encoding="utf-8")
    (folder / "cells.yaml").write_text(
        "labctl: 1\ncells:\n" + "".join(_cell(number) for number in range(1, cells + 1)), encoding="utf-8"
    )
    station = folder / "station.yaml"
    text = station.read_text(encoding="utf-8")
    for old, new in (
        ("export_folder: maccor-export}", "export_folder: maccor-export, simulate: {current_error: 0}}"),
        ("at_most: 2 h}}", "at_most: 2 h}, simulate: {steady: true}}"),
        ("data_folder: topspin-data}", "data_folder: topspin-data, simulate: {cooling_s: 0}}"),
    ):
        if old not in text:
            raise ValueError(f"the shipped station has no {old!r} any more")
        text = text.replace(old, new)
    station.write_text(text, encoding="utf-8")
    return protocol
