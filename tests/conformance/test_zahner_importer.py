"""The vendor's importer of ``.ism`` files and the analysis read the same out of one file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labctl.analysis import impedance
from labctl_simulators.thales import ism

pytestmark = pytest.mark.conformance

ism_import = pytest.importorskip(
    "zahner_analysis.file_import.ism_import", reason="extra `conformance`: zahner_analysis"
)


@pytest.mark.parametrize("upwards_first", [False, True])
@pytest.mark.parametrize("tracks", [False, True])
def test_the_vendors_importer_reads_the_same_spectrum(tmp_path, upwards_first, tracks):
    frequency = np.geomspace(3e5, 0.1, 60)
    if upwards_first:
        frequency = np.concatenate((frequency[9:0:-1], frequency))
    values = 6 + 40 / (1 + (2j * np.pi * frequency * 1e-3) ** 0.9)
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    raw = ism.write(
        ism.Spectrum(
            frequency=frequency,
            impedance=values,
            measured=tuple(began + timedelta(seconds=n) for n in range(len(frequency))),
            voltage=np.full(len(frequency), 3.7),
            current=np.full(len(frequency), 1e-4),
            galvanostatic=True,
            serial="33021",
            **dict.fromkeys(("amplitude", "pset", "cset", "fmin", "fmax", "fstart", "nwl", "nws", "dfl", "dfm"), 1.0),
        ),
        tracks=tracks,
    )
    path = tmp_path / "one.ism"
    path.write_bytes(raw)
    vendor, ours = ism_import.IsmImport(raw), impedance.read(path)
    assert np.array_equal(vendor.getFrequencyArray(), ours.frequency_Hz[::-1])
    assert np.allclose(vendor.getComplexImpedanceArray(), ours.impedance_ohm[::-1], rtol=1e-14)
