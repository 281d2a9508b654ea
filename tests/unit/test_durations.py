"""The expected time of an acquisition is the one that the paper tells of its own."""

from __future__ import annotations

import pytest

from labctl.instruments import AcquisitionRequest
from labctl_drivers.bruker.parameters import duration, parameters_of


@pytest.mark.parametrize(("scans", "recycle", "minutes"), [(16384, 0.5, 145), (4096, 2.0, 139), (4096, 0.4, 30)])
def test_scans_recycle_delay_dwell_time_and_points_give_the_papers_times(
    scans: int, recycle: float, minutes: int
) -> None:
    asked = AcquisitionRequest(
        "a", "b", "7Li", "zg", 100.0, scans, recycle, 1e-7, 32768, pulse_lengths=(7e-6,), pulse_power=80.0
    )
    assert duration(parameters_of(asked, 7e-6, 77.77812)) / 60 == pytest.approx(minutes, abs=0.8)
