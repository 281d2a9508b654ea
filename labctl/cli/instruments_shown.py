"""How a check of instruments is shown: a table of all, then each in full, as wide as the terminal; or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from labctl.cli.instruments_check import Check, Checked
from labctl.cli.output import console, put_json
from labctl.errors import InstrumentError, Locked
from labctl.instruments import Inspection

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

SCHEMA: Final = "labctl.instruments/1"
#: Columns of the names of facts, at most.
_KEY: Final = 22
#: Under these each instrument may tell several things.
_SEVERAL: Final = ("UNSAFE", "unverified")


def put_check(found: Check) -> None:
    """Print as ``labctl.instruments/1``."""
    put_json(
        {
            "schema": SCHEMA,
            "station": found.station,
            "mode": found.mode,
            "simulated_here": found.simulated,
            "exercised": found.exercised,
            "instruments": [_entry(one) for one in found.instruments],
        }
    )


def _entry(one: Checked) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": one.name, "ok": one.error is None, "role": one.role, "driver": one.driver}
    entry["address"] = one.address if one.identity is None else one.identity.address
    if one.error is not None:
        address = one.error.address if isinstance(one.error, InstrumentError) else ""
        entry |= {"category": one.error.category, "address": address or entry["address"], "error": str(one.error)}
    if one.identity is not None:
        told = one.identity
        entry |= {"vendor": told.vendor, "model": told.model, "serial": told.serial, "firmware": told.firmware}
        entry["details"] = dict(told.details)
    if one.inspection is not None:
        entry |= {
            "facts": dict(one.inspection.facts),
            "safety": dict(one.inspection.safety),
            "clock_offset_s": one.inspection.clock_offset,
            "unsafe": list(one.inspection.unsafe),
            "unverified": list(one.inspection.unverified),
        }
    return entry


def show_check(found: Check) -> None:
    """Print for a person; what went wrong is said on stderr by who called."""
    from rich.text import Text

    out = console()
    mode = found.mode.upper()
    where = ", the laboratory simulated here" if found.simulated else ""
    did = "exercised" if found.exercised else "read only"
    out.print(Text.assemble((mode, "bold"), f"{where}  station {found.station}  {did}"))
    out.print(_summary(found.instruments))
    for one in found.instruments:
        if one.identity is not None:
            out.print(Text(one.name, style="bold"))
            out.print(_details(one))
            out.print()
    unsafe = [one.name for one in found.instruments if one.inspection is not None and one.inspection.unsafe]
    if unsafe:
        out.print(Text(f"unsafe as it is now: {', '.join(unsafe)}", style="red"))


def _summary(checked: Sequence[Checked]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("instrument", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("answer")
    for head in ("clock", "unsafe", "unverified"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in checked:
        name = "" if one.identity is None else f"{one.identity.vendor} {one.identity.model}".strip()
        told = one.inspection or Inspection()
        counts = [str(len(told.unsafe)), str(len(told.unverified))] if one.inspection is not None else ["–", "–"]
        unsafe = Text(counts[0], style="red" if told.unsafe else "")
        table.add_row(one.name, name or one.role or one.driver, _answer(one), _offset(told), unsafe, counts[1])
    return table


def _answer(one: Checked) -> Text:
    from rich.text import Text

    if one.error is None:
        return Text("✓ well", style="green")
    if isinstance(one.error, Locked):
        return Text("– in use", style="yellow")
    # What is no fault of the wire or the instrument is one of its entry in the station file, or of its driver.
    said = one.error.category if type(one.error) is not InstrumentError else "not set up"
    return Text(f"✗ {said}", style="red")


def _offset(told: Inspection) -> str:
    return "–" if told.clock_offset is None else f"{_rounded(told.clock_offset):+.1f} s"


def _rounded(seconds: float) -> float:
    return round(seconds, 1) + 0.0  # no minus before a zero


def _details(one: Checked) -> Padding:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    lines = list(_lines(one))
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(width=min(_KEY, max(len(key) for key, _, _ in lines)))
    table.add_column(overflow="fold", ratio=1)
    before = ""
    for key, value, style in lines:
        # What there are several of is named once, and each begins with a mark.
        told = _marked(value, style) if key in _SEVERAL else Text(value, style=style)
        table.add_row(Text("" if key == before else key, style=style), told)
        before = key
    return Padding(table, (0, 0, 0, 2))


def _marked(value: str, style: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    item = Table.grid(padding=(0, 1), pad_edge=False)
    item.add_column(width=1)
    item.add_column(overflow="fold", ratio=1)
    item.add_row(Text("·", style=style), Text(value, style=style))
    return item


def _lines(one: Checked) -> Iterator[tuple[str, str, str]]:
    if one.identity is None:
        return
    told = one.inspection or Inspection()
    named = {"serial": one.identity.serial, "firmware": one.identity.firmware, "address": one.identity.address}
    # What is told anew is newer than what connecting told.
    newer = {_plain(key) for key in (*told.facts, *told.safety)}
    known = {key: value for key, value in one.identity.details.items() if _plain(key) not in newer}
    shown: Mapping[str, str] = {**named, **known, **told.facts}
    yield from ((key, value, "") for key, value in shown.items() if value)
    if told.clock_offset is not None:
        offset = _rounded(told.clock_offset)
        yield "clock", f"{abs(offset):.1f} s {'behind' if offset < 0 else 'ahead of'} this PC's", ""
    yield from ((key, value, "cyan") for key, value in told.safety.items())
    yield from ((_SEVERAL[0], text, "red") for text in told.unsafe)
    yield from ((_SEVERAL[1], text, "dim") for text in told.unverified)


def _plain(key: str) -> str:
    return key.replace("_", " ").replace("-", " ")
