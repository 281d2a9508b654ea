from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import analysed
import h5netcdf
import numpy as np
import polars
import pytest
import xarray

from labctl.analysis import storage
from labctl.analysis.budget import TERMS
from labctl.analysis.inventory import SHARES
from labctl.analysis.storage.names import file_names
from labctl.errors import DataError


@pytest.fixture(scope="module")
def made():
    return analysed.analysis()


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    place = tmp_path_factory.mktemp("results")
    written = storage.write(made, place)
    assert all(path.is_file() for path in written)
    assert sorted(path for path in place.rglob("*") if path.is_file()) == sorted(written)
    return place


@pytest.fixture(scope="module")
def cell(folder):
    return storage.read(folder / "first_campaign" / "bare-01.nc")


@pytest.fixture(scope="module")
def campaign(folder):
    return storage.read(folder / "first_campaign.nc")


def test_every_share_comes_back_with_its_deviation_and_budget(made, cell):
    for one in made.cells[0].allocated:
        split = one.measured.allocation
        back = cell.sel(measured_cycle=one.cycle)
        for share in SHARES:
            assert float(back[f"{share}_percent"]) == split.percent(share)
            assert float(back[f"{share}_percent_sd"]) == split.percent_sd(share)
            terms = back["share_budget_percent"].sel(share=share)
            assert [float(terms.sel(term=term)) for term in TERMS] == [split.budget[share][term] for term in TERMS]
            assert math.isclose(float((terms**2).sum()) ** 0.5, split.percent_sd(share), rel_tol=1e-9)


def test_every_cycle_comes_back_with_capacities_energies_and_times(made, cell):
    for one in made.cells[0].cycles:
        back = cell.sel(cycle=one.cycle)
        assert float(back["discharge_capacity_mAh"]) == one.capacities.discharge
        assert float(back["state_of_health"]) == one.ledger.state_of_health
        assert str(back["started"].values)[:19] == one.started[:19]
    assert math.isnan(cell["charge_energy_mWh"].sel(cycle=1))
    assert cell["ended"].sel(cycle=2) == np.datetime64("2025-03-03T20:30:00.500")


def test_spectra_stand_on_their_own_axis_of_shifts(made, cell):
    rows = [
        (one.cycle, label, state) for one in made.cells[0].allocated for label, state in one.measured.states.items()
    ]
    assert list(zip(cell.spectrum_cycle.values, cell.spectrum_state.values, strict=True)) == [row[:2] for row in rows]
    for index, (_, _, state) in enumerate(rows):
        assert np.array_equal(cell.spectrum_ppm[index], state.spectrum.ppm)
        off = np.abs(cell.spectrum_intensity[index].values - state.spectrum.intensity)
        assert off.max() < 0.01 * state.spectrum.noise_sd
    fitted = cell.where(cell.spectrum_state == "charged", drop=True).spectrum_dense_fit
    assert np.isfinite(fitted).all()


def test_impedance_is_two_real_variables_that_make_the_complex_one(made, cell):
    found = made.cells[0].cycles[0].impedance["charged"]
    z = cell.impedance_real_ohm + 1j * cell.impedance_imag_ohm
    assert np.array_equal(z[0], found.spectrum.impedance_ohm)
    assert cell.impedance_R1_ohm[0] == found.fit.parameters["R1"]
    assert cell.impedance_R1_ohm_sd[0] == found.fit.sd["R1"]
    assert np.array_equal(cell.impedance_kk_residual_real[0], found.test.residual_real)
    above = cell.impedance_frequency_Hz[0].values > 1.0
    assert np.array_equal(cell.impedance_fit_real_ohm[0][above], found.fit.fitted_ohm.real)
    assert np.isnan(cell.impedance_fit_real_ohm[0][~above]).all()
    assert list(cell.impedance_electrode.values[:3]) == ["cell", "working", "counter"]


