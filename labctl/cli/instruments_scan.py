"""``labctl instruments scan``: what is plugged into this PC, by serial ports and VISA, and which the station names.

Looking is not asking: a device is sent something only with ``--identify``, since what ``*IDN?`` does to an unknown
device nobody can say. VISA itself calls for instruments on the local network (VXI-11), which devices are made for.
"""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from labctl.cli import plugins
from labctl.cli.output import console, put_json, say
from labctl.engine.lock import LaboratoryLock
from labctl.errors import InvalidFile
from labctl.station import load_station

if TYPE_CHECKING:
    from pyvisa import ResourceManager
    from pyvisa.resources import MessageBasedResource

try:
    from termios import error as _terminal_error
except ImportError:  # Windows has none
    _terminal_error = OSError  # type: ignore[misc,assignment]

SCHEMA: Final = "labctl.instruments-scan/1"
#: Real milliseconds for one answer to ``*IDN?``.
_ANSWER: Final = 1000
_LONGEST: Final = 1000
_SERIAL_RESOURCE: Final = re.compile(r"ASRL(.+)::INSTR", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is there.

    Attributes
    ----------
    kind : str
        ``"serial"`` or ``"visa"``.
    address : str
        As a station file names it.
    what : str
        What the operating system says of it.
    used_as : str
        The station's name of the instrument at this address, empty where it names none.
    answer : str or None
        To ``*IDN?``; None where it was not asked, or what became of asking.
    """

    kind: str
    address: str
    what: str
    used_as: str = ""
    answer: str | None = None


def scan(station: Path, lab: Path, *, identify: bool, as_json: bool) -> None:
    """Print what is there.

    Parameters
    ----------
    station : Path
        To say which addresses it names; may be missing or wrong.
    identify : bool
        Send ``*IDN?`` to each, too.

    Raises
    ------
    Locked
        They are to be identified, and an orchestrator uses this laboratory's instruments.
    """
    lock = LaboratoryLock(lab) if identify else None
    if lock is not None:
        lock.take()
    try:
        named = _named(station)
        found = [replace(one, used_as=named.get(_plain(one.address), "")) for one in [*_serial_ports(), *_resources()]]
        if identify:
            found = _identified(found)
    finally:
        if lock is not None:
            lock.release()
    if as_json:
        put_json({"schema": SCHEMA, "identified": identify, "found": [asdict(one) for one in found]})
    else:
        _print(found, identify=identify)


def _named(station: Path) -> Mapping[str, str]:
    if not station.exists():
        return {}
    try:
        loaded = load_station(station, drivers=plugins.driver_names())
    except InvalidFile:
        say(f"{station} has mistakes ('labctl instruments list' names them): what it uses is not shown")
        return {}
    return {_plain(str(entry.get("address", ""))): name for name, entry in loaded.entries().items()}


def _plain(address: str) -> str:
    """Give an address as it is compared: a serial port is the same by its VISA name."""
    match = _SERIAL_RESOURCE.fullmatch(address)
    return (match[1] if match else address).casefold()


def _serial_ports() -> list[Found]:
    from serial.tools import list_ports

    return [
        Found("serial", port.device, " ".join(part for part in (port.description, port.hwid) if part != "n/a"))
        for port in sorted(list_ports.comports())
    ]


def _resources() -> list[Found]:
    """Give VISA's resources that are no serial ports of this PC, which stand in the list already."""
    with warnings.catch_warnings():
        # They are about further ways of looking, which its packages would open.
        warnings.simplefilter("ignore", UserWarning)
        names = _manager().list_resources("?*::INSTR")
    return [Found("visa", name, "") for name in names if not _SERIAL_RESOURCE.fullmatch(name)]


def _manager() -> ResourceManager:
    import pyvisa

    return pyvisa.ResourceManager("@py")


def _identified(found: Sequence[Found]) -> list[Found]:
    manager = _manager()
    return [
        replace(one, answer=_port_answer(one.address) if one.kind == "serial" else _answer(manager, one.address))
        for one in found
    ]


def _port_answer(port: str) -> str:
    """Ask at a serial port, which must be nobody else's meanwhile: VISA would speak into another program's words."""
    import serial

    within = _ANSWER / 1000
    try:
        with serial.Serial(port, timeout=within, write_timeout=within, exclusive=True) as line:
            line.write(b"*IDN?\n")
            said: bytes = line.read_until(b"\n", _LONGEST)
    except serial.SerialTimeoutException:
        return "no answer"
    except (OSError, ValueError, _terminal_error) as error:
        taken = isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EWOULDBLOCK)
        return "not asked: another program has it open" if taken else f"can't be asked ({error})"
    return said.decode("ascii", errors="replace").strip() if said.endswith(b"\n") else "no answer"


def _answer(manager: ResourceManager, name: str) -> str:
    import pyvisa

    try:
        resource: MessageBasedResource
        with manager.open_resource(name, open_timeout=_ANSWER, timeout=_ANSWER) as resource:  # type: ignore[assignment]
            resource.read_termination = resource.write_termination = "\n"
            return resource.query("*IDN?").strip()
    except pyvisa.errors.VisaIOError as error:
        silent = error.error_code == pyvisa.constants.StatusCode.error_timeout
        return "no answer" if silent else f"can't be asked ({error.abbreviation})"
    except (OSError, ValueError, pyvisa.errors.InvalidSession) as error:
        return f"can't be asked ({error})"


def _print(found: Sequence[Found], *, identify: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not found:
        out.print("no serial port and no VISA resource is to be seen on this PC or its network")
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for head in ("", "address", "what it is", "in the station", *(["answers *IDN? with"] if identify else [])):
            table.add_column(head, overflow="fold")
        for one in found:
            row: list[Any] = [one.kind, one.address, one.what or "–", one.used_as or "–"]
            table.add_row(*(Text(cell) for cell in [*row, *([one.answer or "–"] if identify else [])]))
        out.print(table)
    if not identify:
        out.print("nothing was sent to any of them; '--identify' sends '*IDN?', which an unknown device may not bear")
    out.print("an instrument at a TCP address of its own, such as a tester, shows itself only to 'instruments check'")
