"""Settings of an evaluation as they stand in a file: the fields of ``labctl.analysis.Settings``, checked by line."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field as ModelField
from pydantic import create_model

from labctl.analysis.settings import Settings
from labctl.documents import Document, FileModel, Model, load, validate
from labctl.errors import AnalysisError, InvalidFile


class _SettingsFile(FileModel):
    labctl: Literal[1]


def load_settings(path: Path) -> Settings:
    """Read a settings file: ``labctl: 1`` and a mapping ``settings``.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    """
    document = load(path)
    described: dict[str, Any] = {"settings": (settings_model(), ModelField(examples=["{soc: coulomb}"]))}
    model = create_model("SettingsFile", __base__=_SettingsFile, **described)
    return settings_of(getattr(validate(document, model), "settings"), document)  # noqa: B009 - a made model


@cache
def settings_model() -> type[Model]:
    """Give the model of the mapping ``settings``."""
    return _model(Settings)


def settings_of(read: Model, document: Document) -> Settings:
    """Make settings of what was read.

    Raises
    ------
    InvalidFile
        If they contradict each other.
    """
    try:
        return Settings(**{name: _value(Settings, name, read) for name in read.model_fields_set})
    except AnalysisError as error:
        raise InvalidFile([document.mistake(("settings",), str(error), "choose others")]) from error


def _model(kind: type[Any]) -> type[Model]:
    """Make the model of a record: every field may be left out, and has the record's own default then."""
    hints = get_type_hints(kind)
    made: dict[str, Any] = {}
    for one in fields(kind):
        hint = _readable(hints[one.name])
        limits: dict[str, Any] = {"ge": 0} if kind is Settings and hint in (int, float) else {}
        made[one.name] = (hint, ModelField(default_factory=lambda one=one: _default(one), **limits))
    return create_model(kind.__name__, __base__=Model, **made)


def _default(one: Field[Any]) -> Any:
    return one.default if one.default is not MISSING else None


def _readable(hint: Any) -> Any:
    """Turn records inside a type into their models."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _model(hint)
    if get_origin(hint) in (Union, UnionType):
        parts = [_readable(part) for part in get_args(hint)]
        # A phase that was settled beforehand is of one spectrum, and nothing for a file of settings.
        plain = [part for part in parts if not (isinstance(part, type) and issubclass(part, Model))]
        return Union[tuple(plain)]  # noqa: UP007 - of parts that are found at run time
    return hint


def _value(kind: type[Any], name: str, read: Model) -> Any:
    value = getattr(read, name)
    if not isinstance(value, Model):
        return value
    inner = _record_of(get_type_hints(kind)[name])
    return inner(**{each: _value(inner, each, value) for each in value.model_fields_set})


def _record_of(hint: Any) -> type[Any]:
    options = [hint, *get_args(hint)]
    return next(one for one in options if isinstance(one, type) and one is not NoneType and is_dataclass(one))
