"""Result codes of commands and their texts. Data only.

The numbers are the vendor's, of the binary port; that the JSON port answers with the words beside them is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Outcome(NamedTuple):
    """What became of a command: a number on the binary port, words on the JSON port."""

    code: int
    text: str


OK: Final = Outcome(0, "OK")

NO_PROCEDURE, NOT_ACTIVE, NOT_SUSPENDED, TOO_LONG, NOT_UNIQUE, INVALID, IN_USE, NONE_SELECTED = (
    14, 15, 17, 18, 19, 22, 23, 24,
)  # fmt: skip
#: Starts (6,2), selection (6,1) and commands on a test.
REFUSALS: Final[Mapping[int, str]] = {
    10: "Cannot start regimes with more than one channel",
    12: "Advanced start not compatible with regimes",
    14: "No test procedure was selected",
    15: "Channel not Active",
    16: "Channel not Selected",
    17: "Channel not Suspended",
    18: "File name too long",
    19: "Name is not a unique filename",
    20: "Name is not a unique filename",
    21: "EV chamber in use",
    22: "Invalid entry",
    23: "Channel in use",
    24: "No channels were selected",
    25: "EV chamber in use",
}
#: Dry start, (6,11).
CHECKS: Final[Mapping[int, str]] = {
    1: "Channel not available or selected",
    2: "Procedure does not exist",
    3: "Subroutine procedures do not exist",
    4: "File name exists in Archive",
    5: "Invalid file name",
    6: "Invalid EV chamber number",
    7: "Compile error",
    0xFFFF: "Other error",
}
#: Advanced start, (6,13).
ADVANCED: Final[Mapping[int, str]] = {
    1: "Invalid channel",
    2: "Channel not available or selected",
    3: "Illegal options",
    4: "Archived file missing",
    5: "Procedure of archived file missing",
    6: "Illegal step",
    7: "Blank step",
    8: "Cannot start at this step type",
    9: "Cannot remove points",
    0xFFFF: "Other error",
}
#: Start of direct mode, (6,7).
DIRECT_START: Final[Mapping[int, str]] = {
    1: "Illegal system type",
    2: "Channel not available",
    3: "Failed creating the pseudo procedure",
}
ILLEGAL_TYPE, CHANNEL_NOT_ACTIVE, TOO_FAST, NOT_DIRECT, NOT_READY = 1, 2, 3, 4, 5
#: Output of direct mode, (6,8).
DIRECT_OUTPUT: Final[Mapping[int, str]] = {
    1: "Illegal system type",
    2: "Channel not active",
    3: "Command sent too fast",
    4: "Direct mode not active",
    5: "Direct mode not ready yet",
}
#: Login and logout; success has a number other than zero here.
PASSED: Final = Outcome(1, "PASSED")
FAILED: Final = Outcome(0, "FAILED")
LOGGED_OUT: Final = Outcome(1, "LOGGED OUT")


def outcome(code: int, texts: Mapping[int, str]) -> Outcome:
    """Put words to a code."""
    return Outcome(code, texts[code]) if code else OK
