"""What conditions mean: the values that they may name, whether their dimensions fit, and whether they hold.

A value that is not known is never taken for false: what rests on it is unknown, too, unless the rest of the condition
decides alone (``false and unknown`` is false).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import describe, expected, suggest
from labctl.protocol.expression import (
    COMPARISONS,
    Binary,
    ExpressionError,
    Named,
    Number,
    Tree,
    Unary,
    Words,
    parse,
    show,
)
from labctl.units import KINDS, Dimension

#: A truth value, and text: no quantities.
TRUTH: Final = Dimension(kind="truth")
TEXT: Final = Dimension(kind="text")
_PLAIN: Final = Dimension()
_RATIO: Final = KINDS["ratio"][0]
_CHARGE: Final = KINDS["capacity"][0]

#: What conditions may name, besides ``answer.<label>`` and ``measured.<label>``.
NAMES: Final[Mapping[str, Dimension]] = {
    "cycle": _PLAIN,
    "soh": _RATIO,
    "ce": _RATIO,
    "voltage": KINDS["voltage"][0],
    "charge_capacity": _CHARGE,
    "discharge_capacity": _CHARGE,
    "first_charge_capacity": _CHARGE,
    "temperature": KINDS["temperature"][0],
}
ANSWER: Final = "answer."
MEASURED: Final = "measured."

#: A value as it is known at run time.
Value = float | str | bool


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition of a protocol.

    Attributes
    ----------
    text : str
        In its normal form.
    tree : Tree
        As read.
    """

    text: str
    tree: Tree = field(repr=False)

    @classmethod
    def read(cls, value: Any) -> Expression:
        """Read what stands in a file; names with labels are looked up later, when all steps are known."""
        if not isinstance(value, str):
            raise expected(f"{describe(value, None)}, not a condition", "write for example 'soh < 80 %'")
        try:
            tree = parse(value)
            for name in names(tree):
                if name not in NAMES and not name.startswith((ANSWER, MEASURED)):
                    known = (*NAMES, "answer.<label>", "measured.<label>")
                    raise ExpressionError(f"there is no value '{name}'", suggest(name, known))
        except ExpressionError as error:
            raise expected(error.found, error.right) from None
        return cls(show(tree), tree)


