"""What can go wrong with an instrument, as kinds that the engine treats differently.

``InstrumentError``                 (``labctl.errors``, exit 4)
├── ``NotReachable``                nobody answers at the address
├── ``NotIdentified``               somebody answers, but it is not the instrument that the station names
├── ``TimedOut``                    connected, but no answer in time; the session was rebuilt
├── ``Garbled``                     an answer that is no answer to the question; the session was rebuilt
├── ``Refused``                     understood and declined; carries the instrument's own words
├── ``Busy``                        would do it, but is doing something else
├── ``OutOfRange``                  the instrument cannot do this much or this little
├── ``VendorAlarm``                 the instrument reports a fault of its own
└── ``CannotSay``                   whether a token is known can be neither confirmed nor excluded
"""

from __future__ import annotations

from labctl.errors import InstrumentError


class NotReachable(InstrumentError):
    """Nobody answers at the instrument's address."""

    category = "not reachable"


class NotIdentified(InstrumentError):
    """Somebody answers, but not the instrument that the station names."""

    category = "not identified"


class TimedOut(InstrumentError):
    """No answer in time, although the connection stood."""

    category = "timed out"


class Garbled(InstrumentError):
    """An answer that is no answer to the question asked."""

    category = "garbled"


class Refused(InstrumentError):
    """The instrument understood and declined; the message carries its own words."""

    category = "refused"


class Busy(InstrumentError):
    """The instrument is doing something else."""

    category = "busy"


class OutOfRange(InstrumentError):
    """The instrument cannot do this much or this little."""

    category = "out of range"


class VendorAlarm(InstrumentError):
    """The instrument reports a fault of its own."""

    category = "vendor alarm"


class CannotSay(InstrumentError):
    """Whether our token is known to the instrument can be neither confirmed nor excluded."""

    category = "cannot say"
