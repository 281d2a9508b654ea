"""What people can want of a cell, as the journal keeps it until it is carried out."""

from __future__ import annotations

from typing import Final

#: What people can want; ``SKIP`` is followed by the step that is to be left out.
HOLD: Final = "hold"
HOLD_NOW: Final = "hold now"
RETRY: Final = "retry"
#: The same, with a person's word that it is the booked cell, whatever voltage it shows.
RETRY_KNOWN: Final = "retry known"
RETRIES: Final = (RETRY, RETRY_KNOWN)
RESUME: Final = "resume"
SKIP: Final = "skip "