@dataclass(frozen=True)
class ExpressionText:
    """Marks a field that holds a condition."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text."""
        return core_schema.no_info_plain_validator_function(Expression.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text."""
        return {"type": "string", "minLength": 1, "examples": ["soh < 80 %", "voltage < 3.2 V"]}


def names(tree: Tree) -> Iterator[str]:
    """Give the names of a tree, from left to right."""
    match tree:
        case Named(name=name):
            yield name
        case Unary(of=of):
            yield from names(of)
        case Binary(left=left, right=right):
            yield from names(left)
            yield from names(right)


# -- dimensions --------------------------------------------------------------------------------------------------------
def check(tree: Tree, known: Mapping[str, Dimension], answers: Mapping[str, Collection[str]] | None = None) -> None:
    """Make sure that a condition is true or false, with dimensions that fit.

    Parameters
    ----------
    known : mapping
        Every name that may stand there and what it measures.
    answers : mapping, optional
        What can be answered, by name.

    Raises
    ------
    ExpressionError
        With the first part that does not fit.
    """
    found = _kind_of(tree, known, answers or {})
    if found != TRUTH:
        right = "compare it, such as 'soh < 80 %'"
        raise ExpressionError(f"'{show(tree)}' is {_words(found)}, neither true nor false", right)


def _kind_of(tree: Tree, known: Mapping[str, Dimension], answers: Mapping[str, Collection[str]]) -> Dimension:
    match tree:
        case Number(dimension=dimension):
            return dimension
        case Words():
            return TEXT
        case Named(name=name):
            if name not in known:
                raise ExpressionError(f"there is no value '{name}'", suggest(name, known))
            return known[name]
        case Unary(operator="not", of=of):
            _must_be(TRUTH, of, known, answers)
            return TRUTH
        case Unary(of=of):
            return _quantity(of, known, answers)
        case Binary(operator="and" | "or", left=left, right=right):
            _must_be(TRUTH, left, known, answers)
            _must_be(TRUTH, right, known, answers)
            return TRUTH
        case Binary(operator=sign, left=left, right=right) if sign in COMPARISONS:
            return _comparison(tree, known, answers)
        case Binary(operator="+" | "-", left=left, right=right):
            first = _quantity(left, known, answers)
            _alike(first, _quantity(right, known, answers), left, right)
            return first
        case Binary(operator=sign, left=left, right=right):
            return _times(sign, _quantity(left, known, answers), _quantity(right, known, answers))


def _must_be(wanted: Dimension, tree: Tree, known: Mapping[str, Dimension], answers: Mapping[str, Any]) -> None:
    found = _kind_of(tree, known, answers)
    if found != wanted:
        right = "compare it, such as 'soh < 80 %'"
        raise ExpressionError(f"'{show(tree)}' is {_words(found)}, neither true nor false", right)


def _quantity(tree: Tree, known: Mapping[str, Dimension], answers: Mapping[str, Any]) -> Dimension:
    found = _kind_of(tree, known, answers)
    if found in (TRUTH, TEXT):
        raise ExpressionError(f"'{show(tree)}' is {_words(found)}", "nothing can be calculated with it")
    return found


def _comparison(tree: Binary, known: Mapping[str, Dimension], answers: Mapping[str, Collection[str]]) -> Dimension:
    left, right = _kind_of(tree.left, known, answers), _kind_of(tree.right, known, answers)
    equal = tree.operator in ("==", "!=")
    if TEXT in (left, right):
        if left != right:
            other = tree.right if left == TEXT else tree.left
            found = f"text is compared with '{show(other)}', which is {_words(right if left == TEXT else left)}"
            raise ExpressionError(found, "compare an answer with text in quotes: \"answer.ready == 'yes'\"")
        if not equal:
            raise ExpressionError(f"text is compared by '{tree.operator}'", "write '==' or '!='")
        _possible(tree, answers)
        return TRUTH
    if TRUTH in (left, right):
        raise ExpressionError(f"'{show(tree)}' compares what is true or false", "join conditions by 'and' or 'or'")
    _alike(left, right, tree.left, tree.right)
    if equal and left != _PLAIN:
        found = f"'{show(tree)}': a measured value is hardly ever exactly that"
        raise ExpressionError(found, "write '<' or '>'")
    return TRUTH


def _possible(tree: Binary, answers: Mapping[str, Collection[str]]) -> None:
    for name, words in ((tree.left, tree.right), (tree.right, tree.left)):
        if isinstance(name, Named) and isinstance(words, Words) and name.name in answers:
            possible = answers[name.name]
            if words.text not in possible:
                raise ExpressionError(f"'{words.text}' is no answer to '{name.name}'", suggest(words.text, possible))


def _alike(first: Dimension, second: Dimension, left: Tree, right: Tree) -> None:
    if first == second:
        return
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Number) and one.dimension == _PLAIN:
            wanted = second if one is left else first
            unit = next((unit for dimension, unit in KINDS.values() if dimension == wanted), None)
            if unit is not None:
                hint = "100 %" if unit == "%" and one.value == 1 else f"{one.written} {unit}"
                raise ExpressionError(f"'{one.written}' has no unit beside '{show(other)}'", f"write '{hint}'")
    found = f"'{show(left)}' is {_words(first)}, '{show(right)}' is {_words(second)}"
    raise ExpressionError(found, "compare and add only what is of one kind")


def _times(sign: str, left: Dimension, right: Dimension) -> Dimension:
    found = left._replace(kind="").times(right._replace(kind=""), 1 if sign == "*" else -1)
    if found != _PLAIN:
        return found
    # The quotient of two capacities is a ratio, as is what is multiplied with one.
    return _PLAIN if left == right == _PLAIN else _RATIO


def _words(dimension: Dimension) -> str:
    special = {TRUTH: "true or false", TEXT: "text", _PLAIN: "a plain number"}
    if dimension in special:
        return special[dimension]
    kind = next((kind for kind, (one, _) in KINDS.items() if one == dimension), None)
    return f"a {kind}" if kind is not None else "of no kind that is measured"


# -- values ------------------------------------------------------------------------------------------------------------
class Missing(Exception):
    """A condition rests on a value that is not there.

    Attributes
    ----------
    name : str
        Which.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_CALCULATE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


def holds(tree: Tree, values: Mapping[str, Value]) -> bool:
    """Say whether a condition that was checked holds.

    Raises
    ------
    Missing
        It cannot be told without a value that is not there; a division by zero gives no value either.
    """
    match tree:
        case Unary(operator="not", of=of):
            return not holds(of, values)
        case Binary(operator="and" | "or" as word, left=left, right=right):
            return _both(word, left, right, values)
        case Binary(operator=sign, left=left, right=right):
            return _COMPARE[sign](_value(left, values), _value(right, values))
    raise ValueError(f"'{show(tree)}' is no condition")


def _both(word: str, left: Tree, right: Tree, values: Mapping[str, Value]) -> bool:
    """Join two conditions; one that decides alone does so whatever is known of the other."""
    decides = word == "or"
    lacking: Missing | None = None
    for one in (left, right):
        try:
            if holds(one, values) is decides:
                return decides
        except Missing as missing:
            lacking = lacking or missing
    if lacking is not None:
        raise lacking
    return not decides


def _value(tree: Tree, values: Mapping[str, Value]) -> Any:
    match tree:
        case Number(value=value):
            return value
        case Words(text=text):
            return text
        case Named(name=name):
            if name not in values:
                raise Missing(name)
            return values[name]
        case Unary(of=of):
            return -_value(of, values)
        case Binary(operator=sign, left=left, right=right) if sign in _CALCULATE:
            first, second = _value(left, values), _value(right, values)
            if sign == "/" and second == 0:
                raise Missing(show(tree))
            return _CALCULATE[sign](first, second)
    raise ValueError(f"'{show(tree)}' is no value")
