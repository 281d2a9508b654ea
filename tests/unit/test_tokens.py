"""Tokens fit every instrument, and no two operations share one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.tokens import token_for

TEXT = st.text(min_size=1, max_size=60)


@given(TEXT, TEXT, TEXT)
def test_a_token_fits_the_narrowest_instrument(laboratory, operation, cell):
    assert re.fullmatch(r"[a-z0-9-]{1,25}", token_for(laboratory, operation, cell))


@given(TEXT, TEXT, TEXT)
def test_another_operation_or_laboratory_has_another_token(laboratory, one, other):
    if one != other:
        assert token_for(laboratory, one, "cell") != token_for(laboratory, other, "cell")
        assert token_for(one, laboratory, "cell") != token_for(other, laboratory, "cell")


def test_a_token_is_the_same_after_a_restart():
    assert token_for("lab", "c/bare-01/c001/01-charge/a1", "bare-01") == token_for(
        "lab", "c/bare-01/c001/01-charge/a1", "bare-01"
    )
    assert token_for("lab", "c/bare-01/c001/01-charge/a1", "bare-01").startswith("bare-01-")
