from __future__ import annotations

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
import results_to_draw
from matplotlib.text import Text

from labctl.analysis import figures, plots
from labctl.analysis.loss_rates import loss_rates
from labctl.analysis.model import Analysis
from labctl.analysis.settings import Settings
from labctl.errors import DataError, UsageError

#: Axes that count something have no unit.
COUNTS = {"cycle number"}


@pytest.fixture(scope="module")
def analysis():
    return results_to_draw.analysis()


@pytest.fixture(scope="module")
def drawn(analysis):
    cell = analysis.cells[0]
    one = cell.cycles[0]
    made = {
        "allocation": plots.allocation.figure(analysis),
        "rates": plots.rates.figure(analysis),
        "deposits": plots.deposits.figure(analysis),
        "deconvolution": plots.deposits.deconvolution(
            one.measured.states["charged"].spectrum,
            one.measured.deposits["charged"],
            mode=analysis.mode,
            title="bare-01",
        ),
        "spectra": plots.spectra.figure(one.measured, mode=analysis.mode, title="bare-01, cycle 1"),
        "nyquist": plots.nyquist.figure(one.impedance, mode=analysis.mode, title="bare-01, cycle 1"),
        "nyquist of one state": plots.nyquist.figure({"charged": one.impedance["charged"]}, mode=analysis.mode),
        "nyquist over cycles": plots.nyquist.over_cycles(analysis, "bare"),
        "spectra over cycles": plots.spectra.over_cycles(analysis),
        "cycling": plots.cycling.figure(analysis),
        "dynamic": plots.dynamic.figure(one.dynamic[0], mode=analysis.mode, title="bare-01, discharge"),
        "operando": plots.operando.figure(one.operando[0], mode=analysis.mode, title="bare-01, cycle 1"),
        "report: overview": figures.overview_figure(analysis),
        "report: group": figures.group_figure(analysis, "bare"),
        "report: cell": figures.cell_figure(analysis, cell, one),
    }
    for figure in made.values():
        figure.draw_without_rendering()
    return made


def written(figure):
    """Everything that can be read on a figure, with its place on the canvas."""
    found = figure.findobj(lambda one: isinstance(one, Text) and one.get_visible() and one.get_text().strip())
    hidden = {id(text) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
              for tick in axis.get_major_ticks() for text in (tick.label1, tick.label2)
              if not (text.get_visible() and axis.get_visible())}  # fmt: skip
    return [(one, one.get_window_extent()) for one in found if id(one) not in hidden]


def test_every_axis_with_numbers_says_what_in_which_unit(drawn):
    for name, figure in drawn.items():
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                numbers = [one for one in axis.get_ticklabels() if re.match(r"^[−0-9]", one.get_text())]
                label = axis.get_label().get_text() or (axes.get_title("center") if axis is axes.yaxis else "")
                told = " / " in label or label in COUNTS or "cycle" in (axis.get_ticklabels() or [Text()])[0].get_text()
                assert told or not numbers, f"{name}: {label!r}"


def test_nothing_written_is_cut_off(drawn):
    for name, figure in drawn.items():
        width, height = figure.bbox.size
        for one, box in written(figure):
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, f"{name}: {one.get_text()!r} at {box}, canvas {width:g} x {height:g}"


def test_no_two_words_lie_on_each_other(drawn):
    for name, figure in drawn.items():
        for (one, first), (other, second) in itertools.combinations(written(figure), 2):
            across = min(first.x1, second.x1) - max(first.x0, second.x0)
            up = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert across < 0.5 or up < 0.5, f"{name}: {one.get_text()!r} and {other.get_text()!r}"


def test_print_has_column_widths_and_letters_of_six_points(drawn):
    for name, figure in drawn.items():
        if name.startswith("report"):
            continue
        assert round(figure.get_figwidth() * 25.4, 3) in (88.0, 180.0), name
        assert min(one.get_fontsize() for one, _ in written(figure)) >= 6.0, name


def test_the_mode_is_on_every_figure(drawn):
    for figure in drawn.values():
        assert "SIMULATED" in [text.get_text() for text in figure.texts]
    one = results_to_draw.film(np.random.default_rng(1))
    live = [text.get_text() for text in plots.operando.figure(one, mode="live").texts]
    assert "LIVE" in live
    assert "SIMULATED" not in live


def test_what_differs_by_colour_differs_by_mark_or_hatch_too(drawn):
    bars = {(each.get_facecolor(), each.get_hatch()) for axes in drawn["allocation"].axes for each in axes.patches}
    assert len(bars) == len({hatch for _, hatch in bars}) == 4
    parts = {(each.get_facecolor(), each.get_hatch()) for axes in drawn["deposits"].axes for each in axes.patches}
    assert len(parts) == len({hatch for _, hatch in parts}) == 3
    marks = {(tuple(mpl.colors.to_rgb(each.get_color())), each.get_marker())
             for each in drawn["rates"].axes[0].lines if each.get_marker() != "None"}  # fmt: skip
    assert len(marks) == len({mark for _, mark in marks}) == 2


