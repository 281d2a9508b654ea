"""Almost valid messages harm nobody: 500 to each simulator, driver and reader of a file. 20,000 in ``benchmarks``.

Readers that evaluate a whole series for each message get 25 here.
"""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.fuzz import TARGETS, fuzz
from labctl_simulators.mutations import mutated

_EVALUATED = {f"reader/{name}" for name in ("operando-stamps", "operando-spectrum", "deis-stamps", "deis-table")}


@pytest.mark.parametrize("target", TARGETS)
def test_almost_valid_messages_cause_no_hang_no_traceback_and_no_wrong_value(target: str) -> None:
    messages = 25 if target in _EVALUATED else 500
    counts = fuzz(target, messages, seed=1)
    assert counts.messages >= messages
    assert counts.findings == []


def test_the_same_seed_gives_the_same_messages() -> None:
    def some(seed: int) -> list[bytes]:
        random = Random(seed)
        return [mutated(b'{"Voltage": 3.5, "Chan": 1}\r\n', [b"other"], random) for _ in range(200)]

    assert some(1) == some(1)
    assert some(1) != some(2)
