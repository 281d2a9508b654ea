"""Conditions are read as they are written, mean what arithmetic says, and nonsense is refused in words."""

from __future__ import annotations

import math
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.protocol.conditions import MEASURED, NAMES, Missing, check, holds
from labctl.protocol.expression import Binary, ExpressionError, Named, Number, Tree, Unary, Words, parse, show
from labctl.units import KINDS, Dimension

WRITTEN = ("80 %", "-10 degC", "3.2 V", "0.5 mAh/cm2", "2 h", "7", "1e-3", "-4", "12.5 mg", "300 K", "0.2 mA", ".5 ohm")
PLAIN = Dimension()


def number(written: str) -> Tree:
    found = parse(written)
    assert isinstance(found, Number)
    return found


LEAVES = st.one_of(
    st.sampled_from(WRITTEN).map(number),
    st.sampled_from(["yes", "not yet", "it's", ""]).map(Words),
    st.sampled_from([*NAMES, "answer.ready", "measured.weight-2"]).map(Named),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(
            Binary,
            st.sampled_from(["or", "and", "<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/"]),
            inner,
            inner,
        ),
    ),
    max_leaves=12,
)


@given(TREES)
@settings(max_examples=80, deadline=None)
def test_what_is_shown_is_read_as_the_same(tree: Tree) -> None:
    assert parse(show(tree)) == tree


@given(st.text(alphabet="soh ce<>=!()+-*/.%'\"and orVmAh7 3\u00b5\u03a9e", max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        tree = parse(text)
    except ExpressionError as error:
        assert error.found
        assert error.right
    else:
        assert parse(show(tree)) == tree


VALUES = {"cycle": 7.0, "soh": 0.83, "ce": 0.997, "voltage": 3.2, "temperature": 295.0}
OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


def reference(tree: Tree) -> Any:
    """Give the value by Python's own operators; nan where something is divided by zero."""
    match tree:
        case Number(value=value):
            return value
        case Named(name=name):
            return VALUES[name]
        case Unary(operator="not", of=of):
            return not reference(of)
        case Unary(of=of):
            return -reference(of)
        case Binary(operator="and", left=left, right=right):
            return reference(left) and reference(right)
        case Binary(operator="or", left=left, right=right):
            return reference(left) or reference(right)
        case Binary(operator=sign, left=left, right=right):
            one, other = reference(left), reference(right)
            return math.nan if sign == "/" and other == 0 else OPERATORS[sign](one, other)
    raise AssertionError(tree)


def divides_by_zero(tree: Tree) -> bool:
    match tree:
        case Unary(of=of):
            return divides_by_zero(of)
        case Binary(operator=sign, left=left, right=right):
            return divides_by_zero(left) or divides_by_zero(right) or (sign == "/" and reference(right) == 0)
    return False


SUMS = st.recursive(
    st.one_of(st.integers(-5, 5).map(lambda n: number(str(n))), st.just(Named("cycle"))),
    lambda inner: st.one_of(
        st.builds(Unary, st.just("-"), inner), st.builds(Binary, st.sampled_from(["+", "-", "*", "/"]), inner, inner)
    ),
    max_leaves=6,
)
COMPARED = st.builds(Binary, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS, SUMS)
CONDITIONS = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        st.builds(Unary, st.just("not"), inner), st.builds(Binary, st.sampled_from(["and", "or"]), inner, inner)
    ),
    max_leaves=4,
)


@given(CONDITIONS)
@settings(max_examples=80, deadline=None)
def test_a_condition_holds_as_arithmetic_says(tree: Tree) -> None:
    read = parse(show(tree))
    check(read, NAMES)
    if not divides_by_zero(tree):
        assert holds(read, VALUES) is reference(tree)


@pytest.mark.parametrize(
    ("text", "holding"),
    [
        ("soh < 80 % and cycle >= 10", False),
        ("soh < 80 % or cycle >= 7", True),
        ("temperature > -10 degC and temperature < 25 degC", True),
        ("not voltage < 3200 mV", True),
        ("cycle - 2 - 1 == 4", True),
        ("cycle / 2 * 2 == 7", True),
        ("-cycle < -(cycle - 1)", True),
        ("measured.weight > 12.3 mg", True),
        ("answer.ready == 'yes' and answer.ready != 'no'", True),
    ],
)
def test_examples_hold_or_do_not(text: str, holding: bool) -> None:
    known = {**NAMES, "answer.ready": Dimension(kind="text"), "measured.weight": KINDS["mass"][0]}
    tree = parse(text)
    check(tree, known, {"answer.ready": ("yes", "no")})
    assert holds(tree, {**VALUES, "answer.ready": "yes", "measured.weight": 13e-6}) is holding


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("soh < 80 %", "soh"), ("cycle > 1 and soh < 80 %", "soh"), ("not (soh < 80 % or cycle > 9)", "soh")],
)
def test_a_value_that_is_not_there_is_neither_true_nor_false(text: str, unknown: str) -> None:
    with pytest.raises(Missing, match=unknown):
        holds(parse(text), {"cycle": 5.0})


def test_what_decides_alone_does_so_whatever_is_not_known() -> None:
    assert holds(parse("soh < 80 % and cycle > 9"), {"cycle": 5.0}) is False
    assert holds(parse("cycle < 9 or soh < 80 %"), {"cycle": 5.0}) is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soh < 80", "'80' has no unit beside 'soh'; write '80 %'"),
        ("soh < 3 V", "'soh' is a ratio, '3 V' is a voltage"),
        ("soh", "neither true nor false"),
        ("soh = 80 %", "write '=='"),
        ("voltage == 3 V", "hardly ever exactly"),
        ("voltage < 3 Volt", "unknown unit 'Volt'"),
        ("3 V < voltage < 4 V", "two comparisons in a row"),
        ("vlotage < 3 V", "did you mean 'voltage'?"),
        ("answer.ready < 'yes'", "write '==' or '!='"),
        ("answer.ready == 'perhaps'", "is no answer"),
        ("(soh < 80 %", "')' is missing"),
        ("", "an empty condition"),
        ("not " * 60 + "soh < 80 %", "nested too deeply"),
        ("(" * 200 + "soh", "nested too deeply"),
    ],
)
def test_nonsense_is_refused_and_said_what_would_be_right(text: str, said: str) -> None:
    known = {**NAMES, "answer.ready": Dimension(kind="text"), MEASURED + "weight": KINDS["mass"][0]}
    with pytest.raises(ExpressionError) as refused:
        check(parse(text), known, {"answer.ready": ("yes", "no")})
    assert said in str(refused.value)
