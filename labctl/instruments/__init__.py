"""What an instrument can do: role contracts, their data types, and the kinds of fault. No I/O."""

from labctl.instruments.chamber import Chamber, ChamberReading
from labctl.instruments.common import (
    Clock,
    DriverContext,
    Fetched,
    Handle,
    Hiccup,
    Identity,
    Inspectable,
    Inspection,
    Instrument,
    Log,
    Progress,
    State,
)
from labctl.instruments.cycler import Cycler, CyclerProgram, CyclerStep, End, Mode, Reading, Recording, SafetyLimits
from labctl.instruments.faults import (
    Busy,
    CannotSay,
    Garbled,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl.instruments.multiplexer import Multiplexer, SwitchedLead, forbidden, read_leads, rivals
from labctl.instruments.operator import Confirmation, TransferRequest
from labctl.instruments.potentiostat import ImpedanceRequest, Potentiostat
from labctl.instruments.spectrometer import AcquisitionRequest, Spectrometer

__all__ = [
    "AcquisitionRequest",
    "Busy",
    "CannotSay",
    "Chamber",
    "ChamberReading",
    "Clock",
    "Confirmation",
    "Cycler",
    "CyclerProgram",
    "CyclerStep",
    "DriverContext",
    "End",
    "Fetched",
    "Garbled",
    "Handle",
    "Hiccup",
    "Identity",
    "ImpedanceRequest",
    "Inspectable",
    "Inspection",
    "Instrument",
    "Log",
    "Mode",
    "Multiplexer",
    "NotIdentified",
    "NotReachable",
    "OutOfRange",
    "Potentiostat",
    "Progress",
    "Reading",
    "Recording",
    "Refused",
    "SafetyLimits",
    "Spectrometer",
    "State",
    "SwitchedLead",
    "TimedOut",
    "TransferRequest",
    "VendorAlarm",
    "forbidden",
    "read_leads",
    "rivals",
]
