"""Plain data to a model, and everything that pydantic objects to as mistakes at their place in the file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from labctl.documents.loading import Document, Path
from labctl.errors import InvalidFile, Mistake

_M = TypeVar("_M", bound="Model")
_MOST_NOTES: Final = 3
_KINDS: Final = {"protocol": "a protocol", "station": "a station file", "cells": "a cells file"}


class Model(BaseModel):
    """Base of everything that files hold: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    #: Keys that may stand beside those of the fields, and are gone when the model is made.
    beside: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _remember(cls, data: Any, info: ValidationInfo) -> Any:
        # Which model a mapping was read as, so that messages can name the keys that are known there.
        if isinstance(data, dict) and isinstance(info.context, dict):
            info.context[id(data)] = cls
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _something(cls, value: Any, info: ValidationInfo) -> Any:
        # What may be left out is left out: a key with nothing behind it is one that somebody has not finished.
        if value is None and isinstance(info.context, dict):
            field = cls.model_fields[info.field_name or ""]
            if not field.is_required():
                such_as = f"write for example '{field.examples[0]}', or " if field.examples else ""
                raise expected("nothing stands here", f"{such_as}leave '{field.alias or info.field_name}' out")
        return value


class FileModel(Model):
    """Base of what a whole file holds; remembers the file."""

    _document: Document | None = PrivateAttr(default=None)

    @property
    def document(self) -> Document:
        """The file that this was read from."""
        if self._document is None:
            raise ValueError(f"a {type(self).__name__} comes from a file, by its load or read function")
        return self._document

    @property
    def source(self) -> str:
        """The text of the file, to be frozen into the journal."""
        return self.document.text

    @property
    def sha256(self) -> str:
        """Hash of :attr:`source`."""
        return self.document.sha256


def expected(found: str, right: str, at: Path = ()) -> PydanticCustomError:
    """Make the error by which a validator says what was found and what would be right.

    Parameters
    ----------
    found, right : str
        The two halves of the message.
    at : Path, optional
        Where, relative to the value that is being validated.
    """
    return PydanticCustomError("labctl", "{found}; {right}", {"found": found, "right": right, "at": at})


def nearest(word: str, known: Collection[str]) -> str | None:
    """Give the known word that ``word`` was probably meant to be, or ``None``."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggest(word: str, known: Collection[str]) -> str:
    """Say what would be right instead of an unknown ``word``."""
    near = nearest(word, known)
    if near is not None:
        return f"did you mean '{near}'?"
    return "known here: " + ", ".join(f"'{name}'" for name in known) if known else "nothing can stand here"


def require_kind(document: Document, kind: str) -> None:
    """Refuse a file of another kind with one message instead of a hundred.

    Raises
    ------
    InvalidFile
        The file is, say, a cells file where a protocol was asked for.
    """
    if kind in document.data:
        return
    for other, name in _KINDS.items():
        if other in document.data:
            raise InvalidFile([document.mistake((other,), f"this is {name}", f"give {_KINDS[kind]} here", key=True)])


def validate(document: Document, model: type[_M]) -> _M:
    """Check a document against a model.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column, in the order of the file.
    """
    models: dict[int, type[Model]] = {}
    mistakes = list(document.mistakes)
    try:
        value = model.model_validate(document.data, context=models)
    except ValidationError as error:
        found = _mistakes(document, error.errors(include_url=False), models)
        mistakes += [one for one in found if (one.file, one.line, one.column) not in document.silenced]
        raise InvalidFile(in_order(mistakes)) from None
    if mistakes:
        raise InvalidFile(in_order(mistakes))
    return value


def in_order(mistakes: Collection[Mistake]) -> list[Mistake]:
    """Sort by place and drop repetitions: an alias shows one mistake twice, and so does what is used twice."""
    once: dict[Mistake, dict[str, None]] = {}
    for mistake in mistakes:
        once.setdefault(replace(mistake, notes=()), {}).update(dict.fromkeys(mistake.notes))
    merged = (replace(mistake, notes=_some(tuple(notes))) for mistake, notes in once.items())
    return sorted(merged, key=lambda mistake: (mistake.file, mistake.line, mistake.column))


def _some(notes: tuple[str, ...]) -> tuple[str, ...]:
    return notes if len(notes) <= _MOST_NOTES + 1 else (*notes[:_MOST_NOTES], f"and {len(notes) - _MOST_NOTES} more")


def schema(model: type[Model]) -> dict[str, Any]:
    """Give the JSON Schema of a file."""
    generated: dict[str, Any] = _exact(model.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated}


def _exact(node: Any) -> Any:
    """Drop defaults in SI where the file has text with a unit; refuse keys that fit no pattern."""
    if isinstance(node, list):
        return [_exact(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "patternProperties" in node:
        # Keys of another form are refused, not let pass.
        node = {**node, "additionalProperties": False}
    wrong = node.get("type") == "string" and not isinstance(node.get("default", ""), str)
    exact = {key: _exact(item) for key, item in node.items() if not (wrong and key == "default")}
    return {**exact, "additionalProperties": False} if "patternProperties" in exact else exact


def _mistakes(document: Document, errors: Sequence[ErrorDetails], models: Mapping[int, type[Model]]) -> list[Mistake]:
    located = [(*_locate(document.data, error["loc"]), error) for error in errors]
    unknown: dict[Path, list[str]] = {}
    missing: dict[Path, list[str]] = {}
    for path, rest, error in located:
        if error["type"] == "extra_forbidden":
            unknown.setdefault(path[:-1], []).append(str(path[-1]))
        elif error["type"] == "missing" and isinstance(rest, str):
            missing.setdefault(path, []).append(rest)
    meant = {parent: _renamed(names, missing.get(parent, [])) for parent, names in unknown.items()}
    found: list[Mistake] = []
    for path, rest, error in located:
        if error["type"] == "extra_forbidden":
            name = str(path[-1])
            right = meant[path[:-1]].get(name)
            advice = f"did you mean '{right}'?" if right else suggest(name, _fields(document, path[:-1], models))
            found.append(document.mistake(path, f"unknown key '{name}'", advice, key=True))
        elif error["type"] == "too_short" and len(_value(document, path)) >= error["ctx"]["min_length"]:
            # Pydantic counts the good items only; each bad one is reported by itself.
            continue
        elif error["type"] == "missing":
            if rest not in meant.get(path, {}).values():
                found.append(_missing(document, path, rest, models))
        else:
            found.append(_mistake(document, path, rest, error, models))
    return found


def _renamed(unknown: Sequence[str], missing: Sequence[str]) -> dict[str, str]:
    """Pair misspelt keys with the missing ones that they were meant to be: one slip is one message."""
    pairs: dict[str, str] = {}
    for name in unknown:
        left = [key for key in missing if key not in pairs.values()]
        near = nearest(name, left)
        if near is None and len(unknown) == 1 and len(left) == 1:
            near = left[0]
        if near is not None:
            pairs[name] = near
    return pairs


def _locate(data: Any, loc: Sequence[str | int]) -> tuple[Path, str | int | None]:
    """Follow pydantic's location as far as the data goes; names of union members are no part of the data."""
    path: Path = ()
    rest: str | int | None = None
    for item in loc:
        rest = None
        if isinstance(data, dict) and item in data:
            data, path = data[str(item)], (*path, item)
        elif isinstance(data, list) and isinstance(item, int) and item < len(data):
            data, path = data[item], (*path, item)
        else:
            rest = item
    return path, rest


