"""What impedance found in one cycle of a cell, and the series of spectra that were taken under current."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from labctl.analysis.findings import DynamicSeries, EvaluatedImpedance, OperandoSpectra
from labctl.analysis.impedance.fitting import CircuitFit
from labctl.analysis.impedance.linear_kk import KramersKronig
from labctl.analysis.model import CycleResult
from labctl.analysis.page import Column, Content, Html, Notes, bullets, heading, paragraph, table
from labctl.analysis.pages.numbers import Missing, number, scale_of
from labctl.analysis.pages.pictures import Pictures
from labctl.analysis.pages.sources import Sources

_NO_FIT = Missing("the fit failed; the flags say why")
_INFINITE = Missing("no finite number came out")
_WHOLE = Missing("all points were fitted")


def sections(one: CycleResult, sources: Sources, notes: Notes, drawn: Pictures) -> Iterator[str]:
    """Give everything that the page says of one cycle's impedance and series."""
    yield heading("Impedance", 3)
    if one.impedance:
        yield drawn.at(f"impedance {one.cycle}")
        yield from _impedance(one.impedance, sources, notes)
    else:
        yield paragraph("No impedance was measured in this cycle.")
    for series in one.dynamic:
        yield heading(f"Impedance under current: {series.step}", 3)
        yield drawn.at(f"dynamic {one.cycle} {series.step}")
        yield _dynamic(series, sources, notes)
    for spectra in one.operando:
        yield heading(f"Spectra under current: {spectra.step}", 3)
        yield drawn.at(f"operando {one.cycle} {spectra.step}")
        yield _operando(spectra, sources, notes)


def _impedance(found: Mapping[str, EvaluatedImpedance], sources: Sources, notes: Notes) -> Iterator[str]:
    rows: list[list[Content]] = []
    for state, one in found.items():
        rows.append([state, *_verdict(one), sources.of_token(one.token)])
    columns = [
        Column("state"), Column("|Z| at 1 kHz", "Ω", "magnitude"), Column("|Z| at 1 Hz", "Ω", "magnitude"),
        Column("Kramers-Kronig; largest residual", "%", "kk"), Column("valid down to", "Hz", "kk_cut"),
        Column("raw files"),
    ]  # fmt: skip
    yield table(columns, rows, "Sweeps by state, never mixed; stripped is after the hold", notes)
    yield _fits({state: one.fit for state, one in found.items()}, notes, "Equivalent circuit")
    for state, one in found.items():
        if one.electrode_fits:
            yield _fits(dict(one.electrode_fits), notes, f"Equivalent circuits of the electrodes, {state}")
        if one.electrode_check is not None:
            yield paragraph(notes.named(f"{state}: {one.electrode_check.statement}", "electrodes"))
    yield bullets([text for state, one in found.items() for text in _remarks(state, one)])


def _remarks(state: str, one: EvaluatedImpedance) -> Iterator[str]:
    yield from (f"{state}: {text}" for text in one.spectrum.flags)
    yield from (f"{state}, Kramers-Kronig test: {text}" for text in (one.test.flags if one.test else ()))
    yield from (f"{state}, fit: {text}" for text in (one.fit.flags if one.fit else ()))
    for name, fit in one.electrode_fits.items():
        yield from (f"{state}, fit of {name}: {text}" for text in fit.flags)


def _verdict(one: EvaluatedImpedance) -> list[Content]:
    outside = Missing("outside the measured frequencies")
    sizes: list[Content] = []
    for at in (1e3, 1.0):
        size = one.spectrum.magnitude_at(at)
        sizes.append(outside if size is None else number(size))
    if one.test is None:
        return [*sizes, *(Missing("not tested: the spectrum is too short, or the test was not asked for"),) * 2]
    return [*sizes, _passed(one.test), _down_to(one.test)]


def _passed(test: KramersKronig) -> str:
    word = "passes" if test.passes else "fails as a whole"
    return f"{word}; {number(100.0 * test.largest_residual, digits=2)} (limit {100.0 * test.choices.limit:g})"


def _down_to(test: KramersKronig) -> Content:
    if test.lowest_valid_frequency is None:
        return Missing("no part of the spectrum passes")
    return number(test.lowest_valid_frequency, digits=3)


def _fits(fits: Mapping[str, CircuitFit | None], notes: Notes, title: str) -> Html:
    done = [one for one in fits.values() if one is not None]
    names = list(dict.fromkeys(name for one in done for name in one.parameters))
    if not names:
        return paragraph(f"{title}: not fitted, or the fits failed; the flags say why.")

    def row(label: str, unit: str, why: str, of: Callable[[CircuitFit], tuple[float, float | None] | Missing]) -> None:
        found = [_NO_FIT if one is None else of(one) for one in fits.values()]
        scale = scale_of(one[0] for one in found if not isinstance(one, Missing))
        values: list[Content] = [
            one if isinstance(one, Missing) else scale.number(*one) if math.isfinite(one[0]) else _INFINITE
            for one in found
        ]
        rows.append([notes.named(f"{label} / {scale.unit(unit)}", why), *values])

    rows: list[list[Content]] = []
    for name in names:
        row(_spelt(name), _unit(name), "circuit", partial(_parameter, name=name))
    for index in range(max(len(one.arcs) for one in done)):
        for label, unit, value, sd in _ARC:
            row(f"arc {index + 1}: {label}", unit, "arc", partial(_of_arc, index=index, value=value, sd=sd))
    row("χ²", "1", "fit_chi", lambda one: (one.chi_square, None))
    row("fitted above", "Hz", "fitted_above", lambda one: _WHOLE if one.above_Hz is None else (one.above_Hz, None))
    columns = [Column("parameter"), *(Column(name, numbers=True) for name in fits)]
    circuits = ", ".join(dict.fromkeys(one.circuit for one in done))
    return table(columns, rows, f"{title}: {circuits}; ± SD", notes)


