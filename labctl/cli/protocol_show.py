"""``labctl protocol show``: a protocol's datasheet, as Markdown on stdout or as a page that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from labctl.cli.datasheet import Datasheet, datasheet_of
from labctl.cli.diagram import mermaid, svg
from labctl.cli.output import put, say
from labctl.cli.protocol_files import values_of
from labctl.cli.sketched import Asked, SketchedCell, plan_cell
from labctl.errors import UsageError
from labctl.protocol import load_protocol

# Nobody's cell: what a protocol needs to be expanded. Its currents are not shown.
_NOBODY = SketchedCell("any cell", 1e-4, 3.6, 1e-6)


def show_protocol(file: Path, asked: Asked, values: Sequence[str] | None, *, html: Path | None) -> None:
    """Write the datasheet.

    Raises
    ------
    InvalidFile
        The protocol has mistakes.
    UsageError
        The page is there already.
    """
    protocol = load_protocol(file, values_of(values))
    sketched = asked.cells is None and asked.area is None
    cell = _NOBODY if sketched else plan_cell(protocol, asked)[0]
    sheet = datasheet_of(protocol, cell, sketched=sketched)
    if html is None:
        put(as_markdown(sheet))
        return
    if html.exists():
        raise UsageError(f"{html} is there already", hint="name a new file; nothing was written")
    try:
        html.write_text(as_page(sheet), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{html} cannot be written: {error.strerror or error}") from None
    say(f"wrote {html}")


def as_markdown(sheet: Datasheet) -> str:
    """Give the datasheet as Markdown, with the diagram as Mermaid."""
    lines = [f"# {sheet.name}", ""]
    if sheet.cites:
        lines += [f"After {sheet.cites}", ""]
    lines += [f"- {_markdown(name)}: {_markdown(value)}" for name, value in sheet.facts]
    for table in (*sheet.steps, *sheet.spectra):
        lines += ["", f"## {table.caption}", "", f"| {' | '.join(table.heads)} |", f"|{'---|' * len(table.heads)}"]
        lines += [f"| {' | '.join(map(_markdown, row))} |" for row in table.rows]
    lines += ["", "## Where a cell can be", "", "```mermaid", mermaid(sheet.graph), "```", ""]
    lines += [f"- {_markdown(note)}" for note in sheet.notes]
    return "\n".join(lines)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def as_page(sheet: Datasheet) -> str:
    """Give the datasheet as one file of HTML that fetches nothing, in the look of the reports."""
    from labctl.analysis.page import Column, Html, Notes, bullets, facts, heading, page, paragraph, table

    notes = Notes()
    body: list[str] = [paragraph(f"After {sheet.cites}")] if sheet.cites else []
    body.append(facts([(name, "", value) for name, value in sheet.facts], "The protocol", notes))
    for title, tables in (("Steps", sheet.steps), ("Spectra", sheet.spectra)):
        body += [heading(title)] if tables else []
        body += [table([Column(head) for head in one.heads], one.rows, one.caption, notes) for one in tables]
    body.append(heading("Where a cell can be"))
    body.append(Html(f"<figure>{svg(sheet.graph)}</figure>"))
    body.append(bullets(sheet.notes))
    body.append(heading("The same diagram as Mermaid text", 3))
    body.append(Html(f"<pre>{escape(mermaid(sheet.graph))}</pre>"))
    return page(sheet.name, "protocol", body)
