"""Holding registers over Modbus TCP, or Modbus RTU on a serial port or a serial server, by pymodbus.

A session for :class:`labctl_drivers.link.Link`, whose exchanges are lines of text: ``read 1004 2`` is answered with
``0000 41BC``, ``write 114C 0000 41BC`` with ``done``, and either with ``exception 2`` where the instrument declines.
Addresses and words are hexadecimal. Used in one worker thread only.
"""

from __future__ import annotations

import logging
import re
import select
import struct
from typing import TYPE_CHECKING, Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import Busy, DriverContext, Garbled, NotReachable, TimedOut
from labctl_drivers.resource_lock import ASK_WHO, taken
from labctl_drivers.serial_line import line_settings

if TYPE_CHECKING:
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
    from pymodbus.pdu import ModbusPDU

try:
    from termios import error as _terminal_error
except ImportError:  # Windows has none
    _terminal_error = OSError  # type: ignore[misc,assignment]

#: Real seconds for a connection or an answer.
ANSWER_WITHIN: Final = 0.9
PORT: Final = 502

#: Exceptions that mean something to a driver.
NO_REGISTER: Final = 2
BUSY: Final = 6
#: What instruments mean by an exception.
EXCEPTIONS: Final = {
    1: "it does not know this function",
    2: "it has no such register",
    3: "it does not take this value",
    4: "it is not ready",
    5: "writing is denied",
    6: "it is busy",
    8: "writing is denied",
    11: "nobody answers behind the gateway",
}

_READ: Final = 3
_WRITE: Final = 16

#: The form of every answer.
WORDS: Final = re.compile(r"(?:([0-9A-F]{4}(?: [0-9A-F]{4})*)|exception (\d+))")
DONE: Final = re.compile(r"(?:done|exception (\d+))")

_PORT_OF_A_PC = re.compile(r"COM\d+|[/\\].+", re.IGNORECASE)
_HOST = re.compile(r"(?:tcp://)?([^:/\s]+)(?::(\d+))?")
_SERVER = re.compile(r"socket://([^:/\s]+):(\d+)")


