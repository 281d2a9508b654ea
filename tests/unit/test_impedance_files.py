from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labctl.analysis import impedance
from labctl.errors import DataError
from labctl_simulators.biologic import mpr_writer
from labctl_simulators.thales import ism

FREQUENCY = np.geomspace(1e5, 0.1, 31)
CELL = 5 + 40 / (1 + (2j * np.pi * FREQUENCY * 1e-3) ** 0.9)


def put(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def assert_same(spectrum, frequency=FREQUENCY, values=CELL, close=1e-6):
    assert np.allclose(spectrum.frequency_Hz, frequency, rtol=close)
    assert np.allclose(spectrum.impedance_ohm, values, rtol=close)


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "columns", "mark", "comma"),
    [
        ("frequency_Hz,real_ohm,imaginary_ohm", lambda f, z: (f, z.real, z.imag), ",", False),
        ("freq/Hz;Re(Z)/Ohm;-Im(Z)/Ohm", lambda f, z: (f, z.real, -z.imag), ";", True),
        ("Frequency (kHz)\tZ' (mOhm)\tZ'' (mOhm)", lambda f, z: (f / 1e3, z.real * 1e3, z.imag * 1e3), "\t", False),
        ("f [Hz],|Z| [Ω],phase [deg]", lambda f, z: (f, abs(z), np.degrees(np.angle(z))), ",", False),
        ("Zimag,Zreal,Freq", lambda f, z: (z.imag, z.real, f), ",", False),
        ("omega (rad/s);Zmod;phase_rad", lambda f, z: (2 * np.pi * f, abs(z), np.angle(z)), ";", True),
    ],
)
def test_a_table_is_understood_by_the_names_and_units_of_its_columns(tmp_path, heading, columns, mark, comma):
    rows = [mark.join(f"{value:.12g}" for value in row) for row in zip(*columns(FREQUENCY, CELL), strict=True)]
    text = "\n".join([heading, *(row.replace(".", ",") if comma else row for row in rows)]) + "\n"
    assert_same(impedance.read(put(tmp_path, "hand.csv", text)))


