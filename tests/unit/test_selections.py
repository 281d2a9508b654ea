"""Selections of cycles mean what they say, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from labctl.protocol import protocol_schema
from labctl.protocol.selection import Selection, SelectionOf, selection

LAST = 60
KNOWN = protocol_schema()["$defs"]
SCHEMA = jsonschema.Draft202012Validator({"$defs": KNOWN, **KNOWN["Measure"]["properties"]["cycles"]})

numbers = st.integers(1, 50)
parts = st.one_of(
    numbers.map(lambda one: (f"{one}", {one})),
    st.tuples(numbers, numbers).map(lambda two: (f"{min(two)}-{max(two)}", {*range(min(two), max(two) + 1)})),
    numbers.map(lambda first: (f"{first}-", {*range(first, LAST + 1)})),
    numbers.map(lambda every: (f"every {every}", {*range(every, LAST + 1, every)})),
    st.tuples(numbers, numbers).map(lambda two: (f"every {two[0]} from {two[1]}", {*range(two[1], LAST + 1, two[0])})),
    st.just(("last", {LAST})),
)


def fixed(text: str) -> bool:
    return re.fullmatch(r"\d+(-\d+)?", text) is not None


@given(chosen=st.lists(parts, min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_a_selection_is_the_cycles_of_all_its_parts(chosen: list[tuple[str, set[int]]]) -> None:
    seen: set[int] = set()
    for text, cycles in chosen:
        if fixed(text) and cycles & seen:
            with pytest.raises(PydanticCustomError, match="stands twice"):
                selection(", ".join(text for text, _ in chosen))
            return
        seen |= cycles if fixed(text) else set()
    found = selection(", ".join(text for text, _ in chosen))
    meant = sorted(set().union(*(cycles for _, cycles in chosen)) & {*range(1, LAST + 1)})
    assert list(found.cycles(1, LAST)) == meant
    assert [cycle for cycle in range(1, LAST + 1) if found.includes(cycle, LAST)] == meant
    assert list(found.cycles(20, 40)) == [cycle for cycle in meant if 20 <= cycle <= 40] + (
        [40] if "last" in found.written and 40 not in meant else []
    )
    assert selection(str(found)).parts == found.parts
    SCHEMA.validate(found.written)


@given(upto=st.integers(1, 20), every=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_then_goes_on_after_what_stands_before(upto: int, every: int) -> None:
    found = selection(f"1-{upto}, then every {every}")
    assert list(found.cycles(1, LAST)) == [*range(1, upto + 1), *range(upto + every, LAST + 1, every)]
    assert selection(str(found)).parts == found.parts


def test_the_papers_choice_of_cycles_is_one_line() -> None:
    assert selection("1-10, then every 5").cycles(1, 50) == (*range(1, 11), 15, 20, 25, 30, 35, 40, 45, 50)


@given(text=st.text(alphabet="0123456789-, everythnlasfom", max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused_and_the_schema_agrees(text: str) -> None:
    valid = SCHEMA.is_valid(text)
    try:
        found = selection(text)
    except PydanticCustomError:
        return
    assert valid, text
    assert selection(str(found)).parts == found.parts


@pytest.mark.parametrize(
    ("value", "cycles"),
    [([1, 15, 30], (1, 15, 30)), (7, (7,)), (["1-3", "every 20"], (1, 2, 3, 20, 40, 60)), ("3 - 5", (3, 4, 5))],
)
def test_a_list_and_a_number_are_selections_too(value: object, cycles: Iterable[int]) -> None:
    found = SelectionOf().read(value)
    assert found.cycles(1, LAST) == cycles
    SCHEMA.validate(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5-3", "runs backwards"),
        ("0-3", "runs backwards or from 0"),
        ("every 0", "runs backwards or from 0"),
        ("every", "'every' is no selection of cycles; write '5', '1-10'"),
        ("3-, then 5", "'3-' goes on to the end"),
        ("then 5", "nothing stands before"),
        ("1-10, then every 5 from 8", "does not come after cycle 10; begin with cycle 11"),
        ([1, True], "the truth value True, not a cycle"),
        ([], "the list is empty"),
        (1.5, "the number 1.5, not some cycles"),
        ({}, "a mapping stands here"),
    ],
)
def test_what_is_no_selection_is_refused_in_words(value: object, message: str) -> None:
    with pytest.raises(PydanticCustomError, match=re.escape(message)):
        SelectionOf().read(value)


def test_others_is_a_key_alone() -> None:
    assert SelectionOf(key=True).read("others") == Selection((), "others")
    with pytest.raises(PydanticCustomError):
        SelectionOf().read("others")
