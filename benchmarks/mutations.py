"""Shipped protocols with things deleted, doubled, renamed, swapped, nested and misspelt: refused or sound, never else.

``python -m benchmarks.mutations`` reads 50,000 of them and prints what became of them. A traceback, a file that takes
long, and an accepted quantity out of its range are findings. The tests read 2,000 (``tests/protocols``).
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from benchmarks.mutation_ranges import out_of_range
from labctl.documents import load
from labctl.errors import InvalidFile, LabctlError, UsageError
from labctl.protocol import expand, read_protocol, shipped

#: s of processor time that one file may take; plans of 100,000 operations among them.
LONGEST = 10.0
#: What parameters without a value are, by a word of the files that have them.
_VALUES = {"soh80_current": {"soh80_current": "0.2 mA/cm2"}, "nmc-lithium": {"rate": "0.2C"}}
_PIECE = """labctl: 1
parameters: {slow: 0.1 mA/cm2}
define:
  formation:
    parameters: {current: 0.1 mA/cm2, upper: 4.0 V}
    steps:
      - charge: {current: $current, until: {voltage: $upper}, at_most: 20 h}
      - use: waiting
  waiting: {parameters: {duration: 1 h}, steps: [{rest: {duration: $duration}}]}
"""
#: A protocol of parameters, an include and defines, beside the shipped ones.
_WRITTEN_SHORT = """labctl: 1
protocol: written-short
parameters: {count: 5, lower: 3.0 V}
include: [piece.yaml]
cutoffs: {upper: 4.2 V, lower: $lower}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
define:
  measured: {parameters: {label: null}, steps: [{eis: {as: $label, spectrum: standard}}]}
steps:
  - use: {formation: {current: $slow}}
  - cycle:
      count: $count
      steps:
        - use: {measured: {label: before}}
        - use: formation
        - discharge: {current: 0.4 mA/cm2, until: {voltage: $lower}, at_most: 9 h}
        - use: {measured: {label: after}}
spectra:
  standard: {control: potentiostatic, frequency: [100 kHz, 0.1 Hz], points_per_decade: 10, periods: 3, amplitude: 10 mV}
"""
_ODD = (
    "\u202e",
    "𝟛.𝟜 V",
    "٣ V",
    "４.3 V",
    "4.3\u00a0V",
    "\u200b",
    "😀",
    "é",
    "\ufeff",
    "Ω",
    "ﬀ",
    "\\ud800",
    "\x85",
    "\u2028",
)
_NUMBERS = (
    "0",
    "-1",
    "1e400",
    "1e308",
    "1e-320",
    "nan",
    ".inf",
    "-.inf",
    "1_000",
    "0x10",
    "999999999999",
    "1e6",
    "-0.0",
)
_UNITS = (
    "V",
    "mV",
    "mA",
    "mA/cm2",
    "mA/g",
    "h",
    "s",
    "min",
    "Hz",
    "degC",
    "K",
    "%",
    "ppm",
    "W",
    "GV",
    "parsec",
    "",
    "C",
    "m2",
)
_OTHERS: tuple[Any, ...] = (
    None,
    True,
    3,
    -2.5,
    "text",
    [],
    {},
    ["4.3 V"],
    {"voltage": "upper"},
    "$count",
    "$none",
    "4.3 V",
    "",
)
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)(\s*)(.*)\Z")


@dataclass(frozen=True, slots=True)
class _Cell:
    id: str = "bare-01"
    area: float = 1e-4
    capacity: float | None = 9.4
    mass: float | None = 1.2e-5
    measure_at: Sequence[int] = (1,)


@dataclass(slots=True)
class Tally:
    """What became of mutated files."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    findings: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.files += other.files
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.findings += other.findings
        return self


