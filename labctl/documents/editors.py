"""A JSON Schema as language servers of editors read it best: what they offer, underline and show while one writes.

It accepts what it accepted before. What changes is its form: kinds of steps and of instruments become one mapping each,
so that an unfinished one can be completed and a wrong one is told by its own key; examples become text that can be put
in; and a value that is refused is told in the words of :class:`~labctl.documents.words.Word` and its like, for which
``errorMessage`` is the servers' own keyword.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_Node = dict[str, Any]
_REF: Final = "#/$defs/"
_MAPS: Final = ("properties", "patternProperties")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_INNER: Final = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_PLAIN: Final = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def for_editors(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give the schema of a file in that form; ``name`` is what an editor calls the file's whole."""
    definitions: dict[str, _Node] = dict(schema.get("$defs", {}))
    root = {key: value for key, value in schema.items() if key not in ("$schema", "$defs", "title")}
    form = _Form(definitions)
    made = {_word(one): form.node(definition) for one, definition in definitions.items()}
    made |= {name: form.node(root), **form.steps}
    for one in form.bodies:
        # A parameter can stand for the whole of a step.
        made[one] |= {"type": ["object", "string"], "pattern": form.parameter}
    used = _reached(made, name)
    return {
        "$schema": schema["$schema"],
        "$ref": f"{_REF}{name}",
        "$defs": {one: definition for one, definition in made.items() if one in used},
    }


def _word(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _reached(definitions: Mapping[str, _Node], root: str) -> set[str]:
    """Name the definitions that are still referred to."""
    found, waiting = {root}, [root]
    while waiting:
        for name in set(_references(definitions[waiting.pop()])) - found:
            found.add(name)
            waiting.append(name)
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_REF)
        for item in node.values():
            yield from _references(item)


class _Form:
    """Brings nodes into form; knows the definitions as they were."""

    def __init__(self, definitions: Mapping[str, _Node]) -> None:
        self._definitions = definitions
        self._names: dict[tuple[str, ...], str] = {}
        #: Definitions of its own: mappings of which one key is written.
        self.steps: dict[str, _Node] = {}
        #: Definitions of what stands under such a key.
        self.bodies: set[str] = set()
        self.parameter: str = definitions.get("Parameter", {}).get("pattern", "")

    def node(self, node: Mapping[str, Any]) -> _Node:
        """Bring a schema and all within it into form."""
        # Titles stand above what is shown for a key, as the heading of something else.
        made = {key: self._inner(key, value) for key, value in node.items() if key not in ("title", "$ref")}
        if "$ref" in node:
            reference = {"$ref": _REF + _word(node["$ref"].removeprefix(_REF))}
            # What a definition holds is not seen by all where something stands beside the reference.
            made |= {"anyOf": [reference]} if made else reference
        if made.get("default", "") in (None, [], {}):
            del made["default"]
        if "description" in made:
            made["description"] = made["description"].replace("``", "'")
        return _shown(_named(self._chosen(made, node)))

    def _inner(self, key: str, value: Any) -> Any:
        if key in _MAPS:
            return {name: self.node(one) for name, one in value.items()}
        if key in _LISTS:
            return [self.node(one) for one in value]
        return self.node(value) if key in _INNER and isinstance(value, dict) else value

    def _chosen(self, made: _Node, node: Mapping[str, Any]) -> _Node:
        """Bring a choice into form, where the schema is one."""
        key = next((key for key in ("oneOf", "anyOf") if key in node and "properties" not in made), None)
        if key is None:
            return made
        parts = list(_flat(made[key]))
        named = [self._definitions.get(one.get("$ref", "").removeprefix(_REF), {}) for one in _flat(node[key])]
        rest = {name: value for name, value in made.items() if name != key}
        if len(named) > 1 and all(_is_step(one) for one in named):
            step = {"$ref": f"{_REF}{self._step(named)}"}
            return {"anyOf": [step], **rest} if rest else step
        by = _kind_key(named)
        if by is not None:
            return {**_kinds(by, parts, named), **rest}
        return _merged(parts, rest, self.parameter)

    def _step(self, kinds: Sequence[_Node]) -> str:
        """Name the one mapping that stands for several with one key each."""
        properties = {key: value for one in kinds for key, value in one["properties"].items()}
        known = self._names.get(tuple(properties))
        if known is None:
            known = self._names[tuple(properties)] = f"step-{len(self.steps) + 1}"
            # Before what is within it: steps stand within steps.
            self.steps[known] = {"type": "object", "minProperties": 1, "maxProperties": 1}
            self.steps[known] |= {
                "properties": {key: self._body(value) for key, value in properties.items()},
                "additionalProperties": False,
            }
        return known

    def _body(self, value: _Node) -> _Node:
        """Give what stands under the key of a step: its kind and nothing beside it, so that all see what it holds."""
        whole = value.get("anyOf", [value])[0]
        if "$ref" not in whole:
            return self.node(value)
        name = whole["$ref"].removeprefix(_REF)
        if self.parameter:
            self.bodies.add(_word(name))
        return {"$ref": _REF + _word(name)}


def _flat(parts: Sequence[Any]) -> Iterator[_Node]:
    """Give the kinds of a choice, without choices within it and without 'nothing': what is optional is left out."""
    for part in parts:
        inner = part.get("anyOf") or part.get("oneOf")
        if inner and not set(part) - {"anyOf", "oneOf", "examples"}:
            first, *others = _flat(inner)
            yield {**first, "examples": part["examples"]} if "examples" in part else first
            yield from others
        elif part != {"type": "null"}:
            yield part


