"""The vendor's tables: errors by name, devices, firmware, ranges. Pure.

Source: the vendor's manual of its library, and published clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl.instruments import OutOfRange

ERRORS: Final = {
    -1: "not connected",
    -2: "a connection is being made",
    -3: "the channel is not plugged",
    -4: "invalid parameters",
    -5: "a file is missing",
    -6: "the function failed",
    -7: "no channel selected",
    -8: "invalid configuration",
    -9: "EC-Lab's firmware is on the channel",
    -10: "the library is not loaded correctly",
    -11: "the USB library is not loaded correctly",
    -12: "another function is in progress",
    -13: "the channel is running",
    -14: "not allowed on this instrument",
    -15: "parameters can't be updated",
    -101: "communication inside the instrument failed",
    -102: "too many data",
    -103: "no response possible",
    -104: "the response is wrong",
    -105: "the message is too long",
    -200: "communication with the instrument failed",
    -201: "no connection to the instrument",
    -202: "no acknowledgement",
    -203: "invalid address",
    -204: "memory of the PC",
    -205: "the firmware can't be loaded",
    -206: "the library does not suit the instrument",
    -207: "too many connections to the instrument",
    -300: "kernel file missing",
    -301: "kernel file unreadable",
    -302: "kernel file invalid",
    -303: "kernel can't be loaded",
    -304: "FPGA file missing",
    -305: "FPGA file unreadable",
    -306: "FPGA file invalid",
    -307: "FPGA can't be loaded",
    -308: "no firmware on the channel",
    -309: "the firmware on the channel does not suit the library",
    -400: "technique file missing",
    -401: "technique file does not suit the firmware",
    -402: "technique file damaged",
    -403: "the technique can't be loaded",
    -404: "data of the technique are corrupted",
    -405: "memory of the channel is full",
}
#: Errors of the line: what was asked may or may not have been done.
LINE: Final = frozenset((-1, -2, -12, -101, -103, -104, -200, -201, -202))
NOT_CONNECTED: Final = frozenset((-1, -200, -201, -202))
RUNNING: Final = -13

#: Of the VMP3 family, by device code; the others need technique files of another family.
DEVICES: Final = {
    5: "VMP3",
    6: "VSP",
    13: "SP-50",
    14: "SP-150",
    33: "VMP-3e",
    34: "VSP-3e",
    35: "SP-50e",
    36: "SP-150e",
}
FIRMWARE: Final = {0: "none", 1: "EC-Lab", 4: "unknown", 5: "EClib's kernel", 8: "invalid", 10: "calibration"}
KERNEL: Final = 5
EMPTY: Final = 0

STOP: Final = 0

#: Full scale in A by code.
CURRENT_RANGES: Final = {1: 1e-9, 2: 1e-8, 3: 1e-7, 4: 1e-6, 5: 1e-5, 6: 1e-4, 7: 1e-3, 8: 1e-2, 9: 0.1, 10: 1.0}
AUTO_RANGE: Final = 12
#: Reach in V by code.
VOLTAGE_RANGES: Final = {0: 2.5, 1: 5.0, 2: 10.0}
_USABLE: Final = 0.99


def error_text(code: int) -> str:
    """Words and number of an error."""
    return f"{ERRORS.get(code, 'unknown error')} (error {code})"


def current_range(current: float, lowest: int, highest: int) -> int:
    """Code of the smallest range that holds ``current`` (A, magnitude), between two codes that the channel has.

    Raises
    ------
    OutOfRange
        None does.
    """
    for code in sorted(CURRENT_RANGES):
        if lowest <= code <= highest and CURRENT_RANGES[code] * (1 + 1e-6) >= current:
            return code
    most = CURRENT_RANGES.get(min(highest, max(CURRENT_RANGES)), 0.0)
    raise OutOfRange(f"{current:g} A is beyond the channel's largest range of {most:g} A")


def voltage_range(voltages: Sequence[float]) -> int:
    """Code of the smallest range that goes beyond all voltages (V): a limit at a range's very end is never passed.

    Raises
    ------
    OutOfRange
        None does.
    """
    most = max((abs(voltage) for voltage in voltages), default=0.0)
    for code, reach in VOLTAGE_RANGES.items():
        if most <= _USABLE * reach:
            return code
    raise OutOfRange(f"{most:g} V is beyond what the instrument's 10 V range can watch")
