"""EC-Lab's settings file ``.mps``: its text, and how a template saved in EC-Lab gives its form. Pure.

A file is Latin-1 text with CRLF: a head, then a block for each linked technique, whose rows are a label and a value of
20 characters each. Numbers carry the decimal mark of the PC that EC-Lab runs on. Where the station names a template,
its head, its labels and every value that labctl does not set are kept as EC-Lab has written them.

Source of labels, order and widths: files saved by EC-Lab 11.46 to 11.61 for VMP3, SP-150, SP-300, VSP-3e and MPG-2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.errors import DataError

MAGIC: Final = "EC-LAB SETTING FILE"
ENCODING: Final = "latin-1"
_WIDTH: Final = 20
_END: Final = "\r\n"
#: Lines of a head that are ours whatever a template says.
_OURS: Final = (
    "Number of linked techniques",
    "Filename",
    "Safety Limits",
    "Record Ece",
    "Cycle Definition",
    "Create one",
)
_TURNS: Final = ("Turn to OCV between techniques", "Do not turn to OCV between techniques")
#: Digits behind the decimal mark, at least and at most.
_FEWEST, _MOST = 3, 6


@dataclass(frozen=True, slots=True)
class Block:
    """A technique of a file.

    Attributes
    ----------
    name : str
        As EC-Lab calls it, such as ``Open Circuit Voltage``.
    rows : tuple of (str, str)
        Labels and values, in order.
    """

    name: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Safety:
    """Limits at which EC-Lab's firmware pauses the channel, whatever runs.

    Attributes
    ----------
    voltage_min, voltage_max : float
        Working electrode against reference, V.
    current : float
        Magnitude in A.
    delay : float
        s that it must last; 1 s at most.
    """

    voltage_min: float
    voltage_max: float
    current: float
    delay: float = 0.1


@dataclass(frozen=True, slots=True)
class Template:
    """A settings file taken apart: lines of its head, and its blocks by name."""

    head: tuple[str, ...]
    blocks: Mapping[str, Block]


def number(value: float, mark: str = ".") -> str:
    """Give a value with at least three digits behind the mark, and at most six."""
    text = f"{value:.{_MOST}f}"
    whole, _, digits = text.partition(".")
    digits = digits[:_FEWEST] + digits[_FEWEST:].rstrip("0")
    return f"{whole}{mark}{digits}"


def clock_text(seconds: float, mark: str = ".") -> str:
    """Give a duration as EC-Lab's ``h:m:s``, such as ``0:01:0.0000``."""
    ticks = round(seconds * 10_000)
    hours, rest = divmod(ticks, 36_000_000)
    minutes, rest = divmod(rest, 600_000)
    whole, fraction = divmod(rest, 10_000)
    return f"{hours}:{minutes:02d}:{whole}{mark}{fraction:04d}"


def parse(content: bytes, name: str) -> Template:
    """Take a settings file apart.

    Raises
    ------
    DataError
        It is none.
    """
    lines = content.decode(ENCODING).replace("\r\n", "\n").split("\n")
    if lines[0].strip() != MAGIC:
        raise DataError(f"{name}: is no settings file of EC-Lab, it does not begin with '{MAGIC}'")
    starts = [index for index, line in enumerate(lines) if line.startswith("Technique : ")]
    if not starts:
        raise DataError(f"{name}: has no technique")
    blocks: dict[str, Block] = {}
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        if start + 1 == end:
            raise DataError(f"{name}:{start + 1}: a technique without a name")
        title = lines[start + 1].strip()
        rows = [
            (line[:_WIDTH].strip(), line[_WIDTH : 2 * _WIDTH].strip())
            for line in lines[start + 2 : end]
            if line[:_WIDTH].strip()
        ]
        blocks.setdefault(title, Block(title, tuple(rows)))
    return Template(tuple(lines[1 : starts[0]]), blocks)


