"""The vendor's structures as the bytes that EClib fills in, and its error codes. Packed to 4, little-endian.

Source: the text of the vendor's manual and its own Python modules.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

DEVICE_INFOS: Final = struct.Struct("<11i")
CHANNEL_INFOS: Final = struct.Struct("<19i")
#: State, MemFilled, TimeBase, Ewe and its range, Ece and its range, overflow, I, IRange, overflow, ElapsedTime, Freq,
#: Rcomp, Saturation, OptErr, OptPos.
CURRENT_VALUES: Final = struct.Struct("<iifffffffifiifffiii")
#: IRQskipped, NbRows, NbCols, TechniqueIndex, TechniqueID, ProcessIndex, loop, StartTime, MuxPad.
DATA_INFOS: Final = struct.Struct("<7idi")
ECC_PARAMETER: Final = struct.Struct("<64siii")
ECC_PARAMETERS: Final = struct.Struct("<iQ")

DATA_WORDS: Final = 1000

INTEGER, BOOLEAN, SINGLE = 0, 1, 2

STOP, RUN, PAUSE = 0, 1, 2
NO_FIRMWARE, ECLAB_FIRMWARE, KERNEL_FIRMWARE = 0, 1, 5

OK: Final = 0
NOT_CONNECTED: Final = -1
NOT_PLUGGED: Final = -3
INVALID_PARAMETERS: Final = -4
FUNCTION_FAILED: Final = -6
NO_CHANNEL_SELECTED: Final = -7
ECLAB_LOADED: Final = -9
CHANNEL_RUNNING: Final = -13
DEVICE_NOT_ALLOWED: Final = -14
UPDATE_PARAMETERS: Final = -15
RESPONSE_ERROR: Final = -104
COMMUNICATION_FAILED: Final = -200
CONNECTION_FAILED: Final = -201
NO_FIRMWARE_LOADED: Final = -308
ECC_MISSING: Final = -400
ECC_INCOMPATIBLE: Final = -401
LOAD_TECHNIQUE: Final = -403
DATA_CORRUPTED: Final = -404
MEMORY_FULL: Final = -405


def single_bits(value: float) -> int:
    """Give the bit pattern of a value in single precision."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def single(bits: int) -> float:
    """Give the value of a bit pattern in single precision."""
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0])


def parameter(label: bytes, kind: int, bits: int, index: int) -> bytes:
    """Give one technique parameter as its 76 bytes."""
    signed = bits - (1 << 32) if bits >= 1 << 31 else bits
    return ECC_PARAMETER.pack(label, kind, signed, index)


def words(data: Sequence[int]) -> bytes:
    """Give data words as the buffer that a client hands in."""
    return struct.pack(f"<{len(data)}I", *(word & 0xFFFFFFFF for word in data))
