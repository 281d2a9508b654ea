"""Nonsense at the wires of the chambers: 500 seeded messages to each simulator and to each driver.

A driver's session is replaced by one that says what the test makes up; the driver's own parsing is all there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from line_bench import EPOCH, Bench, context_of

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl_drivers.binder import BinderChamber
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.espec import EspecSimulator
from labctl_simulators.julabo import JulaboSimulator
from labctl_simulators.modbus import checksum

MESSAGES = 500
LETTERS = "0123456789.,-:? ABCDEFNOKSTRMHLP\x00\xff"

JULABO = {
    "version": "JULABO FL300 VERSION 5.0",
    "status": "03 REMOTE START",
    "in_pv_00": "40.01",
    "in_sp_00": "40.00",
    "in_mode_05": "1",
}
ESPEC = {
    "TYPE?": "T,T,S2,160.0",
    "ROM?": "P300 1.05",
    "TEMP?": "40.1,40.0,60.0,10.0",
    "MON?": "40.1,,CONSTANT,0",
    "ALARM?": "0",
}
BINDER = {
    "read 1292 1": "0000",
    "read 1004 2": "0A3D 4220",
    "read 10B2 2": "0000 4220",
    "read 114C 2": "0000 4220",
    "read 134A 6": "07E9 0001 0001 0000 0000 0000",
}


def spoilt(chance: random.Random, text: str) -> str:
    """Give a text with some of it changed, left out, doubled or made up altogether."""
    if chance.random() < 0.2:
        return "".join(chance.choices(LETTERS, k=chance.randrange(30)))
    letters = list(text)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(letters) + 1)
        letters[place : place + chance.randrange(2)] = chance.choices(LETTERS, k=chance.randrange(3))
    return "".join(letters)


class MadeUp:
    """A session whose next answer but a few is spoilt."""

    def __init__(self, answers: dict[str, str], chance: random.Random) -> None:
        self._answers = answers
        self._chance = chance
        self.messages = 0
        self.spoil = False

    def open(self) -> None: ...

    def close(self) -> None: ...

    def exchange(self, command: str, answers: bool) -> str:
        text = self._answers.get(command, "")
        if self.spoil and self._chance.random() < 0.5:
            self.messages += 1
            return spoilt(self._chance, text)
        return text


@pytest.mark.parametrize(
    ("make", "answers"),
    [(JulaboChamber, JULABO), (EspecChamber, ESPEC), (BinderChamber, BINDER)],
    ids=["julabo", "espec", "binder"],
)
def test_a_driver_takes_nonsense_for_nonsense(make: Callable[..., Any], answers: dict[str, str]) -> None:
    async def main(clock: LoopClock) -> None:
        session = MadeUp(answers, random.Random(4))
        driver = make(context_of(clock, "oven", {"address": "192.0.2.16"}, []))
        driver._link._session = session
        await driver.connect()
        taken = refused = 0
        while session.messages < MESSAGES:
            session.spoil = True
            try:
                reading = await driver.read()
            except InstrumentError:
                refused += 1
            else:
                taken += 1
                assert 173.0 <= reading.temperature <= 673.2
                assert 173.0 <= reading.set_point <= 673.2
            session.spoil = False
        sound = await driver.read()
        assert sound.temperature == pytest.approx(313.2, abs=0.1)
        assert refused > 20
        assert taken > 0
        await driver.close()

    run_virtual(main, EPOCH)


@pytest.mark.parametrize(("make", "known"), [(JulaboSimulator, JULABO), (EspecSimulator, ESPEC)])
def test_a_simulated_chamber_survives_nonsense_and_knows_its_language_afterwards(
    make: Callable[..., Any], known: dict[str, str]
) -> None:
    async def main(clock: LoopClock) -> None:
        chance = random.Random(5)
        bench = Bench(clock, EspecChamber, make, "oven", {}, {})
        writes = ["out_sp_00 40.00", "out_mode_05 1", "TEMP, S40.0 H60.0 L-10.0", "MODE,CONSTANT", "POWER,ON"]
        for _ in range(MESSAGES):
            await asyncio.sleep(0.3)
            bench.simulator._hear(spoilt(chance, chance.choice([*known, *writes])))
        for query in ("version", "TYPE?"):
            await asyncio.sleep(0.3)
            assert query not in known or bench.simulator._hear(query) == known[query]

    run_virtual(main, EPOCH)


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
def test_a_modbus_server_survives_nonsense_and_knows_its_frames_afterwards(rtu: bool) -> None:
    read = bytes((1, 3, 0x11, 0x4C, 0, 2))
    whole = read + checksum(read) if rtu else bytes((0, 7, 0, 0, 0, 6)) + read

    async def main(clock: LoopClock) -> None:
        chance = random.Random(6)
        bench = Bench(clock, BinderChamber, BinderSimulator, "oven", {"simulate": {"rtu": rtu}}, {})
        for _ in range(MESSAGES):
            frame = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
            if rtu and chance.random() < 0.7:
                frame[-2:] = checksum(bytes(frame[:-2]))
            answers, rest = bench.simulator._server.take(bytes(frame[: chance.randrange(1, len(frame) + 1)]))
            assert len(answers) <= 260
            assert len(rest) < 300
        answers, rest = bench.simulator._server.take(whole)
        assert answers.endswith(bytes.fromhex("0304000041c8") + (answers[-2:] if rtu else b""))
        assert rest == b""

    run_virtual(main, EPOCH)
