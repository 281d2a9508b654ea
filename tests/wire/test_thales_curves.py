"""The simulated Thales' curves and sequences, byte by byte, without any driver or vendor's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_thales_bytes import DEVCLI, SCRIPT, Bench, Client, on_wire

from labctl_simulators.thales.sequences import Step, Unreadable, read_sequence

TEXT = """start_variables
TIM1=20
CUR1=1e-4
end_variables
start_cycle
samples(2)
ocp(TIM1)
hold_cur(CUR1,TIM1)
end_cycle
"""


async def fetched(client: Client, path: str) -> bytes:
    client.say(DEVCLI, f"3,ScriptRemote,1,{path}")
    assert (await client.telegram())[0] == 130
    length, content = int((await client.telegram())[1]), b""
    while len(content) < length:
        content += (await client.telegram())[1]
    return content


def test_a_voltammogram_must_be_checked_takes_its_time_and_leaves_the_source_as_it_was(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up("CV_Pstart=3.0", "CV_Pupper=3.1", "CV_Plower=2.9", "CV_Pend=3.0", "CV_Srate=0.01")
        await client.set_up("CV_Tstart=0", "CV_Tend=5", "CV_Periods=1", "CV_PpPer=40", "CV_MOD=1", "CV_NUM=7")
        assert await client.ask(SCRIPT, "1:CV:") == b"ERROR;106;1\r"
        assert await client.ask(SCRIPT, "1:CHECKCV:") == b"OK\r"
        assert b"CV_Pupper=3.1000e+00" in await client.ask(SCRIPT, "1:SENDCVSETUP:")
        began = bench.laboratory.time()
        assert await client.ask(SCRIPT, "1:CV:") == b"CV DONE\r"
        assert bench.laboratory.time() - began == pytest.approx(46, abs=2)
        assert b"Pot=0;" in await client.ask(SCRIPT, "1:SENDSETUP:")
        assert bench.laboratory.sources_on(bench.laboratory.cells["bare-01"]) == ()
        content = await fetched(client, r"c:\thales\temp\cv_0007.isc")
        assert int.from_bytes(content[17 * 8 : 17 * 8 + 6], "big") + 1 == 41
        await client.set_up("CV_Plower=3.2")
        assert await client.ask(SCRIPT, "1:CV:") == b"ERROR;106;1\r"
        assert await client.ask(SCRIPT, "1:CHECKCV:") == b"ERROR;100;1\r"

    on_wire(tmp_path, story)


def test_a_current_voltage_curve_runs_over_its_edges_and_open_leads_are_an_overload(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up("IE_MOD=2", "IE_ROOT=stairs", "IE_WZmax=2", "IE_Resolution=0.01", "IE_SweepMode=1")
        await client.set_up("IE_EckPot1=0", "IE_EckPot2=0.05", "IE_EckPot3=-0.05", "IE_EckPot4=0")
        await client.set_up(*(f"IE_EckPot{n}rel=-1" for n in range(1, 5)))
        assert await client.ask(SCRIPT, "1:CHECKIE:") == b"OK\r"
        began = bench.laboratory.time()
        assert await client.ask(SCRIPT, "1:IE:") == b"IE DONE\r"
        assert bench.laboratory.time() - began == pytest.approx(42)
        assert await client.ask(SCRIPT, "1:IE:") == b"ERROR;102;1\r"
        content = await fetched(client, r"c:\thales\temp\stairs.iss")
        assert int.from_bytes(content[80:86], "big") + 1 == 21
        await client.set_up("IE_ROOT=again")
        assert await client.ask(SCRIPT, "1:CHECKIE:") == b"OK\r"
        bench.laboratory.relays("mux").clear()
        assert await client.ask(SCRIPT, "1:IE:") == b"ERROR;103;1\r"

    on_wire(tmp_path, story)


def test_a_sequence_is_selected_and_run_and_its_current_flows(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up("SEQ_MOD=2", "SEQ_ROOT=run", "SEQ_ACQ=3;1", "SEQ_MAXTIME=0.1")
        assert await client.ask(SCRIPT, "1:SEQ_ACQ=99;1:") == b"ERROR;100;1\r"
        assert await client.ask(SCRIPT, "1:DOSEQ:") == b"ERROR;107;1\r"
        assert await client.ask(SCRIPT, "1:SELSEQ=5:") == b"ERROR;107;1\r"
        assert await client.ask(SCRIPT, "1:SELSEQ=2:") == b"SELOK\r"
        assert await client.ask(SCRIPT, "1:DOSEQ:") == b"SEQ DONE\r"
        lines = (await fetched(client, r"c:\thales\temp\run.txt")).decode().splitlines()
        assert lines[0].split() == ["Time/s", "E/V", "I/A"]
        assert [float(line.split()[2]) for line in lines[1:]] == [0.0, 0.0, 1e-4, 1e-4]
        assert bench.laboratory.cells["bare-01"].state.soc > 0

    on_wire(tmp_path, story, sequences={2: TEXT})


def test_a_curve_is_ended_by_force_like_a_spectrum(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client, other = await bench.client(), await bench.client()
        await client.set_up("SEQ_MOD=2")
        assert await client.ask(SCRIPT, "1:SELSEQ=2:") == b"SELOK\r"
        client.say(SCRIPT, "1:DOSEQ:")
        await other.ask(DEVCLI, "1,ScriptRemote")
        assert await other.ask(DEVCLI, "3,ScriptRemote,0,OFF") == b"128,ScriptRemote,0,OFF"
        assert await client.telegram() == (SCRIPT, b"ERROR;104;1\r")
        assert await fetched(other, r"c:\thales\temp\seq.txt") == b""

    on_wire(tmp_path, story, sequences={2: TEXT})


def test_pad4_acq_and_fra_are_set_measured_and_read_back(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up("PAD4=1;2;1", "PAD4_PRANGE=1;2;2.0", "PAD4MOD=0", "PAD4ENA=1", "ACQENA=1", "CHANNEL=1")
        await client.set_up("FRA=1", "FRA_POT_MAX=10", "Gal=-1:GAL=1", "Ampl=0.1", "Pot=-1", "SETUSB", "HOT2USB")
        for wrong in ("PAD4=5;1;1", "PAD4=1;1", "PAD4=1;1;x", "PAD4_PRANGE=1;1;-4"):
            assert await client.ask(SCRIPT, f"1:{wrong}:") == b"ERROR;100;1\r"
        setup = await client.ask(SCRIPT, "1:SENDPAD4SETUP:")
        assert setup == b"OK;PAD4SETUP;PAD4MOD=0;PAD4ENA=1;PAD4=1;2:1;PAD4_PRANGE=1;2:2;ENDSETUP\r"
        shown = (await client.ask(SCRIPT, "1:PAD4IMP:")).decode().rstrip("\r").split(";")
        assert len(shown) == 17
        assert shown[2].partition("=")[2] == shown[0].partition("=")[2] != shown[1].partition("=")[2]
        assert (await client.ask(SCRIPT, "1:ANALOGIN:")).startswith(b"ACQVAL(1)= 2.0")
        assert (await client.ask(SCRIPT, "1:ANALOGALL:")).count(b"ACQVAL") == 2
        await client.set_up("CHANNEL=9")
        assert await client.ask(SCRIPT, "1:ANALOGIN:") == b"ERROR;100;1\r"
        assert b"FRA=1;FRAGAL=0;" in await client.ask(SCRIPT, "1:SENDFRASETUP:")
        assert await client.ask(SCRIPT, "1:SENDACQSETUP:") == b"OK;ACQSETUP;ACQENA=1;CHANNEL=9;ENDSETUP\r"

    on_wire(tmp_path, story)


@pytest.mark.parametrize(
    "text",
    ["", "start_cycle\nhop(1)\nend_cycle", "start_cycle\nocp(TIM9)\nend_cycle", "start_cycle\nnothing\nend_cycle"],
)
def test_a_text_that_is_no_sequence_is_not_run(text: str) -> None:
    with pytest.raises(Unreadable):
        read_sequence(text)


def test_a_sequence_is_read_with_its_variables_and_samples() -> None:
    expected: list[Any] = [Step("open", 0.0, 10.0, sample=True)] * 2 + [Step("current", 1e-4, 10.0, sample=True)] * 2
    assert read_sequence(TEXT) == expected