#: Of an arc: name, unit, attribute of the value, of its deviation.
_ARC = (
    ("time constant", "s", "time_constant_s", "time_constant_sd_s"),
    ("peak", "Hz", "peak_Hz", ""),
    ("capacitance", "F", "capacitance_F", ""),
)


def _of_arc(one: CircuitFit, index: int, value: str, sd: str) -> tuple[float, float | None] | Missing:
    if index >= len(one.arcs):
        return Missing("this circuit has fewer arcs")
    arc = one.arcs[index]
    return getattr(arc, value), getattr(arc, sd) if sd else None


def _parameter(one: CircuitFit, name: str) -> tuple[float, float | None] | Missing:
    if name not in one.parameters:
        return Missing("this circuit has no such element")
    return one.parameters[name], one.sd.get(name)


def _spelt(name: str) -> str:
    element, _, part = name.partition("_")
    return f"{element}: {'α' if part == 'alpha' else part}" if part else element


def _unit(name: str) -> str:
    """Give the unit of a circuit's parameter, by its name."""
    element, _, part = name.partition("_")
    if part == "alpha":
        return "1"
    if part == "Q":
        return "Ω⁻¹ s^α"
    if part in ("tau", "time"):
        return "s"
    if element.startswith("W"):
        return "Ω s^(−1/2)" if not part or part == "sigma" else "Ω"
    return {"R": "Ω", "C": "F", "L": "H"}.get(element[:1], "1")


def _dynamic(series: DynamicSeries, sources: Sources, notes: Notes) -> Html:
    names = list(dict.fromkeys(name for one in series.fits if one for name in one.parameters if name.startswith("R")))
    columns = [
        Column("spectrum"), Column("charge", "mAh", "series_charge"), Column("voltage", "V", "series_voltage"),
        Column("state of charge", "%", "series_soc"), *(Column(name, "Ω", "series_resistance") for name in names),
    ]  # fmt: skip
    rows: list[list[Content]] = []
    for index, one in enumerate(series.fits):
        soc = float(series.soc[index])
        rows.append([
            str(series.numbers[index] if series.numbers else index + 1),
            number(float(series.charge_mAh[index])),
            number(float(series.voltage_V[index])),
            number(100.0 * soc, digits=3) if math.isfinite(soc) else Missing("the state of charge is not known"),
            *(_resistance(one, name) for name in names),
        ])  # fmt: skip
    caption = f"{len(series.spectra)} spectra during the {series.direction} of cycle {series.cycle}"
    return Html(table(columns, rows, caption, notes) + _origin(sources.of_token(series.token)))


def _resistance(one: CircuitFit | None, name: str) -> Content:
    found = _NO_FIT if one is None else _parameter(one, name)
    if isinstance(found, Missing):
        return found
    return number(*found) if math.isfinite(found[0]) else _INFINITE


def _operando(series: OperandoSpectra, sources: Sources, notes: Notes) -> Html:
    some = any(one is not None for one in series.deposits)
    columns = [
        Column("spectrum"), Column("current"), Column("time", "h", "time"), Column("charge", "mAh", "series_charge"),
        Column("metal ± SD", "a.u.", "integral"), Column("recycle delay", "s", "recycle"),
    ]  # fmt: skip
    if some:
        columns += [Column(kind, "%", "deposits") for kind in ("dense", "mossy", "dendritic")]
    rows: list[list[Content]] = []
    for index, integral in enumerate(series.integral):
        row: list[Content] = [
            str(series.numbers[index] if series.numbers else index + 1),
            series.sort[index],
            number(float(series.middle_h[index])),
            number(float(series.charge_mAh[index])),
            number(integral.value, integral.sd),
            number(float(series.recycle_delay_s[index]), digits=3),
        ]  # fmt: skip
        found = series.deposits[index] if index < len(series.deposits) else None
        if some and found is None:
            row += [Missing("not fitted: too little metal, or too much noise")] * 3
        elif found is not None:
            row += [number(100.0 * getattr(found, kind), 100.0 * getattr(found.sd, kind))
                    for kind in ("dense", "mossy", "dendritic")]  # fmt: skip
        rows.append(row)
    caption = f"{len(rows)} spectra during cycle {series.cycle}; per scan and unit of receiver gain (a.u.)"
    return Html(table(columns, rows, caption, notes) + _origin(sources.of_token(series.token)))


def _origin(files: Content) -> Html:
    return paragraph(Html(f"Raw files: {files}.") if isinstance(files, Html) else f"No raw files: {files.reason}."
                     if isinstance(files, Missing) else files)  # fmt: skip
