"""A swapped cell is noticed; a relaxing one is not taken for another."""

import pytest

from labctl.safety.identity import LastSeen, mismatch


@pytest.mark.parametrize(
    ("doing", "ended_at", "found"),
    [("charge", 4.3, 4.21), ("charge", 4.3, 4.3), ("discharge", 3.0, 3.45), ("hold", 3.0, 3.3), ("rest", 3.12, 3.13)],
)
def test_a_cell_that_relaxed_is_the_same_cell(doing, ended_at, found):
    assert mismatch(LastSeen(ended_at, doing), found) is None


@pytest.mark.parametrize(
    ("doing", "ended_at", "found"),
    [("charge", 4.3, 3.4), ("discharge", 3.0, 4.25), ("discharge", 3.0, 0.0), ("rest", 3.6, -3.6)],
)
def test_another_cell_is_named_with_what_was_expected(doing, ended_at, found):
    message = mismatch(LastSeen(ended_at, doing), found)
    assert message is not None
    assert doing in message
    assert "V" in message


def test_a_cell_that_was_never_seen_passes():
    assert mismatch(None, 3.2) is None
