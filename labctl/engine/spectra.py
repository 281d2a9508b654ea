"""What is read from NMR data as soon as they are there, because the next step or a person needs it at once.

The pulse of a nutation series, T1 of a recovery, and by the electrolyte's line whether the cell sits in the probe as it
did before. Everything else is left to the analysis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from labctl.engine.acquiring import parameters_of
from labctl.errors import AnalysisError
from labctl.instruments import Fetched
from labctl.protocol import Acquisition, Kind, PlannedOperation
from labctl.units import show

#: Relative deviation of a calibrated pulse (5 % off cost 0.3 % of the signal), and its ratio to the nominal one, beyond
#: which a person looks at it.
_PULSE_WITHIN: Final = 0.05
_FAR: Final = 1.5
#: Relative change of a cell's π/2 pulse from one calibration to the next, beside its error, that retuning explains.
_CHANGED: Final = 0.1
#: What a ratio may fall short of its target by its own scatter.
_NEARLY: Final = 0.9
#: Relative difference of two pulses up to which their electrolyte lines can be compared.
_SAME_PULSE: Final = 0.01


@dataclass(slots=True)
class Findings:
    """What was read.

    Attributes
    ----------
    result : dict
        For the journal and the bundle; ``hold`` says why a person must look before the cell goes on.
    flags : list of str
        What every reader of the result must see.
    """

    result: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    def doubt(self, why: str, otherwise: str) -> None:
        """Note a doubt, and hold the cell where the protocol says so."""
        self.flags.append(why)
        if otherwise == "hold":
            self.result["hold"] = "; ".join(filter(None, (self.result.get("hold"), why)))


def judge(
    planned: PlannedOperation, folder: Path, fetched: Fetched, zero: float | None, last: Mapping[str, Any] | None
) -> Findings:
    """Evaluate what was fetched, as far as this operation's protocol asks for it.

    Parameters
    ----------
    planned : PlannedOperation
        An ``nmr``, ``nutation`` or ``recovery`` step.
    folder, fetched : Path, Fetched
        The bundle and what is in it.
    zero : float or None
        Frequency of 0 ppm in Hz, from the session's reference.
    last : mapping or None
        Result of the last spectrum, or calibration, of this cell that was taken alike.

    Raises
    ------
    AnalysisError
        A series does not tell what it was measured for.
    """
    found = Findings()
    datasets = sorted({(folder / name).parent for name in fetched.files if Path(name).name == "acqus"})
    datasets.sort(key=lambda dataset: int(dataset.name))
    asked = parameters_of(planned)
    found.result["experiment"] = asked.experiment
    if planned.kind is Kind.NUTATION:
        _nutation(datasets, asked, last, found)
    elif planned.kind is Kind.RECOVERY:
        _recovery(datasets, asked, zero, found)
    else:
        _early_end(datasets[0], fetched, asked, found)
        _insertion(datasets[0], asked, zero, last, found)
    _cut_off(datasets, found)
    _temperature(fetched, asked, found)
    return found


def is_alike(result: Mapping[str, Any], asked: Acquisition, kind: Kind) -> bool:
    """Whether an earlier result had this experiment, and tells what a new one is held against."""
    told = "pi_half_s" if kind is Kind.NUTATION else "electrolyte"
    return result.get("experiment") == asked.experiment and told in result


def _nutation(datasets: list[Path], asked: Acquisition, last: Mapping[str, Any] | None, found: Findings) -> None:
    # Here and below, because it brings numpy, which an orchestrator that starts does not need.
    from labctl.analysis import nutation

    curve = nutation.evaluate(datasets)
    found.result["pi_half_s"] = curve.t90_s
    found.result["pi_half_sd_s"] = curve.t90_sd_s
    found.result["b1_kHz"] = curve.b1_Hz * 1e-3
    if curve.t90_sd_s > _PULSE_WITHIN * curve.t90_s:
        told = f"the pulse is known within {100 * curve.t90_sd_s / curve.t90_s:.0f} % only"
        found.doubt(f"{told} ({100 * _PULSE_WITHIN:.0f} % are wanted): calibrate it with more scans", "hold")
    nominal = asked.nominal_pulse * 0.5 * math.pi / asked.flip
    if not nominal / _FAR <= curve.t90_s <= nominal * _FAR:
        told = f"a π/2 pulse of {curve.t90_s * 1e6:.2f} µs is far from the nominal {nominal * 1e6:.2f} µs"
        found.doubt(f"{told}: look at the probe's tuning and at the power", "hold")
    if last is None:
        return
    change = curve.t90_s / float(last["pi_half_s"]) - 1.0
    found.result["pi_half_change"] = change
    if abs(change) > _CHANGED + 2.0 * curve.t90_sd_s / curve.t90_s:
        told = f"the π/2 pulse is {curve.t90_s * 1e6:.2f} µs, {100 * change:+.0f} % against the cell's last one"
        found.doubt(f"{told} ({100 * _CHANGED:.0f} % allowed): look at the probe's tuning and matching", "hold")


def _recovery(datasets: list[Path], asked: Acquisition, zero: float | None, found: Findings) -> None:
    from labctl.analysis import recovery

    curve = recovery.evaluate(datasets, zero)
    recycle = asked.recycle_delay + asked.points * asked.dwell_time
    share = curve.share(recycle)
    found.result |= {"t1_s": curve.t1_s, "t1_sd_s": curve.t1_sd_s, "share": share}
    limit = asked.recovery
    if limit is not None and share < limit.at_least:
        found.doubt(
            f"a recycle delay of {asked.recycle_delay:g} s is {asked.recycle_delay / curve.t1_s:.1f} T1 "
            f"(T1 = {curve.t1_s:.3g} ± {curve.t1_sd_s:.1g} s) and gives {100 * share:.0f} % of the signal, "
            f"{100 * limit.at_least:.0f} % are asked",
            limit.else_,
        )


def _insertion(
    dataset: Path, asked: Acquisition, zero: float | None, last: Mapping[str, Any] | None, found: Findings
) -> None:
    from labctl.analysis import insertion

    limits = asked.insertion
    try:
        line = insertion.evaluate(dataset, zero)
    except AnalysisError as error:
        # Where nobody asked for it, an experiment may well suppress this line or look elsewhere.
        if limits is not None:
            found.doubt(f"the insertion can't be checked: {error}", limits.else_)
        return
    pulse = {"pulse_s": _pulse_of(dataset)}
    found.result["electrolyte"] = asdict(line) | pulse
    before = last["electrolyte"] if last is not None else None
    if before is None or abs(before["pulse_s"] / pulse["pulse_s"] - 1.0) > _SAME_PULSE:
        # The line is saturated by other pulses to another degree: nothing to compare with.
        return
    shift = line.shift_ppm - before["shift_ppm"]
    width, integral = line.width_ppm / before["width_ppm"] - 1.0, line.integral / before["integral"] - 1.0
    found.result["insertion"] = {"shift_ppm": shift, "width": width, "integral": integral}
    if limits is None:
        return
    wrong = []
    if abs(shift) > limits.shift:
        wrong.append(f"{shift:+.2f} ppm from where it was ({show(limits.shift, 'ppm')} allowed)")
    if abs(width) > limits.width:
        wrong.append(f"{100 * width:+.0f} % in width ({100 * limits.width:.0f} % allowed)")
    if abs(integral) > limits.integral:
        wrong.append(f"{100 * integral:+.1f} % in integral ({100 * limits.integral:.0f} % allowed)")
    if wrong:
        advice = "look at the cell's orientation and the probe's tuning"
        found.doubt(f"the electrolyte's line differs by {', '.join(wrong)}; {advice}", limits.else_)


def _early_end(dataset: Path, fetched: Fetched, asked: Acquisition, found: Findings) -> None:
    """Tell an early end with what was reached; one that came too early was somebody else's."""
    if asked.enough is None:
        return
    from labctl.analysis import bruker, nmr

    data = bruker.read(dataset)
    reached, target = nmr.signal_to_noise(data, data.basic_Hz), asked.enough.signal_to_noise
    found.result["signal_to_noise"] = reached
    if data.scans == asked.scans:
        return
    text = f"ended after {data.scans} of {asked.scans} scans at a signal-to-noise ratio of {reached:.0f}"
    if reached >= _NEARLY * target:
        found.flags.append(text)
    else:
        found.doubt(f"{text}, {target:g} are asked: somebody halted it", "hold")


def _cut_off(datasets: list[Path], found: Findings) -> None:
    """Hold a cell whose decay was cut off at its top, whatever the console says of its receiver."""
    from labctl.analysis import bruker

    for dataset in datasets:
        points = bruker.cut_off(bruker.read(dataset))
        if points:
            told = f"{points} points of EXPNO {dataset.name} lie at exactly its largest value"
            found.doubt(f"{told}: the receiver was overloaded; ask for less gain", "hold")
            return


def _pulse_of(dataset: Path) -> float:
    from labctl.analysis import bruker

    return bruker.read(dataset).pulse_s


def _temperature(fetched: Fetched, asked: Acquisition, found: Findings) -> None:
    """Hold a cell whose sample left its temperature while it was measured."""
    told = fetched.summary.get("sample_temperature_K")
    sample = asked.sample_temperature
    if told is None or sample is None or abs(told - sample.at) <= sample.within:
        return
    wanted = f"{show(sample.at, 'degC', 4)} within {sample.within:g} K"
    found.doubt(f"the sample had {show(told, 'degC', 4)} where {wanted} is asked", "hold")
