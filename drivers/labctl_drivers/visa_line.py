"""A line of text to a VISA resource, by pyvisa on its own back end in Python. Used in one worker thread only."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import Busy, DriverContext, Garbled, NotReachable, TimedOut
from labctl_drivers.resource_lock import ASK_WHO, claim
from labctl_drivers.serial_line import line_settings

if TYPE_CHECKING:
    from pyvisa import ResourceManager

#: Real milliseconds for a connection and for a whole answer. A lost connection shows only as a time-out.
CONNECT_WITHIN: Final = 1000
ANSWER_WITHIN: Final = 800
_LONGEST_LINE: Final = 4096

_SILENT: Final = -1073807339  # VI_ERROR_TMO
_SERIAL = re.compile(r"ASRL(.+)::INSTR", re.IGNORECASE)
_SOCKET = re.compile(r"TCPIP\d*::([^:]+)::(\d+)::SOCKET", re.IGNORECASE)
_managers: dict[str, ResourceManager] = {}
_making = threading.Lock()


def where(address: str) -> str:
    """Give the part of a VISA address that people know: ``TCPIP::192.0.2.13::5025::SOCKET`` is ``192.0.2.13:5025``."""
    match = _SOCKET.fullmatch(address)
    return f"{match[1]}:{match[2]}" if match else address


def _manager() -> ResourceManager:
    """Give the one manager of this process.

    pyvisa makes the same object for everybody, and closing it closes everybody's sessions: nobody here ever does.
    """
    with _making:
        if "@py" not in _managers:
            import pyvisa

            _managers["@py"] = pyvisa.ResourceManager("@py")
        return _managers["@py"]


class VisaLine:
    """A session with a VISA resource that talks in lines.

    Parameters
    ----------
    context : DriverContext
        For messages.
    address : str
        Such as ``TCPIP::192.0.2.13::5025::SOCKET``, or ``ASRL/dev/ttyUSB0::INSTR`` for a serial port.
    frame : str
        Rate and frame of a serial port, such as ``9600 8N1``; unused for anything else.

    Raises
    ------
    InstrumentError
        The frame has another form.
    """

    def __init__(self, context: DriverContext, address: str, frame: str = "9600 8N1") -> None:
        self._name = context.name
        self._address = address
        self._frame = line_settings(frame)
        self._resource: Any = None
        self._claim: int | None = None

    def open(self) -> None:
        """Open the resource. A port where nobody listens shows only when something is sent.

        Raises
        ------
        NotReachable
            It can't be opened.
        Busy
            It is a serial port that another program has open.
        """
        self._claim_port()
        try:
            # Both ends of line are needed: without the one for reading, a good answer still ends in a time-out.
            self._resource = _manager().open_resource(
                self._address,
                open_timeout=CONNECT_WITHIN,
                timeout=ANSWER_WITHIN,
                read_termination="\n",
                write_termination="\n",
                **self._serial_port(),
            )
        except Exception as error:
            # All of them: the back end raises bare Exception, with a bare number, for a host that is silent.
            said = str(error)
            reason = "the host is silent" if str(_SILENT) in said else said
            raise self._fault(NotReachable, f"no connection ({reason})") from error

    def _claim_port(self) -> None:
        """Have a serial port to ourselves: the back end would open it beside any other program."""
        match = _SERIAL.fullmatch(self._address)
        if match is None or self._claim is not None:
            return
        try:
            self._claim = claim(match[1])
        except BlockingIOError as error:
            message = "another program has the port open"
            raise Busy(message, instrument=self._name, address=self._address, hint=ASK_WHO) from error
        except OSError as error:
            raise self._fault(NotReachable, f"the port can't be opened ({error})") from error

    def _serial_port(self) -> dict[str, Any]:
        if _SERIAL.fullmatch(self._address) is None:
            return {}
        from pyvisa.constants import Parity, StopBits

        frame = self._frame
        return {
            "baud_rate": frame["baudrate"],
            "data_bits": frame["bytesize"],
            "parity": {"N": Parity.none, "E": Parity.even, "O": Parity.odd}[frame["parity"]],
            "stop_bits": {1: StopBits.one, 2: StopBits.two}[frame["stopbits"]],
        }

    def exchange(self, command: str, answers: bool) -> str:
        """Send a line; give the answer's line without its end. A line that has not ended is never given."""
        import pyvisa
        from pyvisa.constants import StatusCode

        if self._resource is None:
            raise self._fault(NotReachable, "the session is closed")
        try:
            self._expect_silence()
            self._resource.write(command)
            if not answers:
                return ""
            line: bytes = self._resource.read_raw(_LONGEST_LINE)
        except pyvisa.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                raise self._fault(TimedOut, f"no answer to '{command}'") from error
            raise self._fault(NotReachable, f"the connection is gone ({error})") from error
        except (OSError, pyvisa.InvalidSession) as error:
            raise self._fault(NotReachable, f"the connection is gone ({error})") from error
        if not line.endswith(b"\n"):
            raise self._fault(Garbled, f"only {line[:80]!r} in answer to '{command}'")
        try:
            return line.decode("ascii").strip("\r\n ")
        except UnicodeDecodeError as error:
            raise self._fault(Garbled, f"{line[:80]!r} in answer to '{command}' is no text") from error

    def _expect_silence(self) -> None:
        """Make sure that no bytes are left of an answer that came late or twice.

        By a read that ends at once: the back end's own ways to discard wait 0.1 s, or for ever where the connection is
        gone.
        """
        import pyvisa
        from pyvisa.constants import StatusCode

        self._resource.timeout = 1
        try:
            stale = self._resource.read_raw(_LONGEST_LINE)
        except pyvisa.VisaIOError as error:
            if error.error_code != StatusCode.error_timeout:
                raise
        else:
            raise self._fault(Garbled, f"{stale[:80]!r} came without having been asked for")
        finally:
            self._resource.timeout = ANSWER_WITHIN

    def close(self) -> None:
        """Close the session, and only this one. Idempotent."""
        import pyvisa

        resource, self._resource = self._resource, None
        if resource is not None:
            # What can't be closed any more is closed.
            with suppress(OSError, pyvisa.Error):
                resource.close()
        held, self._claim = self._claim, None
        if held is not None:
            os.close(held)

    def _fault(self, kind: type[InstrumentError], message: str) -> InstrumentError:
        return kind(message, instrument=self._name, address=where(self._address))
