from __future__ import annotations

import ast
import importlib.util
import stat
import zipfile
from pathlib import Path

import bruker_folders
import numpy as np
import pytest

from labctl.analysis import bruker, places
from labctl.analysis.group_delay import HALF_PERIODS, from_table
from labctl.analysis.nmr import read_bruker
from labctl.errors import DataError

FID = bruker_folders.decay()


def archive(path, folder, prefix="sample/10"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                opened.write(file, f"{prefix}/{file.relative_to(folder)}")
    return path


# -- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("without", ["", "BYTORDA", "BYTORDA DTYPA"])
def test_every_number_format_says_the_same(tmp_path, kind, order, without):
    folder = bruker_folders.write(tmp_path / "1", DTYPA=kind, BYTORDA=order, without=without)
    assert np.array_equal(read_bruker(folder).fid, FID)


def test_what_the_numbers_themselves_had_to_tell_is_written_down(tmp_path):
    found = read_bruker(bruker_folders.write(tmp_path / "1", DTYPA=2, BYTORDA=1, without="BYTORDA DTYPA"))
    said = {one.name: (one.value, one.source) for one in found.origins}
    assert said["byte order"] == ("big", "found")
    assert said["number format"] == (2, "found")


@pytest.mark.parametrize("exponent", [-3, 5])
def test_the_exponent_scales_the_data(tmp_path, exponent):
    found = read_bruker(bruker_folders.write(tmp_path / "1", NC=exponent))
    assert np.array_equal(found.fid, FID * 2.0**exponent)


@pytest.mark.parametrize(("kind", "size"), [(0, 4096), (2, 8192)])
def test_a_decay_that_fills_up_its_last_block_is_read_without_the_filling(tmp_path, kind, size):
    folder = bruker_folders.write(tmp_path / "1", FID[:500], DTYPA=kind)
    content = (folder / "fid").read_bytes()
    (folder / "fid").write_bytes(content + b"\1" * (size - len(content)))
    found = read_bruker(folder)
    assert np.array_equal(found.fid, FID[:500])
    assert np.array_equal(bruker.read(folder).fid, FID[:500])
    assert any(one.name == "padding" for one in found.origins)


def test_another_length_than_the_parameters_say_is_refused(tmp_path):
    folder = bruker_folders.write(tmp_path / "1", TD=700)
    with pytest.raises(DataError, match="4096 bytes, but TD=700 asks for 2800"):
        read_bruker(folder)


def test_a_console_of_the_nineties_is_understood(tmp_path):
    folder = bruker_folders.write(
        tmp_path / "1", BYTORDA=1, DIGMOD=1, DSPFVS=12, DECIM=24, without="GRPDLY PLW D P NUC1"
    )
    text = (folder / "acqus").read_text()
    text = text.replace("##END=", "##$D1= 0.25\n##$P1= 6.5\n##$NUCLEUS= <7Li>\n##$OWNER= <J\xfcrgen>\n##END=")
    (folder / "acqus").write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    found = read_bruker(folder)
    assert (found.recycle_delay_s, found.pulse_s, found.nucleus) == (0.25, pytest.approx(6.5e-6), "7Li")
    assert found.delay_points == pytest.approx(3368 / 48)
    assert found.start_s == pytest.approx(6.5e-6 - 3368 / 48 / 1e5)
    assert found.parameters["OWNER"] == "J\xfcrgen"
    assert any("PLW1 is missing" in text for text in found.assumed)


# -- what is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("DE", "DE is missing; the phase linear in frequency is not known"),
        ("RG", "RG is missing; integrals do not compare"),
        ("NS", "NS is missing; integrals do not compare"),
        ("NC", "NC is missing; the data are not scaled"),
        ("TD", "TD is missing; as many as the fid holds"),
        ("AQ_mod", "AQ_mod is missing; simultaneous"),
        ("BF1", "BF1 is missing; SFO1 less O1"),
        ("SFO1", "SFO1 is missing; BF1 and O1"),
    ],
)
def test_what_is_assumed_is_said(tmp_path, key, said):
    whole = read_bruker(bruker_folders.write(tmp_path / "1"))
    found = read_bruker(bruker_folders.write(tmp_path / "2", without=key))
    assert whole.assumed == ()
    assert [text for text in found.assumed if said in text]
    assert found.carrier_Hz == pytest.approx(whole.carrier_Hz, abs=1e-3)
    assert found.basic_Hz == pytest.approx(whole.basic_Hz, abs=1e-3)


@pytest.mark.parametrize("key", ["SW_h", "NS", "BF1", "SFO1"])
def test_labctls_own_data_must_be_complete(tmp_path, key):
    with pytest.raises(DataError, match=f"parameter {key} is missing"):
        bruker.read(bruker_folders.write(tmp_path / "1", without=key))


