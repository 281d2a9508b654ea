"""Wire fuzz: almost valid messages to every simulator, and almost valid replies to every driver. Seeded.

    python -m benchmarks.fuzz --messages 20000          each simulator, each driver, each reader of files
    python -m benchmarks.fuzz --only driver/maccor --seed 7

*Simulators* hear mutated requests on connections of their own; after every tenth message a valid question on a new
connection must be answered. *Drivers* ask their simulator through a proxy that mutates three replies of four (fewer
where many sound ones are needed in a row); what they return must be the truth, or must stand literally in a reply
that was delivered (a number that is only another one cannot be told from a true one), and what is fetched must be what
was measured. *Readers* get mutated files.

Counted are messages, what was refused, and findings: an exception of another kind than labctl's own, an exception in
a simulator, an exchange that takes more than 2 s of processor time (or ten times that in real time, which a loaded
machine stretches), a question that stays without an answer within 2 s, and a wrong value accepted. Exit 1 where there
is a finding. So that a lost reply does not cost its whole real time-out, those of the three blocking lines are
shortened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fault_rigs import RIGS, Rig
from benchmarks.fuzz_bundles import READERS as BUNDLES
from benchmarks.fuzz_corpus import READERS, REQUESTS, Question
from labctl.engine.clock import real_seconds, run_virtual
from labctl.errors import LabctlError
from labctl.instruments import State
from labctl_drivers import modbus_line, serial_line, visa_line
from labctl_simulators.biologic import eclabcom, eclib
from labctl_simulators.chamber_dialects import Modbus
from labctl_simulators.dialect import Dialect
from labctl_simulators.mutations import mutated

LONGEST_S = 2.0
_SHARE = 0.75
#: Where many sound answers are needed before anything is read.
_SHARES = {
    **dict.fromkeys(("eclib-cycler", "eclib-eis", "eclab-cycler", "eclab-eis"), 0.65),
    "binder": 0.45,
    "binder-rtu": 0.45,
    "scpi-multiplexer": 0.6,
    "scpi-keithley": 0.6,
}
_MOST_FINDINGS = 20
_LONGEST_BODY = 250


@dataclass(frozen=True)
class Moment:
    """A begin, in s of this process's processor time and of real time."""

    processor: float
    real: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.process_time(), real_seconds())


@dataclass
class Counts:
    """What became of the messages to one target."""

    messages: int = 0
    refused: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    findings: list[str] = field(default_factory=list)

    def found(self, what: str) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(f"message {self.messages}: {what}")

    def took(self, begun: Moment, what: str) -> None:
        seconds = time.process_time() - begun.processor
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > LONGEST_S or real_seconds() - begun.real > 10 * LONGEST_S:
            self.found(f"{what} took {seconds:.1f} s")