def test_a_figure_is_written_in_three_formats_with_its_fonts(drawn, tmp_path):
    files = plots.save(drawn["spectra"], tmp_path / "new" / "spectra v1.2")
    assert [path.name for path in files] == ["spectra v1.2.svg", "spectra v1.2.pdf", "spectra v1.2.png"]
    assert sorted(files) == sorted(files[0].parent.iterdir())
    svg, pdf, png = (path.read_bytes() for path in files)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"LiCl / ppm" in svg  # letters stay letters
    assert pdf.startswith(b"%PDF")
    fonts = re.findall(rb"/FontDescriptor\b", pdf)
    assert fonts
    assert pdf.count(b"/FontFile2 ") == pdf.count(b"/Type /FontDescriptor")
    assert b"/Type1" not in pdf
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == pytest.approx(88 / 25.4 * 300, abs=1)
    assert plots.rendered(drawn["spectra"], "svg") == svg  # the same again, to the byte


def test_a_figure_is_written_whole_or_not_at_all(drawn, tmp_path):
    (tmp_path / "a.svg").write_text("before")
    (tmp_path / "a.pdf").mkdir()  # cannot be replaced
    with pytest.raises(DataError, match="figure a cannot be written"):
        plots.save(drawn["spectra"], tmp_path / "a", ("svg", "pdf"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.svg"]
    assert (tmp_path / "a.svg").read_text() == "before"
    with pytest.raises(UsageError, match="svg, pdf, png can be"):
        plots.save(drawn["spectra"], tmp_path / "b", ("svg", "gif"))


def test_all_figures_of_an_analysis_have_names_for_every_system(analysis, tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.analysis.plots.everything.save", lambda _, path, __: (path,))
    first, *others = (replace(cell, cycles=cell.cycles[:1]) for cell in analysis.cells[:3])
    bare = [replace(cell, cycles=(replace(cell.cycles[0], measured=replace(cell.cycles[0].measured, deposits={})),))
            for cell in others]  # fmt: skip
    names = [path.name for path in plots.draw_all(replace(analysis, cells=(first, *bare)), tmp_path, ("svg",))]
    assert {
        "allocation",
        "rates",
        "deposits",
        "spectra",
        "nyquist-bare",
        "dynamic-bare-01-c001-deis",
        "operando-bare-01-c001-plating",
    } < {*names}
    assert {"spectra-bare_02_-c001", "spectra-bare_02_-c001-2"} < {*names}  # bare:02? and bare*02!
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9_-]", name) for name in names)


def test_an_analysis_without_data_has_no_figures_and_says_why(tmp_path):
    nothing = Analysis("live", (), (), (), Settings())
    assert plots.draw_all(nothing, tmp_path) == ()
    words = [text.get_text() for axes in plots.allocation.figure(nothing).axes for text in axes.texts]
    assert words == ["no cell measured yet"] * 2


def test_impedance_of_one_state_is_drawn_with_no_other(analysis, drawn):
    upper = drawn["nyquist"].axes[:3]
    assert [axes.get_title("left")[3:] for axes in upper] == ["charged", "discharged", "stripped"]
    for axes, found in zip(upper, analysis.cells[0].cycles[0].impedance.values(), strict=True):
        measured = [line for line in axes.lines if line.get_marker() in "os^"]
        hollow = [line for line in measured if line.get_markerfacecolor() == "white"]
        assert sum(len(line.get_xdata()) for line in measured) == len(found.spectrum.frequency_Hz)
        assert sum(len(line.get_xdata()) for line in hollow) == found.fit.left_out > 0
        box = axes.get_window_extent()
        assert np.ptp(axes.get_xlim()) / box.width == pytest.approx(np.ptp(axes.get_ylim()) / box.height)


def test_the_band_of_a_rate_is_the_confidence_band_of_its_line(analysis):
    cohorts = {f"c{n}": ([x], [y]) for n, (x, y) in enumerate([(1, 2.0), (1, 2.6), (15, 9.0), (15, 9.9), (30, 19.0)])}
    one = replace(analysis, rates=(replace(analysis.rates[0], rates={"dead": loss_rates(cohorts)}),))
    axes = plots.rates.figure(one).axes[0]
    edges = axes.collections[0].get_paths()[0].vertices
    x = np.array([1, 1, 15, 15, 30.0])
    y = np.array([2.0, 2.6, 9.0, 9.9, 19.0])
    basis = np.stack([np.ones(5), x], axis=1)
    best, squares, *_ = np.linalg.lstsq(basis, y, rcond=None)
    at = edges[10]
    row = np.array([1.0, at[0]])
    half = 3.182446 * np.sqrt(squares[0] / 3 * row @ np.linalg.inv(basis.T @ basis) @ row)
    assert abs(at[1] - row @ best) == pytest.approx(half, rel=1e-5)


def test_an_operando_map_has_every_spectrum_at_its_own_time(analysis, drawn):
    film = analysis.cells[0].cycles[0].operando[0]
    mesh = drawn["operando"].axes[1].collections[0]
    rows = np.ma.getmaskarray(mesh.get_array()).reshape(len(mesh.get_coordinates()) - 1, -1).all(axis=1)
    edges = mesh.get_coordinates()[:, 0, 1]
    np.testing.assert_allclose(np.asarray(edges)[:-1][~rows], film.start_h, atol=1e-6)
    np.testing.assert_allclose(np.asarray(edges)[1:][~rows], film.end_h, atol=1e-6)
    assert rows.sum() == 9  # between two spectra there is nothing