def _fields(document: Document, path: Path, models: Mapping[int, type[Model]]) -> list[str]:
    model = _model(document, path, models)
    return [*(field.alias or name for name, field in model.model_fields.items()), *model.beside] if model else []


def _model(document: Document, path: Path, models: Mapping[int, type[Model]]) -> type[Model] | None:
    return models.get(id(_value(document, path)))


def _value(document: Document, path: Path) -> Any:
    value: Any = document.data
    for item in path:
        value = value[item]
    return value


def _example(document: Document, path: Path, name: str, models: Mapping[int, type[Model]]) -> str | None:
    model = _model(document, path, models)
    for field_name, field in model.model_fields.items() if model else ():
        if name == (field.alias or field_name) and field.examples:
            return str(field.examples[0])
    return None


def _missing(document: Document, path: Path, name: str | int | None, models: Mapping[int, type[Model]]) -> Mistake:
    if isinstance(name, int):
        return document.mistake(
            path, f"the list has only {name} of the values that belong there", "write two values, '[..., ...]'"
        )
    example = _example(document, path, str(name), models)
    right = f"add for example '{name}: {example}'" if example else f"add '{name}: ...'"
    holder = next((f" in '{item}'" for item in reversed(path) if isinstance(item, str)), "")
    return document.mistake(path, f"'{name}' is missing{holder}", right, key=True)


_SHAPES: Final = {
    "string": "write text",
    "int": "write a whole number",
    "float": "write a number without unit",
    "bool": "write true or false",
    "list": "write a list, '[one, two]'",
    "tuple": "write a list, '[one, two]'",
    "dict": "write a mapping, 'key: value'",
    "model": "write a mapping, 'key: value'",
}


def describe(value: Any, written: str | None) -> str:
    """Say in words what stands in the file."""
    if value is None:
        return "nothing stands here"
    if isinstance(value, bool):
        return f"the truth value {written or value}"
    if isinstance(value, (int, float)):
        return f"the number {written or value}"
    if isinstance(value, Mapping):
        return "a mapping stands here"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list stands here"
    text = str(value)
    return f"'{text[:40]}...'" if len(text) > 43 else f"'{text}'"


def _mistake(
    document: Document,
    path: Path,
    rest: str | int | None,
    error: ErrorDetails,
    models: Mapping[int, type[Model]],
) -> Mistake:
    context = error.get("ctx", {})
    at_key = rest == "[key]"
    if error["type"] == "labctl":
        return document.mistake((*path, *context["at"]), context["found"], context["right"], key=at_key)
    found = describe(error["input"], document.written(path))
    example = _example(document, path[:-1], str(path[-1]), models) if path and isinstance(path[-1], str) else None
    such_as = f", such as '{example}'" if example else ""
    kind = error["type"]
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = nearest(str(error["input"]), words) if isinstance(error["input"], str) else None
        hint = f"did you mean '{near}'? " if near else ""
        return document.mistake(path, f"{found} is not known", f"{hint}write {context['expected']}")
    if kind == "string_type" and isinstance(error["input"], (int, float)):
        return document.mistake(path, f"{found}, not text", f"put it in quotes: '{document.written(path)}'")
    for limit, words_of in (
        ("ge", "at least"),
        ("gt", "more than"),
        ("le", "at most"),
        ("lt", "less than"),
    ):
        if limit in context:
            return document.mistake(path, found, f"write {words_of} {context[limit]:g}")
    if kind == "too_short":
        return document.mistake(path, "the list is too short", f"write at least {context['min_length']}{such_as}")
    if kind == "too_long":
        return document.mistake(path, "the list is too long", f"write at most {context['max_length']}{such_as}")
    if kind == "finite_number":
        return document.mistake(path, found, "write a finite number")
    shape = _SHAPES.get(kind.split("_")[0], f"right would be: {error['msg'].lower()}")
    return document.mistake(path, found, shape + such_as, key=at_key)
