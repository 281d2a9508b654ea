"""What can go wrong between the MACCOR driver and a tester: on the wire, at the address, in what the tester says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import Bench, charge, rest, tell

from labctl.instruments import Busy, NotIdentified, NotReachable, Refused, State
from labctl_drivers.maccor import procedure
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.macnet import messages


def lying(message: tuple[int, int], **members: Any) -> Callable[..., dict[str, Any]]:
    """The simulated tester's own handler of a message, with some members of its answer changed."""
    honest = messages.MESSAGES[message]
    return lambda tester, params: {**honest(tester, params), **members}


@pytest.mark.parametrize(
    ("message", "members", "kind", "words"),
    [
        ((6, 10), {"VSafeMax": 4.5}, Refused, "VSafeMax was sent as 4.4 and read back as 4.5"),
        ((6, 10), {"ISafeDis": 0.0050001}, Refused, "ISafeDis"),
        ((6, 10), {"ISafeChg": None}, Refused, "read back as None"),
        ((1, 3), {"ProcedurExists": "FALSE"}, Refused, "does not list procedure"),
        ((6, 11), {"Result": 7}, Refused, "compile error"),
        ((6, 11), {"Result": "1"}, Refused, "channel not available or selected"),
        ((6, 11), {"Result": {}}, Refused, "unreadable result"),
    ],
)
def test_nothing_starts_unless_every_check_before_it_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    message: tuple[int, int],
    members: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    monkeypatch.setitem(messages.MESSAGES, message, lying(message, **members))

    async def story(b: Bench) -> None:
        driver = await b.connected()
        with pytest.raises(kind, match=words):
            await driver.start("careful", 1, charge())
        assert {entry["event"] for entry in b.laboratory.records("maccor")} <= {"limits set"}
        assert b.laboratory.cells["one"].truth()["first_charge_mAh"] in (None, 0)

    tell(tmp_path, story)


def test_a_start_that_the_tester_declines_or_forgets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        for result, kind, words in (
            ("Channel in use", Busy, "Channel in use"),
            (19, Refused, "name is not a unique filename"),
            ("OK", Refused, "agreed to start, but does not run"),
        ):
            answer = {"Chan": 0, "Result": result}
            monkeypatch.setitem(messages.MESSAGES, (6, 2), lambda tester, params, answer=answer: answer)
            with pytest.raises(kind, match=words):
                await driver.start("declined", 1, charge())

    tell(tmp_path, story)


def test_the_compilers_words_are_in_the_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedure, "number_text", lambda value: "plenty")

    async def story(b: Bench) -> None:
        driver = await b.connected()
        with pytest.raises(Refused, match=r"Compile error \(Step 001: Invalid value 'plenty' of Voltage"):
            await driver.start("wrong", 1, charge())

    tell(tmp_path, story)


@pytest.mark.parametrize("kind", ["drop", "garble", "half", "duplicate", "late", "silent"])
@pytest.mark.parametrize("port", ["maccor/json", "maccor/binary"])
def test_a_fault_at_any_moment_leaves_a_complete_result(tmp_path: Path, kind: str, port: str) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        b.laboratory.inject(port, kind)
        handle = await driver.start("robust", 1, charge(volts=3.8))
        b.laboratory.inject("maccor/json", kind)
        assert (await b.wait(driver, handle)).state is State.DONE
        b.laboratory.inject(port, kind)
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "voltage"
        started = [entry for entry in b.laboratory.records("maccor") if entry["event"] == "started"]
        assert len(started) == 1
        assert b.hiccups
        assert {hiccup.instrument for hiccup in b.hiccups} == {"maccor"}

    tell(tmp_path, story, faults=True)


class Nth(FaultPlan):
    """Spoils one chunk, the n-th."""

    def __init__(self, kind: str, nth: int) -> None:
        super().__init__()
        self.kind, self.left = kind, nth

    def take(self) -> tuple[str, float] | None:
        self.left -= 1
        return (self.kind, 5.0) if self.left == 0 else None


@pytest.mark.parametrize("kind", ["drop", "half", "late"])
def test_a_start_with_any_of_its_answers_lost_happens_exactly_once(tmp_path: Path, kind: str) -> None:
    async def story(b: Bench) -> None:
        cleaner = await b.connected()
        for nth in range(1, 30):
            plan = Nth(kind, nth)
            proxies = [
                FaultProxy(b.settings[port], plan, noticed=lambda fault: None) for port in ("json_port", "binary_port")
            ]
            ports = [await proxy.start() for proxy in proxies]
            driver = b.driver(json_port=ports[0], binary_port=ports[1])
            # The first two chunks are those of connecting.
            await driver.connect()
            token = f"once-{kind}-{nth}"
            handle = await driver.start(token, 1, rest(600))
            started = [entry for entry in b.laboratory.records("maccor") if entry["event"] == "started"]
            assert [entry["test"] for entry in started].count(token) == 1
            assert (await b.wait(cleaner, handle)).state is State.DONE
            await driver.close()
            await asyncio.sleep(1.0)
            for proxy in proxies:
                await proxy.stop()
            if plan.left > 0:
                break
        assert nth > 20
        assert {hiccup.kind for hiccup in b.hiccups} <= {"connection lost", "timed out", "garbled"}

    tell(tmp_path, story)


def test_a_tester_that_goes_away_is_reported_after_three_tries(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.simulator.stop()
        with pytest.raises(NotReachable, match=r"maccor at 127\.0\.0\.1:\d+: no connection"):
            await driver.reading(1)

    tell(tmp_path, story)


def test_nobody_and_somebody_else_at_the_address_are_told_apart(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        loop = asyncio.get_running_loop()
        for handler, kind in ((http, NotIdentified), (silence, NotReachable), (None, NotReachable)):
            server = await asyncio.start_server(handler or silence, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            if handler is None:
                server.close()
            begun = loop.time()
            with pytest.raises(kind, match="maccor at 127"):
                await b.driver(json_port=port, binary_port=port).connect()
            assert loop.time() - begun < 5
            server.close()
            await server.wait_closed()
        with pytest.raises(NotIdentified, match="channel 17, this tester has 16"):
            await b.driver(channels="1-40").connect()
        with pytest.raises(NotReachable, match="export folder"):
            await b.driver(export_folder="nowhere").connect()
        identity = await b.driver().connect()
        assert (identity.vendor, identity.model) == ("MACCOR", "Series 4000")

    tell(tmp_path, story)
