"""MacNet byte by byte: what the driver sends, what the simulated tester answers, and the procedure file between."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import Bench, charge, discharge, hold, rest, tell

from labctl.engine.clock import run_virtual
from labctl.instruments import CyclerProgram, Garbled, NotReachable, Refused, TimedOut
from labctl_drivers.maccor.procedure import compile_program, read, write
from labctl_drivers.maccor.wire import BinaryLine, JsonLine, Line
from labctl_simulators.macnet.procedure import CompileError, compile_procedure

HEADER = struct.Struct("<HHHH")


def rpc(**params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": "MacNet", "params": params, "id": 1987}).encode()


# --- what the simulated tester answers -------------------------------------------------------------------------------

LIMITS = {"VSafeMax": 4.4, "VSafeMin": 2.5, "ISafeChg": 5e-3, "ISafeDis": 5e-3, "PBatSafeChg": 1, "PBatSafeDis": 1}

JSON_TABLE: list[tuple[str, bytes, bytes]] = [
    ("echo", rpc(FClass=0, FNum=0, Any="x"), rpc(FClass=0, FNum=0, Any="x")),
    (
        "procedure that is not there",
        rpc(FClass=1, FNum=3, ProcName="none"),
        b'{"jsonrpc":"2.0","result":{"FClass":1,"FNum":3,"ProcedurExists":"FALSE"},"id":1987}',
    ),
    (
        "test that is not there",
        rpc(FClass=1, FNum=4, TestName="none"),
        b'{"jsonrpc":"2.0","result":{"FClass":1,"FNum":4,"TestNameExists":"FALSE"},"id":1987}',
    ),
    (
        "status of two idle channels",
        rpc(FClass=4, FNum=1, Chan=1, Len=2),
        b'{"jsonrpc":"2.0","result":{"FClass":4,"FNum":1,"Chan":1,"Len":2,"Status":'
        b'[{"RF1":0,"RF2":0,"Stat":0},{"RF1":0,"RF2":0,"Stat":0}]},"id":1987}',
    ),
    (
        "names of an idle channel",
        rpc(FClass=4, FNum=6, Chan=0),
        b'{"jsonrpc":"2.0","result":{"FClass":4,"FNum":6,"Chan":0,"TestName":"","ProcName":""},"id":1987}',
    ),
    (
        "resume of a channel that is not suspended",
        rpc(FClass=6, FNum=4, Chan=0),
        b'{"jsonrpc":"2.0","result":{"FClass":6,"FNum":4,"Chan":0,"Result":"Channel not Suspended"},"id":1987}',
    ),
    (
        "variable",
        rpc(FClass=6, FNum=9, Chan=0, VarNum=3, Value=1.5),
        b'{"jsonrpc":"2.0","result":{"FClass":6,"FNum":9,"Chan":0,"Result":"OK"},"id":1987}',
    ),
    (
        "safety limits come back in single precision",
        rpc(FClass=6, FNum=10, Chan=0, **LIMITS),
        b'{"jsonrpc":"2.0","result":{"FClass":6,"FNum":10,"Chan":0,"VSafeMax":4.400000095367432,"VSafeMin":2.5,'
        b'"ISafeChg":0.004999999888241291,"ISafeDis":0.004999999888241291,"PBatSafeChg":1.0,"PBatSafeDis":1.0},"id":1987}',
    ),
    (
        "dry start without a procedure",
        rpc(FClass=6, FNum=11, Chan=0, TestName="t", ProcName="none"),
        b'{"jsonrpc":"2.0","result":{"FClass":6,"FNum":11,"Chan":0,"Result":"Procedure does not exist"},"id":1987}',
    ),
    (
        "start without a procedure",
        rpc(FClass=6, FNum=2, Chan=0, TestName="t", ProcName="none"),
        b'{"jsonrpc":"2.0","result":'
        b'{"FClass":6,"FNum":2,"Chan":0,"Result":"No test procedure was selected"},"id":1987}',
    ),
]

ERROR_TABLE: list[tuple[bytes, int, str]] = [
    (b"hello there", -32700, "Parse error"),
    (b'{"jsonrpc":"2.0",}', -32700, "Parse error"),
    (b'{"jsonrpc":"1.0","method":"MacNet","params":{},"id":1}', -32600, "Method MacNet, jsonrpc 2.0 or id not found"),
    (b'{"jsonrpc":"2.0","method":"MacNet","params":[],"id":1}', -32602, "Invalid params"),
    (b'{"jsonrpc":"2.0","method":"MacNet","params":{"FNum":1},"id":1}', -32602, '"FClass" key does not exist'),
    (b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":1,"FNum":"2"},"id":1}', -32602, '"FNum" key does not'),
    (rpc(FClass=99, FNum=1), -32602, "Invalid FClass"),
    (rpc(FClass=6, FNum=77), -32602, "Invalid FNum"),
    (rpc(FClass=4, FNum=7), -32602, "Missing object"),
    (rpc(FClass=4, FNum=7, Chan=16), -32602, "Illegal value"),
    (rpc(FClass=4, FNum=7, Chan="1"), -32602, "Illegal value"),
]


async def talk(port: int, *parts: bytes) -> bytes:
    """Send each part by itself, and give everything up to the last reply's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)
    answer = await reader.read(65536)
    writer.close()
    await writer.wait_closed()
    return answer


