"""The simulated tester's catalogue, on both ports: readings, selection, starts, files, refusals."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import Bench, charge, rest, tell
from macnet_client import Client, client

from labctl.instruments import CyclerProgram, Refused
from labctl_drivers.maccor.procedure import compile_program, write


def stored(b: Bench, name: str, program: CyclerProgram) -> None:
    (b.simulator.procedure_folder / f"{name}.000").write_bytes(write(compile_program(program, lambda current: "2")))


def start_data(test: str, procedure: str, *, kind: int = 2, chamber: int = 0) -> bytes:
    head = struct.pack(
        "<BB25s25s80sfB", kind, 1, test.encode().ljust(25), procedure.encode().ljust(25), b"", 1, chamber
    )
    if kind == 1:
        return head
    return head + struct.pack("<HHfBBfffh25s", 0, 0, 1.0, 0, 0, 0.0, 0.0, 0.0, -1, b"")


# --- readings --------------------------------------------------------------------------------------------------------


def words(data: bytes, layout: str) -> tuple[Any, ...]:
    return struct.unpack("<" + layout, data)


READINGS: list[tuple[int, int, Callable[[dict[str, Any], bytes], tuple[Any, Any]]]] = [
    (4, 2, lambda said, data: (said["Voltage"], list(words(data, "2f")))),
    (4, 3, lambda said, data: (said["Current"], list(words(data, "2f")))),
    (4, 9, lambda said, data: (said["TestTimes"], list(words(data, "2f")))),
    (
        4,
        1,
        lambda said, data: (said["Status"][0], dict(zip(("RF1", "RF2", "Stat"), words(data[:4], "BBH"), strict=True))),
    ),
    (4, 4, lambda said, data: (said["AuxValues"], list(words(data, "f")))),
    (4, 5, lambda said, data: (said["AuxUnit"], [data.decode()])),
    (4, 10, lambda said, data: ((said["NumOfEnds"], said["EndNum"]), words(data, "HH"))),
    (3, 1, lambda said, data: (said["IR1Chg"], words(data, "21f")[12])),
    (4, 6, lambda said, data: (said["TestName"], data[:25].decode().strip())),
]


def test_both_ports_tell_the_same(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await driver.start("telling", 1, charge())
        await asyncio.sleep(100)
        async with client(b.settings) as one:
            for fclass, fnum, both in READINGS:
                said = await one.ask(fclass, fnum, Chan=0, Len=2)
                data = await one.raw(fclass, fnum, 0, count=2)
                left, right = both(said, data)
                assert left == right, (fclass, fnum)
            said = await one.stand(0)
            data = await one.raw(4, 7, 0)
            code = struct.unpack("<BBHIIHddddffQ", data)
            assert code[:6] == (said["RF1"], said["RF2"], said["Stat"], said["LastRecNum"], said["Cycle"], said["Step"])
            # Simulated time passes between the two looks; the rest is the same number in the same precision.
            assert code[10] == said["Current"] == struct.unpack("<f", struct.pack("<f", 2e-4))[0]
            assert code[11] == pytest.approx(said["Voltage"], abs=1e-4)
            general = await one.ask(1, 2)
            data = await one.raw(1, 2)
            assert data[:50].decode().rstrip() == general["SystemID"]
            assert struct.unpack("<BBHBHBBI", data[50:])[2] == general["TestChannels"] == 16
            assert len(await one.raw(1, 1)) == 2 * 7 + 16

    tell(tmp_path, story)


def test_an_auxiliary_input_is_the_temperature_of_the_cell_where_it_is(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            answer = await one.ask(4, 4, Chan=0)
            assert (answer["Len"], answer["AuxValues"]) == (2, [pytest.approx(20.0), (await one.stand(0))["Voltage"]])
            assert (await one.ask(4, 5, Chan=0))["AuxUnit"] == ["C", "V"]
            general = await one.ask(1, 2)
            assert (general["AuxBoards"], general["AuxChannels"]) == (1, 32)

    tell(tmp_path, story, simulate={"auxiliary": ["C", "V"]})


def test_an_end_is_told_by_its_place_among_the_ends(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "ends", rest(60))
        path = b.simulator.procedure_folder / "ends.000"
        content = path.read_bytes()
        last = content[content.rindex(b"<TestStep>") : content.rindex(b"</TestStep>") + 11]
        # Its end is the third step now, behind one that it never reaches.
        path.write_bytes(content.replace(last, last + last).replace(b"<Step>002</Step>", b"<Step>003</Step>"))
        async with client(b.settings) as one:
            none = await one.ask(4, 10, Chan=0)
            assert (none["NumOfEnds"], none["EndNum"]) == (0, 0)
            assert await one.result(6, 2, Chan=0, TestName="ends", ProcName="ends") == "OK"
            under_way = await one.ask(4, 10, Chan=0)
            assert (under_way["NumOfEnds"], under_way["EndNum"]) == (2, 0)
            await asyncio.sleep(61)
            ended = await one.ask(4, 10, Chan=0)
            assert (ended["NumOfEnds"], ended["EndNum"]) == (2, 2)

    tell(tmp_path, story)


def test_flags_are_the_testers_and_variables_are_the_channels(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert (await one.ask(5, 1, GlobFlags="0x20"))["New GlobFlags"] == "0x00000020"
            assert await one.result(6, 9, Chan=1, VarNum=15, Value=0.1) == "OK"
            assert await one.result(6, 5, Chan=1) == "OK"
            kept = await one.ask(4, 8, Chan=1)
            assert kept["GlobFlags"] == "0x00000020"
            assert kept["VARs"] == [0.0] * 14 + [0.10000000149011612]
            assert (await one.ask(4, 8, Chan=0))["VARs"] == [0.0] * 15
            assert await one.raw(4, 8, 1) == struct.pack("<I15f", 0x20, *kept["VARs"])
            assert await one.raw(5, 1, 0, struct.pack("<I", 7)) == struct.pack("<I", 7)
            assert await one.code(6, 9, 0, struct.pack("<Bf", 1, 2.5)) == 0
            assert (await one.ask(4, 8, Chan=0))["VARs"][0] == 2.5
            for wrong in ("20x", "0x1FFFFFFFF", "-1"):
                with pytest.raises(Refused, match="Illegal value"):
                    await one.ask(5, 1, GlobFlags=wrong)

    tell(tmp_path, story)


def test_calibration_dates_and_smart_batteries(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            dates = await one.ask(3, 2, Chan=0)
            assert sorted(set(dates) - {"FClass", "FNum", "Chan"}) == sorted(
                ["VChg", "VDis", *(f"I{way}R{scale}" for way in ("Chg", "Dis") for scale in (1, 2, 3, 4))]
            )
            (first, *_) = struct.unpack("<10Q", await one.raw(3, 2, 0))
            assert first == 1706774400000
            for number in (1, 24):
                with pytest.raises(Refused, match="MacNet error"):
                    await one.ask(7, number)
            with pytest.raises(Refused, match="Invalid FNum"):
                await one.ask(7, 25)
            assert await one.raw(7, 1) == b""

    tell(tmp_path, story)


# --- selection and starts --------------------------------------------------------------------------------------------


def test_selected_channels_start_together(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "rest", rest(600))
        async with client(b.settings) as one:
            both = {"TestName": "both", "ProcName": "rest"}
            assert await one.result(6, 2, Chan=65535, **both) == "No channels were selected"
            assert await one.result(6, 1, Chans=[0, 1, 4]) == "OK"
            assert await one.result(6, 1, Chans=[0, 1]) == "OK"
            assert [(await one.stand(chan))["Stat"] for chan in (0, 1, 4)] == [1, 1, 0]
            assert await one.result(6, 11, Chan=65535, **both) == "OK"
            assert await one.result(6, 2, Chan=65535, **both) == "OK"
            assert [(await one.stand(chan))["Stat"] for chan in (0, 1, 4)] == [2, 2, 0]
            assert {(await one.ask(4, 6, Chan=chan))["TestName"] for chan in (0, 1)} == {"both"}
            assert await one.result(6, 1, Chans=[0, 4]) == "Channel in use"
            # The binary port's first type of start knows no channel; its numbers are the table's.
            assert await one.code(6, 2, 0, start_data("more", "rest", kind=1)) == 24
            assert await one.code(6, 1, 0, struct.pack("<HH", 4, 5)) == 0
            assert await one.code(6, 2, 0, start_data("more", "rest", kind=1)) == 0
            assert [(await one.stand(chan))["Stat"] for chan in (4, 5)] == [2, 2]
            assert await one.result(6, 5, Chan=0) == "OK"
            names = {file.name for file in (tmp_path / "export").iterdir()}
            assert {"both.001", "both.002", "more.005", "more.006"} <= names

    tell(tmp_path, story)


STARTS: list[tuple[dict[str, Any], int, str]] = [
    ({"ProcName": "none"}, 14, "No test procedure was selected"),
    ({"TestName": "x" * 251}, 18, "File name too long"),
    ({"TestName": "taken"}, 19, "Name is not a unique filename"),
    ({"TestName": "a/b"}, 22, "Invalid entry"),
    ({"ChamberNum": 2}, 22, "Invalid entry"),
    ({"VGain": 9}, 22, "Invalid entry"),
    ({"Crate": -1}, 22, "Invalid entry"),
    ({"RegimeName": "some"}, 14, "No test procedure was selected"),
    ({"Chan": 1}, 23, "Channel in use"),
]


def test_a_start_is_refused_in_the_tables_words(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "rest", rest(600))
        async with client(b.settings) as one:
            assert await one.result(6, 2, Chan=1, TestName="taken", ProcName="rest") == "OK"
            for changes, _, text in STARTS:
                asked = {"Chan": 0, "TestName": "new", "ProcName": "rest", **changes}
                assert await one.result(6, 2, **asked) == text, changes
            assert await one.code(6, 2, 0, start_data("new", "none")) == 14
            assert await one.code(6, 2, 1, start_data("new", "rest")) == 23
            assert await one.code(6, 11, 0, start_data("taken", "rest")) == 4
            assert await one.code(6, 11, 0, start_data("new", "rest", chamber=2)) == 6
            assert await one.code(6, 2, 0, start_data("new", "rest")[:-1]) == 22
            assert (await one.stand(0))["Stat"] == 0
            assert await one.code(6, 2, 0, start_data("new", "rest", chamber=1)) == 0
            assert await one.code(6, 3, 0) == 0
            assert await one.code(6, 3, 0) == 15
            assert await one.code(6, 4, 0) == 0
            assert await one.code(6, 4, 0) == 17
            assert await one.code(6, 6, 0) == 0

    tell(tmp_path, story, simulate={"chambers": 1})


def test_an_advanced_start_begins_in_the_middle(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "long", CyclerProgram("c/long", (*rest(100).steps, *rest(200).steps), rest(1).safety))
        async with client(b.settings) as one:
            asked = {"Chan": 0, "TestName": "middle", "ProcName": "long", "TestStep": 2, "Cycle": 7, "TestTime": 1000.0}
            assert await one.result(6, 13, **asked) == "OK"
            await asyncio.sleep(50)
            now = await one.stand(0)
            assert (now["Step"], now["Cycle"], now["Stat"]) == (2, 7, 2)
            assert now["TestTime"] == pytest.approx(1050, abs=1)
            await asyncio.sleep(160)
            assert (await one.stand(0))["Stat"] == 4
            for changes, text in (
                ({"Chan": 99}, "Invalid channel"),
                ({"Chan": 0}, "Channel not available or selected"),
                ({"Options": 2}, "Illegal options"),
                ({"Options": 1, "ArchivedTestName": "none"}, "Archived file missing"),
                ({"ProcName": "none"}, "Procedure of archived file missing"),
                ({"TestStep": 9}, "Illegal step"),
                ({"TestStep": 3}, "Cannot start at this step type"),
            ):
                assert await one.result(6, 13, **{**asked, "Chan": 1, "TestName": "new", **changes}) == text

    tell(tmp_path, story)


def test_an_archived_test_goes_on_where_it_was_without_its_last_records(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "slow", charge(hours=2))
        async with client(b.settings) as one:
            assert await one.result(6, 2, Chan=0, TestName="again", ProcName="slow") == "OK"
            await asyncio.sleep(1800)
            assert await one.result(6, 3, Chan=0) == "OK"
            before = await one.stand(0)
            assert await one.result(6, 5, Chan=0) == "OK"
            going_on = {"Chan": 0, "TestName": "", "ProcName": "", "Options": 1, "ArchivedTestName": "again"}
            assert await one.result(6, 13, **going_on, RemoveLastDataRecords=21) == "Cannot remove points"
            assert await one.result(6, 13, **going_on, RemoveLastDataRecords=1) == "OK"
            after = await one.stand(0)
            assert (after["RF1"], after["Stat"], after["Step"]) == (1, 2, before["Step"])
            assert after["LastRecNum"] == before["LastRecNum"] - 1
            for clock in ("TestTime", "StepTime", "Capacity"):
                assert after[clock] == pytest.approx(before[clock], rel=1e-3)
            assert (await one.ask(1, 4, TestName="again"))["TestNameExists"] == "FALSE"
            await asyncio.sleep(7200)
            done = await one.stand(0)
            assert done["Stat"] == 4
            # One file, whose records are numbered without a gap.
            lines = (tmp_path / "export" / "again.001").read_text().splitlines()[2:]
            assert [int(line.split("\t")[0]) for line in lines] == list(range(1, done["LastRecNum"] + 1))

    tell(tmp_path, story)


# --- files -----------------------------------------------------------------------------------------------------------


async def names(one: Client, kind: int) -> list[str]:
    count = (await one.ask(1, 5, FileType=kind, Command=0))["NumberOfFiles"]
    listed = []
    while (answer := await one.ask(1, 5, FileType=kind, Command=1))["NumberOfFiles"]:
        listed.append(str(answer["FileName"]))
    assert len(listed) == count
    return listed


def test_every_type_of_file_is_listed_and_two_clients_do_not_mix_their_listings(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        stored(b, "one", rest(600))
        stored(b, "two", rest(600))
        async with client(b.settings) as one, client(b.settings) as other:
            for kind, name in ((4, "f.dll"), (5, "bus.can"), (6, "sweep.fra"), (7, "pulse.MWF")):
                assert await names(one, kind) == []
                await one.binary.put_file(name, b"content", kind)
                assert await one.binary.get_file(name, kind) == b"content"
                assert await names(one, kind) == [name]
            assert await one.result(6, 2, Chan=0, TestName="running", ProcName="one") == "OK"
            assert await one.result(6, 2, Chan=1, TestName="past", ProcName="one") == "OK"
            assert await one.result(6, 6, Chan=1) == "OK"
            assert (await names(one, 1), await names(one, 2)) == (["running.001"], ["past.002"])
            assert await names(one, 8) == ["SysEvent.log"]
            assert b"past" in await one.binary.get_file("SysEvent.log", 8)
            with pytest.raises(Refused, match="Illegal operation"):
                await one.binary.put_file("SysEvent.log", b"", 8)
            await one.ask(1, 5, FileType=3, Command=0)
            await other.ask(1, 5, FileType=3, Command=0)
            firsts = [(await which.ask(1, 5, FileType=3, Command=1))["FileName"] for which in (one, other)]
            assert firsts == ["one.000", "one.000"]
            # A listing is the connection's own, and this one has built none.
            assert await one.raw(1, 5, 0, b"\x03\x01") == b"\x00\x00"
            assert await one.raw(1, 5, 0, b"\x03\x00") == b"\x02\x00"
            (left, index, _, _) = struct.unpack_from("<HHQI", await one.raw(1, 5, 0, b"\x03\x01"))
            assert (left, index) == (2, 0)

    tell(tmp_path, story)
