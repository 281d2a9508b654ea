"""The JSON Schema of protocols and of their pieces as people write them: with parameters, includes and defines.

The models know what is left when all of these are in their places; here the schema learns where they may stand.
"""

from __future__ import annotations

import copy
from typing import Any, Final

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,39}"
_REFERENCE: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": rf"^\${_NAME}$",
}
_VALUE: Final[dict[str, Any]] = {
    "description": "Any value: text, a number, a quantity; null must be said by 'labctl run --set NAME=VALUE'.",
    "examples": ["0.2 mA/cm2", 30],
}
_SAID: Final = ("title", "description", "default", "examples")
#: Keys of lists of steps, in which a 'use' may stand.
_STEPS: Final = ("steps", "when_measured", "else")


def as_written(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of protocol files from that of what they come to."""
    written = copy.deepcopy(schema)
    definitions = written["$defs"]
    for definition in definitions.values():
        _open(definition)
    _open(written, keep=("labctl", "protocol"))
    step = {"oneOf": _every_step(definitions)}
    definitions.update(
        {
            "Parameter": copy.deepcopy(_REFERENCE),
            "Use": use(),
            "AnyStep": step,
            "Define": define(),
            "Parameters": _parameters("Values by name; '$name' stands for one."),
        }
    )
    written["properties"] = {**written["properties"], **sections()}
    return written


def piece(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of files that protocols include, from that of protocol files."""
    properties = schema["properties"]
    kept = ("labctl", "parameters", "include", "define", "experiments", "spectra")
    return {
        **schema,
        "description": "What protocols include: parameters, defines, experiments and spectra.",
        "properties": {key: properties[key] for key in kept},
        "required": ["labctl"],
    }


def _open(definition: dict[str, Any], keep: tuple[str, ...] = ()) -> None:
    """Let a parameter stand for every value of a mapping, and a use among its steps."""
    for name, value in definition.get("properties", {}).items():
        if name in keep:
            continue
        if name in _STEPS and isinstance(value.get("items"), dict):
            value["items"] = {"oneOf": [*_alternatives(value["items"]), {"$ref": "#/$defs/Use"}]}
        else:
            definition["properties"][name] = _or_reference(value)
    for key in ("patternProperties", "additionalProperties"):
        inner = definition.get(key)
        if isinstance(inner, dict):
            definition[key] = {name: _or_reference(value) for name, value in inner.items()} if key[0] == "p" else inner


def _or_reference(value: dict[str, Any]) -> dict[str, Any]:
    """Let a parameter stand for a value and for everything within it."""
    if "$ref" in value and "description" not in value:
        # What belongs to a step is written out: its keys can be parameters, the whole cannot.
        return value
    value = {key: _within(key, inner) for key, inner in value.items()}
    if "properties" in value:
        return value
    said: dict[str, Any] = {key: value.pop(key) for key in _SAID if key in value}
    reference = {"$ref": "#/$defs/Parameter"}
    if "anyOf" in value and len(value) == 1:
        return {"anyOf": [*value["anyOf"], reference], **said}
    return {"anyOf": [value, reference], **said}


def _within(key: str, inner: Any) -> Any:
    if key == "items":
        return _or_reference(inner) if inner is not False else inner
    if key == "prefixItems":
        return [_or_reference(one) for one in inner]
    if key in ("patternProperties", "properties"):
        return {name: _or_reference(one) for name, one in inner.items()}
    if key in ("anyOf", "oneOf"):
        return [{name: _within(name, one) for name, one in part.items()} for part in inner]
    return inner


def _alternatives(items: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the kinds of steps of a list, without groups in between."""
    parts = items.get("oneOf") or items.get("anyOf")
    return [one for part in parts for one in _alternatives(part)] if parts else [items]


def _every_step(definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Give every step that may stand in a define: where it is used is not known there."""
    names = [name for name in definitions if name.endswith("Step") or name == "WhenMeasured"]
    return [*({"$ref": f"#/$defs/{name}"} for name in names), {"$ref": "#/$defs/Use"}]


def use() -> dict[str, Any]:
    """Give the step that stands for those of a define."""
    named = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": {"anyOf": [{"type": "object"}, {"type": "null"}]},
    }
    name = {
        "description": "Name of a define, with values for its parameters.",
        "examples": ["formation", "{formation: {current: 0.1 mA/cm2}}"],
        "anyOf": [{"type": "string"}, named],
    }
    return {
        "type": "object",
        "title": "Use",
        "description": "The steps of a define.",
        "properties": {"use": name},
        "required": ["use"],
        "additionalProperties": False,
    }


def _parameters(description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": f"^{_NAME}$"},
        "additionalProperties": copy.deepcopy(_VALUE),
    }


def define() -> dict[str, Any]:
    """Give a define: steps with parameters."""
    return {
        "type": "object",
        "title": "Define",
        "description": "Steps that are written once and used by name.",
        "properties": {
            "parameters": {"$ref": "#/$defs/Parameters"},
            "steps": {
                "type": "array",
                "minItems": 1,
                "description": "What it stands for.",
                "items": {"$ref": "#/$defs/AnyStep"},
            },
        },
        "required": ["steps"],
        "additionalProperties": False,
    }


def sections() -> dict[str, Any]:
    """Give what a protocol file may hold besides what the models know."""
    return {
        "parameters": {"$ref": "#/$defs/Parameters"},
        "include": {
            "type": "array",
            "description": "Files with parameters, defines, experiments and spectra, from this file's folder.",
            "items": {"type": "string", "pattern": r"^[^/\\:][^\\:]*$"},
            "examples": ["[pieces/formation.yaml]"],
        },
        "define": {
            "type": "object",
            "description": "Steps that are written once and used by '- use: name'.",
            "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,40}$"},
            "additionalProperties": {"$ref": "#/$defs/Define"},
        },
    }
