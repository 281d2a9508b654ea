"""Bundles: everything that one operation produced, raw files untouched, hashed; and their way to the analysis core."""

from labctl.results.bundle import (
    OPERATION_SCHEMA,
    SET_ASIDE,
    add_records,
    bundle_folder,
    campaign_folder,
    keep_records,
    last_record,
    write_bundle,
    write_campaign,
)
from labctl.results.delivery import deliver
from labctl.results.recording import RecordsRefused, RecordWriter
from labctl.results.records import Record, RecordFile, read_records

__all__ = [
    "OPERATION_SCHEMA",
    "SET_ASIDE",
    "Record",
    "RecordFile",
    "RecordWriter",
    "RecordsRefused",
    "add_records",
    "bundle_folder",
    "campaign_folder",
    "deliver",
    "keep_records",
    "last_record",
    "read_records",
    "write_bundle",
    "write_campaign",
]