def test_series_under_current_and_operando_maps_come_back(made, cell):
    series, watched = made.cells[0].cycles[0].dynamic[0], made.cells[0].cycles[0].operando[0]
    first = cell.isel(dynamic=cell.dynamic_cycle == 1, operando=cell.operando_cycle == 1)
    assert np.array_equal(first.dynamic_charge_mAh, series.charge_mAh)
    assert np.isnan(first.dynamic_soc).all()
    assert np.isnan(first.dynamic_R1_ohm[0])
    assert first.dynamic_R1_ohm[1] == series.fits[1].parameters["R1"]
    assert np.array_equal(first.operando_ppm[2], watched.ppm)
    assert np.allclose(first.operando_intensity, watched.intensity, rtol=1e-6, atol=1e-9)
    assert list(first.operando_sort.values) == list(watched.sort)
    assert np.array_equal(cell.operando_course_voltage_V[cell.operando_course_cycle == 1], watched.course_voltage_V)


def test_a_campaign_has_groups_comparisons_rates_and_the_conversion_factor(made, campaign):
    group = made.groups[0]
    assert campaign.mean_dead_percent[0] == group.shares["dead"].mean
    assert campaign.mean_dead_percent_sd[0] == group.shares["dead"].sd
    assert campaign.mean_dead_percent_sd_common[0] == group.shares["dead"].sd_common
    assert campaign.comparison_p[0] == made.comparisons[0].result.p
    rates = made.rates[0].rates["dead"]
    assert (campaign.rate_rate_percent[0], campaign.rate_rate_percent_sd[0]) == (rates.rate, rates.rate_sd)
    pooled = made.conversions[0].pooled
    assert campaign.attrs["k_mAh_per_au"] == pooled.mean
    assert float(campaign.conversion_weight.sel(conversion="bare-02 cycle 3")) == pooled.measurements[3].weight
    assert str(campaign.cell_file.sel(cell="coated-01").values) == "first_campaign/coated-01.nc"


def test_provenance_is_in_the_attributes_and_the_raw_bundles_in_a_table(made, cell):
    assert cell.attrs["schema"] == "labctl.results/1"
    assert cell.attrs["Conventions"] == "CF-1.11"
    assert cell.attrs["mode"] == "simulated"
    assert cell.attrs["labctl_version"]
    assert json.loads(cell.attrs["settings"])["detection_sigma"] == made.settings.detection_sigma
    folders = dict(zip(cell.bundle_token.values, cell.bundle_folder.values, strict=True))
    assert folders["bare-01-1-c"] == "first campaign/bare-01/bare-01-1-c"
    assert set(cell.flag_name.values) == {"uncalibrated", ""}
    assert "±" in str(cell.flag_text.values[0])
    assert "temperature 20 °C" in json.loads(str(cell.spectrum_parameters.values[0]))[0]


def test_a_plain_reader_finds_what_labctl_reads_with_units_names_and_deviations(made, tmp_path):
    cycle = replace(made.cells[0].cycles[0], operando=(), dynamic=())
    small = replace(made.cells[0], cycles=(cycle, made.cells[0].cycles[1]))
    path = storage.write(replace(made, cells=(small,), groups=(), conversions=()), tmp_path)[0]
    with xarray.open_dataset(path, engine="h5netcdf") as plain:
        assert plain.load().identical(storage.read(path))
        for name, one in plain.variables.items():
            assert one.attrs["long_name"], name
            assert ("units" in one.attrs) == (one.dtype.kind in "fi"), name
            for other in one.attrs.get("ancillary_variables", "").split():
                assert plain[other].attrs["units"] == one.attrs["units"]
            if f"{name}_sd" in plain:
                assert f"{name}_sd" in one.attrs["ancillary_variables"]
    with h5netcdf.File(path, "r") as bare:
        assert bare.attrs["mode"] == "simulated"
        assert bare["dead_percent"].dimensions == ("measured_cycle",)
        assert bare["impedance_real_ohm"].dimensions == ("impedance", "impedance_point")


