"""The tester's steps as data: what a procedure file says, and what the driver asks of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from labctl.instruments.faults import OutOfRange

#: Steps that act on the cell, and whose records have a state letter of their own.
CELL_STEPS: Final = frozenset({"Rest", "Charge", "Dischrge"})
_END_TYPE: Final = re.compile(r"(?=.{1,8}\Z)[A-Za-z0-9]+(?:[ _.-][A-Za-z0-9]+)*\Z")


@dataclass(frozen=True, slots=True)
class Sensor:
    """The auxiliary input that measures the temperature of the cell on a channel.

    Attributes
    ----------
    number : int
        Of the input, from 1.
    spelling : str
        How a procedure names an end by this input; ``{}`` stands for the number. No published file shows one, so it is
        a setting: the tester's compiler declines what it does not know.
    """

    number: int = 1
    spelling: str = "Temp {}"

    @property
    def end_type(self) -> str:
        """Text of the end's type. Raises ``OutOfRange`` where it is none."""
        text = self.spelling.replace("{}", str(self.number))
        if not _END_TYPE.match(text):
            raise OutOfRange(f"'{text}' cannot be the type of an end: write 1 to 8 letters, digits or blanks between")
        return text


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out of a tester step.

    Attributes
    ----------
    what : str
        ``Voltage`` (V), ``Current`` (A), ``StepTime`` (s), ``Loop Cnt``, ``Capacity`` (Ah, as the tester's own counter
        of the step has it; the spelling is unverified), or a sensor's end (degC).
    above : bool
        Whether the value must rise to the limit.
    value : float
        The limit.
    target : int
        Step number from 1.
    """

    what: str
    above: bool
    value: float
    target: int


@dataclass(frozen=True, slots=True)
class TesterStep:
    """One step as the tester runs it.

    Attributes
    ----------
    program : int
        The program's step that it belongs to, from 1.
    kind : str
        ``Rest``, ``Charge``, ``Dischrge``, ``Do``, ``Loop`` or ``AdvCycle``.
    current, voltage : float or None
        Set point or limit in A, and held voltage in V.
    exits : tuple of Exit
        Whichever comes first.
    record_every, record_voltage_step : float
        In s and V; 0 for none.
    scale : str
        Current range: ``1`` to ``4``, or ``A`` for automatic.
    guard : bool
        A time end that should not be what ends the step.
    confirm : bool
        It confirms that the condition of the step before it holds.
    label : int
        Number of a loop, from 1.
    c_rate : float or None
        Set current as a multiple of what the start calls 1C; ``current`` is None then.
    """

    program: int
    kind: str
    current: float | None
    voltage: float | None
    exits: tuple[Exit, ...]
    record_every: float
    record_voltage_step: float
    scale: str
    guard: bool = False
    confirm: bool = False
    label: int = 0
    c_rate: float | None = None

    def limit(self, what: str) -> float | None:
        """Value of the exit of this kind, if there is one."""
        return next((way.value for way in self.exits if way.what == what), None)

    @property
    def acts(self) -> bool:
        """Whether it does something with the cell, instead of counting or jumping."""
        return self.kind in CELL_STEPS
