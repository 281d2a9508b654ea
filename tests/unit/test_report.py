from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from synthetic import World

from labctl.analysis import analyze, figures, write_report


class Links(HTMLParser):
    """Everything that a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    w = World(folder / "results" / "first", seed=1)
    w.cell("bare <01>", "bare", 1)
    w.cell("bare-02", "bare", 2, nutation=False)
    w.cell("coated-01", "coated", 5, cycles=1)
    w.finish()
    analysis = analyze([w.folder])
    page = write_report(analysis, folder / "report", truth=w.truth)
    return w, analysis, page, parsed(page)


def parsed(page):
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def cell_page(page, name):
    return page.parent / "cells" / f"{name}.html"


def pages(page):
    return [page, *sorted((page.parent / "cells").iterdir())]


def test_every_page_opens_offline(reported):
    _, _, page, _ = reported
    assert [one.name for one in pages(page)] == ["report.html", "bare-02.html", "bare_01_.html", "coated-01.html"]
    for one in pages(page):
        text, parser = one.read_text(encoding="utf-8"), parsed(one)
        assert "script" not in parser.tags
        assert not re.search(r"url\(|@import|https?:|file:", text)


def test_every_link_leads_somewhere(reported):
    _, _, page, _ = reported
    for one in pages(page):
        parser, anchors = parsed(one), re.findall(r' id="([^"]*)"', one.read_text(encoding="utf-8"))
        assert len(anchors) == len(set(anchors))
        for link in parser.links:
            if link.startswith("#"):
                assert link[1:] in anchors
            elif not link.startswith("data:"):
                assert (one.parent / unquote(link)).exists(), link


def test_a_cell_page_links_the_raw_files_of_its_results(reported):
    w, _, page, _ = reported
    links = {(cell_page(page, "bare_01_").parent / unquote(link)).resolve()
             for link in parsed(cell_page(page, "bare_01_")).links if not link.startswith(("#", "data:"))}  # fmt: skip
    cell = w.folder / "bare <01>" / "c001"
    for step, name in (("02-nmr-charged", "bare <01>-c001-02-nmr-charged/1/fid"), ("01-charge", "records.parquet"),
                       ("03-eis-charged", "impedance.csv")):  # fmt: skip
        assert (cell / step / "a1" / name).resolve() in links
        assert (cell / step / "a1").resolve() in links
        assert (cell / step / "a1" / "operation.json").resolve() in links
    assert (w.folder / "reference" / "s1" / "a1").resolve() in links


def test_a_figure_for_each_measured_cell_and_each_group(reported):
    _, _, page, parser = reported
    figures = sorted(path.name for path in (page.parent / "figures").iterdir())
    assert {"cell-bare-02-c002.svg", "cell-bare_01_-c001.svg", "deposits-bare-02-c002-charged.svg", "group-bare.svg",
            "group-coated.svg", "overview.svg"} <= set(figures)  # fmt: skip
    for path in (page.parent / "figures").iterdir():
        assert "SIMULATED" in path.read_text(encoding="utf-8")
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert parser.tags.count("img") >= 3
    assert sum(parsed(one).tags.count("img") for one in pages(page)) == len(figures)


def test_the_mode_is_on_the_page(reported):
    _, _, page, _ = reported
    for one in pages(page):
        text = parsed(one).text
        assert "SIMULATED" in text
        assert "(SIMULATED)</title>" in one.read_text(encoding="utf-8")
        assert "LIVE" not in text


def test_the_mode_is_on_every_figure(reported):
    _, analysis, _, _ = reported
    cell = analysis.cells[0]
    drawn = [figures.overview_figure(analysis), figures.group_figure(analysis, "bare"),
             figures.group_figure(analysis, "coated"), figures.cell_figure(analysis, cell, cell.cycles[0])]  # fmt: skip
    for figure in drawn:
        assert "SIMULATED" in [text.get_text() for text in figure.texts]


def test_nyquist_panels_have_one_scale_and_mark_one_hertz(reported):
    _, analysis, _, _ = reported
    cell = analysis.cells[0]
    axes = figures.cell_figure(analysis, cell, cell.cycles[0]).axes[3]
    box = axes.get_window_extent()
    across, up = np.ptp(axes.get_xlim()) / box.width, np.ptp(axes.get_ylim()) / box.height
    assert across == pytest.approx(up)
    assert "1 Hz" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert "Ω" in axes.get_xlabel()


def test_numbers_truth_and_flags_are_in_words(reported):
    _, analysis, page, parser = reported
    allocation = analysis.cells[0].cycles[0].measured.allocation
    cell = parsed(cell_page(page, "bare_01_")).text
    for text in (cell, parser.text):
        assert f"{allocation.dead_percent:.2f} ± {allocation.dead_percent_sd:.2f}" in text
        assert "truth" in text
        assert "paper, not calibrated here" in text
    assert "Not measured yet." in parser.text
    assert "bare <01>" in parser.text  # escaped in the page


def test_without_truth_nothing_speaks_of_it(reported, tmp_path):
    _, analysis, _, _ = reported
    page = write_report(analysis, tmp_path)
    assert all("truth" not in one.read_text(encoding="utf-8") for one in pages(page))


def test_a_live_report_says_so_and_an_unfinished_campaign_has_a_report(tmp_path):
    w = World(tmp_path / "early", seed=3, mode="live")
    w.cells.append({"cell": "new", "group": "bare", "area_m2": 1e-4, "measure_at": [1], "chemistry": "Cu||NMC622"})
    w.finish()
    page = write_report(analyze([w.folder]), tmp_path / "report").read_text(encoding="utf-8")
    assert "LIVE" in page
    assert "SIMULATED" not in page
    assert "Nothing has run on this cell yet." in page


def test_a_report_can_be_written_again(reported):
    w, analysis, page, _ = reported
    before = [one.read_bytes() for one in pages(page)]
    write_report(analysis, page.parent, truth=json.loads(json.dumps(w.truth)))
    assert [one.read_bytes() for one in pages(page)] == before