def fitted(block: Block, template: Template | None, wanted: Mapping[str, str]) -> Block:
    """Put the values of ``wanted`` into a block: the template's where it has this technique, else ``block`` itself.

    Raises
    ------
    DataError
        The template's technique has no row for a value that must be set.
    """
    given = block if template is None else template.blocks.get(block.name, block)
    labels = {label for label, _ in given.rows}
    missing = [label for label in wanted if label not in labels]
    if missing:
        raise DataError(
            f"the template's technique '{block.name}' has no row '{missing[0]}'",
            hint="save a template with three limits and two records in 'Modulo Bat', or none of this technique",
        )
    return Block(block.name, tuple((label, wanted.get(label, value)) for label, value in given.rows))


def document(
    blocks: Sequence[Block],
    *,
    path: str,
    device: str,
    voltage_range: tuple[float, float],
    safety: Safety | None,
    record_counter: bool,
    mark: str = ".",
    template: Template | None = None,
) -> bytes:
    """Give a whole file.

    Parameters
    ----------
    path : str
        Where it will lie, as its ``Filename`` says.
    device : str
        As EC-Lab calls the instrument; a template knows it better.
    voltage_range : tuple of float
        Control range, V.
    record_counter : bool
        Whether the counter electrode's voltage is recorded.
    mark : str
        Decimal mark.
    """
    head = _generated(device, voltage_range, mark) if template is None else _kept(template)
    limits = ["Safety Limits :"]
    if safety is not None:
        limits += [
            f"\tEwe min = {number(safety.voltage_min, mark)} V",
            f"\tEwe max = {number(safety.voltage_max, mark)} V",
            f"\t|I| = {number(safety.current * 1e3, mark)} mA",
            f"\tfor t > {number(safety.delay * 1e3, mark)} ms",
        ]
    limits.append("\tDo not start on E overload")
    lines = [MAGIC, "", f"Number of linked techniques : {len(blocks)}", ""]
    lines += [*_versions(head), f"Filename : {path}", ""]
    lines += [line for line in head if line.startswith(("Device", "CE vs", "Electrode conn", "Potential", "Ewe"))]
    lines += limits
    lines += [line for line in head if not line.startswith(("Device", "CE vs", "Electrode conn", "Potential", "Ewe"))]
    lines += ["Record Ece"] if record_counter else []
    lines += ["Cycle Definition : Charge/Discharge alternance", _TURNS[1], ""]
    for index, block in enumerate(blocks, start=1):
        lines += [f"Technique : {index}", block.name]
        lines += [f"{label.ljust(_WIDTH)}{value.ljust(_WIDTH)}" for label, value in block.rows]
        lines.append("")
    return _END.join(lines).encode(ENCODING)


def _versions(head: list[str]) -> list[str]:
    """Take the software's versions out of a head, as they stand before the file's name."""
    found = [line for line in head if line.startswith(("EC-LAB for", "Internet server", "Command interpretor"))]
    for line in found:
        head.remove(line)
    return [*found, ""] if found else []


def _generated(device: str, voltage_range: tuple[float, float], mark: str) -> list[str]:
    low, high = (f"{value:.2f}".replace(".", mark) for value in voltage_range)
    return [
        "EC-LAB for windows v11.61 (software)",
        "Internet server v11.61 (firmware)",
        "Command interpretor v11.61 (firmware)",
        f"Device : {device}",
        "CE vs. WE compliance from -10 V to 10 V",
        "Electrode connection : standard",
        "Potential control : Ewe",
        f"Ewe ctrl range : min = {low} V, max = {high} V",
        "Electrode material : ",
        "Initial state : ",
        "Electrolyte : ",
        "Comments : ",
        f"Electrode surface area : {number(0.001, mark)} cm²",
        f"Characteristic mass : {number(0.001, mark)} g",
        f"Volume (V) : {number(0.001, mark)} cm³",
    ]


def _kept(template: Template) -> list[str]:
    """Lines of a template's head that stay, without what belongs to its safety limits."""
    return [
        line
        for line in template.head
        if line.strip() and not line.startswith("\t") and not line.startswith(_OURS) and line not in _TURNS
    ]
