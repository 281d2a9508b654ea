"""What comes back over Modbus TCP must answer the question to the byte; anything else is asked again."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from line_bench import Bench, on_bench

from labctl_drivers.binder import BinderChamber
from labctl_simulators.binder import BinderSimulator

WARM = 40.0 + 273.15


def another_function(frame: bytes) -> bytes:
    return frame[:7] + bytes((frame[7] + 1,)) + frame[8:]


def a_byte_within(frame: bytes) -> bytes:
    return frame[:9] + b"\x41" + frame[9:]


def a_longer_frame(frame: bytes) -> bytes:
    return frame[:5] + bytes((frame[5] + 2,)) + frame[6:] + b"\0\0"


def another_register(frame: bytes) -> bytes:
    (register,) = struct.unpack(">H", frame[8:10])
    return frame[:8] + struct.pack(">H", register + 1) + frame[10:]


def an_exception_to_another_function(frame: bytes) -> bytes:
    return frame[:5] + bytes((3, frame[6], 0x85, 2))


@pytest.mark.parametrize(
    ("spoil", "function"),
    [
        (another_function, 3),
        (a_byte_within, 3),
        (a_longer_frame, 3),
        (an_exception_to_another_function, 3),
        (another_register, 16),
        (a_longer_frame, 16),
    ],
)
def test_an_answer_that_does_not_fit_its_question_is_asked_again(
    spoil: Callable[[bytes], bytes], function: int
) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        server = bench.simulator._server
        take, spoilt = server.take, []

        def answer(data: bytes) -> tuple[bytes, bytes]:
            frame, rest = take(data)
            if not spoilt and frame[7] == function:
                spoilt.append(frame)
                frame = spoil(frame)
            return frame, rest

        server.take = answer
        await bench.driver.regulate(WARM)
        assert spoilt
        assert [hiccup.kind for hiccup in bench.hiccups] == ["garbled"]
        plant = bench.laboratory.chamber("oven")
        assert plant.running
        assert plant.set_point == pytest.approx(WARM, abs=0.01)

    on_bench(BinderChamber, BinderSimulator, "oven", test, {}, {})