@pytest.mark.parametrize("key", ["SW_h", "SFO1 O1"])
def test_what_nothing_can_tell_is_refused_by_name(tmp_path, key):
    with pytest.raises(DataError, match=f"parameter {key.split()[0]} is missing"):
        read_bruker(bruker_folders.write(tmp_path / "1", without=key))


def test_a_spectral_width_in_ppm_will_do(tmp_path):
    found = read_bruker(bruker_folders.write(tmp_path / "1", without="SW_h", SW=1285.39))
    assert found.sweep_width_Hz == pytest.approx(1285.39 * 77.79756453)


def test_a_word_where_a_number_belongs_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"parameter RG is not a number \('auto'\)"):
        read_bruker(bruker_folders.write(tmp_path / "1", RG="auto"))


@pytest.mark.parametrize(("mode", "said"), [(0, "on one channel"), (2, "read in turn")])
def test_data_without_simultaneous_quadrature_are_refused(tmp_path, mode, said):
    with pytest.raises(DataError, match=said):
        read_bruker(bruker_folders.write(tmp_path / "1", AQ_mod=mode))


def test_every_parameter_that_is_used_says_where_it_came_from(tmp_path):
    found = read_bruker(bruker_folders.write(tmp_path / "1", sf=77.7782))
    said = {one.name: one.note for one in found.origins if one.source == "dataset"}
    expected = {
        "spectral width": "SW_h", "basic frequency": "BF1", "carrier": "SFO1", "dead time": "DE", "scans": "NS",
        "receiver gain": "RG", "pulse": "P1", "recycle delay": "D1", "frequency of 0 ppm": "pdata/1/procs SF",
    }  # fmt: skip
    assert expected.items() <= said.items()
    assert found.reference_Hz == pytest.approx(77.7782e6)


# -- the digital filter ----------------------------------------------------------------------------------------------


def table_of_nmrglue():
    """Its table from its source: importing it costs seconds."""
    spec = importlib.util.find_spec("nmrglue")
    source = Path(spec.submodule_search_locations[0], "fileio", "bruker.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "bruker_dsp_table":
            return ast.literal_eval(node.value)
    raise LookupError("nmrglue keeps its table under another name now")


def test_the_table_of_delays_is_the_public_one():
    table = table_of_nmrglue()
    assert set(HALF_PERIODS) == set(table)
    for firmware, delays in table.items():
        assert set(HALF_PERIODS[firmware]) == set(delays)
        for decimation, delay in delays.items():
            assert from_table(firmware, decimation) == pytest.approx(delay, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "delay", "source"),
    [
        ({"GRPDLY": 67.9856, "DIGMOD": 1, "DECIM": 16}, 67.9856, "dataset"),
        ({"GRPDLY": -1, "DIGMOD": 1, "DSPFVS": 10, "DECIM": 8}, 68.5625, "standard"),
        ({"GRPDLY": 0, "DIGMOD": 1, "DSPFVS": 13, "DECIM": 4}, 2.875, "standard"),
        ({"GRPDLY": 0, "DIGMOD": 1, "DSPFVS": 20, "DECIM": 5}, 0.0, "dataset"),
        ({"DIGMOD": 0, "DSPFVS": 12, "DECIM": 24}, 0.0, "dataset"),
    ],
)
def test_the_filters_delay_is_told_or_looked_up(tmp_path, given, delay, source):
    found = read_bruker(bruker_folders.write(tmp_path / "1", **given))
    assert found.delay_points == pytest.approx(delay)
    assert [one.source for one in found.origins if one.name == "digital filter"] == [source]


def test_a_filter_that_no_table_knows_is_refused(tmp_path):
    folder = bruker_folders.write(tmp_path / "1", DIGMOD=1, DSPFVS=12, DECIM=7, without="GRPDLY")
    with pytest.raises(DataError, match=r"digital filter of unknown delay .*DSPFVS 12.0, DECIM 7"):
        read_bruker(folder)


def test_an_acquisition_under_way_need_not_tell_its_filter_yet(tmp_path):
    folder = bruker_folders.write(tmp_path / "1", DIGMOD=1, DSPFVS=0, DECIM=7, without="GRPDLY NS")
    (folder / "acqus").rename(folder / "acqu")
    found = bruker.read(folder, scans=12)
    assert (found.scans, found.delay_points) == (12, 0.0)
    assert any("not told before" in text for text in found.assumed)


def test_a_delay_longer_than_the_decay_is_refused(tmp_path):
    with pytest.raises(DataError, match="delay of 600 points does not fit a decay of 512"):
        read_bruker(bruker_folders.write(tmp_path / "1", GRPDLY=600))


def test_a_decay_that_the_console_refers_to_the_pulse_has_no_dead_time(tmp_path):
    found = read_bruker(bruker_folders.write(tmp_path / "1", DIGMOD=3, GRPDLY=70.0))
    assert found.dead_time_s == 0.0
    assert any("baseopt" in text for text in found.assumed)


