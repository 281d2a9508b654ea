"""What NMR found in one cycle of a cell: shares and their budget, spectra, how the metal was plated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from labctl.analysis.budget import TERMS
from labctl.analysis.inventory import SHARES, Allocation
from labctl.analysis.model import STATES, CellResult, CycleResult, Measured, State
from labctl.analysis.morphology import Fractions
from labctl.analysis.page import Column, Content, Html, Notes, bullets, facts, heading, paragraph, table
from labctl.analysis.pages.numbers import ROUNDING, Missing, number, part
from labctl.analysis.pages.pictures import Pictures
from labctl.analysis.pages.sources import Sources
from labctl.analysis.truth import truth_of

_KINDS = ("dense", "mossy", "dendritic")


def sections(
    cell: CellResult, one: CycleResult, truth: Mapping[str, Any] | None, sources: Sources, notes: Notes, drawn: Pictures
) -> Iterator[str]:
    """Give everything that the page says of one cycle's spectra."""
    measured = one.measured
    if measured is None:
        yield paragraph("No NMR in this cycle.")
        return
    yield drawn.at(f"nmr {one.cycle}")
    yield heading("Where the first charge went", 3)
    if measured.allocation is None:
        yield paragraph("No shares: a state is missing or the data does not carry them; the flags above say why.")
    else:
        yield _shares(measured.allocation, truth_of(truth, cell.cell, one.cycle), notes)
        yield _budget(measured.allocation, notes)
    yield facts(list(_facts(one, measured, sources)), "Beside the shares", notes)
    yield heading("Spectra", 3)
    yield _spectra(measured, sources, notes)
    yield _sample(measured, notes)
    yield heading("Deposits", 3)
    lines = drawn.at(f"deposits {one.cycle}")
    if measured.deposits and not lines:
        yield paragraph("The fitted lines are not drawn in a report of so many measured cycles; they are listed below.")
    yield lines
    yield from _deposits(measured, notes)


def _shares(allocation: Allocation, true: Mapping[str, float], notes: Notes) -> Html:
    columns = [Column("share"), Column("amount ± SD", "mAh", "share_mAh"), Column("of the first charge ± SD", "%",
               "share_percent")]  # fmt: skip
    if true:
        columns += [Column("truth", "%", "simulated_value"), Column("away by", "SD", "simulated_value")]
    rows: list[list[Content]] = []
    for share in SHARES:
        value, sd = allocation.percent(share), allocation.percent_sd(share)
        row: list[Content] = [
            notes.named(share, share), number(allocation.mAh(share), allocation.mAh_sd(share)), number(value, sd),
        ]  # fmt: skip
        if true:
            away: Content = f"{(value - true[share]) / sd:+.1f}" if sd > 0 else Missing("the result has no deviation")
            row += [number(true[share], sd).split(" ± ")[0], away]
        rows.append(row)
    return table(columns, rows, "Shares; they add up to 100 %", notes)


def _budget(allocation: Allocation, notes: Notes) -> Html:
    used = [term for term in TERMS if any(allocation.budget[share].get(term, 0.0) > ROUNDING for share in SHARES)]
    rows: list[list[Content]] = [
        [text, *(part(allocation.budget[share].get(term, 0.0)) for share in SHARES)]
        for term, text in TERMS.items()
        if term in used
    ]
    rows.append([Html("<b>all together</b>"), *(part(allocation.percent_sd(share)) for share in SHARES)])
    columns = [Column("because of"), *(Column(share, "%", "budget") for share in SHARES)]
    absent = [text for term, text in TERMS.items() if term not in used]
    caption = "What the standard deviations are made of, in points of percent of the first charge"
    said = paragraph(f"Nothing was added for: {'; '.join(absent)}. No setting and no measurement tells their size, or "
                     "they cancel.") if absent else ""  # fmt: skip
    return Html(table(columns, rows, caption, notes) + said)


def _facts(one: CycleResult, measured: Measured, sources: Sources) -> Iterator[tuple[str, str, Content]]:
    found = measured.excess_coulometric_percent
    yield (
        "Excess by the charge of the stripping hold",
        "excess_coulometric",
        Missing("no stripping hold passed charge in this cycle")
        if found is None
        else f"{number(found, measured.excess_coulometric_percent_sd)} %",
    )
    limit = measured.detection_limit_percent
    yield (
        "Detection limit of dead lithium",
        "detection_limit",
        Missing("there is no pristine spectrum, or no shares to scale it by")
        if limit is None
        else f"{number(limit, digits=2)} % of the first charge",
    )
    allocation = measured.allocation
    yield (
        "Conversion factor k",
        "conversion",
        Missing("without shares there is no k")
        if allocation is None
        else f"{number(allocation.conversion, allocation.conversion_sd)} mAh per unit of integral",
    )
    left, sd = one.ledger.not_re_extracted_mAh, one.ledger.not_re_extracted_sd_mAh
    if one.cycle > 1:
        missing = Missing("the account of charge ended before this cycle")
        yield "Not re-extracted", "not_re_extracted", missing if left is None else f"{number(left, sd)} mAh"
    curve = measured.nutation
    if curve is None:
        yield "π/2 pulse", "pi_half", Missing("there is no nutation curve for this cycle")
    else:
        pulse = f"{number(curve.t90_s * 1e6, curve.t90_sd_s * 1e6)} µs"
        yield "π/2 pulse", "pi_half", _beside(pulse, sources.of_token(measured.nutation_token))
        yield "Radio field", "b1", f"{number(curve.b1_Hz * 1e-3)} kHz"
    yield "0 ppm from", "", sources.of_token(measured.reference_token)
    if measured.state_of_charge is not None:
        soc = ", ".join(number(100.0 * value, digits=3) for value in measured.state_of_charge)
        yield (f"State of charge, by '{measured.soc_mode}' (charged, discharged, dead)", "state_of_charge",
               f"{soc} %")  # fmt: skip
    if measured.soc_factors is not None:
        yield ("SOC factors used (charged, discharged, dead)", "soc_factor",
               ", ".join(number(value) for value in measured.soc_factors) + " (ratios)")  # fmt: skip