@cache
def originals() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Give text and data of every protocol that is mutated."""
    from labctl.documents import read

    written = [(path.read_text(encoding="utf-8"), load(path).data) for path in shipped()]
    return (*written, (_WRITTEN_SHORT, read(_WRITTEN_SHORT, "short.yaml").data))


def mutated(random: Random) -> str:
    """Give one mutated protocol."""
    text, data = random.choice(originals())
    if random.random() < 0.5:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            text = random.choice(_OF_TEXT)(text, random)
        return text
    data = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(_OF_DATA)(data, random)
    return "\n".join(_dump(data)) + "\n"


def judge(text: str) -> str:
    """Read a protocol; give ``refused``, ``accepted`` or what should not have happened."""
    pieces = {"piece.yaml": _PIECE}
    try:
        values = next((values for word, values in _VALUES.items() if word in text), {})
        protocol = read_protocol(text, "mutated.yaml", pieces=pieces, values=values)
    except UsageError:
        return "refused"  # a value for a parameter that the mutated file no longer has
    except InvalidFile as error:
        return _judge_refusal(error)
    except Exception:  # noqa: BLE001 - whatever else is raised is a finding
        return "finding: " + traceback.format_exc(limit=-4)
    wrong = out_of_range(protocol)
    if wrong:
        return f"finding: accepted with {wrong}"
    # One cell is measured, the other is not: a protocol can be for one of them alone.
    for cell in (_Cell(measure_at=(1,)), _Cell(measure_at=())):
        try:
            plan = expand(protocol, cell)
        except LabctlError:
            continue
        except Exception:  # noqa: BLE001
            return "finding: " + traceback.format_exc(limit=-4)
        return "accepted" if plan else "finding: an empty plan"
    return "accepted, without a plan for these cells"


def _judge_refusal(error: InvalidFile) -> str:
    if not error.mistakes:
        return "finding: refused without a reason"
    for one in error.mistakes:
        if one.line < 1 or one.column < 1 or not one.found or not one.right or len(str(one)) > 3000:
            return f"finding: no message for people: {one!r}"
    return "refused"


# Mutations of text


def _span(text: str, random: Random, longest: int) -> tuple[int, int]:
    start = random.randrange(len(text) + 1)
    return start, min(len(text), start + random.randint(0, longest))


def _delete(text: str, random: Random) -> str:
    start, end = _span(text, random, 20)
    return text[:start] + text[end:]


def _insert(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice((*_ODD, *"{}[]:,#&*!|>'\"%@`\t\n -$", "- use: x\n", ": ", "\n\n")) + text[at:]


def _lines(text: str, random: Random) -> str:
    lines = text.split("\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    what = random.randrange(4)
    if what == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif what == 1:
        lines.insert(other, lines[one])
    elif what == 2:
        del lines[one]
    else:
        lines[one] = " " * random.randint(0, 12) + lines[one].lstrip()
    return "\n".join(lines)


def _word(text: str, random: Random) -> str:
    words = list(re.finditer(r"[A-Za-z0-9_.%/-]+", text))
    if not words:
        return text
    one, other = random.choice(words), random.choice(words)
    new = random.choice((other.group(), one.group()[1:], one.group() + "x", random.choice(_NUMBERS), "$" + one.group()))
    return text[: one.start()] + new + text[one.end() :]


_OF_TEXT: tuple[Callable[[str, Random], str], ...] = (_delete, _insert, _lines, _word, _word)

# Mutations of data


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Give every (mapping or list, key) in the data."""
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            waiting.append(node[key])
    return found


def _remove(data: dict[str, Any], random: Random) -> None:
    node, key = random.choice(_places(data))
    del node[key]


def _double(data: dict[str, Any], random: Random) -> None:
    node, key = random.choice(_places(data))
    if isinstance(node, list):
        node[key:key] = [copy.deepcopy(node[key]) for _ in range(random.choice((1, 1, 1, 2, 2, 100)))]
    else:
        node[f"{key}\0"] = copy.deepcopy(node[key])  # written as the same key again


def _rename(data: dict[str, Any], random: Random) -> None:
    node, key = random.choice([(node, key) for node, key in _places(data) if isinstance(node, dict)] or [(data, "")])
    others = [other for _, other in _places(data) if isinstance(other, str)]
    if key in node:
        new = random.choice((key[:-1], key + "s", key.upper(), random.choice(others), random.choice(_ODD), "use", ""))
        renamed = {new if name == key else name: value for name, value in node.items()}
        node.clear()
        node.update(renamed)


def _quantity(data: dict[str, Any], random: Random) -> None:
    places = [(n, k) for n, k in _places(data) if isinstance(n[k], (str, int)) and _QUANTITY.match(str(n[k]))]
    if not places:
        return
    node, key = random.choice(places)
    match = _QUANTITY.match(str(node[key]))
    if match is None:
        return
    number, space, unit = match.groups()
    what = random.randrange(4)
    if what == 0:
        number = random.choice(_NUMBERS)
    elif what == 1:
        number = repr(float(number) * random.choice((-1, 10, 100, 0.1, 1e3, 1e-6)))
    elif what == 2:
        unit = random.choice(_UNITS)
    else:
        number, unit = random.choice(_NUMBERS), random.choice(_UNITS)
    whole = f"{number}{space}{unit}"
    node[key] = int(whole) if re.fullmatch(r"-?[0-9]{1,15}", whole) else whole


def _replace(data: dict[str, Any], random: Random) -> None:
    node, key = random.choice(_places(data))
    node[key] = copy.deepcopy(random.choice((*_OTHERS, *_ODD)))


