"""``labctl instruments manual``: a person steers one channel, and whatever ends it the channel is open."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from laboratory_folder import Laboratory
from simulated_laboratory import ask, simulated

from labctl.cli.app import run_app

LIMITS = ("--voltage", "2.5 V", "4.35 V", "--current", "1 mA")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A simulated laboratory whose tester has a watchdog."""
    laboratory = Laboratory(tmp_path_factory.mktemp("manual") / "lab")
    laboratory.replace(
        "station.yaml",
        "channels: 1-17,",
        "channels: 1-17, direct_mode_watchdog: 10 s, simulate: {direct_mode_watchdog: 10},",
    )
    with simulated(laboratory, speed=1, seed=0) as answers:
        yield laboratory.folder, dict(answers)


@pytest.fixture
def manual(place: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run the command with these lines typed: exit code and what a person is told."""
    opened = []

    def command(*words: str, typed: str) -> tuple[int, str]:
        reads, writes = os.pipe()
        os.write(writes, typed.encode())
        os.close(writes)
        opened.append(os.fdopen(reads))
        monkeypatch.setattr(sys, "stdin", opened[-1])
        said = io.StringIO()
        with redirect_stderr(said):
            code = run_app(["instruments", "manual", *words, "--lab", str(place[0])])
        return code, said.getvalue()

    yield command
    for one in opened:
        one.close()


def heard(place: tuple[Path, dict[str, Any]]) -> list[dict[str, Any]]:
    return list(ask(place[1], "log", instrument="maccor")["log"])


def test_a_person_steers_a_channel_and_leaves_it_open(place, manual) -> None:
    typed = "1\ncharge 0.2 mA to 4.2 V\ncharge 0.1 mA to 4.2 V\nrest\nlook\nend\n"
    code, said = manual("maccor", "1", *LIMITS, typed=typed)
    assert code == 0, said
    assert "channel 1, wired to cabinet/1: a cell may sit there" in said
    assert "+0.1 mA" in said
    assert said.endswith("channel 1 is open\n")
    entries = heard(place)
    assert [entry["mode"] for entry in entries if entry["event"] == "output"][:2] == ["C", "R"]
    limits = next(entry for entry in entries if entry["event"] == "limits set")
    assert (limits["VSafeMin"], limits["ISafeChg"]) == (2.5, pytest.approx(1e-3))
    assert entries[-1]["event"] == "cleared"


@pytest.mark.parametrize(
    ("words", "typed", "code", "told"),
    [
        (("maccor", "1", *LIMITS), "2\ncharge 0.2 mA to 4.2 V\n", 8, "not confirmed, nothing was done"),
        (("maccor", "1", *LIMITS), "1", 8, "not confirmed"),
        (("maccor", "1", *LIMITS), "1\nend\n", 0, "orders: charge CURRENT to VOLTAGE"),
        (("oven", "1", *LIMITS), "1\ncharge 0.2 mA to 4.2 V\n", 2, "no channels that can be steered by hand"),
        (("nobody", "1", *LIMITS), "", 2, "no instrument is called 'nobody'"),
        (("maccor", "1", "--voltage", "4 V", "3 V", "--current", "1 mA"), "", 2, "exclude everything"),
        (("maccor", "1", "--voltage", "3", "4 V", "--current", "1 mA"), "", 2, "no unit"),
        (("maccor", "18", *LIMITS), "18\ncharge 0.2 mA to 4.2 V\n", 4, "channel 18 is not one"),
        (("maccor", "1", *LIMITS), "1\ncharge 2 mA to 4.2 V\ncharge 1 mA to 4.5 V\nfoo\nend\n", 0, "no order"),
    ],
)
def test_what_is_not_meant_not_possible_or_beyond_the_limits_reaches_no_channel(
    place, manual, words: tuple[str, ...], typed: str, code: int, told: str
) -> None:
    before = heard(place)
    found, said = manual(*words, typed=typed)
    assert (found, told in said) == (code, True), said
    assert heard(place) == before


HOLDER = """
import pathlib, sys
from labctl.engine.lock import LaboratoryLock
lock = LaboratoryLock(pathlib.Path(sys.argv[1]))
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def test_nothing_is_steered_while_another_process_holds_the_laboratory(place, manual) -> None:
    before = heard(place)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, said = manual("maccor", "1", *LIMITS, typed="1\ncharge 0.2 mA to 4.2 V\n")
    assert code == 5, said
    assert heard(place) == before