def _beside(text: str, more: Content) -> Html:
    return Html(f"{text}; {more}" if isinstance(more, Html) else text)


def _states(measured: Measured) -> list[tuple[str, State]]:
    order = [*(label for label in STATES if label in measured.states)]
    order += [label for label in measured.states if label not in order]
    return [(label, measured.states[label]) for label in order]


def _spectra(measured: Measured, sources: Sources, notes: Notes) -> Html:
    rows: list[list[Content]] = []
    for label, state in _states(measured):
        scaled = ", ".join(f"{name} {number(value)}" for name, value in state.corrections.items())
        rows.append([
            label,
            number(state.integral.value, state.integral.sd),
            str(state.scans),
            scaled or Missing("nothing had to be corrected"),
            sources.of_token(state.token),
        ])  # fmt: skip
    for label in ("charged", "discharged", "dead"):
        if label not in measured.states:
            absent = Missing("this spectrum is missing; see the flags")
            rows.append([label, *(absent for _ in range(4))])
    columns = [
        Column("state"), Column("metal ± SD", "a.u.", "integral"), Column("scans", "1", "scans"),
        Column("corrected by", "ratio", "corrections"), Column("raw files"),
    ]  # fmt: skip
    return table(columns, rows, "Integrals per scan and unit of receiver gain (a.u.), all corrections in", notes)


def _sample(measured: Measured, notes: Notes) -> Html:
    rows: list[list[Content]] = []
    unseen = Missing("the electrolyte's line is not to be seen in this spectrum")
    for label, state in _states(measured):
        line: Content = unseen if state.electrolyte is None else number(state.electrolyte, state.electrolyte_sd)
        shift: Content = unseen if state.electrolyte_ppm is None else number(state.electrolyte_ppm, digits=3)
        warm: Content = Missing("not recorded")
        if state.temperature_K is not None:
            warm = f"{state.temperature_K - 273.15:.1f}"
        turned: Content = Missing("not told")
        if state.phase_deg is not None:
            turned = number(state.phase_deg, state.phase_sd_deg, digits=3)
        rows.append([label, line, shift, warm, turned, state.phase_source or Missing("not told")])
    columns = [
        Column("state"), Column("electrolyte ± SD", "a.u.", "electrolyte"), Column("its shift", "ppm", "shift"),
        Column("temperature", "°C", "temperature"), Column("phase ± SD", "°", "phase"), Column("phase from"),
    ]  # fmt: skip
    return table(columns, rows, "How the cell sat in the probe, and how its spectra were phased", notes)


def _deposits(measured: Measured, notes: Notes) -> Iterator[str]:
    if not measured.deposits:
        yield paragraph("Not told apart: the lines were not fitted, or there was too little metal; see the flags.")
        return
    rows: list[list[Content]] = []
    for label, found in measured.deposits.items():
        parts = (number(100.0 * getattr(found, kind), 100.0 * getattr(found.sd, kind)) for kind in _KINDS)
        left = number(100.0 * found.residual, 100.0 * found.residual_sd)
        rows.append([label, *parts, left, number(found.snr, digits=3), number(found.chi_square, digits=3)])
    columns = [
        Column("state"), *(Column(kind, "%", "deposits") for kind in _KINDS), Column("in no line", "%", "residual"),
        Column("signal to noise", "1", "snr"), Column("χ²", "1", "chi_square"),
    ]  # fmt: skip
    yield table(columns, rows, "Parts of the metal's signal ± SD", notes)
    yield _lines(measured.deposits, notes)
    for label, found in measured.deposits.items():
        source = f"windows for a state of charge of {100.0 * found.soc:.0f} %; {found.settings.source}"
        yield bullets([f"{label}: {text}" for text in (source, *found.flags)])


def _lines(deposits: Mapping[str, Fractions], notes: Notes) -> Html:
    rows: list[list[Content]] = []
    for label, found in deposits.items():
        for kind in _KINDS:
            if not getattr(found.areas, kind) > 0.0:
                none = Missing("the line has no area")
                rows.append([f"{label}, {kind}", _window(found, kind), none, none])
                continue
            centre = number(getattr(found.positions_ppm, kind), _finite(getattr(found.positions_sd_ppm, kind)))
            width = number(getattr(found.fwhm_ppm, kind), _finite(getattr(found.fwhm_sd_ppm, kind)))
            rows.append([f"{label}, {kind}", _window(found, kind), centre, width])
    columns = [Column("line"), Column("window", "ppm", "deposits"), Column("centre ± SD", "ppm", "line"),
               Column("width ± SD", "ppm", "line")]  # fmt: skip
    return table(columns, rows, "The fitted lines", notes)


def _window(found: Fractions, kind: str) -> str:
    low, high = getattr(found.windows_ppm, kind)
    return f"{low:.1f} to {high:.1f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