def _is_step(definition: Mapping[str, Any]) -> bool:
    """Whether it is a mapping of exactly one key."""
    keys = list(definition.get("properties", ()))
    return len(keys) == 1 and definition.get("required") == keys and definition.get("additionalProperties") is False


def _kind_key(definitions: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the key by whose value several mappings are told apart."""
    if len(definitions) < 2:
        return None
    for key, value in definitions[0].get("properties", {}).items():
        others = [one.get("properties", {}).get(key, {}) for one in definitions]
        if "const" in value and all("const" in one or "not" in one for one in others):
            return str(key)
    return None


def _kinds(key: str, parts: Sequence[_Node], definitions: Sequence[Mapping[str, Any]]) -> _Node:
    """Ask for the key first; what else belongs there follows from it."""
    told = [one["properties"][key] for one in definitions]
    known = [one["const"] for one in told if "const" in one]
    words = {"enum": known, "enumDescriptions": [one["description"] for one in definitions if _const(one, key)]}
    open_ended = len(known) < len(told)
    about = told[-1] if open_ended else told[0]
    value = {"anyOf": [words, {"type": "string"}]} if open_ended else words
    return {
        "type": "object",
        "properties": {key: {"description": about["description"], **value}},
        "allOf": [
            {"required": [key]},
            *(
                {"if": {"required": [key], "properties": {key: _condition(one)}}, "then": part}
                for one, part in zip(told, parts, strict=True)
            ),
        ],
    }


def _const(definition: Mapping[str, Any], key: str) -> bool:
    return "const" in definition["properties"][key]


def _condition(value: Mapping[str, Any]) -> _Node:
    return {"const": value["const"]} if "const" in value else {"not": value["not"]}


def _merged(parts: Sequence[_Node], rest: _Node, parameter: str) -> _Node:
    """Make fewer of several kinds of values: a parameter is text like other text."""
    kept = [one for one in parts if one.get("$ref") != f"{_REF}parameter"]
    if len(kept) < len(parts) and not _take_in(kept, parameter):
        kept = list(parts)
    kept = _plain_first(kept)
    examples = list(rest.get("examples", ()))
    for part in kept:
        own = part.get("examples", ())
        # One example of a kind says no more than that of the key; several are words, or units to choose from.
        if not examples or len(own) > 1:
            examples += [one for one in own if one not in examples]
    bare = [{name: value for name, value in part.items() if name != "examples"} for part in kept]
    shown = {**rest, "examples": examples} if examples else rest
    return {**bare[0], **shown} if len(bare) == 1 else {"anyOf": bare, **shown}


def _take_in(parts: list[_Node], parameter: str) -> bool:
    """Let text or a number be a parameter's name as well; whether there was one to do so."""
    free = {one.get("type"): at for at, one in reversed(list(enumerate(parts))) if not {"enum", "const"} & set(one)}
    if "string" in free:
        part = parts[free["string"]]
        if "pattern" in part:
            parts[free["string"]] = {**part, "pattern": f"{part['pattern']}|{parameter}"}
        return True
    kind = next((kind for kind in _PLAIN if kind in free), None)
    if kind is not None:
        named = {"type": [kind, "string"], "pattern": parameter, "errorMessage": f"write {_PLAIN[kind]}"}
        parts[free[kind]] = {**parts[free[kind]], **named}
    return kind is not None


def _plain_first(parts: Sequence[_Node]) -> list[_Node]:
    """Make one of those that are text or numbers."""
    plain = [
        one for one in parts if one.get("type") in ("string", *_PLAIN) and "enum" not in one and "const" not in one
    ]
    kinds = [one["type"] for one in plain]
    if len(set(kinds)) < max(2, len(kinds)):
        return list(parts)
    # What is said of text means nothing to a number, and the other way round.
    one = {key: value for part in plain for key, value in part.items()}
    return [{**one, "type": kinds}, *(part for part in parts if part not in plain)]


def _named(made: _Node) -> _Node:
    """Say what keys may be called apart from what stands under them, where all are of one form."""
    patterns = made.get("patternProperties", {})
    if len(patterns) != 1 or made.get("additionalProperties") is not False:
        return made
    pattern, value = next(iter(patterns.items()))
    rest = {key: one for key, one in made.items() if key != "patternProperties"}
    names = {**made.get("propertyNames", {}), "pattern": pattern, "title": "name"}
    return {**rest, "propertyNames": names, "additionalProperties": value}


def _shown(made: _Node) -> _Node:
    """Make text of an example that is no plain value, to be put in as it is written."""
    examples = made.get("examples", ())
    written = [one for one in examples if isinstance(one, str) and one.startswith(("{", "["))]
    if not written:
        return made
    rest = {key: one for key, one in made.items() if key != "examples"}
    plain = [one for one in examples if one not in written]
    # A list of mappings would be offered for each of its items as well.
    whole = [one for one in written if "..." not in one and not (one[0] == "[" and "{" in one)]
    return {
        **rest,
        **({"examples": plain} if plain else {}),
        **({"defaultSnippets": [{"label": one, "body": one} for one in whole]} if whole else {}),
    }
