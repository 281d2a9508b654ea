"""The language reference: every key of a protocol file with type, unit, default, meaning and example, as Markdown.

It is read off the models themselves, so it says what the models do and grows with them.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, ForwardRef, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from labctl.documents import C_RATE, Amount, AmountOf, Level, LevelOf, Quantity, Word
from labctl.protocol import schema
from labctl.protocol.conditions import Expression
from labctl.protocol.models import Protocol
from labctl.protocol.selection import Selection
from labctl.units import example_unit, show

_PLAIN: Final[dict[Any, str]] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    type(None): "nothing",
    Selection: "cycles",
    Expression: "condition",
    Amount: "amount",
    Level: "voltage",
    dict: "mapping",
}
#: How the names of models end that are steps.
_STEPS: Final = ("Step", "WhenMeasured", "Part", "Meanwhile")
_HEAD: Final = "| key | what it takes | default | meaning | example |\n|---|---|---|---|---|"
_VALUES: Final = "Values by name; '$name' stands for one. One without a value must be said."
_INTRODUCTION: Final = """# The protocol language

Generated from the models by which files are checked. Quantities are text with a unit, such as `0.2 mA/cm2`; each kind
of quantity is shown with one unit, and any other unit of that kind is right as well. `parameters`, `include`, `define`
and `use` are put in their places before all this ([how](../howto/write-a-protocol.md)).