# -- where it lies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "fid", "acqus", "pdata", "pdata/1", "pdata/1/procs"])
def test_any_path_into_a_dataset_leads_to_it(tmp_path, inside):
    folder = bruker_folders.write(tmp_path / "sample" / "10", sf=77.7782)
    assert read_bruker(folder / inside).folder == folder


def test_a_folder_above_a_single_dataset_leads_to_it(tmp_path):
    folder = bruker_folders.write(tmp_path / "nmr" / "sample" / "10")
    assert read_bruker(tmp_path).folder == folder


def test_several_datasets_are_named_in_order_and_none_is_chosen(tmp_path):
    for name in ("9", "10", "2"):
        bruker_folders.write(tmp_path / name)
    with pytest.raises(DataError, match=r"3 datasets \(\S+/2, \S+/9, \S+/10\); give one"):
        read_bruker(tmp_path)
    assert [one.path.name for one in places.locate(tmp_path)] == ["2", "9", "10"]


def test_an_archive_says_what_its_folder_says(tmp_path):
    folder = bruker_folders.write(tmp_path / "10", sf=77.7782)
    packed = archive(tmp_path / "sample.zip", folder)
    found = read_bruker(packed)
    assert np.array_equal(found.fid, read_bruker(folder).fid)
    assert found.reference_Hz == pytest.approx(77.7782e6)
    assert found.folder == packed / "sample/10/"


def test_an_archive_of_several_names_them(tmp_path):
    folder = bruker_folders.write(tmp_path / "10")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as opened:
        for name in ("11", "2"):
            for file in ("fid", "acqus"):
                opened.write(folder / file, f"{name}/{file}")
    with pytest.raises(DataError, match=r"2 datasets \(\S+/2, \S+/11\)"):
        read_bruker(tmp_path / "all.zip")


@pytest.mark.parametrize("name", ["../../10/fid", "/etc/10/fid", "a\\..\\..\\fid", "C:\\10\\fid", "a/../../fid"])
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path, name):
    packed = archive(tmp_path / "evil.zip", bruker_folders.write(tmp_path / "10"))
    with zipfile.ZipFile(packed, "a") as opened:
        opened.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(DataError, match="unsafe archive"):
        read_bruker(packed)


def test_an_archive_with_a_link_is_refused(tmp_path):
    packed = archive(tmp_path / "evil.zip", bruker_folders.write(tmp_path / "10"))
    link = zipfile.ZipInfo("sample/11/fid")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(packed, "a") as opened:
        opened.writestr(link, b"/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        read_bruker(packed)


def test_an_archive_that_swells_is_not_read_to_its_end(tmp_path, monkeypatch):
    packed = archive(tmp_path / "swells.zip", bruker_folders.write(tmp_path / "10", np.ones(4096) * 1.0j))
    monkeypatch.setattr(places, "LARGEST", 8192)
    with pytest.raises(DataError, match="more than 8192 bytes"):
        read_bruker(packed)


def test_a_damaged_archive_is_refused(tmp_path):
    packed = archive(tmp_path / "cut.zip", bruker_folders.write(tmp_path / "10"))
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged zip"):
        read_bruker(packed)
    packed.write_bytes(content[:200] + bytes(100) + content[300:])
    with pytest.raises(DataError):
        read_bruker(packed)


@pytest.mark.parametrize("packed", [False, True])
def test_two_dimensional_data_are_refused_by_name(tmp_path, packed):
    folder = bruker_folders.write(tmp_path / "10")
    (folder / "fid").rename(folder / "ser")
    path = archive(tmp_path / "x.zip", folder) if packed else folder
    with pytest.raises(DataError, match="two-dimensional"):
        read_bruker(path)


def test_parameters_left_over_from_two_dimensions_do_no_harm(tmp_path):
    folder = bruker_folders.write(tmp_path / "10")
    (folder / "acqu2s").write_text("##TITLE= x\n##$TD= 32\n##END=\n")
    assert len(read_bruker(folder).fid) == 512
    with pytest.raises(DataError, match="two-dimensional"):
        bruker.read(folder)


def test_nothing_is_said_to_be_nothing(tmp_path):
    with pytest.raises(DataError, match="there is no such dataset"):
        read_bruker(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="no Bruker dataset"):
            read_bruker(path)


def test_a_parameter_file_cut_anywhere_is_read_or_refused_and_nothing_else(tmp_path):
    folder = bruker_folders.write(tmp_path / "1")
    whole = (folder / "acqus").read_bytes()
    outcomes = set()
    for length in range(0, len(whole), 7):
        (folder / "acqus").write_bytes(whole[:length])
        try:
            outcomes.add(len(read_bruker(folder).fid) > 0)
        except DataError:
            outcomes.add(False)
    assert outcomes == {True, False}
