"""What an instrument may be able to do beyond what every one of its role can, by the words that drivers say it with.

A driver says so with ``capabilities``, a set of these words on its class, or, where the station's entry decides, with a
method ``capabilities_of(entry)`` of what its entry point names. One that says nothing can do none of it. A step that
needs a word is refused before anything starts, with its place in the protocol.
"""

from __future__ import annotations

from typing import Final

#: The instrument stops an operation by itself when labctl is gone.
WATCHDOG: Final = "watchdog"
#: A cycler: a program that was interrupted to open circuit goes on where it was (``suspend`` and ``resume``).
SUSPENDS: Final = "suspend"
#: A cycler: its live values tell the clock of the test that runs, ``test_time_s``.
TEST_CLOCK: Final = "test clock"
#: A cycler: a hold ends by the charge that has passed; of a step at constant current every cycler can tell.
CHARGE_ENDS: Final = "charge ends"
#: A cycler: one step at constant current or voltage lasts longer than :data:`LONGEST_STEP`.
LONG_STEPS: Final = "long steps"
#: So long, in s, can a step last on any cycler.
LONGEST_STEP: Final = 99 * 3600.0
#: A cycler: several ends of which all must be true (``not_before`` of a step).
ENDS_TOGETHER: Final = "ends together"
#: A potentiostat: spectra in a row while a direct current flows (:class:`DynamicPotentiostat`).
SERIES: Final = "series"
#: A potentiostat: another density and fewer periods at low frequencies, pseudo-galvanostatic control, and the sweeps
#: that show whether a spectrum can be trusted.
SWEEPS: Final = "sweeps in full"
