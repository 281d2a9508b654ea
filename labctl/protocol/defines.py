"""What ``parameters`` and ``define`` sections say: their shape, and which names there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from labctl.documents import describe, suggest
from labctl.documents.tree import Node, mistake
from labctl.errors import Mistake

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}\Z")
_DEFINE = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_REFERENCE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]{0,39}\Z")
_KEYS: Final = ("parameters", "steps")
_EXAMPLE: Final = "write for example 'parameters: {current: 0.2 mA/cm2}'"


@dataclass(slots=True)
class Define:
    """Steps that are written once and used by name.

    Attributes
    ----------
    name : str
        By which it is used.
    at : Node
        Where it stands.
    parameters : dict of str to Node
        What each is where its use says nothing; a node of None where each use must say it.
    steps : list of Node
        What it stands for.
    """

    name: str
    at: Node
    parameters: dict[str, Node]
    steps: list[Node]


def reference(node: Node) -> str | None:
    """Give the name in ``$name``, where a value is one: it stands alone and without quotes."""
    if isinstance(node.value, str) and node.place.plain and node.value.startswith("$"):
        return node.value[1:] if _REFERENCE.match(node.value) else ""
    return None


def read_parameters(section: Node | None, mistakes: list[Mistake]) -> dict[str, Node]:
    """Read a ``parameters`` section."""
    if section is None or section.value is None:
        return {}
    if not isinstance(section.value, dict):
        mistakes.append(mistake(section.place, f"{describe(section.value, None)}, not parameters", _EXAMPLE))
        return {}
    good = {}
    for name, node in section.value.items():
        if not _NAME.match(name):
            right = "begin with a letter and use letters, digits and '_', such as 'upper_2'"
            mistakes.append(mistake(node.place, f"'{name}' is no name of a parameter", right, key=True))
            continue
        good[name] = node
        inner = next((one for one in node.walk() if reference(one) is not None), None)
        if inner is not None:
            right = "write its value here"
            mistakes.append(mistake(inner.place, f"'{inner.value}': a parameter is no other's value", right))
    return good


def read_defines(section: Node | None, mistakes: list[Mistake]) -> Iterator[Define]:
    """Read a ``define`` section."""
    if section is None or section.value is None:
        return
    right = "write for example 'define: {formation: {steps: [{rest: {duration: 1 h}}]}}'"
    if not isinstance(section.value, dict):
        mistakes.append(mistake(section.place, f"{describe(section.value, None)}, not defines", right))
        return
    for name, node in section.value.items():
        if not _DEFINE.match(name):
            words = "use letters, digits, '-' and '_', at most 40"
            mistakes.append(mistake(node.place, f"'{name}' is no name of a define", words, key=True))
        define = _define(name, node, mistakes)
        if define is not None:
            yield define


def _define(name: str, node: Node, mistakes: list[Mistake]) -> Define | None:
    right = "write for example '{steps: [{rest: {duration: 1 h}}]}'"
    if not isinstance(node.value, dict):
        mistakes.append(mistake(node.place, f"{describe(node.value, None)}, not a define", right))
        return Define(name, node, {}, [])
    for key, child in node.value.items():
        if key not in _KEYS:
            mistakes.append(mistake(child.place, f"unknown key '{key}'", suggest(key, _KEYS), key=True))
    parameters = read_parameters(node.value.get("parameters"), mistakes)
    steps = node.value.get("steps")
    if steps is None:
        if set(node.value) <= set(_KEYS):
            mistakes.append(mistake(node.place, f"'steps' is missing in '{name}'", "add 'steps: [...]'", key=True))
        return Define(name, node, parameters, [])
    if not isinstance(steps.value, list) or not steps.value:
        found = "the list is too short" if steps.value == [] else f"{describe(steps.value, None)}, not a list of steps"
        mistakes.append(mistake(steps.place, found, "write for example '[{rest: {duration: 1 h}}]'"))
        return Define(name, node, parameters, [])
    return Define(name, node, parameters, steps.value)
