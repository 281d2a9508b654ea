"""The report's pages with everything an evaluation can find: explained, linked, well-formed, safe. No figures drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from labctl.analysis import write_report
from labctl.analysis.budget import Errors
from labctl.analysis.control_chart import chart
from labctl.analysis.cycling import CycleCapacities, LedgerLine
from labctl.analysis.electrochemistry import Efficiency, cycle_life
from labctl.analysis.findings import (
    Ageing,
    Conversion,
    DynamicSeries,
    EvaluatedImpedance,
    GroupRates,
    OperandoSpectra,
    ShareComparison,
)
from labctl.analysis.impedance.fitting import fit
from labctl.analysis.impedance.linear_kk import kramers_kronig
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum
from labctl.analysis.impedance.three_electrodes import check_electrodes
from labctl.analysis.inventory import SHARES, allocate_with
from labctl.analysis.loss_rates import loss_rates
from labctl.analysis.model import (
    Analysis,
    CellResult,
    CycleResult,
    GroupResult,
    Measured,
    Share,
    SocFactor,
    State,
)
from labctl.analysis.morphology import deconvolve
from labctl.analysis.nmr import Integral, Spectrum
from labctl.analysis.nucleation import NUCLEATION, Nucleation
from labctl.analysis.nutation import Nutation
from labctl.analysis.pages import pictures
from labctl.analysis.pages.explained import EXPLAINED
from labctl.analysis.pages.numbers import number, part, scale_of, spread
from labctl.analysis.pages.sources import page_names, safe_name
from labctl.analysis.parallel import Workers
from labctl.analysis.pooling import pool
from labctl.analysis.raw import RawFiles
from labctl.analysis.settings import Settings
from labctl.analysis.statistics import compare

HOSTILE = (
    "<script>alert(1)</script>",
    "../x",
    "..\\x",
    "/etc/passwd",
    "CON",
    "a b",
    "A_b",
    'a"><img src=x>#?%',
    "é" * 99,
)
NO_UNITS = {"raw files", "files", "folder", "kind", "phase from", "from", "judgement", "what", "differ?", "group"}
LISTS_OF_CYCLES = {"To be measured by NMR after cycle", "Shares found for cycle"}


# -- results with everything in them -----------------------------------------------------------------------------------


def sweep(resistance=20.0, drift=0.0):
    f = np.logspace(4.5, -1, 40)
    jw = 2j * np.pi * f
    slow = resistance * (1 + drift / (1 + f / 0.3))
    z = 6 + 8 / (1 + (jw * 1e-4) ** 0.9) + slow / (1 + (jw * 2e-2) ** 0.9)
    return f, z * (1 + 1e-3 * np.random.default_rng(1).normal(size=len(f)))


def evaluated(token, drift=0.0):
    f, z = sweep(drift=drift)
    half = ImpedanceSpectrum(f, 0.5 * z, "working")
    fitted = fit(f, z, above_Hz=1.0, starts=2)
    return EvaluatedImpedance(
        ImpedanceSpectrum(f, z), kramers_kronig(f, z), fitted, {"working": half}, {"working": fitted},
        check_electrodes(f, z, 0.5 * z, 0.5 * z), token,
    )  # fmt: skip


def spectrum():
    ppm = np.linspace(310, 215, 200)
    lines = sum(a * np.exp(-0.5 * ((ppm - at) / 4) ** 2) for a, at in ((1.0, 246.7), (0.4, 256.5), (0.2, 266.5)))
    return Spectrum(ppm, lines + 0.003 * np.random.default_rng(2).normal(size=200), 0.003)


@pytest.fixture(scope="module")
def parts():
    """What takes time to fit, once."""
    seen = spectrum()
    return seen, deconvolve(seen), evaluated("t-eis"), evaluated("t-eis-2", 1.0)


def measured(parts):
    seen, fractions, *_ = parts
    errors = Errors()
    errors.each("noise", (0.3, 0.3, 0.3))
    errors.together("soc_factor", factors=(0.0, 0.015, 0.015))
    allocation = allocate_with(2.62, 2.3, (100.0, 8.8, 0.55), (1.0, 1.08, 1.08), errors, hold_capacity=0.236)
    states = {
        label: State(f"t-{label}", Integral(value, 0.3), seen, 1024, 293.15, {"pulse": 1.001}, 80.0, 2.0, -0.9,
                     -110.0, "electrolyte line", 0.4)
        for label, value in (("charged", 100.0), ("discharged", 8.8), ("dead", 0.55), ("pristine", 0.1))
    }  # fmt: skip
    curve = Nutation(7e-6, 3e-8, 35700.0, None, (), (), ())
    return Measured(states, allocation, 1.6, 9.0, 0.02, "t-ref", "t-nutation", curve, "coulomb", (1.0, 0.1, 0.02),
                    (1.0, 1.07, 1.08), {"charged": fractions})  # fmt: skip


def whole_cell(parts, name="bare-01", group="bare"):
    _, fractions, good, drifting = parts
    tip = Nucleation(0.045, 0.001, 3.6, 0.01, 3.55, 1e-3, "cell voltage", "", NUCLEATION)
    f, z = sweep()
    three = np.arange(3.0)
    dynamic = DynamicSeries("t-deis", "c001/deis", 1, "discharge", (ImpedanceSpectrum(f, z),) * 3,
                            (good.fit, None, good.fit), -three, 4.2 - 0.1 * three,
                            np.array([1.0, 0.9, np.nan]))  # fmt: skip
    operando = OperandoSpectra("t-operando", "c001/operando", 1, np.linspace(310, 215, 5), np.zeros((3, 5)),
                               ("during", "pause", "end"), three, three + 0.25, three + 0.5, three, three, three,
                               (Integral(1.0, 0.1),) * 3, np.array([0.4, 2.0, 2.0]), (fractions, None, fractions),
                               three, 3.6 + three, three)  # fmt: skip
    first = CycleResult(
        1, CycleCapacities(1, 2.62, 2.3, 0.236), LedgerLine(2.3 / 2.62, 1.0, 2.62, 0.0, 0.0), measured=measured(parts),
        ageing=Ageing(Efficiency(0.878, 0.87, 0.99), 10.1, 8.9, tip),
        impedance={"charged": good, "discharged": drifting}, dynamic=(dynamic,), operando=(operando,),
    )  # fmt: skip
    second = CycleResult(2, CycleCapacities(2, 2.3, None), LedgerLine(None, None, 2.61, 0.01, 0.003),
                         impedance={"charged": EvaluatedImpedance(good.spectrum)})  # fmt: skip
    return CellResult("trial", name, group, "Cu||NMC622", 1e-4, SocFactor(1.08, 0.015, "paper"), (1,),
                      ("first charge beyond linearity",), (first, second), cycle_life({1: 2.3, 2: 1.7}))  # fmt: skip


def bare(name):
    """A cell of which nothing is known."""
    return CellResult("trial", name, "", "", 0.0, SocFactor(1.08, 0.015, "paper"), (), (), ())


def whole(parts, *cells, raw=()):
    groups = [GroupResult(group, 1, ("x", "y"), {share: Share(m, 0.3, 0.04) for share in SHARES}, {})
              for group, m in (("bare", 2.0), ("coated", 1.0))]  # fmt: skip
    result = compare([2.0, 2.4], [1.0, 1.3], names=("bare", "coated"))
    k, names = [0.0254, 0.0256, 0.0252, 0.0257], ("a, cycle 1", "b, cycle 1", "c, cycle 1", "d, cycle 1")
    drawn_up = chart(k, names=names)
    rates = loss_rates({"a": ([1, 2, 3], [1.0, 2.1, 2.9]), "b": ([1, 2, 3], [1.2, 1.9, 3.2])})
    return Analysis(
        "simulated", ("trial",), cells, tuple(groups), Settings(), ("A note.",), (),
        (ShareComparison("dead", 1, "bare", "coated", result, 0.2),), (GroupRates("bare", {"dead": rates}),),
        (Conversion("trial", pool(k, [2e-4] * 4, names=names), drawn_up, names, tuple(k)),), tuple(raw),
    )  # fmt: skip


# -- reading pages -----------------------------------------------------------------------------------------------------


def written(analysis, folder, monkeypatch, truth=None):
    """Write the report without its figures; give all pages, parsed as XML, which forgives nothing."""
    monkeypatch.setattr(pictures, "figures_of", lambda *_, **__: [])
    for module in ("cell", "campaign"):
        monkeypatch.setattr(f"labctl.analysis.pages.{module}.figures_of", lambda *_, **__: [])
    first = write_report(analysis, folder, truth)
    paths = [first, *sorted((folder / "cells").iterdir())]
    return {
        path: ElementTree.fromstring(path.read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>")) for path in paths
    }


def text(element):
    """Give what stands in an element, without footnotes and links."""
    if element.tag in ("sup", "a"):
        return element.tail or ""
    return (element.text or "") + "".join(text(one) for one in element) + (element.tail or "")


def inside(element):
    return ((element.text or "") + "".join(text(one) for one in element)).strip()


def explained(element):
    return any(one.get("class") == "why" for one in element.iter("a"))


@pytest.fixture
def pages(parts, tmp_path, monkeypatch):
    return written(whole(parts, whole_cell(parts), bare("new")), tmp_path / "report", monkeypatch)


# -- promises ----------------------------------------------------------------------------------------------------------


def test_every_number_in_a_table_has_a_unit_and_an_explanation(pages):
    checked = 0
    for page in pages.values():
        for table in page.iter("table"):
            heads = list(table.iter("th"))[: len(table.find("thead/tr"))]
            for row in table.findall("tbody/tr"):
                name, *cells = row
                for head, cell in zip(heads[1:], cells, strict=True):
                    shown, label = inside(cell), inside(head)
                    if not re.search(r"\d", shown) or label in NO_UNITS or inside(name) in LISTS_OF_CYCLES:
                        continue
                    assert explained(head) or explained(name), (label, inside(name), shown)
                    if inside(heads[0]) == "setting":
                        continue  # units stand in the names of settings
                    named = "/" in label or "/" in inside(name)
                    assert named or re.search(r"\d[ )]+(%|[a-zA-Zµ²ΩN(]|cycles)", shown), (label, inside(name), shown)
                    checked += 1
    assert checked > 150


def test_pages_are_well_formed_and_in_order(pages):
    for page in pages.values():
        assert page.get("lang") == "en"
        levels = [int(one.tag[1]) for one in page.iter() if re.fullmatch("h[1-6]", one.tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        ids = [one.get("id") for one in page.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        for link in page.iter("a"):
            if link.get("href").startswith("#"):
                assert link.get("href")[1:] in ids
        for table in page.iter("table"):
            assert inside(table.find("caption"))
            assert all(one.get("scope") in ("col", "row") for one in table.iter("th"))


def test_all_that_was_found_is_on_the_cells_page(pages):
    page = next(page for path, page in pages.items() if path.name == "bare-01.html")
    shown = " ".join(page.itertext())
    for expected in ("87.79", "N80", "45.0 ± 1.0", "Kramers-Kronig", "R2 / Ω", "CPE1: α", "dendritic", "t90",
                     "Impedance under current: c001/deis", "Spectra under current: c001/operando", "during",
                     "7.000 ± 0.030 µs"):  # fmt: skip
        assert expected in shown, expected
    assert shown.index("Flags") < shown.index("In short")


def test_the_campaigns_page_says_what_a_comparison_shows(pages):
    shown = " ".join(next(iter(pages.values())).itertext())
    assert "coated 1.15 ± 0.21 % (n = 2) against bare 2.20 ± 0.28 % (n = 2)" in shown
    assert "nor that they are equal" in shown
    assert "Welch, Biometrika 1947" in shown
    assert "control" in shown


def test_every_gap_says_why(pages):
    for page in pages.values():
        known = [one.text for one in page.iterfind(".//p[@class='missing']/sup")]
        for cell in [one for table in page.iter("table") for one in table.iter("td")]:
            if inside(cell).startswith("–") or not "".join(cell.itertext()).strip():
                letter = cell.find("sup")
                assert letter is not None, "".join(cell.itertext())
                assert letter.text in known
    new = " ".join(next(page for path, page in pages.items() if path.name == "new.html").itertext())
    assert "Nothing has run on this cell yet." in new
    assert "this cell is not to be measured" in new
    assert "This analysis does not know where its raw files are." in new


def test_an_analysis_without_comparisons_says_why(parts, tmp_path, monkeypatch):
    alone = replace(whole(parts, bare("new")), groups=(), comparisons=(), rates=(), conversions=())
    shown = " ".join(next(iter(written(alone, tmp_path, monkeypatch).values())).itertext())
    for reason in ("it takes two", "two different cycles", "at least two cells", "No shares yet"):
        assert reason in shown


def test_a_flag_of_no_cell_is_on_the_campaigns_page(parts, tmp_path, monkeypatch):
    analysis = replace(whole(parts, whole_cell(parts)), flags=("x/operation.json: cannot be read",
                       "bare-01: first charge beyond linearity"))  # fmt: skip
    shown = " ".join(next(iter(written(analysis, tmp_path, monkeypatch).values())).itertext())
    assert shown.count("x/operation.json: cannot be read") == 1
    assert shown.count("first charge beyond linearity") == 1


def test_hostile_names_are_text_and_safe_as_files(parts, tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "report"
    cells = [whole_cell(parts, name, group=name) if index < 2 else bare(name) for index, name in enumerate(HOSTILE)]
    pages = written(whole(parts, *cells), folder, monkeypatch)
    assert {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()} == {
        ("deep", "report")
    }
    assert len(pages) == len(HOSTILE) + 1
    report = pages[folder / "report.html"]
    links = [one.get("href") for one in report.iter("a") if one.get("href").startswith("cells/")]
    assert len(set(links)) == len(HOSTILE)
    for link, name in zip(links, HOSTILE, strict=True):
        path = folder / unquote(link)
        assert path.resolve().parent == (folder / "cells").resolve()
        assert f"Cell {name}" == pages[path].find(".//h1").text
    for page in pages.values():
        assert not list(page.iter("script"))
        assert all(one.get("src").startswith("data:") for one in page.iter("img"))


def test_several_processes_write_the_same_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.analysis.pages.campaign.figures_of", lambda *_, **__: [])
    cells = tuple(bare(name) for name in ("a", "b", "c"))
    analysis = Analysis("live", ("trial",), cells, (), Settings())
    monkeypatch.setattr("labctl.analysis.parallel.WORTH_S", 0.0)
    one = write_report(analysis, tmp_path / "one").parent
    with Workers(2) as workers:
        two = write_report(analysis, tmp_path / "two", workers=workers).parent
    for path in sorted(one.rglob("*.html")):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    assert len(list(two.rglob("*.html"))) == 4


def test_files_are_told_apart_where_capitals_are_not():
    names = list(page_names([("one", "A b"), ("one", "a_b"), ("two", "A b"), ("two", "con")]).values())
    assert len({name.lower() for name in names}) == 4
    assert safe_name("con").lower() != "con"
    assert safe_name("nul.txt") != "nul.txt"


def test_raw_files_are_linked_by_relative_paths(parts, tmp_path, monkeypatch):
    bundle = tmp_path / "results" / "a b#1" / "02-nmr-charged"
    (bundle / "t" / "1").mkdir(parents=True)
    for name in ("operation.json", "t/1/fid"):
        (bundle / name).write_text("")
    raw = RawFiles("trial", "bare-01", "c001/02-nmr-charged", "nmr", "charged", "t-charged", 1, 2,
                   "2026-01-01T00:00:00Z", bundle, ("t/1/fid", "t/1/acqus"))  # fmt: skip
    analysis = whole(parts, whole_cell(parts), raw=[raw])
    pages = written(analysis, tmp_path / "report", monkeypatch)
    path, page = next(item for item in pages.items() if item[0].name == "bare-01.html")
    found = {(path.parent / unquote(one.get("href"))).resolve() for one in page.iter("a") if "#" not in one.get("href")}
    assert {bundle, bundle / "operation.json", bundle / "t" / "1" / "fid"} <= found
    assert all(not Path(one.get("href")).is_absolute() for one in page.iter("a"))
    shown = " ".join(page.itertext())
    assert "1/acqus (missing)" in shown
    assert "02-nmr-charged (attempt 2)" in shown


@pytest.mark.parametrize(
    ("value", "sd", "expected"),
    [
        (2.3456, 0.0123, "2.346 ± 0.012"), (2.3456, 0.0996, "2.35 ± 0.10"), (85.004, 1.1, "85.0 ± 1.1"),
        (12345.6, 140.0, "12350 ± 140"), (2.456e-4, 2.3e-6, "(2.456 ± 0.023) · 10⁻⁴"),
        (-0.00004, 0.001, "0.0000 ± 0.0010"),
        (2.3456, None, "2.346"), (2.3456, 0.0, "2.346"), (0.0, None, "0"), (3.2e-7, None, "3.200 · 10⁻⁷"),
        (float("nan"), 1.0, "–"), (5.0, float("nan"), "5.000"), (9.9996, None, "10.00"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_to_two_digits_of_their_deviation(value, sd, expected):
    assert number(value, sd) == expected


def test_deviations_and_shared_powers():
    assert [spread(0.5612), part(0.2), part(1e-4), part(1e-21)] == ["0.56", "0.20", "< 0.001", "0"]
    scale = scale_of([5.3e-4, 0.022, float("nan")])
    assert (scale.unit("s"), scale.number(5.3e-4, 2e-6), scale.number(0.022)) == ("10⁻³ s", "0.5300 ± 0.0020", "22.00")
    assert scale_of([3.0, 70.0]).unit("Ω") == "Ω"


def test_every_explanation_is_a_sentence_and_has_a_name():
    for key, one in EXPLAINED.items():
        assert one.title, key
        assert one.text.endswith("."), key
        assert len(one.text) > 20 or key == "n", key
