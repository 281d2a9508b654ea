"""Bundles: everything that one operation produced, raw files untouched, hashed; and their way to the analysis core."""

from labctl.results.bundle import (
    OPERATION_SCHEMA,
    bundle_folder,
    campaign_folder,
    write_bundle,
    write_campaign,
)
from labctl.results.delivery import deliver

__all__ = [
    "OPERATION_SCHEMA",
    "bundle_folder",
    "campaign_folder",
    "deliver",
    "write_bundle",
    "write_campaign",
]
