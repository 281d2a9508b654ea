"""What :mod:`benchmarks.fuzz` begins with: valid requests for every simulator, valid content for every reader."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy as np

from labctl.errors import LabctlError
from labctl.instruments import CyclerProgram, CyclerStep, End, Mode, SafetyLimits
from labctl_drivers.biologic import mpr, mps, mpt
from labctl_drivers.biologic.backend import ConstantCurrent, Limit, OpenCircuit
from labctl_drivers.biologic.eclib_records import Block, BlockFile, Decoder, Part
from labctl_drivers.biologic.mps_techniques import Writer
from labctl_drivers.bruker import dataset
from labctl_drivers.maccor import export, procedure
from labctl_drivers.zahner import ism, replies
from labctl_simulators.biologic.mpr_writer import DataFile, Row, binary, text
from labctl_simulators.modbus import checksum
from labctl_simulators.thales import ism as simulated_ism


@dataclass(frozen=True)
class Question:
    """How a simulator is spoken to.

    ``greeting`` comes first on a connection; ``valid`` is answered by something that holds ``answer``.
    """

    rig: str
    wire: str
    messages: tuple[bytes, ...]
    valid: bytes
    answer: re.Pattern[bytes]
    greeting: bytes = b""


def _macnet(fclass: int, fnum: int, **params: object) -> bytes:
    request = {"jsonrpc": "2.0", "method": "MacNet", "params": {"FClass": fclass, "FNum": fnum, **params}, "id": 1987}
    return json.dumps(request).encode()


def _binary(fclass: int, fnum: int, channel: int = 0, payload: bytes = b"", count: int | None = None) -> bytes:
    return struct.pack("<HHHH", fclass, fnum, channel, len(payload) if count is None else count) + payload


def _registration(name: bytes) -> bytes:
    return len(name).to_bytes(2, "big") + bytes.fromhex("12D0FFFFFFFF") + name


def _telegram(channel: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(2, "little") + bytes((channel,)) + payload


def _modbus(function: str, number: int = 7, unit: int = 1) -> bytes:
    body = bytes((unit,)) + bytes.fromhex(function)
    return struct.pack(">HHH", number, 0, len(body)) + body


def _modbus_rtu(function: str, unit: int = 1) -> bytes:
    body = bytes((unit,)) + bytes.fromhex(function)
    return body + checksum(body)


#: Function, register, and what follows: actual value, set-point, clock, both ways of writing, one bad function.
_MODBUS = (
    "0310040002",
    "03114C0002",
    "0312920001",
    "03134A0006",
    "0611580000",
    "10114C00020400004220",
    "10115800010200FF",
    "0110040001",
)


def _gateway(**fields: object) -> bytes:
    return json.dumps({"id": 3, **fields}).encode() + b"\n"


def _call(name: str, *arguments: object) -> bytes:
    return json.dumps({"n": 1, "call": name, "with": arguments}).encode() + b"\n"


#: Parameters of a rest of 10 s with a record every second.
_REST = b"".join(
    struct.pack("<64siii", label, 2, struct.unpack("<i", struct.pack("<f", value))[0], 0)
    for label, value in ((b"Rest_time_T", 10.0), (b"Record_every_dT", 1.0))
).hex()

_ORDER = {"Chan": 0, "TestName": "a-test", "ProcName": "a-test", "Comment": "c", "Crate": 1.0, "ChamberNum": 0}
_SAFETY = {"VSafeMax": 4.4, "VSafeMin": 2.5, "ISafeChg": 5e-3, "ISafeDis": 5e-3, "PBatSafeChg": 1.0, "PBatSafeDis": 1.0}

REQUESTS: dict[str, Question] = {
    "macnet-json": Question(
        "maccor",
        "macnet-json",
        (
            _macnet(1, 1),
            _macnet(1, 2),
            _macnet(1, 3, ProcName="a-test"),
            _macnet(1, 4, TestName="a-test"),
            _macnet(3, 1, Chan=0),
            _macnet(4, 1, Chan=0, Len=2),
            _macnet(4, 6, Chan=1),
            _macnet(4, 7, Chan=0),
            _macnet(6, 2, **_ORDER),
            _macnet(6, 3, Chan=0),
            _macnet(6, 10, Chan=0, **_SAFETY),
            _macnet(6, 11, **_ORDER),
        ),
        _macnet(1, 2),
        re.compile(rb"SystemID"),
    ),
    "macnet-binary": Question(
        "maccor",
        "macnet-binary",
        (
            _binary(0, 0, payload=b"echo"),
            _binary(1, 2),
            _binary(1, 3, payload=b"a-test".ljust(25)),
            _binary(1, 6, payload=struct.pack("<BBH", 3, 2, 10) + b"a-test.000"),
            _binary(1, 6, payload=struct.pack("<BBH", 3, 3, 1) + b"x" * 500),
            _binary(1, 6, payload=struct.pack("<BBH", 3, 3, 2) + b"x"),
            _binary(1, 7, payload=struct.pack("<BBH", 3, 1, 10) + b"a-test.000"),
            _binary(1, 7, payload=struct.pack("<BBH", 3, 4, 1)),
            _binary(4, 2, count=2),
            _binary(6, 2, payload=b"\2\0" + b" " * 130),
            _binary(6, 8, payload=b"\0" * 18),
            _binary(6, 12),
        ),
        _binary(1, 2),
        re.compile(rb"^\x01\x00\x02\x00"),
    ),
    "thales": Question(
        "zahner",
        "thales",
        (
            _telegram(128, b"3,Fuzz,7"),
            _telegram(128, b"3,Fuzz,6"),
            _telegram(128, b"1,Fuzz"),
            _telegram(128, b"3,Fuzz,1,c:\\thales\\labctl\\x.ism"),
            _telegram(2, b"1:POTENTIAL:"),
            _telegram(2, b"1:SENDSETUP:"),
            _telegram(2, b"1:Pset=3.5:"),
            _telegram(2, b"1:Ampl=1e-3:"),
            _telegram(2, b"1:Fmin=0.1:"),
            _telegram(2, b"1:ALLNUM:"),
            _registration(b"Other"),
        ),
        _telegram(128, b"3,Fuzz,7"),
        re.compile(rb"128,Fuzz,"),
        _registration(b"Fuzz"),
    ),
    "topspin-gateway": Question(
        "bruker",
        "topspin-gateway",
        (
            _gateway(op="ping"),
            _gateway(op="status", name="a-test"),
            _gateway(op="create", name="a-test", expno=1, title="t", parameter_set="PROTON"),
            _gateway(op="setpar", name="a-test", expno=1, pars={"NS": "16", "D 1": "0.5"}),
            _gateway(op="getpar", name="a-test", expno=1, names=["NS", "BF1"]),
            _gateway(op="list", name="a-test", expno=1, inline=100),
            _gateway(op="read", name="a-test", expno=1, file="acqus", offset=0, length=100),
            _gateway(op="acquire", name="a-test", expno=1),
            _gateway(op="halt", name="a-test"),
        ),
        _gateway(op="ping"),
        re.compile(rb'"id":3,"ok":true'),
        json.dumps({"id": 1, "op": "hello", "token": "t"}).encode() + b"\n",
    ),
    "eclib": Question(
        "eclib-cycler",
        "eclib",
        (
            _call("BL_Connect"),
            _call("BL_TestConnection", 1),
            _call("BL_GetChannelsPlugged", 1, 16),
            _call("BL_GetChannelInfos", 1, 0),
            _call("BL_LoadFirmware", 1, "01" + "00" * 15, False),
            _call("BL_LoadTechnique", 1, 0, "ocv.ecc", _REST, True, True),
            _call("BL_StartChannel", 1, 0),
            _call("BL_StartChannels", 1, "0100"),
            _call("BL_GetCurrentValues", 1, 0),
            _call("BL_GetData", 1, 0),
            _call("BL_StopChannel", 1, 0),
            _call("BL_Disconnect", 2),
        ),
        b"\n" + _call("BL_Connect"),
        re.compile(rb'"n": 1, "code": [0-9]+, "out": \["2100'),
    ),
    "eclabcom": Question(
        "eclab-cycler",
        "eclabcom",
        (
            _call("EnableMessagesWindows", 0),
            _call("ConnectDevice", 0),
            _call("GetDeviceSN", 0),
            _call("GetDeviceChannelList", 0),
            _call("SelectChannel", 0, 0),
            _call("LoadSettings", 0, 0, "nothing.mps"),
            _call("RunChannel", 0, 0, "nothing.mpr"),
            _call("MeasureStatus", 0, 0),
            _call("GetDataFileName", 0, 0, 0),
            _call("GetExperimentInfos", 0, 0),
            _call("StopChannel", 0, 0),
        ),
        b"\n" + _call("GetDeviceSN", 0),
        re.compile(rb'"n": 1, "out": \[21042'),
    ),
    "julabo": Question(
        "julabo",
        "julabo",
        (
            b"version\r",
            b"status\r",
            b"in_pv_00\r",
            b"in_sp_00\r",
            b"in_mode_05\r",
            b"out_sp_00 40.00\r",
            b"out_mode_05 1\r",
        ),
        b"version\r",
        re.compile(rb"JULABO"),
    ),
    "modbus-tcp": Question(
        "binder",
        "modbus-tcp",
        tuple(_modbus(function) for function in _MODBUS),
        _modbus("0310040002"),
        re.compile(rb"\x00\x07\x00\x00\x00\x07\x01\x03\x04....$", re.DOTALL),
    ),
    "modbus-rtu": Question(
        "binder-rtu",
        "modbus-rtu",
        tuple(_modbus_rtu(function) for function in _MODBUS),
        _modbus_rtu("0310040002"),
        re.compile(rb"\x01\x03\x04......$", re.DOTALL),
    ),
    "espec": Question(
        "espec",
        "espec",
        (
            b"TYPE?\r\n",
            b"ROM?\r\n",
            b"TEMP?\r\n",
            b"MON?\r\n",
            b"MON?,DETAIL\r\n",
            b"MODE?\r\n",
            b"ALARM?\r\n",
            b"TEMP, S40.0 H60.0 L-10.0\r\n",
            b"TEMP,S40.0\r\n",
            b"MODE,CONSTANT\r\n",
            b"MODE,STANDBY\r\n",
            b"POWER,ON\r\n",
        ),
        b"\r\nTYPE?\r\n",
        re.compile(rb"T,T,S2,160\.0\r\n"),
    ),
    "scpi-keithley": Question(
        "scpi-keithley",
        "scpi",
        (
            b"*IDN?\n",
            b"*OPT?\n",
            b"*ESR?;*CLS;:SYST:POS?\n",
            b"ROUT:MULT:OPEN (@101:104);*OPC?\n",
            b"ROUT:MULT:CLOS (@103);*OPC?\n",
            b"SYST:ERR?;:ROUT:MULT:CLOS:STAT? (@101:104,201)\n",
            b"ROUT:MULT:CLOS?\n",
            b"ROUT:CLOS:COUN? (@101)\n",
        ),
        b"\n*IDN?\n",
        re.compile(rb"MODEL 2700"),
    ),
    "scpi": Question(
        "scpi-multiplexer",
        "scpi",
        (
            b"*IDN?\n",
            b"*CLS;:MEM:STAT:REC:AUTO?\n",
            b"ROUT:OPEN (@101:104);*OPC?\n",
            b"ROUT:CLOS (@103);*OPC?\n",
            b"SYST:ERR?;:ROUT:CLOS? (@101:104,201)\n",
            b"DIAG:REL:CYCL? (@101)\n",
            b"SYST:CTYP? 100\n",
        ),
        b"\n*IDN?\n",
        re.compile(rb"34970A"),
    ),
}


@dataclass(frozen=True)
class Reader:
    """A function that reads a file or a reply, how it refuses, and what may be wrong with what it accepts."""

    samples: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes], str | None]
    refuses: tuple[type[Exception], ...]


def _exports() -> tuple[bytes, ...]:
    head = (
        "Today's Date\t01/05/2026\tDate of Test:\t01/05/2026\tFilename:\tx.001\t\r\n"
        "Rec#\tCyc#\tStep\tTestTime\tStepTime\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tES\tDPt Time\r\n"
    )
    rows = "".join(
        f"{n}\t0\t1\t0d 00:{n:02d}:00.00\t0d 00:{n:02d}:00.00\t{n * 1e-6:.8f}\t0.0\t0.00020000\t"
        f"{3.2 + n / 100:.5f}\tC\t"
        f"{129 if n == 5 else 1}\t01/05/2026 08:{n:02d}:00\r\n"
        for n in range(1, 6)
    )
    return ((head + rows).encode("latin-1"),)


def _procedures() -> tuple[bytes, ...]:
    ends = (End("voltage", True, 4.3), End("time", True, 16 * 3600.0, guard=True))
    steps = (
        CyclerStep(Mode.CHARGE, 2e-4, None, ends, 60.0, 0.005),
        CyclerStep(Mode.REST, 0.0, None, (End("time", True, 600.0),)),
    )
    program = CyclerProgram("c/x", steps, SafetyLimits(2.5, 4.4, 5e-3, 5e-3))
    return (procedure.write(procedure.compile_program(program, lambda current: "1")),)


def _spectra() -> tuple[bytes, ...]:
    from datetime import UTC, datetime, timedelta

    count = 6
    begun = datetime(2026, 1, 5, tzinfo=UTC)
    spectrum = simulated_ism.Spectrum(
        frequency=np.logspace(4, 1, count), impedance=np.full(count, 10.0 - 2.0j),
        measured=tuple(begun + timedelta(seconds=n) for n in range(count)), voltage=np.full(count, 3.5),
        current=np.full(count, 1e-4), galvanostatic=True, amplitude=0.1, pset=0.0, cset=0.0, fmin=10.0, fmax=1e4,
        fstart=1e4, nwl=4, nws=4, dfl=5, dfm=5, serial="25000",
    )  # fmt: skip
    return (simulated_ism.write(spectrum),)


def _recorded() -> tuple[DataFile, DataFile]:
    from datetime import UTC, datetime

    begun = datetime(2026, 1, 5, 8, 30, tzinfo=UTC).replace(tzinfo=None)
    flow = tuple(Row(60.0 * n, 0, False, (3.2 + n / 100, -0.1, 2e-4, 0.0)) for n in range(5))
    points = tuple(
        Row(float(n), 0, True, (1000.0 / (n + 1), 0.01, 1e-3, -0.4, 3.5, 0.0, 0.004, 1e-3, -0.4, -0.1))
        for n in range(5)
    )
    return (
        DataFile(119, "Modulo Bat", "driven", 0, 1042, True, begun, flow),
        DataFile(29, "Potentio Electrochemical Impedance Spectroscopy", "spectrum", 0, 1042, False, begun, points),
    )


def _data_files() -> tuple[bytes, ...]:
    return tuple(binary(one, closed=True) for one in _recorded())


def _text_files() -> tuple[bytes, ...]:
    return tuple(text(one) for one in _recorded())


def _settings_files() -> tuple[bytes, ...]:
    techniques = (ConstantCurrent(2e-4, 3600.0, (Limit("voltage", True, 4.3),)), OpenCircuit(600.0))
    made = mps.document(
        Writer(".", (0.0, 5.0), 5, None).blocks(techniques), path="C:\\labctl\\run.mps", device="VMP-3e",
        voltage_range=(0.0, 5.0), safety=mps.Safety(2.7, 4.5, 1e-3), record_counter=False, mark=".", template=None,
    )  # fmt: skip
    return (made,)


def _blocks() -> tuple[bytes, ...]:
    words = struct.pack("<8I", 0, 0, 0x40600000, 0, 0, 50000, 0x40600000, 0).hex()
    rest = Block(0, 100, 0, 0, 4, 0.0, 20e-6, 0, None, 60.0, words)
    return tuple(json.dumps(asdict(one)).encode() for one in (rest, replace(rest, loop=1, start=60.0, since=120.0)))


def _finite(*values: float) -> str | None:
    return None if all(map(math.isfinite, values)) else f"{values} holds no number"


def _read_export(content: bytes) -> str | None:
    records = export.parse(content, "x.001")
    export.check_gaps(records, "x.001", int(records.number[-1]) if records.number.size else 1)
    return _finite(*records.voltage, *records.current, *records.capacity, *records.time)


def _read_procedure(content: bytes) -> str | None:
    return _finite(*(way.value for step in procedure.read(content) for way in step.exits))


def _read_spectrum(content: bytes) -> str | None:
    spectrum = ism.read(content)
    ism.table(spectrum)
    return _finite(*spectrum.frequency, *spectrum.impedance.real, *spectrum.impedance.imag)


def _text(content: bytes) -> str:
    return content.decode("latin-1")


def _read_setup(content: bytes) -> str | None:
    return _finite(*replies.setup(_text(content)).values.values())


def _read_dataset(content: bytes) -> str | None:
    verdict = dataset.judge_content("", _text(content), 8192)
    return "complete without a trail" if verdict.state == dataset.DONE else None


def _read_data_file(content: bytes) -> str | None:
    measured = mpr.read(content, "x.mpr")
    rows = [len(values) for values in measured.columns.values()]
    return None if all(count == measured.rows for count in rows) else f"{rows} values for {measured.rows} rows"


def _read_text_file(content: bytes) -> str | None:
    measured = mpt.read(content, "x.mpt")
    rows = [len(values) for values in measured.columns.values()]
    return None if all(count == measured.rows for count in rows) else f"{rows} values for {measured.rows} rows"


def _read_settings_file(content: bytes) -> str | None:
    template = mps.parse(content, "x.mps")
    return None if template.blocks else "has no technique"


def _read_block(content: bytes) -> str | None:
    # A line whose CRC-32 is right, as another version may have written it.
    with TemporaryDirectory() as folder:
        file = BlockFile(Path(folder) / "x.eclib")
        file.path.write_bytes(b"%b\t%08x\n" % (content, crc32(content)))
        decoder = Decoder((Part((0,), (100,), 0.0),))
        records = [record for block in file.read() for record in decoder.take(block)]
    numbers = [record.number for record in records]
    return None if numbers == list(range(1, len(records) + 1)) else f"records are numbered {numbers}"


READERS: dict[str, Reader] = {
    "maccor-export": Reader(_exports, _read_export, (LabctlError,)),
    "maccor-procedure": Reader(_procedures, _read_procedure, (LabctlError, ValueError)),
    "eclab-mpr": Reader(_data_files, _read_data_file, (LabctlError,)),
    "eclab-mpt": Reader(_text_files, _read_text_file, (LabctlError,)),
    "eclab-mps": Reader(_settings_files, _read_settings_file, (LabctlError,)),
    "eclib-blocks": Reader(_blocks, _read_block, (LabctlError,)),
    "zahner-ism": Reader(_spectra, _read_spectrum, (LabctlError, ValueError)),
    "zahner-setup": Reader(
        lambda: (b"OK;SETUP;Pset=0.0;Cset=0;Ampl=0;Pot=0;Gal=0;GAL=1;Cmin=-3;Cmax=3;Pmin=-4;Pmax=4;ENDSETUP",),
        _read_setup,
        (LabctlError,),
    ),
    "zahner-potential": Reader(
        lambda: (b"potential=  3.5123e+00 V",),
        lambda content: _finite(replies.potential(_text(content))),
        (LabctlError,),
    ),
    "topspin-acqus": Reader(
        lambda: (b"##TITLE= x\n##$NS= 16\n##$TD= 2048\n##$P= (0..2)\n0 7 3\n##$PULPROG= <zg>\n##END=\n",),
        _read_dataset,
        (LabctlError, ValueError),
    ),
}