def test_a_table_in_rising_order_and_latin_letters_reads_the_same(tmp_path):
    rows = [f"{f:.10g};{z.real:.10g};{z.imag:.10g};20" for f, z in zip(FREQUENCY[::-1], CELL[::-1], strict=True)]
    text = "\r\n".join(["Frequency/Hz;Re(Z)/Ohm;Im(Z)/Ohm;Temperature/°C", *rows])
    assert_same(impedance.read(put(tmp_path, "hand.txt", text, "latin-1")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "time_s,voltage_V\n1,2\n",
            "columns frequency_Hz, real_ohm, imaginary_ohm are missing; found time_s, voltage_V",
        ),
        ("f/Hz,|Z|/Ohm\n1,2\n", "columns phase_deg are missing"),
        ("freq/Hz,Re(Z)/Ohm cm2,-Im(Z)/Ohm cm2\n1,2,3\n", "found freq/Hz, Re\\(Z\\)/Ohm cm2"),
        ("", "found none"),
        ("f/Hz,Re/ohm,Im/ohm\n1,2,x\n", "line 2 is not complete"),
        ("f/Hz,Re/ohm,Im/ohm\n1,2,nan\n", "no impedance"),
        ("f/Hz,Re/ohm,Im/ohm\n1,2,3,4\n", "line 2 has 4 values, where there are 3 columns"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_was_found(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        impedance.read(put(tmp_path, "hand.csv", text))


def test_a_column_that_holds_the_opposite_of_its_name_is_flagged(tmp_path):
    rows = [f"{f},{z.real},{-z.imag}" for f, z in zip(FREQUENCY, CELL, strict=True)]
    spectrum = impedance.read(put(tmp_path, "hand.csv", "\n".join(["f/Hz,Re/ohm,Im/ohm", *rows])))
    assert "opposite" in spectrum.flags[0]


def test_an_unknown_kind_of_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"\.xlsx is no impedance file; \.csv"):
        impedance.read(put(tmp_path, "hand.xlsx", ""))
    with pytest.raises(DataError, match="cannot be read"):
        impedance.read(tmp_path / "absent.csv")


def test_a_series_of_labctl_is_read_with_its_charge(tmp_path):
    lines = ["spectrum,started_s,middle_s,ended_s,charge_start_C,charge_middle_C,charge_end_C,table,file"]
    for number in (1, 2):
        rows = [f"{f},{number * z.real},{number * z.imag}" for f, z in zip(FREQUENCY, CELL, strict=True)]
        name = f"impedance-00{number}.csv"
        put(tmp_path, name, "\n".join(["frequency_Hz,real_ohm,imaginary_ohm", *rows]))
        lines.append(f"{number},{100 * number},0,0,0,{-3.6 * number},0,{name},x.ism")
    sweeps = impedance.read_series(put(tmp_path, "spectra.csv", "\n".join(lines)))
    assert [one.charge_mAh for one in sweeps] == [-1.0, -2.0]
    assert_same(sweeps[1].cell, values=2 * CELL)


# -- Zahner ------------------------------------------------------------------------------------------------------------


def thales_file(frequency, values, **how):
    measured = tuple(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(len(frequency)))
    number = np.arange(len(frequency))
    return ism.write(
        ism.Spectrum(
            frequency=frequency,
            impedance=values,
            measured=measured,
            voltage=3.0 + 0.001 * number,
            current=1e-6 * number,
            galvanostatic=True,
            serial="33000",
            **dict.fromkeys(("amplitude", "pset", "cset", "fmin", "fmax", "fstart", "nwl", "nws", "dfl", "dfm"), 1.0),
        ),
        **how,
    )


@pytest.mark.parametrize("how", [{}, {"tracks": False}, {"older": True}])
def test_a_file_of_the_zahner_is_read_with_its_tracks(tmp_path, how):
    path = tmp_path / "one.ism"
    path.write_bytes(thales_file(FREQUENCY, CELL, **how))
    spectrum = impedance.read(path)
    assert_same(spectrum, close=1e-12)
    assert np.allclose(spectrum.time_s, np.arange(31.0))
    if how.get("tracks", True):
        assert np.allclose(spectrum.voltage_V, 3.0 + 0.001 * np.arange(31))
    else:
        assert spectrum.voltage_V is None


def test_a_zahner_sweep_that_goes_up_first_counts_its_way_down_alone(tmp_path):
    path = tmp_path / "two.ism"
    there = np.concatenate((FREQUENCY[5:0:-1], FREQUENCY))
    path.write_bytes(thales_file(there, np.concatenate((9 * CELL[5:0:-1], CELL))))
    spectrum = impedance.read(path)
    assert_same(spectrum, close=1e-12)
    assert "5 points before" in spectrum.flags[0]


def test_a_spoilt_zahner_file_is_refused_wherever_it_is_cut(tmp_path):
    raw = thales_file(FREQUENCY, CELL)
    path = tmp_path / "cut.ism"
    for size in (0, 5, 12, 100, 12 + 34 * 31 - 1):
        path.write_bytes(raw[:size])
        with pytest.raises(DataError, match=r"cut\.ism"):
            impedance.read(path)
    # What follows the points may be lost: they stay valid.
    path.write_bytes(raw[: 12 + 34 * 31 + 7])
    assert_same(impedance.read(path), close=1e-12)


# -- BioLogic ----------------------------------------------------------------------------------------------------------


def ec_lab_text(columns, rows, head=()):
    lines = ["EC-Lab ASCII FILE", "", "", *head, "\t".join(columns) + "\t"]
    lines[1] = f"Nb header lines : {len(lines)}"
    return "\r\n".join(lines + ["\t".join(f"{value:.9E}".replace(".", ",") for value in row) for row in rows]) + "\r\n"


def test_a_text_export_with_decimal_commas_is_read(tmp_path):
    columns = ("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm", "|Z|/Ohm", "Phase(Z)/deg", "time/s", "<Ewe>/V", "<I>/mA")
    rows = [
        (f, z.real, -z.imag, abs(z), np.degrees(np.angle(z)), 10.0 + n, 3.9, 0.5)
        for n, (f, z) in enumerate(zip(FREQUENCY, CELL, strict=True))
    ]
    spectrum = impedance.read(put(tmp_path, "one.mpt", ec_lab_text(columns, rows), "latin-1"))
    assert_same(spectrum)
    assert spectrum.time_s[-1] == 30 and spectrum.current_A[0] == pytest.approx(5e-4)


def series_rows():
    """Three spectra under direct current, with its rows between them."""
    rows, time, charge = [], 0.0, 0.0
    for number in (1, 2, 3):
        for _ in range(4):
            rows.append((0.0, 0.0, 0.0, time, charge, number))
            time, charge = time + 30, charge + 0.01
        for f, z in zip(FREQUENCY, number * CELL, strict=True):
            rows.append((f, z.real, -z.imag, time, 0.0, number))
            time, charge = time + 2, charge + 0.02 / 30
    rows.append((0.0, 0.0, 0.0, time, charge, number))
    return rows


@pytest.mark.parametrize("told", ["z cycle", "loops", "nothing"])
def test_each_spectrum_of_a_series_is_found_in_one_text_export(tmp_path, told):
    rows = series_rows()
    columns = ["freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm", "time/s", "(Q-Qo)/mA.h", "z cycle" if told == "z cycle" else "Ns"]
    head = [f"Loop {n} from point number {35 * n} to {35 * n + 34}" for n in range(3)] if told == "loops" else []
    if told != "z cycle":
        rows = [(*row[:-1], 0.0) for row in rows]
    sweeps = impedance.read_series(put(tmp_path, "deis.mpt", ec_lab_text(columns, rows, head), "latin-1"))
    assert [one.number for one in sweeps] == [1, 2, 3]
    for number, one in enumerate(sweeps, 1):
        assert_same(one.cell, values=number * CELL)
        assert one.charge_mAh == pytest.approx(0.06 * number - 0.01, abs=0.004)
    with pytest.raises(DataError, match="holds 3 spectra"):
        impedance.read(tmp_path / "deis.mpt")


def test_both_electrodes_are_read_as_passive_ones_and_add_up_to_the_cell(tmp_path):
    near, far = 0.6 * CELL, 0.4 * CELL
    rows = [
        mpr_writer.Row(
            float(n), 0, True, (f, abs(a), 1.0, np.angle(a), 3.9, 1e-4, abs(b), 1.0, float(np.angle(b)), 0.1)
        )
        for n, (f, a, b) in enumerate(zip(FREQUENCY, near, far, strict=True))
    ]
    file = mpr_writer.DataFile(
        technique=29,
        name="PEIS",
        kind="spectrum",
        channel=0,
        serial=1,
        counter=True,
        started=datetime(2026, 3, 1, tzinfo=UTC),
        rows=rows,
    )
    path = tmp_path / "three.mpt"
    made = mpr_writer.text(file, ",")
    path.write_bytes(made if isinstance(made, bytes) else made.encode("latin-1"))
    (sweep,) = impedance.read_series(path)
    assert_same(sweep.cell)
    assert_same(sweep.working, values=near)
    assert_same(sweep.counter, values=far)
    assert impedance.check_sweep(sweep, tolerance=1e-3).passes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no file", "is no text export"),
        ("EC-Lab ASCII FILE\nNb header lines : 90\n", "head of 90 lines"),
        (ec_lab_text(("time/s", "Ewe/V"), [(1.0, 2.0)]), "columns frequency_Hz"),
        (ec_lab_text(("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm"), [(0.0, 2.0, 1.0)]), "no point of a spectrum"),
        (ec_lab_text(("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm"), [(1.0, 2.0)]), "line 5 is not complete"),
        # A column taken out of the heading alone: all behind it would be misread.
        (
            ec_lab_text(("freq/Hz", "|Z|/Ohm", "Phase(Z)/deg"), [(1.0, 2.0, 3.0, 4.0)]),
            "has 4 values, where there are 3",
        ),
    ],
)
def test_a_spoilt_text_export_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        impedance.read(put(tmp_path, "one.mpt", text))


def test_a_binary_file_without_its_reader_names_the_package_and_the_other_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "galvani", None)
    with pytest.raises(DataError, match=r"labctl-cells\[galvani\].*text \(\.mpt\)"):
        impedance.read(put(tmp_path, "one.mpr", "BIO-LOGIC MODULAR FILE"))
