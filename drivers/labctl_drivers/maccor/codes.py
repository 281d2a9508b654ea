"""Tables of MacNet's codes, as the vendor's MacNet help lists them. Data only."""

from __future__ import annotations

from typing import Final

AVAILABLE: Final = 0
SELECTED: Final = 1
ACTIVE: Final = 2
SUSPENDED: Final = 3
COMPLETED: Final = 4
PROBLEM: Final = 5
RESET: Final = 7

#: ``Stat``: what a channel is doing as a whole.
STATUS: Final[dict[int, str]] = {
    0: "Available",
    1: "Selected",
    2: "Active",
    3: "Suspended",
    4: "Completed",
    5: "Problem",
    6: "Not/Avl",
    7: "Reset",
    8: "Start",
    9: "PWR Fail",
    10: "No Cntllr",
    11: "ShutDown",
    12: "Starting",
    13: "Blocked",
    14: "Waiting",
    15: "FRA",
    16: "Rem Maint",
    17: "Not USED",
    18: "N/A",
}

#: States in which nothing flows and a start is lawful.
IDLE: Final = frozenset({AVAILABLE, SELECTED, RESET})
#: States in which a test is on its way.
RUNNING: Final = frozenset({ACTIVE, 8, 12, 13, 14, 15})

#: States in which a test was stopped by a fault: the tester says so itself.
STOPPED: Final = frozenset({PROBLEM, 9, 11})
#: States of which it is known what they mean for the cell; in all others nobody can say whether current flows.
CLEAR: Final = IDLE | RUNNING | STOPPED | {SUSPENDED, COMPLETED}

#: ``RF1`` of steps in which current leaves the cell: discharge, external discharge, pulse discharge.
DISCHARGING: Final = frozenset({2, 9, 20})

END_TIME: Final = 129
END_CURRENT: Final = 132
END_VOLTAGE: Final = 133
END_CAPACITY: Final = 136
SUSPENDED_BY_OPERATOR: Final = 192
NORMAL_END: Final = 193

#: ``RF2`` and the ES column of data files: why a record was made.
REASON: Final[dict[int, str]] = {
    0: "start of step",
    1: "step time record",
    4: "current record",
    5: "voltage record",
    8: "capacity record",
    9: "energy record",
    17: "pause step record",
    18: "auxiliary record",
    33: "pulse low",
    34: "pulse high",
    37: "digital input record",
    128: "none",
    129: "step time",
    130: "test time",
    131: "cycle number",
    132: "current",
    133: "voltage",
    134: "power",
    135: "resistance",
    136: "capacity",
    137: "energy",
    138: "half-cycle capacity",
    139: "half-cycle energy",
    140: "previous capacity",
    141: "previous energy",
    142: "first half-cycle capacity",
    143: "first half-cycle energy",
    144: "last half-cycle capacity",
    145: "last half-cycle energy",
    146: "external input",
    147: "loop count",
    150: "voltage per hour",
    151: "previous capacity",
    152: "half-cycle capacity",
    153: "half-cycle time",
    154: "current change",
    155: "voltage change",
    157: "auxiliary voltage",
    158: "thermocouple",
    159: "thermistor",
    160: "pressure, or an advanced start that is complete",
    161: "largest deviation",
    162: "mean deviation",
    163: "SMBus alarm",
    164: "function",
    165: "digital input",
    189: "safety capacity",
    190: "safety voltage",
    191: "safety overcharge",
    192: "suspended by the operator",
    193: "normal end",
    194: "time-out fault",
    195: "time-out fault",
    196: "overcharge safety",
    197: "voltage safety",
    198: "slave error",
    199: "operator forced the step",
    252: "slave current control",
    253: "absolute voltage safety",
    254: "lost current control",
    255: "buffer full",
}

#: Codes that say the channel stopped itself for a fault.
FAULTS: Final = frozenset({189, 190, 191, 194, 195, 196, 197, 198, 252, 253, 254, 255})

#: Results of the dry start (6,11), where the tester answers with a number.
CHECK_START: Final[dict[int, str]] = {
    1: "channel not available or selected",
    2: "procedure does not exist",
    3: "subroutine procedures do not exist",
    4: "file name exists in Archive",
    5: "invalid file name",
    6: "invalid EV chamber number",
    7: "compile error",
    0xFFFF: "other error",
}

#: Results of a start (6,2) and of the commands on a test, where the tester answers with a number.
COMMAND: Final[dict[int, str]] = {
    10: "cannot start regimes with more than one channel",
    12: "advanced start not compatible with regimes",
    14: "no test procedure was selected",
    15: "channel not Active",
    16: "channel not Selected",
    17: "channel not Suspended",
    18: "file name too long",
    19: "name is not a unique filename",
    20: "name is not a unique filename",
    21: "EV chamber in use",
    22: "invalid entry",
    23: "channel in use",
    24: "no channels were selected",
    25: "EV chamber in use",
}

#: Results of an advanced start (6,13), where the tester answers with a number.
ADVANCED: Final[dict[int, str]] = {
    1: "invalid channel",
    2: "channel not available or selected",
    3: "illegal options",
    4: "archived file missing",
    5: "the archived file's procedure is missing",
    6: "illegal step",
    7: "blank step",
    8: "cannot start at this type of step",
    9: "cannot remove points",
    0xFFFF: "other error",
}

#: Results of the start of direct mode (6,7), where the tester answers with a number.
DIRECT_START: Final[dict[int, str]] = {
    1: "illegal system type",
    2: "channel not available",
    3: "failed creating the pseudo procedure",
}

#: Results of an output in direct mode (6,8), where the tester answers with a number.
TOO_FAST: Final = "too fast"
NOT_READY: Final = "not ready yet"
DIRECT_OUTPUT: Final[dict[int, str]] = {
    1: "illegal system type",
    2: "channel not active",
    3: TOO_FAST,
    4: "direct mode not active",
    5: NOT_READY,
}


def status_word(status: int) -> str:
    """Name a ``Stat`` in the tester's word, or say that it is none of the known ones."""
    return STATUS.get(status, f"in status {status}, which nobody knows")


def reason(code: int) -> str:
    """Name an RF2 or ES code in words, with its number."""
    return f"{REASON[code]} (code {code})" if code in REASON else f"code {code}"


def refusal(result: object, texts: dict[int, str]) -> str | None:
    """Read a ``Result`` member: None where it is a yes, else the tester's words.

    Whether the JSON port answers with texts or with the numbers of the binary port is unverified; both are read.
    """
    if isinstance(result, str) and not result.strip().isdigit():
        return None if result.strip().upper() == "OK" else result.strip()
    try:
        code = int(str(result))
    except ValueError:
        return f"unreadable result {result!r}"
    return None if code == 0 else texts.get(code, f"code {code}")