Where *cycles* stands, one grammar chooses them: `5`, `1-10`, `3-`, `every 5`, `every 5 from 10`, `last`, several joined
by commas, `1-10, then every 5`. Where *by cycle* stands, `{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}` gives a value for each.
"""


def language_reference() -> str:
    """Give the reference of the protocol language as Markdown; the same models give the same text."""
    models = _models(Protocol)
    parts = [_INTRODUCTION]
    for model in (one for one in models if not _is_step(one)):
        title = "A protocol file" if model is Protocol else model.__name__
        table = _table(model)
        if model is Protocol:
            table += "\n" + _written(schema.sections())
        parts.append(f"## {title}\n\n{_plain(model.__doc__ or '')}\n\n{table}\n")
        if model is Protocol:
            parts.append(_steps([one for one in models if _is_step(one)]))
            inside = _written(schema.define()["properties"])
            parts.append(f"## Define\n\n{schema.define()['description']}\n\n{_HEAD}\n{inside}\n")
    return "\n".join(parts)


def _is_step(model: type[BaseModel]) -> bool:
    """Whether it is a step: a mapping of one key, which says what is done."""
    return len(model.model_fields) == 1 and model.__name__.endswith(_STEPS)


def _steps(models: list[type[BaseModel]]) -> str:
    lines = [
        "## Steps",
        "",
        "A step is a mapping of one key.",
        "",
        "| step | what it takes | what it does |",
        "|---|---|---|",
    ]
    for model in models:
        ((name, field),) = model.model_fields.items()
        meaning = _plain(field.description or model.__doc__ or "")
        inside = " in `parallel`" if model.__name__.endswith(("Part", "Meanwhile")) else ""
        lines.append(f"| `{field.alias or name}`{inside} | {_words(field.annotation, field.metadata)} | {meaning} |")
    step = schema.use()
    lines.append(f"| `use` | name of a define, or a mapping with values for it | {step['description']} |")
    return "\n".join(lines) + "\n"


def _written(properties: Mapping[str, Any]) -> str:
    """Make the rows of what is put in its place before the models see a file."""
    kinds = {"array": "list", "object": "mapping"}
    rows = []
    for name, value in properties.items():
        found = value if "$ref" not in value else schema.sections()["define"] | {"description": _VALUES}
        example = f"`{found['examples'][0]}`" if found.get("examples") else ""
        rows.append(f"| `{name}` | {kinds[found['type']]} |  | {_plain(found['description'])} | {example} |")
    return "\n".join(rows)


def _models(start: type[BaseModel]) -> list[type[BaseModel]]:
    """Give the models that a file can hold, each once, in the order in which a reader meets them."""
    found: dict[type[BaseModel], None] = {}
    waiting = [start]
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found[model] = None
            waiting += [inner for field in model.model_fields.values() for inner in _inside(field.annotation)]
    return list(found)


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inside(part)


def _table(model: type[BaseModel]) -> str:
    lines = [_HEAD]
    for name, field in model.model_fields.items():
        key = field.alias or name
        example = next(iter(field.examples or ()), None)
        cells = (
            f"`{key}`",
            _words(field.annotation, field.metadata),
            _default(field),
            _plain(field.description or ""),
            "" if example is None else f"`{example}`",
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}, ""):
        return ""
    quantity = next((one for one in _markers(field.annotation, field.metadata) if isinstance(one, Quantity)), None)
    if quantity is not None and isinstance(value, (int, float)):
        return f"`{_shown(value, quantity.kind)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _shown(value: float, kind: str) -> str:
    """Write a default in a unit in which it is a handy number."""
    scales = {"duration": ("h", "min", "s", "ms", "us"), "frequency": ("kHz", "Hz")}
    for unit in scales.get(kind, ()):
        text = show(value, unit)
        if abs(float(text.split()[0])) >= 1:
            return text
    return show(value, scales.get(kind, (example_unit(kind),))[-1] if value else example_unit(kind))


def _markers(annotation: Any, metadata: Iterable[Any]) -> Iterator[Any]:
    yield from metadata
    for part in get_args(annotation):
        if get_origin(part) is Annotated or get_args(part):
            yield from _markers(part, getattr(part, "__metadata__", ()))


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say a type in words; models are linked."""
    marks = [inner for mark in metadata for inner in (mark.metadata if isinstance(mark, FieldInfo) else (mark,))]
    if isinstance(annotation, ForwardRef):
        # Only steps stand within steps.
        return "[step](#steps)"
    for mark in marks:
        said = _marked(mark)
        if said:
            return said
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(parts[0], annotation.__metadata__)
    if origin in (Union, types.UnionType):
        leaves = list(_inside(annotation))
        if len(leaves) > 1 and all(_is_step(leaf) for leaf in leaves):
            return "[step](#steps)"
        return " or ".join(dict.fromkeys(_words(part) for part in parts if part is not type(None)))
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return f"list of {_words(parts[0])}"
        return f"pair: {' and '.join(map(_words, parts))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = map(_words, parts)
        return f"{value}, by cycle" if key == "cycles" else f"{key}: {value}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if _is_step(annotation):
            return "[step](#steps)"
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if annotation in (int, float):
        return f"{_PLAIN[annotation]}{_between(marks)}"
    return _PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _marked(mark: Any) -> str:
    if isinstance(mark, Quantity):
        return f"{mark.kind} ({example_unit(mark.kind)}){_bounds(mark)}"
    if isinstance(mark, AmountOf):
        return " or ".join(f"{kind} ({_unit(kind)})" for kind in mark.kinds)
    if isinstance(mark, LevelOf):
        return " or ".join(["voltage (V)", *(f"`{name}`" for name in mark.names)])
    if isinstance(mark, Word) and "lower-case" in mark.right:
        return "name"
    if isinstance(mark, Word):
        return f"text: {_plain(mark.right)}"
    return ""


def _between(marks: Iterable[Any]) -> str:
    """Say the bounds of a number without a unit."""
    said = []
    for mark in marks:
        match mark:
            case Ge(ge=bound):
                said.append(f"at least {bound}")
            case Gt(gt=bound):
                said.append(f"above {bound}")
            case Le(le=bound):
                said.append(f"at most {bound}")
            case Lt(lt=bound):
                said.append(f"below {bound}")
            case _:
                pass
    return f", {' and '.join(said)}" if said else ""


def _bounds(quantity: Quantity) -> str:
    unit = example_unit(quantity.kind)
    bounds = (("above", quantity.above), ("at least", quantity.at_least), ("below", quantity.below))
    said = [f"{word} {show(value, unit)}" for word, value in bounds if value is not None]
    return f", {' and '.join(said)}" if said else ""


def _unit(kind: str) -> str:
    return "such as 0.2C" if kind == C_RATE else example_unit(kind)
