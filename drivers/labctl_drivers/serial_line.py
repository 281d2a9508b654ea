"""A line of text over a serial port or a serial server, by pyserial. Used in one worker thread only."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import Busy, DriverContext, Garbled, NotReachable, TimedOut
from labctl_drivers.resource_lock import ASK_WHO, taken

if TYPE_CHECKING:
    from serial import SerialBase

try:
    from termios import error as _terminal_error
except ImportError:  # Windows has none
    _terminal_error = OSError  # type: ignore[misc,assignment]

#: Real seconds for a whole answer, and for a connection to a serial server.
ANSWER_WITHIN: Final = 0.9
CONNECT_WITHIN: Final = 1.0
_LONGEST_LINE: Final = 256

_FRAME = re.compile(r"(\d+)\s+([78])([NEO])([12])", re.IGNORECASE)


def line_settings(text: str) -> dict[str, Any]:
    """Read ``"4800 7E1"``: baud rate, data bits, parity, stop bits, as pyserial wants them.

    Raises
    ------
    InstrumentError
        The text has another form.
    """
    match = _FRAME.fullmatch(text.strip())
    if match is None:
        raise InstrumentError(f"serial: '{text}' is no line setting", hint="write it like '4800 7E1'")
    return {
        "baudrate": int(match[1]),
        "bytesize": int(match[2]),
        "parity": match[3].upper(),
        "stopbits": int(match[4]),
    }


class SerialLine:
    """A session on a serial port.

    Parameters
    ----------
    context : DriverContext
        For messages.
    address : str
        ``COM3``, ``/dev/ttyUSB0``, or ``socket://host:port`` for a serial server.
    frame : str
        Such as ``"4800 7E1"``; a serial server keeps its own.
    handshake : bool
        Whether RTS/CTS are wired and used.
    end_sent, end_received : bytes
        What ends a line in each direction.
    answer_within : float, optional
        Real seconds for a whole answer; :data:`ANSWER_WITHIN` by default.
    """

    def __init__(
        self,
        context: DriverContext,
        address: str,
        *,
        frame: str,
        handshake: bool,
        end_sent: bytes = b"\r",
        end_received: bytes = b"\n",
        answer_within: float | None = None,
    ) -> None:
        self._name = context.name
        self._address = address
        self._settings = line_settings(frame) | {"rtscts": handshake}
        self._end_sent = end_sent
        self._end_received = end_received
        self._answer_within = answer_within
        self._port: SerialBase | None = None

    def open(self) -> None:
        """Open the port. Raises ``NotReachable``; ``Busy`` where another program has it."""
        import serial

        answer_within = ANSWER_WITHIN if self._answer_within is None else self._answer_within
        try:
            # Time-outs are set once, at opening: some ports refuse any later change.
            if self._address.startswith("socket://"):
                self._port = _server_port(self._address, answer_within)
            else:
                self._port = serial.serial_for_url(
                    self._address,
                    timeout=answer_within,
                    write_timeout=ANSWER_WITHIN,
                    exclusive=True,
                    **self._settings,
                )
        except (OSError, ValueError, _terminal_error) as error:
            if not self._address.startswith("socket://") and taken(self._address):
                message = "another program has the port open"
                raise Busy(message, instrument=self._name, address=self._address, hint=ASK_WHO) from error
            raise self._fault(NotReachable, f"the port can't be opened ({error})") from error

    def exchange(self, command: str, answers: bool) -> str:
        """Send a line; give the answer's line without its end. A line that has not ended is never given."""
        import serial

        if self._port is None:
            raise self._fault(NotReachable, "the port is closed")
        try:
            if self._port.in_waiting:
                stale = self._port.read(self._port.in_waiting)
                raise self._fault(Garbled, f"{stale!r} came without having been asked for")
            self._port.write(command.encode("ascii") + self._end_sent)
            if not answers:
                return ""
            line: bytes = self._port.read_until(self._end_received, _LONGEST_LINE)
        except serial.SerialTimeoutException as error:
            raise self._fault(TimedOut, f"'{command}' could not be sent; are the handshake lines wired?") from error
        except (OSError, _terminal_error) as error:
            raise self._fault(NotReachable, f"the connection is gone ({error})") from error
        if not line.endswith(self._end_received):
            kind = Garbled if len(line) >= _LONGEST_LINE else TimedOut
            got = f"only {line!r}" if line else "nothing"
            raise self._fault(kind, f"{got} in answer to '{command}'")
        try:
            return line.decode("ascii").strip("\r\n ")
        except UnicodeDecodeError as error:
            raise self._fault(Garbled, f"{line!r} in answer to '{command}' is no text") from error

    def close(self) -> None:
        """Close the port. Idempotent."""
        port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except (OSError, _terminal_error):
                # A port whose adapter was pulled out can't be closed in order, and needs not to be.
                return

    def _fault(self, kind: type[InstrumentError], message: str) -> InstrumentError:
        return kind(message, instrument=self._name, address=self._address)


def _server_port(url: str, answer_within: float) -> SerialBase:
    """Make pyserial's port of a serial server, with two of its habits changed.

    Its opening waits 5 s for a silent host, which is all the time that connecting may take; its closing leaves the
    socket open when the other side was gone first, and waits for 0.3 s.
    """
    from serial.urlhandler import protocol_socket

    class ServerPort(protocol_socket.Serial):  # type: ignore[misc]
        _socket: socket.socket | None = None

        def open(self) -> None:
            self.logger = None
            self._socket = socket.create_connection(self.from_url(self.portstr), timeout=CONNECT_WITHIN)
            self._socket.setblocking(False)
            self.is_open = True

        def close(self) -> None:
            self.is_open = False
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    port = ServerPort(None, timeout=answer_within, write_timeout=ANSWER_WITHIN)
    port.port = url
    port.open()
    return port
