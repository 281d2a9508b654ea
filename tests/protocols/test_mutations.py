"""Shipped protocols, mutated: refused in words or sound, never a traceback, a hang or a quantity out of its range.

Longer runs of the same: ``python -m benchmarks.mutations``.
"""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.mutation_ranges import out_of_range
from benchmarks.mutations import LONGEST, judge, mutated, originals, run
from labctl.protocol import load_protocol, shipped


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_protocol_is_refused_in_words_or_accepted_with_quantities_in_their_ranges(seed: int) -> None:
    tally = run(500, seed)
    assert tally.findings == []
    assert tally.files == 500
    assert tally.slowest < LONGEST
    # Where all were refused, or all accepted, nothing would have been judged.
    assert tally.outcomes["accepted"] > 20
    assert tally.outcomes["refused"] > 200


def test_what_is_mutated_is_accepted_as_it_is() -> None:
    assert {judge(text) for text, _ in originals()} == {"accepted"}


def test_the_ranges_find_what_is_out_of_them() -> None:
    dead_lithium = load_protocol(next(path for path in shipped() if path.stem == "dead-lithium"))
    assert out_of_range(dead_lithium) is None
    narrow = dead_lithium.limits.model_copy(update={"current": 1e-9})
    assert "above the limit" in str(out_of_range(dead_lithium.model_copy(update={"limits": narrow})))
    late = dead_lithium.steps[0].model_copy(
        update={"rest": dead_lithium.steps[0].rest.model_copy(update={"duration": -1.0})}
    )
    assert "duration" in str(out_of_range(dead_lithium.model_copy(update={"steps": (late,)})))


def test_the_same_seed_gives_the_same_files() -> None:
    assert [mutated(Random(f"1/{number}")) for number in range(20)] == [
        mutated(Random(f"1/{number}")) for number in range(20)
    ]