def test_every_json_message_is_answered_as_the_table_says(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        for what, request, expected in JSON_TABLE:
            answer = await talk(b.settings["json_port"], request)
            assert answer.endswith(b"\r\n"), what
            assert answer.count(b"\r") == 1, what
            assert json.loads(answer) == json.loads(expected), what

    tell(tmp_path, story)


def test_every_mistake_gets_an_error_object(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        for request, code, text in ERROR_TABLE:
            error = json.loads(await talk(b.settings["json_port"], request))["error"]
            assert error["code"] == code, request
            assert error["message"].startswith(text), request

    tell(tmp_path, story)


def test_requests_may_come_in_pieces_or_in_one_piece(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        port = b.settings["json_port"]
        pretty = json.dumps(json.loads(rpc(FClass=1, FNum=2, Note='br{ace" \\')), indent=4).encode()
        pieces = [pretty[at : at + 7] for at in range(0, len(pretty), 7)]
        one = await talk(port, *pieces)
        assert json.loads(one)["result"]["TestChannels"] == 16
        # A reply broken over lines has line feeds inside, and CR LF only at its end.
        assert b"\n" in one[:-2]
        both = await talk(port, rpc(FClass=1, FNum=1) + b"  " + rpc(FClass=1, FNum=2))
        first, second = both.strip().split(b"\r\n")
        assert json.loads(first)["result"]["FNum"] == 1
        assert json.loads(second)["result"]["SystemID"] == "LABCTL-SIM-4000"

    tell(tmp_path, story)


def test_binary_headers_echo_the_message_and_count_bytes(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        port = b.settings["binary_port"]
        assert await talk(port, HEADER.pack(0, 0, 5, 3) + b"abc") == HEADER.pack(0, 0, 5, 3) + b"abc"
        # On reads of several channels the request counts channels: four bytes each come back.
        assert await talk(port, HEADER.pack(4, 1, 0, 2)) == HEADER.pack(4, 1, 0, 8) + bytes(8)
        # The rest packet of a published client, 26 bytes: the channel is not active.
        packet = struct.pack("<HHHHffffBB", 6, 8, 1, 18, 0, 0, 65536, 0, 4, ord("R"))
        assert await talk(port, packet[:11], packet[11:]) == HEADER.pack(6, 8, 1, 2) + struct.pack("<H", 2)
        start = bytes([2, 1]) + b"t".ljust(25) + b"none".ljust(25) + b"".ljust(80) + bytes(54)
        assert await talk(port, HEADER.pack(6, 2, 0, len(start)) + start) == HEADER.pack(6, 2, 0, 2) + b"\x0e\x00"

    tell(tmp_path, story)


def test_files_go_up_and_down_in_blocks_of_500(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        line = BinaryLine("127.0.0.1", b.settings["binary_port"], 2.0)
        await line.open()
        for size in (0, 1, 499, 500, 501, 1000, 1234):
            content = bytes(index % 251 for index in range(size))
            await line.put_file("some.000", content)
            assert (b.simulator.procedure_folder / "some.000").read_bytes() == content
            assert await line.get_file("some.000") == content
        with pytest.raises(Refused, match="File not found"):
            await line.get_file("none.000")
        for name in ("../out.000", "some.txt", ".000"):
            with pytest.raises(Refused, match="Illegal file name"):
                await line.put_file(name, b"")
        with pytest.raises(Refused, match="not served"):
            await line.get_file("some.000", kind=2)
        await line.close()

    tell(tmp_path, story)


def test_the_compilers_words_come_line_by_line_until_there_are_no_more(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        wrong = b"<MaccorTestProcedure><ProcSteps><TestStep><StepType>Rest</StepType></TestStep></ProcSteps>"
        (b.simulator.procedure_folder / "bad.000").write_bytes(wrong + b"</MaccorTestProcedure>")
        request = rpc(FClass=6, FNum=11, Chan=0, TestName="t", ProcName="bad")
        assert json.loads(await talk(b.settings["json_port"], request))["result"]["Result"] == "Compile error"
        words = await driver._session.compiler_words(0)
        assert words.startswith("Step 001: Invalid step type 'Rest'; Step 001: Step has no end")
        assert await driver._session.compiler_words(0) == ""

    tell(tmp_path, story)


# --- what the driver sends -------------------------------------------------------------------------------------------

SENT_TABLE: list[tuple[Callable[[Any], Coroutine[Any, Any, Any]], type[Line], bytes, bytes, Any]] = [
    (
        lambda line: line.ask(4, 7, {"Chan": 3}),
        JsonLine,
        b'{"jsonrpc": "2.0", "method": "MacNet", "params": {"FClass": 4, "FNum": 7, "Chan": 3}, "id": 1988}',
        b'{"jsonrpc":"2.0","result":{"FClass":4,\n"FNum":7,"Chan":3,"Stat":2},"id":1988}\r\n',
        {"FClass": 4, "FNum": 7, "Chan": 3, "Stat": 2},
    ),
    (
        lambda line: line.ask(1, 1, {}),
        JsonLine,
        b'{"jsonrpc": "2.0", "method": "MacNet", "params": {"FClass": 1, "FNum": 1}, "id": 1988}',
        b'{"jsonrpc":"2.0",\r\n"result":{"FClass":1,"FNum":1},"id":1988}\r\n',
        {"FClass": 1, "FNum": 1},
    ),
    (
        lambda line: line.ask(6, 12, 4),
        BinaryLine,
        b"\x06\x00\x0c\x00\x04\x00\x00\x00",
        b"\x06\x00\x0c\x00\x04\x00\x05\x00words",
        b"words",
    ),
    (
        lambda line: line.put_file("a.000", b"xyz"),
        BinaryLine,
        b"\x01\x00\x06\x00\x00\x00\x09\x00\x03\x02\x05\x00a.000",
        b"\x01\x00\x06\x00\x00\x00\x04\x00\x03\x04\x00\x00",
        None,
    ),
    (
        lambda line: line.get_file("a.000"),
        BinaryLine,
        b"\x01\x00\x07\x00\x00\x00\x09\x00\x03\x01\x05\x00a.000",
        b"\x01\x00\x07\x00\x00\x00\x07\x00\x03\x03\x01\x00xyz",
        b"xyz",
    ),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b'{"jsonrpc":"2.0","result":{"FClass":1},"id":1988}\r\n', Garbled),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b'{"jsonrpc":"2.0","id":1987}\r\n', Garbled),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b"\xff\xff\xff\r\n", Garbled),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b"[nonsense]\r\n", Garbled),
    (
        lambda line: line.ask(4, 7, {"Chan": 3}),
        JsonLine,
        b"",
        b'{"jsonrpc":"2.0","result":{"FClass":4,"FNum":7,"Chan":2},"id":1988}\r\n',
        Garbled,
    ),
    (
        lambda line: line.ask(1, 2, {}),
        JsonLine,
        b"",
        b'{"jsonrpc":"2.0","error":{"code":-1,"message":"MacNet error"},"id":1988}\r\n',
        Refused,
    ),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b'{"jsonrpc":"2.0","resu', TimedOut),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b'{"a":[\r\n' + b'"}",\r\n' * 100_000, Garbled),
    (lambda line: line.ask(1, 2, {}), JsonLine, b"", b'{"a":[\r\n' + b"{}\r\n" * 100_000, Garbled),
    (lambda line: line.ask(6, 12, 4), BinaryLine, b"", b"\x06\x00\x0c\x00\x05\x00\x05\x00words", Garbled),
    (lambda line: line.ask(1, 2, 0), BinaryLine, b"", b"\x01\x00\x03\x00\x00\x00\x00\x00", Garbled),
    (lambda line: line.ask(1, 2, 0), BinaryLine, b"", b"\x01\x00\x02\x00\x00\x00\x09\x00short", TimedOut),
    (lambda line: line.ask(1, 2, 0), BinaryLine, b"", b"", TimedOut),
    (
        lambda line: line.get_file("a.000"),
        BinaryLine,
        b"",
        b"\x01\x00\x07\x00\x00\x00\x04\x00\x03\x03\x02\x00",
        Garbled,
    ),
    (
        lambda line: line.get_file("a.000"),
        BinaryLine,
        b"",
        b"\x01\x00\x07\x00\x00\x00\x07\x00\x03\x05\x01\x00no\x00",
        Refused,
    ),
]


