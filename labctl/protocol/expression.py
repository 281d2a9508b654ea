"""Conditions such as ``soh < 80 % and cycle >= 10``: their grammar, read into a tree and written back.

Own grammar, own parser; nothing of a file is ever executed. What the names stand for and whether the dimensions fit
is in ``conditions``.

    or:          and ('or' and)*
    and:         not ('and' not)*
    not:         'not' not | comparison
    comparison:  sum (('<' | '<=' | '>' | '>=' | '==' | '!=') sum)?
    sum:         product (('+' | '-') product)*
    product:     sign (('*' | '/') sign)*
    sign:        '-' sign | number with unit | 'text' | name | name.label | '(' or ')'
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from labctl.units import Dimension, UnitError, is_unit, quantity

#: Longest text and deepest nesting that is read: far beyond what a person writes.
LONGEST: Final = 500
DEEPEST: Final = 40


class ExpressionError(ValueError):
    """An expression that cannot be read or makes no sense.

    Attributes
    ----------
    found, right : str
        The two halves of the message.
    """

    def __init__(self, found: str, right: str) -> None:
        super().__init__(f"{found}; {right}")
        self.found = found
        self.right = right


@dataclass(frozen=True, slots=True)
class Number:
    """A number in SI, with what it measures and how it was written."""

    value: float
    dimension: Dimension
    written: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text in quotes, to compare an answer with."""

    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """A value by its name: ``soh``, or with a label ``answer.reassembled``."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """``not`` or ``-`` of one thing."""

    operator: str
    of: Tree


@dataclass(frozen=True, slots=True)
class Binary:
    """Two things and what is between them."""

    operator: str
    left: Tree
    right: Tree


Tree = Number | Words | Named | Unary | Binary

#: How tightly operators bind.
_TIGHTNESS: Final = {
    "or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6,
}  # fmt: skip
_SIGN: Final = 7
_ATOM: Final = 8
COMPARISONS: Final = ("<=", ">=", "==", "!=", "<", ">")
_KEYWORDS: Final = ("or", "and", "not")

_SPACE: Final = re.compile(r"\s*")
_DIGITS: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|(?:\d+(?:\.\d*)?|\.\d+)")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_NAME: Final = re.compile(r"[a-z_]+(?:\.[a-z0-9][a-z0-9-]*)?")
_UNIT: Final = re.compile(r"(?:[^\W\d]+|[%°µμΩ]\w*)(?:\^?-?\d)?")
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_OPERATOR: Final = re.compile(r"<=|>=|==|!=|[-<>+*/()]")
_EXAMPLE: Final = "write for example 'soh < 80 % and cycle >= 10'"


def parse(text: str) -> Tree:
    """Read an expression.

    Raises
    ------
    ExpressionError
        With what stands where something else should.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"a condition of {len(text)} characters", f"write at most {LONGEST}")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        if not self._text.strip():
            raise ExpressionError("an empty condition", _EXAMPLE)
        tree = self._binary(1)
        if self._rest():
            raise self._unexpected("an operator such as 'and' or '<'")
        return tree

    # -- what comes next -------------------------------------------------------------------------------------------
    def _rest(self) -> str:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match is not None else self._at
        return self._text[self._at :]

    def _peek(self) -> str:
        """Give the operator or keyword that comes next, empty for anything else."""
        rest = self._rest()
        match = _OPERATOR.match(rest)
        if match is not None:
            return match[0]
        word = _WORD.match(rest)
        return word[0] if word is not None and word[0] in _KEYWORDS else ""

    def _unexpected(self, wanted: str) -> ExpressionError:
        rest = self._rest()
        if not rest:
            return ExpressionError(f"'{self._text.strip()}' ends where {wanted} is missing", _EXAMPLE)
        shown = rest if len(rest) <= 20 else rest[:20] + "..."
        single = {"=": "write '=='", "&": "write 'and'", "|": "write 'or'", "!": "write 'not'"}.get(rest[0], _EXAMPLE)
        return ExpressionError(f"'{shown}' stands where {wanted} should", single)

    # -- the grammar -----------------------------------------------------------------------------------------------
    def _binary(self, tightness: int) -> Tree:
        if tightness == _TIGHTNESS["not"]:
            return self._negation()
        if tightness == _SIGN:
            return self._sign()
        left = self._binary(tightness + 1)
        while _TIGHTNESS.get(operator := self._peek()) == tightness:
            self._at += len(operator)
            left = Binary(operator, left, self._binary(tightness + 1))
            if operator in COMPARISONS:
                if self._peek() in COMPARISONS:
                    raise ExpressionError("two comparisons in a row", "join them: '3 V < voltage and voltage < 4 V'")
                break
        return left

    def _negation(self) -> Tree:
        if self._peek() != "not":
            return self._binary(_TIGHTNESS["not"] + 1)
        self._at += len("not")
        with_depth = self._deeper()
        tree = Unary("not", self._negation())
        self._depth = with_depth
        return tree

    def _deeper(self) -> int:
        before = self._depth
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError("the condition is nested too deeply", "split it into several 'when' steps")
        return before

    def _sign(self) -> Tree:
        if self._peek() != "-":
            return self._atom("")
        self._at += 1
        if _DIGITS.match(self._rest()) is not None:
            # A temperature below zero is no temperature above it, negated.
            return self._atom("-")
        before = self._deeper()
        tree = Unary("-", self._sign())
        self._depth = before
        return tree

    def _atom(self, sign: str) -> Tree:
        rest = self._rest()
        digits = _DIGITS.match(rest)
        if digits is not None:
            self._at += digits.end()
            return self._number(sign + digits[0])
        quoted = _QUOTED.match(rest)
        if quoted is not None:
            self._at += quoted.end()
            return Words(quoted[1] if quoted[1] is not None else quoted[2])
        if rest.startswith("("):
            before = self._deeper()
            self._at += 1
            tree = self._binary(1)
            if self._peek() != ")":
                raise self._unexpected("')'")
            self._at += 1
            self._depth = before
            return tree
        name = _NAME.match(rest)
        if name is None or name[0] in _KEYWORDS:
            raise self._unexpected("a value")
        self._at += name.end()
        return Named(name[0])

    def _number(self, digits: str) -> Tree:
        value, unit = float(digits), self._unit()
        try:
            value, dimension = quantity(value, unit) if unit else (value, Dimension())
        except UnitError as error:
            raise ExpressionError(str(error), "write a number with its unit, such as '80 %' or '3.2 V'") from None
        if not math.isfinite(value):
            raise ExpressionError(f"'{digits}' is too large", "write a number that an instrument can give")
        return Number(value, dimension, f"{digits} {unit}".strip())

    def _unit(self) -> str:
        """Read the unit after a number: parts joined by '/', '*' or '·' without a space around belong together."""
        rest = self._rest()
        first = _UNIT.match(rest)
        word = _WORD.match(rest)
        if first is None or (word is not None and word[0] in _KEYWORDS):
            return ""
        unit = first[0]
        while rest[len(unit) : len(unit) + 1] in tuple("/*·"):
            further = _UNIT.match(rest, len(unit) + 1)
            if further is None or not is_unit(further[0]):
                break
            unit = rest[: further.end()]
        self._at += len(unit)
        return unit


def show(tree: Tree) -> str:
    """Write a tree so that :func:`parse` reads the same again."""
    match tree:
        case Number(written=written):
            return written
        case Words(text=text):
            return f'"{text}"' if "'" in text else f"'{text}'"
        case Named(name=name):
            return name
        case Unary(operator="not", of=of):
            return f"not {_within(of, _TIGHTNESS['not'])}"
        case Unary(of=of):
            # '-3 V' would be read as a number.
            return f"-({show(of)})" if isinstance(of, Number) else f"-{_within(of, _SIGN)}"
        case Binary(operator=operator, left=left, right=right):
            tightness = _TIGHTNESS[operator]
            # Operators of one kind are read from the left; comparisons stand alone.
            before = _within(left, tightness + (operator in COMPARISONS))
            return f"{before} {operator} {_within(right, tightness + 1)}"


def _within(tree: Tree, tightness: int) -> str:
    return show(tree) if _tightness(tree) >= tightness else f"({show(tree)})"


def _tightness(tree: Tree) -> int:
    match tree:
        case Unary(operator="-"):
            return _SIGN
        case Unary(operator=operator) | Binary(operator=operator):
            return _TIGHTNESS[operator]
    return _ATOM
