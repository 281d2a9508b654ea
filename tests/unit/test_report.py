from __future__ import annotations

import json
import re
from html.parser import HTMLParser
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
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return w, analysis, page, parser


def test_the_page_opens_offline(reported):
    _, _, page, parser = reported
    assert page.name == "report.html"
    assert parser.links
    assert all(link.startswith("data:") for link in parser.links)
    assert "script" not in parser.tags
    assert not re.search(r"url\(|@import|https?://", page.read_text(encoding="utf-8"))


def test_a_figure_for_each_measured_cell_and_each_group(reported):
    _, _, page, parser = reported
    figures = sorted(path.name for path in (page.parent / "figures").iterdir())
    assert figures == ["cell-bare-02-c002.svg", "cell-bare_01_-c001.svg", "group-bare.svg", "group-coated.svg",
                       "overview.svg"]  # fmt: skip
    for path in (page.parent / "figures").iterdir():
        assert "SIMULATED" in path.read_text(encoding="utf-8")
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert parser.tags.count("img") == len(figures)


def test_the_mode_is_on_the_page(reported):
    _, _, page, parser = reported
    assert "SIMULATED" in parser.text
    assert "(SIMULATED)</title>" in page.read_text(encoding="utf-8")
    assert "LIVE" not in parser.text


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
    _, analysis, _, parser = reported
    allocation = analysis.cells[0].cycles[0].measured.allocation
    assert f"{allocation.dead_percent:.2f} ± {allocation.dead_percent_sd:.2f}" in parser.text
    assert "truth / %" in parser.text
    assert "paper, not calibrated here" in parser.text
    assert "Not measured yet." in parser.text
    assert "bare <01>" in parser.text  # escaped in the page


def test_without_truth_nothing_speaks_of_it(reported, tmp_path):
    _, analysis, _, _ = reported
    page = write_report(analysis, tmp_path)
    assert "truth" not in page.read_text(encoding="utf-8")


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
    before = page.read_bytes()
    assert write_report(analysis, page.parent, truth=json.loads(json.dumps(w.truth))).read_bytes() == before