def _swap(data: dict[str, Any], random: Random) -> None:
    places = _places(data)
    (one, first), (other, second) = random.choice(places), random.choice(places)
    a, b = copy.deepcopy(one[first]), copy.deepcopy(other[second])
    one[first] = b
    if second in other if isinstance(other, dict) else second < len(other):
        other[second] = a


def _nest(data: dict[str, Any], random: Random) -> None:
    node, key = random.choice(_places(data))
    inner = node[key]
    name = random.choice(("cycle", "steps", "rest", "x", "use", "until"))
    for _ in range(random.choice((1, 2, 5, 30, 60, 120))):
        inner = [inner] if random.random() < 0.5 else {name: inner}
    node[key] = inner


def _defined(data: dict[str, Any], random: Random) -> None:
    """Put steps into defines that use each other, some of them themselves."""
    names = [f"d{number}" for number in range(random.choice((1, 2, 5, 30)))]
    data["define"] = {
        name: {"steps": [{"use": random.choice(names)} for _ in range(random.randint(1, 8))]} for name in names
    }
    data["define"][names[-1]] = {
        "parameters": {"wait": random.choice(("1 h", None, 3))},
        "steps": [{"rest": {"duration": "$wait"}}],
    }
    if isinstance(data.get("steps"), list):
        data["steps"].append(
            {"use": random.choice((names[0], {names[0]: {"wait": "2 h"}}, {names[-1]: {"wait": "$wait"}}))}
        )


_OF_DATA: tuple[Callable[[dict[str, Any], Random], None], ...] = (
    _remove,
    _double,
    _rename,
    _quantity,
    _quantity,
    _quantity,
    _replace,
    _swap,
    _nest,
    _defined,
)


def _dump(node: Any, indent: int = 0) -> list[str]:
    """Write data as YAML; very deep ones in brackets."""
    pad = "  " * indent
    if isinstance(node, dict) and node and indent < 60:
        lines = []
        for key, value in node.items():
            name = _plain(str(key).rstrip("\0"))
            if isinstance(value, (dict, list)) and value:
                lines += [f"{pad}{name}:", *_dump(value, indent + 1)]
            else:
                lines.append(f"{pad}{name}: {_plain(value)}")
        return lines
    if isinstance(node, list) and node and indent < 60:
        lines = []
        for value in node:
            if isinstance(value, (dict, list)) and value:
                inner = _dump(value, indent + 1)
                lines += [
                    f"{pad}- {inner[0].lstrip()}" if not inner[0].lstrip().startswith("- ") else f"{pad}-",
                    *inner[1:],
                ]
                if lines[-len(inner)] == f"{pad}-":
                    lines.insert(len(lines) - len(inner) + 1, inner[0])
            else:
                lines.append(f"{pad}- {_plain(value)}")
        return lines
    return [pad + _plain(node)]


def _plain(value: Any) -> str:
    if isinstance(value, str):
        simple = re.fullmatch(r"[A-Za-z0-9$.+-][A-Za-z0-9 ./%$_,+-]*", value) and value == value.strip()
        return value if simple else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def run(files: int, seed: int, most_findings: int = 20) -> Tally:
    """Judge so many mutated protocols."""
    tally = Tally()
    for number in range(files):
        text = mutated(Random(f"{seed}/{number}"))
        begun = time.process_time()
        outcome = judge(text)
        took = time.process_time() - begun
        if took > LONGEST:
            outcome = f"finding: {took:.1f} s for one file"
        tally.files += 1
        tally.slowest = max(tally.slowest, took)
        tally.outcomes[outcome.partition(":")[0]] += 1
        if outcome.startswith("finding") and len(tally.findings) < most_findings:
            tally.findings.append(f"seed {seed}/{number}: {outcome}")
    return tally


def main() -> int:
    """Judge many and print a summary."""
    parser = argparse.ArgumentParser(description="Mutated protocols: refused or sound, never anything else.")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    shares = 4 * chosen.jobs
    sizes = [chosen.files // shares + (number < chosen.files % shares) for number in range(shares)]
    total = Tally()
    begun = time.monotonic()
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for tally in pool.map(run, sizes, [chosen.seed * 1000 + number for number in range(shares)]):
            total += tally
    print(f"{total.files} files in {time.monotonic() - begun:.0f} s, the slowest took {total.slowest:.2f} s")
    for outcome, count in total.outcomes.most_common():
        print(f"  {outcome:<45}{count:>8}")
    for finding in total.findings:
        print(finding)
    return 1 if total.findings else 0


if __name__ == "__main__":
    sys.exit(main())