@pytest.mark.parametrize(("ask", "kind", "sent", "answer", "result"), SENT_TABLE)
def test_every_exchange_of_the_driver_is_as_the_table_says(
    ask: Callable[[Any], Coroutine[Any, Any, Any]], kind: Any, sent: bytes, answer: bytes, result: Any
) -> None:
    seen = bytearray()

    async def main(clock: Any) -> None:
        async def tester(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                first = not seen
                seen.extend(data)
                # A file's second block is acknowledged in its own right.
                writer.write(answer if first else b"\x01\x00\x06\x00\x00\x00\x04\x00\x03\x04\x01\x00")
            writer.close()

        server = await asyncio.start_server(tester, "127.0.0.1", 0)
        line = kind("127.0.0.1", server.sockets[0].getsockname()[1], 2.0)
        await line.open()
        if isinstance(result, type):
            with pytest.raises(result):
                await ask(line)
        else:
            assert await ask(line) == result
        await line.close()
        await asyncio.sleep(0.1)
        server.close()
        await server.wait_closed()

    run_virtual(main)
    assert seen.startswith(sent)


def test_a_line_that_breaks_off_is_not_reachable() -> None:
    async def main(clock: Any) -> None:
        async def tester(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.close()

        server = await asyncio.start_server(tester, "127.0.0.1", 0)
        line = JsonLine("127.0.0.1", server.sockets[0].getsockname()[1], 2.0)
        await line.open()
        with pytest.raises(NotReachable, match="broke off"):
            await line.ask(1, 2, {})
        with pytest.raises(NotReachable):
            await line.ask(1, 2, {})
        await line.close()
        server.close()
        await server.wait_closed()

    run_virtual(main)


# --- the procedure file between them ---------------------------------------------------------------------------------

HOLD = b"""<?xml version="1.0" encoding="UTF-8"?>
<?maccor-application progid="Maccor Procedure File"?>
<MaccorTestProcedure>
<header><BuildTestVersion><major>1</major><minor>5</minor><release>7006</release><build>32043</build></BuildTestVersion>
<FileFormatVersion><BTVersion>11</BTVersion></FileFormatVersion><ProcDesc><desc>labctl 1g 1c</desc></ProcDesc></header>
<ProcSteps>
<TestStep><StepType>Dischrge</StepType><StepMode>Voltage </StepMode><StepValue>3.0</StepValue>\
<Limits><Current>0.003</Current></Limits>
<Ends><EndEntry><EndType>Current </EndType><SpecialType> </SpecialType><Oper>&lt;= </Oper>\
<Step>002</Step><Value>0.000001</Value></EndEntry>
<EndEntry><EndType>StepTime</EndType><SpecialType> </SpecialType><Oper> = </Oper>\
<Step>003</Step><Value>24:00:00</Value></EndEntry>
</Ends>
<Reports><ReportEntry><ReportType>StepTime</ReportType><Value>00:01:00</Value></ReportEntry></Reports>
<Range>A</Range><Option1>N</Option1><Option2>N</Option2><Option3>N</Option3><StepNote></StepNote></TestStep>
<TestStep><StepType>Dischrge</StepType><StepMode>Voltage </StepMode><StepValue>3.0</StepValue>\
<Limits><Current>0.003</Current></Limits>
<Ends><EndEntry><EndType>Current </EndType><SpecialType> </SpecialType><Oper>&gt;= </Oper>\
<Step>001</Step><Value>0.000001001</Value></EndEntry>
<EndEntry><EndType>StepTime</EndType><SpecialType> </SpecialType><Oper> = </Oper>\
<Step>003</Step><Value>00:01:00</Value></EndEntry>
</Ends>
<Reports><ReportEntry><ReportType>StepTime</ReportType><Value>00:01:00</Value></ReportEntry></Reports>
<Range>A</Range><Option1>N</Option1><Option2>N</Option2><Option3>N</Option3><StepNote></StepNote></TestStep>
<TestStep><StepType>  End   </StepType><StepMode>        </StepMode><StepValue></StepValue><Limits/><Ends/><Reports/>
<Range></Range><Option1></Option1><Option2></Option2><Option3></Option3><StepNote></StepNote></TestStep>
</ProcSteps></MaccorTestProcedure>
"""


def test_a_hold_is_written_byte_for_byte_like_this() -> None:
    assert write(compile_program(hold(), lambda current: "2")) == HOLD


@pytest.mark.parametrize("program", [rest(60), rest(70 * 3600), charge(), discharge(), hold(), hold(held=0)])
def test_what_was_written_reads_back_the_same_and_compiles(program: CyclerProgram) -> None:
    steps = compile_program(program, lambda current: "2")
    content = write(steps)
    assert read(content) == steps
    assert write(read(content)) == content
    compiled = compile_procedure(content)
    assert len(compiled) == len(steps) + 1
    assert compiled[-1].kind == "End"


COMPILER_TABLE: list[tuple[bytes, bytes, str]] = [
    (b"<StepType>Dischrge</StepType>", b"<StepType>Discharge</StepType>", "Invalid step type 'Discharge'"),
    (b"<StepType>Dischrge</StepType>", b"<StepType>FastWave</StepType>", "Step type 'FastWave' is not known here"),
    (b"<StepMode>Voltage </StepMode>", b"<StepMode>Voltage</StepMode>", "Invalid step mode 'Voltage'"),
    (b"<Oper>&lt;= </Oper>", b"<Oper>&lt;=</Oper>", "Invalid operator '<=' of end Current"),
    (b"<Step>002</Step>", b"<Step>2</Step>", "Invalid target step '2'"),
    (b"<Step>002</Step>", b"<Step>009</Step>", "Invalid target step '009'"),
    (b"<Value>24:00:00</Value>", b"<Value>86400</Value>", "Invalid time '86400'"),
    (b"<Value>0.000001</Value>", b"<Value>small</Value>", "Invalid value 'small' of Current"),
    (b"<Range>A</Range>", b"<Range>5</Range>", "Invalid range '5'"),
    (b"<Range>A</Range>", b"<Range>1</Range>", "Current 0.003 A is beyond range 1"),
    (b"<EndType>Current </EndType>", b"<EndType>Amperes </EndType>", "Invalid end type 'Amperes '"),
    (b"<ReportType>StepTime</ReportType>", b"<ReportType>Sometime</ReportType>", "Invalid report type 'Sometime'"),
    (b"  End   ", b"AdvCycle", "does not end with an End step"),
    (b"</MaccorTestProcedure>", b"", "File is not a procedure"),
]


@pytest.mark.parametrize(("right", "wrong", "words"), COMPILER_TABLE)
def test_the_compiler_says_what_is_wrong_with_a_file(right: bytes, wrong: bytes, words: str) -> None:
    assert right in HOLD
    with pytest.raises(CompileError) as found:
        compile_procedure(HOLD.replace(right, wrong))
    assert words in str(found.value)


def test_loops_and_cycle_counts_run_as_written(tmp_path: Path) -> None:
    def passing(kind: bytes, ends: bytes = b"<Ends/>") -> bytes:
        return b"<TestStep><StepType>" + kind + b"</StepType><Limits/>" + ends + b"<Reports/></TestStep>"

    resting = write(compile_program(rest(60), lambda current: "2"))
    step = resting[resting.index(b"<TestStep>") : resting.index(b"</TestStep>") + 11].replace(b"002", b"003")
    count = b"<EndEntry><EndType>Loop Cnt</EndType><Oper> = </Oper><Step>005</Step><Value>3</Value></EndEntry>"
    tree = (passing(b"  Do 1  "), step, passing(b"AdvCycle"), passing(b" Loop 1 ", b"<Ends>" + count + b"</Ends>"))
    content = b"<MaccorTestProcedure><ProcSteps>" + b"".join(tree) + passing(b"  End   ")
    content += b"</ProcSteps></MaccorTestProcedure>"

    async def story(b: Bench) -> None:
        (b.simulator.procedure_folder / "loop.000").write_bytes(content)
        port = b.settings["json_port"]
        await talk(port, rpc(FClass=6, FNum=2, Chan=0, TestName="looped", ProcName="loop", Comment=""))
        await asyncio.sleep(1000)
        result = json.loads(await talk(port, rpc(FClass=4, FNum=7, Chan=0)))["result"]
        assert (result["RF1"], result["RF2"], result["Stat"]) == (31, 193, 4)
        assert result["Cycle"] == 3
        assert result["TestTime"] == pytest.approx(180)
        ended = json.loads(await talk(port, rpc(FClass=4, FNum=10, Chan=0)))["result"]
        assert (ended["NumOfEnds"], ended["EndNum"]) == (1, 1)

    tell(tmp_path, story)
