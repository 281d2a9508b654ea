"""The instrument's ``.ism`` files: everything in them is read, and what cannot be read is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from zahner_bench import REQUEST, TOKEN, Bench, ended, on_bench

from labctl.instruments import State
from labctl_drivers.zahner import ism
from labctl_simulators.thales import ism as written

COUNT = 5
FREQUENCY = np.geomspace(1e4, 1.0, COUNT)
SPECTRUM = written.Spectrum(
    frequency=FREQUENCY,
    impedance=20 - 3j / FREQUENCY,
    measured=tuple(written.EPOCH + timedelta(days=17000, seconds=n) for n in range(COUNT)),
    voltage=np.linspace(3.7, 3.6, COUNT),
    current=np.full(COUNT, -5e-5),
    galvanostatic=True,
    amplitude=0.065,
    pset=0.0,
    cset=-5e-5,
    fmin=1.0,
    fmax=1e4,
    fstart=1e4,
    nwl=4.0,
    nws=6.0,
    dfl=5.0,
    dfm=10.0,
    serial="33021",
)


@pytest.mark.parametrize("older", [False, True])
def test_points_times_tracks_texts_and_settings_come_back(older: bool) -> None:
    found = ism.read(written.write(SPECTRUM, older=older))
    assert found.frequency.tolist() == FREQUENCY.tolist()
    assert np.abs(found.impedance / SPECTRUM.impedance - 1).max() < 1e-12
    assert found.time.tolist() == [17000 * 86400.0 + n for n in range(COUNT)]
    assert found.voltage.tolist() == SPECTRUM.voltage.tolist()
    assert found.current.tolist() == SPECTRUM.current.tolist()
    assert found.significance.tolist() == [0.999] * COUNT
    assert found.texts["current"] == "-50uA, Ampl: 65uA"
    assert found.texts["time_window"] == "00:00:00 - 00:00:04"
    assert found.texts["serial_quantity"] == "33021"
    assert found.amplitude == pytest.approx(65e-6)
    assert found.settings["Cset"] == -5e-5
    assert (found.settings["dfm"], found.settings["dfl"], found.settings["Nws"], found.settings["Nwl"]) == (10, 5, 6, 4)
    assert found.damage == ""


def test_a_file_without_tracks_has_none_and_its_table_leaves_them_empty() -> None:
    found = ism.read(written.write(SPECTRUM, tracks=False))
    assert np.isnan(found.voltage).all()
    assert np.isnan(found.current).all()
    assert ism.table(found).splitlines()[1].endswith(",0,,")


def test_a_trailer_that_cannot_be_read_costs_no_point_and_is_told() -> None:
    whole = written.write(SPECTRUM)
    points_end = 12 + 34 * COUNT
    for length in range(points_end, len(whole), 7):
        with pytest.raises(ValueError, match="cut short"):
            ism.read(whole[:length])
        found = ism.read(whole[:length], lenient=True)
        assert np.abs(found.impedance / SPECTRUM.impedance - 1).max() < 1e-12
        assert "cut short" in found.damage
        assert np.isnan(found.voltage).all()
    with pytest.raises(ValueError, match="cut short"):
        ism.read(whole[: points_end - 1], lenient=True)
    odd = bytearray(whole)
    odd[-16 * COUNT - 8 * 7 : -16 * COUNT - 8 * 6] = b"\xff" * 8
    assert "no number" in ism.read(bytes(odd), lenient=True).damage


def test_what_is_no_such_file_is_never_taken_for_one() -> None:
    whole = written.write(SPECTRUM)
    for raw in (b"", b"PK\x03\x04" + whole[4:], whole[:6] + b"\xff" * 6 + whole[12:], whole[:11]):
        with pytest.raises(ValueError, match=r"no \.ism file"):
            ism.read(raw, lenient=True)


def test_a_result_with_a_damaged_trailer_keeps_its_points_and_warns(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver(naming="counter", strategy="multi")
        await driver.connect()
        handle = await driver.start(TOKEN, replace(REQUEST, frequency_end=1e3))
        assert made.thales.settings["ScanStrategy"] == 1
        assert (await ended(driver, handle)).state is State.DONE
        path = f"c:\\thales\\labctl\\{TOKEN}_0001.ism"
        made.thales.files[path] = made.thales.files[path][:-100]
        found = await driver.find(TOKEN)
        assert found is not None
        assert found.place == path
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        assert fetched.warnings == (
            f"the file's end cannot be read (cut short at byte {len(made.thales.files[path])}); its points can",
        )
        assert (tmp_path / f"{TOKEN}.ism").read_bytes() == made.thales.files[path]
        assert len((tmp_path / "impedance.csv").read_text().splitlines()) == fetched.summary["points"] + 1 == 27

    on_bench(tmp_path, story)


def test_names_that_could_not_be_found_again_are_refused(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(ValueError, match="cannot be found again"):
            made.driver(naming="date")
        with pytest.raises(ValueError, match="neither of single, multi"):
            made.driver(strategy="table")

    on_bench(tmp_path, story)