# The library says on its own logger what is raised here.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class ModbusLine:
    """A session with one Modbus instrument.

    Parameters
    ----------
    context : DriverContext
        For messages.
    address : str
        ``192.0.2.15`` or ``192.0.2.15:502`` for Modbus TCP, ``COM3``, ``/dev/ttyUSB0`` or ``socket://host:port`` (a
        serial server) for Modbus RTU.
    unit : int
        Modbus address of the instrument.
    frame : str
        Such as ``"9600 8N1"``; for a serial port.
    """

    def __init__(self, context: DriverContext, address: str, *, unit: int, frame: str) -> None:
        self._name = context.name
        self._address = address
        self._unit = unit
        self._settings = line_settings(frame)
        self._client: ModbusTcpClient | ModbusSerialClient | None = None
        #: Bytes round the function and its data: the header of Modbus TCP; unit and checksum of RTU.
        self._round = 3
        self._heard = b""

    def open(self) -> None:
        """Connect. Raises ``NotReachable``; ``Busy`` where another program has the port."""
        from pymodbus import FramerType
        from pymodbus.client import ModbusSerialClient, ModbusTcpClient

        # Repeating is the link's business, which rebuilds the session first.
        client: ModbusTcpClient | ModbusSerialClient
        if _PORT_OF_A_PC.fullmatch(self._address):
            client = ModbusSerialClient(
                self._address, timeout=ANSWER_WITHIN, retries=0, trace_packet=self._listen, **self._settings
            )
        elif server := _SERVER.fullmatch(self._address):
            client = ModbusTcpClient(
                server[1],
                port=int(server[2]),
                framer=FramerType.RTU,
                timeout=ANSWER_WITHIN,
                retries=0,
                trace_packet=self._listen,
            )
        elif host := _HOST.fullmatch(self._address):
            self._round = 7
            client = ModbusTcpClient(
                host[1], port=int(host[2] or PORT), timeout=ANSWER_WITHIN, retries=0, trace_packet=self._listen
            )
        else:
            raise self._fault(NotReachable, "this is no host, no serial port and no 'socket://host:port'")
        try:
            connected = client.connect()
        except (OSError, ValueError, _terminal_error) as error:
            raise self._fault(NotReachable, f"no connection ({error})") from error
        if not connected and _PORT_OF_A_PC.fullmatch(self._address):
            if taken(self._address):
                message = "another program has the port open"
                raise Busy(message, instrument=self._name, address=self._address, hint=ASK_WHO)
            raise self._fault(NotReachable, "the port can't be opened")
        if not connected:
            raise self._fault(NotReachable, "nobody answers there")
        self._client = client

    def exchange(self, command: str, answers: bool) -> str:
        """Carry out ``read ADDRESS COUNT`` or ``write ADDRESS WORD...``; every one of them is answered."""
        from pymodbus.exceptions import ConnectionException, ModbusException

        del answers
        client = self._client
        if client is None or not client.connected:
            # The library would connect again by itself, to whoever answers.
            raise self._fault(NotReachable, "the connection is closed")
        verb, place, *rest = command.split()
        address = int(place, 16)
        try:
            self._expect_silence(client)
            self._heard = b""
            if verb == "read":
                count = int(rest[0])
                answer: ModbusPDU = client.read_holding_registers(address, count=count, device_id=self._unit)
            else:
                count = len(rest)
                answer = client.write_registers(address, [int(word, 16) for word in rest], device_id=self._unit)
        except ConnectionException as error:
            raise self._fault(NotReachable, "the connection is gone") from error
        except ModbusException as error:
            raise self._fault(TimedOut, f"no answer to '{command}' ({error})") from error
        except (OSError, _terminal_error) as error:
            raise self._fault(NotReachable, f"the connection is gone ({error})") from error
        except (LookupError, ValueError, struct.error) as error:
            # The library takes apart whatever comes.
            raise self._fault(Garbled, f"the answer to '{command}' is no Modbus ({error})") from error
        if not self._fits(answer, verb, address, count):
            raise self._fault(Garbled, f"{self._heard[:40].hex(' ')} is no answer to '{command}'")
        if answer.isError():
            return f"exception {answer.exception_code}"
        return " ".join(f"{word:04X}" for word in answer.registers) if verb == "read" else "done"

    def _listen(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._heard = data
        return data

    def _fits(self, answer: ModbusPDU, verb: str, address: int, count: int) -> bool:
        """Whether it answers this question, with not a byte more than that takes.

        The library takes any function's answer, and drops what stands before and behind one.
        """
        function = _READ if verb == "read" else _WRITE
        if answer.isError():
            return answer.function_code == function | 0x80 and len(self._heard) == self._round + 2
        if answer.function_code != function:
            return False
        if verb == "read":
            return len(answer.registers) == count and len(self._heard) == self._round + 2 + 2 * count
        return (answer.address, answer.count) == (address, count) and len(self._heard) == self._round + 5

    def close(self) -> None:
        """Disconnect. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()  # type: ignore[no-untyped-call]
            except (OSError, _terminal_error):
                # What can't be closed any more is closed.
                return

    def _expect_silence(self, client: ModbusTcpClient | ModbusSerialClient) -> None:
        """Make sure that no bytes are left of an answer that came late or twice.

        An answer over RTU does not say which question it answers, so nothing later could tell.
        """
        wire: Any = client.socket
        if wire is None:
            raise self._fault(NotReachable, "the connection is closed")
        stale = b""
        if _PORT_OF_A_PC.fullmatch(self._address):
            if wire.in_waiting:
                stale = wire.read(wire.in_waiting)
        elif select.select([wire], [], [], 0)[0]:
            stale = wire.recv(4096)
            if not stale:
                raise self._fault(NotReachable, "the other side has closed the connection")
        if stale:
            raise self._fault(Garbled, f"{stale[:40]!r} came without having been asked for")

    def _fault(self, kind: type[InstrumentError], message: str) -> InstrumentError:
        return kind(message, instrument=self._name, address=self._address)
