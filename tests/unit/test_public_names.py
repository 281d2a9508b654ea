"""What each package offers is a list that changes on purpose."""

import importlib

import pytest

NAMES = {
    "labctl.analysis": "Allocation Analysis Settings allocate analyze truth_shares write_report",
    "labctl.analysis.storage": "SCHEMA read write",
    "labctl.cell": "CellMachine Transition transitions",
    "labctl.journal": (
        "CELL_STATES ENDED FILE_NAME HELD UNDER_WAY WISHES Alarm CampaignRow CellRow CommandRow Event Journal LastWord "
        "OperationRow OutboxRow Posting Status"
    ),
    "labctl.results": (
        "Core DropFolder ElapsedClock HttpEndpoint LOOKS Look NotDelivered OPERATION_SCHEMA Record RecordFile "
        "RecordWriter RecordsRefused SET_ASIDE STAMPS Taken Target Undeliverable add_look add_records bundle_folder "
        "campaign_folder deliver document_hash keep_records last_record open_parcel read_looks read_records "
        "stamp_charges write_bundle write_campaign write_stamps"
    ),
    "labctl.interchange": (
        "Exchange Item Repeat Step Sweep cycler_program exchange_of items_of protocol_text read_unicycler write_pybamm "
        "write_unicycler"
    ),
    "labctl.instruments": (
        "CHARGE_ENDS ENDS_TOGETHER LONGEST_STEP LONG_STEPS SERIES SUSPENDS SWEEPS TEST_CLOCK WATCHDOG "
        "AcquisitionRequest Busy CannotSay Chamber ChamberReading Clock Confirmation Cycler CyclerProgram CyclerStep "
        "DriverContext DynamicPotentiostat DynamicRequest End Fetched Garbled Handle Hiccup Identity ImpedanceRequest "
        "Inspectable Inspection Instrument Log Mode Multiplexer NotIdentified NotReachable OutOfRange Potentiostat "
        "ProcedureFormat Progress Reading Recording Refused SafetyLimits SampleThermometer Spectrometer State "
        "SwitchedLead TimedOut TransferRequest Tuned Tuning VendorAlarm Watched forbidden read_leads rivals"
    ),
}


@pytest.mark.parametrize("package", NAMES)
def test_a_package_offers_these_names_and_has_them(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == set(NAMES[package].split())
    for name in module.__all__:
        assert getattr(module, name) is not None
