"""``labctl protocol export`` and ``import``: electrochemistry that passes to and from other programs.

What cannot pass is said line by line on stderr; nothing is dropped in silence.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from labctl.cli import plugins
from labctl.cli.output import put, say
from labctl.cli.protocol_files import values_of
from labctl.cli.sketched import Asked, plan_cell
from labctl.engine.actions import cycler_program as translate
from labctl.errors import LabctlError, UsageError
from labctl.instruments import ProcedureFormat
from labctl.instruments.cycler import SafetyLimits
from labctl.interchange import (
    Exchange,
    Repeat,
    Step,
    Sweep,
    cycler_program,
    exchange_of,
    items_of,
    protocol_text,
    read_unicycler,
    write_pybamm,
    write_unicycler,
)
from labctl.protocol import load_protocol, read_protocol

FORMATS: Final = ("maccor", "unicycler", "pybamm")
_LARGEST: Final = 4_000_000

# Asked in a process of their own: the packages are large, and one of them calls home unless told not to.
_ASK: Final = {
    "unicycler": (
        "aurora_unicycler",
        "import sys, aurora_unicycler as u; p = u.Protocol.from_json(sys.argv[1]); "
        "print(f'aurora-unicycler reads it: {len(p.method)} entries')",
    ),
    "pybamm": (
        "pybamm",
        "import runpy, sys; e = runpy.run_path(sys.argv[1])['experiment']; "
        "print(f'PyBaMM reads it: {len(e.steps)} steps')",
    ),
}


def export_protocol(
    file: Path,
    kind: str,
    asked: Asked,
    values: Sequence[str] | None,
    *,
    out: Path | None,
    verify: bool,
) -> None:
    """Write a protocol's electrochemistry for one cell in a format of another program.

    Raises
    ------
    UsageError
        The format is unknown, the cell is not said, or there is nothing to write.
    OutOfRange
        The cycler cannot do what a step asks for.
    """
    if kind not in FORMATS:
        raise UsageError(f"no format '{kind}'", hint=f"there are {', '.join(FORMATS)}")
    if kind == "maccor" and out is None and sys.stdout.isatty():
        raise UsageError("a procedure is a file", hint="name it with --out, such as --out my-protocol.000")
    protocol = load_protocol(file, values_of(values))
    planned, notes = plan_cell(protocol, asked)
    exchange = exchange_of(protocol, planned, translate)
    data, remarks = _WRITERS[kind](exchange)
    for note in (*notes, *exchange.remarks, *remarks):
        say(note)
    if verify:
        say(_verified(kind, data))
    if out is None:
        put(data.rstrip("\n"))
        return
    _write(out, data)
    say(f"wrote {out}: the electrochemistry of {protocol.protocol} for {planned.id}")


def import_protocol(file: Path, out: Path | None) -> None:
    """Write what a MACCOR procedure or a unicycler protocol says as a protocol file.

    Raises
    ------
    UsageError
        It is neither, or says nothing that a protocol could say.
    InvalidFile
        What came out is no valid protocol, which says where.
    """
    exchange = _read(file)
    text, remarks = protocol_text(exchange, file.name)
    for remark in remarks:
        say(remark)
    read_protocol(text, str(out or f"{file.name}, as a protocol"))
    if out is None:
        put(text.rstrip("\n"))
        return
    _write(out, text)
    say(f"wrote {out}: read it, then 'labctl check {out}'")


def _procedures() -> ProcedureFormat:
    found: ProcedureFormat = plugins.driver("maccor").procedures
    return found


def _maccor(exchange: Exchange) -> tuple[str, tuple[str, ...]]:
    low, high = exchange.voltage
    most = exchange.current or 0.0
    data, remarks = _procedures().write(cycler_program(exchange, SafetyLimits(low or 0.0, high or 0.0, most, most)))
    return data.decode(), (*_unsaid_by_a_cycler(exchange), *remarks)


def _unsaid_by_a_cycler(exchange: Exchange) -> Sequence[str]:
    found: list[str] = []

    def remark(origin: str, text: str) -> None:
        line = f"{origin.partition('/')[2]}: {text}: left out"
        if line not in found:
            found.append(line)

    def look(items: Sequence[object]) -> None:
        for item in items:
            if isinstance(item, Repeat):
                look(item.body)
            elif isinstance(item, Sweep):
                remark(item.origin, "the cycler's procedure takes no impedance")
            elif isinstance(item, Step) and item.temperature is not None:
                remark(item.origin, f"no procedure sets its temperature of {item.temperature - 273.15:.6g} degC")

    look(exchange.items)
    return tuple(found)


_WRITERS: Final[dict[str, Callable[[Exchange], tuple[str, tuple[str, ...]]]]] = {
    "maccor": _maccor,
    "unicycler": write_unicycler,
    "pybamm": write_pybamm,
}


def _read(file: Path) -> Exchange:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST:
        raise UsageError(f"{file} has {len(data)} bytes", hint="give a procedure of a cycler or a unicycler protocol")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        try:
            program, remarks = _procedures().read(data, file.stem)
            items = items_of(program)
        except ValueError as error:
            raise UsageError(f"{file}: {error}") from None
        safety = program.safety
        voltage = (safety.voltage_min or None, safety.voltage_max or None)
        return Exchange(file.stem, items, voltage, safety.charge_current or None, program.capacity, remarks)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is neither a MACCOR procedure (XML) nor a unicycler protocol (JSON)") from None
    return read_unicycler(text, file.stem)


def _verified(kind: str, data: str) -> str:
    """Let the other program itself read it. Raises ``LabctlError`` where it does not."""
    if kind not in _ASK:
        raise UsageError(f"nothing is there to verify '{kind}' with", hint="the tester compiles it when it is started")
    package, script = _ASK[kind]
    if find_spec(package) is None:
        raise UsageError(f"{package} is not installed", hint="pip install 'labctl-cells[interchange]'")
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("protocol.json" if kind == "unicycler" else "experiment.py")
        path.write_text(data, encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", script, str(path)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYBAMM_DISABLE_TELEMETRY": "true"},
            check=False,
        )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()
        raise LabctlError(f"{package} does not read it: {last[-1] if last else 'it says nothing'}")
    return done.stdout.strip()


def _write(path: Path, text: str) -> None:
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name a new file; nothing was written")
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
