"""What ``labctl instruments check`` says of an instrument that a person runs. Looks into the drop folder only."""

from __future__ import annotations

from labctl.instruments import Inspection
from labctl_drivers.assisted.settings import Settings

_BY_HAND = "limits are what the person sets at the instrument; the request sheet names them, and nobody reads them back"


def inspect(settings: Settings) -> Inspection:
    """Say what stands in the station file, and what nobody can know."""
    there = settings.folder.is_dir()
    facts = {
        "drop folder": "there" if there else "not there yet; the first run makes it",
        "instrument's clock": f"taken to be {settings.clock.total_seconds():+.0f} s from UTC in the files",
        "clock may be off by": f"{settings.slack.total_seconds():.0f} s",
    }
    unverified = (
        "its identity is what the station file says; look at the plate, and say 'model' and 'serial' there",
        "its clock can't be asked; compare it with this PC's and say 'instrument_clock' in the station file",
    )
    return Inspection(facts, {"limits": _BY_HAND}, None, (), unverified)
