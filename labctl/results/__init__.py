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
from labctl.results.delivery import Core, deliver
from labctl.results.dropfolder import DropFolder
from labctl.results.parcel import NotDelivered, Target, Undeliverable, document_hash, open_parcel
from labctl.results.recording import RecordsRefused, RecordWriter
from labctl.results.records import Record, RecordFile, read_records
from labctl.results.stamps import (
    LOOKS,
    STAMPS,
    ElapsedClock,
    Look,
    Taken,
    add_look,
    read_looks,
    stamp_charges,
    write_stamps,
)
from labctl.results.upload import HttpEndpoint

__all__ = [
    "LOOKS",
    "OPERATION_SCHEMA",
    "SET_ASIDE",
    "STAMPS",
    "Core",
    "DropFolder",
    "ElapsedClock",
    "HttpEndpoint",
    "Look",
    "NotDelivered",
    "Record",
    "RecordFile",
    "RecordWriter",
    "RecordsRefused",
    "Taken",
    "Target",
    "Undeliverable",
    "add_look",
    "add_records",
    "bundle_folder",
    "campaign_folder",
    "deliver",
    "document_hash",
    "keep_records",
    "last_record",
    "open_parcel",
    "read_looks",
    "read_records",
    "stamp_charges",
    "write_bundle",
    "write_campaign",
    "write_stamps",
]