def test_every_table_is_a_csv_with_units_in_its_head_and_nothing_for_nothing(folder, cell):
    place = folder / "first_campaign"
    tables = {path.name.split(".")[1] for path in place.glob("bare-01.*.csv")}
    assert tables == {
        "cycles", "shares", "budget", "spectra", "spectra_points", "deposits", "impedance", "impedance_points",
        "dynamic", "dynamic_points", "operando", "operando_points", "operando_course", "flags", "bundles",
    }  # fmt: skip
    for path in folder.rglob("*.csv"):
        text = path.read_bytes().decode("utf-8")
        assert "nan" not in text.lower().replace("\n", ",").split(",")
        frame = polars.read_csv(path)
        assert frame.height == text.count("\n") - 1
        assert set(frame["mode"]) == {"simulated"}
    cycles = polars.read_csv(place / "bare-01.cycles.csv", try_parse_dates=True)
    assert cycles["discharge_capacity_mAh"].to_list() == cell.discharge_capacity_mAh.values.tolist()
    assert cycles["charge_energy_mWh"].null_count() == 1
    assert cycles["started"].dtype == polars.Datetime("us", "UTC")
    points = polars.read_csv(place / "bare-01.impedance_points.csv")
    mine = points.filter((polars.col("cycle") == 3) & (polars.col("state") == "charged")
                         & (polars.col("electrode") == "working"))  # fmt: skip
    assert np.array_equal(mine["real_ohm"], cell.impedance_real_ohm[7])


def test_the_same_analysis_gives_the_same_bytes(made, folder, tmp_path):
    again = storage.write(made, tmp_path)
    assert [path.relative_to(tmp_path) for path in again]
    for path in again:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name


def test_an_interrupted_write_leaves_the_old_file(made, tmp_path, monkeypatch):
    one = replace(made, cells=made.cells[1:2])
    written = storage.write(one, tmp_path)
    before = {path: path.read_bytes() for path in written}
    changed = replace(one, mode="live")

    def cut_off(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", cut_off)
    with pytest.raises(DataError, match=r"\.nc: cannot be written .*is there room"):
        storage.write(changed, tmp_path)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    storage.write(changed, tmp_path)
    assert storage.read(written[0]).attrs["mode"] == "live"


def test_tables_that_a_later_analysis_has_not_are_removed(made, tmp_path):
    storage.write(replace(made, cells=made.cells[:1]), tmp_path)
    bare = replace(made.cells[0], cycles=tuple(replace(one, operando=()) for one in made.cells[0].cycles))
    (tmp_path / "first_campaign" / "bare-01.mine.csv").write_text("a person's own")
    storage.write(replace(made, cells=(bare,)), tmp_path)
    left = {path.name for path in (tmp_path / "first_campaign").iterdir()}
    assert not any("operando" in name for name in left)
    assert {"bare-01.mine.csv", "bare-01.dynamic.csv"} <= left


def test_a_cell_of_which_nothing_is_known_is_written_and_read(made, tmp_path):
    empty = replace(made.cells[0], cycles=(), flags=(), life=None)
    nothing = replace(made, cells=(empty,), groups=(), comparisons=(), rates=(), conversions=(), flags=())
    written = storage.write(nothing, tmp_path)
    assert [path.name for path in written] == [
        "bare-01.nc",
        "first_campaign.nc",
        "first_campaign.cells.csv",
    ]
    assert storage.read(written[0]).attrs["cell"] == "bare-01"


def test_what_is_no_file_of_results_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"none\.nc: there is no such file"):
        storage.read(tmp_path / "none.nc")
    (tmp_path / "torn.nc").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises(DataError, match=r"torn\.nc: not a readable netCDF"):
        storage.read(tmp_path / "torn.nc")
    xarray.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(DataError, match=r"other\.nc: is no file of results"):
        storage.read(tmp_path / "other.nc")


def test_names_are_safe_on_windows_and_stay_apart():
    names = ["bare-01", "Bare-01", "CON", "nul.x", "a/b", "a:b", "Zelle ä", "ends.", "", "..", "x" * 300]
    files = file_names(names)
    assert len({file.casefold() for file in files.values()}) == len(names)
    for file in files.values():
        assert file.isascii() and 0 < len(file) < 100
        assert not set(file) & set('<>:"/\\|?* ')
        assert not file.endswith(".") and file.split(".")[0].casefold() not in {"con", "nul", ""}
    assert file_names(["bare-01", "coated_2"]) == {"bare-01": "bare-01", "coated_2": "coated_2"}