class _Noticing:
    """Makes findings of what asyncio would only print."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        del loop
        error = context.get("exception")
        if isinstance(error, ConnectionError):
            return  # the other side went away
        said = "".join(traceback.format_exception(error, limit=-2)) if error else ""
        self._counts.found(f"{context.get('message')} {said}")


# Simulators


def fuzz_simulator(name: str, messages: int, seed: int) -> Counts:
    """Send mutated requests to one simulator."""
    counts = Counts()
    random = Random(f"{seed}/simulator/{name}")

    async def main(clock: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(_Noticing(counts))
        question = REQUESTS[name]
        with tempfile.TemporaryDirectory() as folder:
            rig = RIGS[question.rig](clock, Path(folder), 0)
            await rig.open()
            try:
                port = rig.ports[question.wire]
                await _asked(port, question, counts)
                while counts.messages < messages and len(counts.findings) < _MOST_FINDINGS:
                    begun = Moment.now()
                    await _sent(port, question, random, min(10, messages - counts.messages), counts)
                    await _asked(port, question, counts)
                    counts.took(begun, "ten messages")
            finally:
                await rig.shut()

    run_virtual(main)
    return counts


async def _sent(port: int, question: Question, random: Random, count: int, counts: Counts) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if random.random() < 0.9:
            writer.write(question.greeting)
        for _ in range(count):
            counts.messages += 1
            writer.write(mutated(random.choice(question.messages), question.messages, random))
        await writer.drain()
        writer.write_eof()
        while True:
            async with asyncio.timeout(2.0):
                if not await reader.read(65536):
                    return
    except TimeoutError:
        return  # it waits for the rest of what was cut off; the question that follows is the test
    except ConnectionError:
        return  # it has had enough
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _asked(port: int, question: Question, counts: Counts) -> None:
    # Some instruments do not see a command that follows too soon.
    await asyncio.sleep(1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        async with asyncio.timeout(LONGEST_S):
            writer.write(question.greeting + question.valid)
            while question.answer.search(heard) is None:
                piece = await reader.read(65536)
                if not piece:
                    break
                heard += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if question.answer.search(heard) is None:
        counts.found(f"a valid question was answered by {heard[:80]!r}")


# Drivers


class _Mutating(Dialect):
    """Mutates what an instrument says, while it is told to."""

    def __init__(self, fuzz: _DriverFuzz, wire: Dialect) -> None:
        self._fuzz = fuzz
        self._wire = wire

    def passing(self, reply: bytes) -> bytes:
        return self._fuzz.spoilt(reply, self._wire)


def _mutating(fuzz: _DriverFuzz, wire: Callable[[], Dialect]) -> Dialect:
    return _Mutating(fuzz, wire())


class _DriverFuzz:
    def __init__(self, name: str, seed: int, counts: Counts) -> None:
        self.random = Random(f"{seed}/driver/{name}")
        self._share = _SHARES.get(name, _SHARE)
        self.counts = counts
        self.on = False
        self.delivered: list[bytes] = []
        self._seen: list[bytes] = []

    def spoilt(self, reply: bytes, wire: Dialect) -> bytes:
        if len(self._seen) < 200:
            self._seen.append(reply)
        if self.on and self.random.random() < self._share:
            self.counts.messages += 1
            reply = self._changed(reply, wire)
        self.delivered.append(reply)
        return reply

    def _changed(self, reply: bytes, wire: Dialect) -> bytes:
        framed = wire.opened(reply) if isinstance(wire, Modbus) else None
        if isinstance(wire, Modbus) and framed is not None and self.random.random() < 0.5:
            # Within a sound frame: most of what is wrong with a frame is noticed before anybody reads it.
            number, unit, body = framed
            return wire.closed(number, unit, mutated(body, [body], self.random)[:_LONGEST_BODY])
        return mutated(reply, self._seen, self.random)


@contextlib.contextmanager
def _hurried() -> Iterator[None]:
    """Shorten the real time-outs of sessions that are opened meanwhile."""
    usual = serial_line.ANSWER_WITHIN, modbus_line.ANSWER_WITHIN, visa_line.ANSWER_WITHIN
    serial_line.ANSWER_WITHIN = modbus_line.ANSWER_WITHIN = 0.005  # type: ignore[misc]
    visa_line.ANSWER_WITHIN = 5  # type: ignore[misc]
    stand_ins = eclib.ANSWER_WITHIN, eclabcom.ANSWER_WITHIN
    eclib.ANSWER_WITHIN = eclabcom.ANSWER_WITHIN = 0.01  # type: ignore[misc]
    try:
        yield
    finally:
        serial_line.ANSWER_WITHIN, modbus_line.ANSWER_WITHIN, visa_line.ANSWER_WITHIN = usual  # type: ignore[misc]
        eclib.ANSWER_WITHIN, eclabcom.ANSWER_WITHIN = stand_ins  # type: ignore[misc]


def fuzz_driver(name: str, messages: int, seed: int) -> Counts:
    """Let one driver ask while its replies are mutated."""
    counts = Counts()

    async def main(clock: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(_Noticing(counts))
        fuzz = _DriverFuzz(name, seed, counts)
        with tempfile.TemporaryDirectory() as folder:
            rig = RIGS[name](clock, Path(folder), 0)
            rig.dialects = {name: partial(_mutating, fuzz, wire) for name, wire in rig.dialects.items()}
            await rig.open()
            try:
                await rig.before("fetch" if "fetch" in rig.phases else "poll")
                actions = _actions(rig)
                with _hurried():
                    while counts.messages < messages and len(counts.findings) < _MOST_FINDINGS:
                        await _tried(rig, fuzz, fuzz.random.choice(actions))
                await _recovered(rig, counts)
            finally:
                await rig.shut()

    run_virtual(main)
    return counts


async def _tried(rig: Rig, fuzz: _DriverFuzz, action: Callable[[], Awaitable[tuple[float, ...]]]) -> None:
    counts = fuzz.counts
    fuzz.delivered.clear()
    fuzz.on, begun = True, Moment.now()
    try:
        async with asyncio.timeout(86400.0):
            values = await action()
    except LabctlError:
        counts.refused += 1
    except TimeoutError:
        counts.found("the driver does not come back")
    except Exception:  # noqa: BLE001 - whatever else a driver raises is a finding
        counts.found(traceback.format_exc(limit=-3))
    else:
        counts.accepted += 1
        said = b" ".join(fuzz.delivered)
        for value in values:
            if not (_stands_in(value, said) or _held_in(value, fuzz.delivered)):
                counts.found(f"{value!r} was accepted from {said[-300:]!r}")
    finally:
        fuzz.on = False
    counts.took(begun, "an exchange")
    for doubt in rig.doubts:
        counts.found(doubt)
    rig.doubts.clear()


async def _recovered(rig: Rig, counts: Counts) -> None:
    """With a sound wire again, the driver must work."""
    await asyncio.sleep(60.0)
    try:
        await rig.connect()
        await rig.identify()
    except Exception:  # noqa: BLE001 - as above
        counts.found("afterwards: " + traceback.format_exc(limit=-3))


def _stands_in(value: float, said: bytes) -> bool:
    numbers = re.findall(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", said)
    return any(abs(abs(float(number)) - abs(value)) <= 1e-6 * abs(value) + 1e-12 for number in numbers)


def _held_in(value: float, delivered: list[bytes]) -> bool:
    """Whether two registers of a Modbus answer, the low word first, or the bytes of a structure hold the value."""
    if not value or any(struct.pack("<f", value).hex().encode() in reply for reply in delivered):
        return True
    answers = (re.search(rb"\x03\x04(....)", reply, re.DOTALL) for reply in delivered)
    floats = (struct.unpack(">f", found[1][2:] + found[1][:2])[0] for found in answers if found is not None)
    return any(abs(number - value) < 1e-4 for number in floats)


def _actions(rig: Rig) -> list[Callable[[], Awaitable[tuple[float, ...]]]]:
    """What is asked of a driver; each gives numbers that must stand in what it was told."""
    driver = rig.driver

    async def connect() -> tuple[float, ...]:
        await driver.connect()
        return ()

    async def find() -> tuple[float, ...]:
        if await driver.find("never-started") is not None:
            rig.doubts.append("found what never was")
        return ()

    async def poll() -> tuple[float, ...]:
        progress = await driver.poll(rig.handle)
        if progress.state is State.RUNNING:
            # What is over may look as if it ran, as long as nobody records it.
            rig.shown.append("runs")
        return ()

    async def fetch() -> tuple[float, ...]:
        await rig.fetch()
        return ()

    async def reading() -> tuple[float, ...]:
        seen = await driver.reading(1)
        return seen.voltage, seen.current

    async def voltage() -> tuple[float, ...]:
        return (await driver.open_circuit_voltage(),)

    async def channels() -> tuple[float, ...]:
        return (0.0,) if set(await driver.channels()) != {1, 2} else ()

    async def channel_list() -> tuple[float, ...]:
        return (0.0,) if set(await driver.channels()) != {1} else ()

    async def bath() -> tuple[float, ...]:
        seen = await driver.read()
        return round(seen.temperature - 273.15, 2), round(seen.set_point - 273.15, 2)

    async def floats() -> tuple[float, ...]:
        seen = await driver.read()
        return seen.temperature - 273.15, seen.set_point - 273.15

    async def relays() -> tuple[float, ...]:
        await driver.closed(range(101, 105))
        return ()

    async def command() -> tuple[float, ...]:
        # Several faults at once may well keep it from doing as told; what it says is judged.
        rig.plan.met = "reboot"
        await rig.command()
        return ()

    return {
        "maccor": [reading, channels, find, poll, fetch, connect],
        "zahner": [find, poll, fetch, connect],
        "zahner-series": [find, poll, fetch, connect],
        # Their records are given once, so that a mutated one can't be told from a true one: never fetched here.
        "eclib-cycler": [reading, find, channel_list, connect],
        "eclib-eis": [voltage, find, connect],
        "eclib-series": [find, connect],
        "eclab-cycler": [reading, find, poll, fetch, connect],
        "eclab-eis": [voltage, find, poll, fetch, connect],
        "eclab-series": [find, poll, fetch, connect],
        "bruker": [find, poll, fetch, connect],
        "julabo": [bath, bath, connect, command],
        "espec": [bath, bath, connect, command],
        "binder": [floats, floats, connect, command],
        "binder-rtu": [floats, floats, connect, command],
        "scpi-multiplexer": [relays, relays, connect, command],
        "scpi-keithley": [relays, relays, connect, command],
    }[next(name for name, kind in RIGS.items() if type(rig) is kind)]


# Readers of files and replies


_READERS = READERS | BUNDLES


def fuzz_reader(name: str, messages: int, seed: int) -> Counts:
    """Give mutated content to one reader."""
    counts = Counts()
    random = Random(f"{seed}/reader/{name}")
    reader = _READERS[name]
    samples = reader.samples()
    while counts.messages < messages and len(counts.findings) < _MOST_FINDINGS:
        counts.messages += 1
        content = mutated(random.choice(samples), samples, random)
        begun = Moment.now()
        try:
            problem = reader.read(content)
        except reader.refuses:
            counts.refused += 1
        except Exception:  # noqa: BLE001 - whatever else a reader raises is a finding
            counts.found(traceback.format_exc(limit=-3) + repr(content[:200]))
        else:
            counts.accepted += 1
            if problem:
                counts.found(f"{problem}: {content[:200]!r}")
        counts.took(begun, "reading")
    return counts


TARGETS: dict[str, Callable[[str, int, int], Counts]] = {
    **{f"simulator/{name}": fuzz_simulator for name in REQUESTS},
    # A series of acquisitions has the answers of a single one.
    **{f"driver/{name}": fuzz_driver for name in RIGS if name != "bruker-series"},
    **{f"reader/{name}": fuzz_reader for name in _READERS},
}


def fuzz(target: str, messages: int, seed: int) -> Counts:
    """Fuzz one of :data:`TARGETS`."""
    return TARGETS[target](target.partition("/")[2], messages, seed)


def main() -> int:
    """Fuzz everything and print the counts."""
    parser = argparse.ArgumentParser(description="Almost valid messages to every simulator, driver and reader.")
    parser.add_argument("--messages", type=int, default=20_000, help="for each target (20000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    parser.add_argument("--jobs", type=int, default=2, help="targets at once (2)")
    chosen = parser.parse_args()
    targets = chosen.only or list(TARGETS)
    print(f"{'target':<28}{'messages':>10}{'refused':>10}{'accepted':>10}{'slowest s':>11}{'findings':>10}")
    bad = 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        size, seed = [chosen.messages] * len(targets), [chosen.seed] * len(targets)
        for target, counts in zip(targets, pool.map(fuzz, targets, size, seed), strict=True):
            row = f"{counts.messages:>10}{counts.refused:>10}{counts.accepted:>10}{counts.slowest_s:>11.2f}"
            print(f"{target:<28}{row}{len(counts.findings):>10}", flush=True)
            for finding in counts.findings:
                print(f"  {finding}")
            bad += len(counts.findings)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
