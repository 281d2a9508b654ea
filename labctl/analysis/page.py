"""Pieces of an HTML page that opens offline: one file, no script, nothing fetched from anywhere.

Explanations are numbered notes at the end of the page, so they work without a script and stay readable in print.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from labctl.analysis.pages.explained import EXPLAINED
from labctl.analysis.pages.looks import CSS
from labctl.analysis.pages.numbers import Missing


class Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


#: Tables of so many rows are not broken between printed pages.
_SHORT: Final = 16

#: What may stand in a cell of a table.
Content = str | Missing


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column: what, in which unit, and the explanation's key; without these it holds words.

    ``numbers`` is for a column whose units and explanations stand in the heads of its rows.
    """

    label: str
    unit: str = ""
    why: str = ""
    numbers: bool = False

    @property
    def kind(self) -> str:
        """Words wrap and stand left; numbers stay in one line and stand right."""
        return "" if self.unit or self.why or self.numbers else ' class="words"'


@dataclass
class Notes:
    """The explanations that a page has used, in the order of their first use."""

    used: list[str] = field(default_factory=list)

    def mark(self, key: str) -> Html:
        """Give the link from a number to how it was got."""
        if key not in self.used:
            self.used.append(key)
            anchor = f' id="at-{key}"'
        else:
            anchor = ""
        at = self.used.index(key) + 1
        title = escape(EXPLAINED[key].title, quote=True)
        return Html(f'<sup><a class="why"{anchor} href="#why-{key}" title="How it was got: {title}">[{at}]</a></sup>')

    def named(self, text: str, key: str) -> Html:
        """Give a name and the link to its explanation."""
        return Html(f"{escape(text)}{self.mark(key)}")

    def listed(self) -> Html:
        """Give all explanations that were used."""
        lines = []
        for key in self.used:
            one = EXPLAINED[key]
            formula = f'<br/><span class="formula">{escape(one.formula)}</span>' if one.formula else ""
            source = f' <span class="source">Source: {escape(one.source)}</span>' if one.source else ""
            lines.append(
                f'<li id="why-{key}"><b>{escape(one.title)}.</b> {escape(one.text)}{formula}{source} '
                f'<a class="back" href="#at-{key}" title="back to the number">↩</a></li>'
            )
        return Html(f'<ol class="notes">{"".join(lines)}</ol>')


def shown(content: str) -> str:
    """Give markup: as it is where it is markup, escaped where it is text."""
    return content if isinstance(content, Html) else escape(content)


def page(title: str, mode: str, body: Sequence[str]) -> str:
    """Give a whole document; the mode is in its title and its head."""
    badge = f'<span class="badge {"live" if mode == "live" else "simulated"}">{escape(mode.upper())}</span>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<link rel="icon" href="data:,"/>'
        f"<title>{escape(title)} ({escape(mode.upper())})</title><style>{CSS}</style></head>\n"
        f"<body><header><p>{badge}</p><h1>{escape(title)}</h1></header>\n<main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def table(columns: Sequence[Column], rows: Sequence[Sequence[Content]], caption: str, notes: Notes) -> Html:
    """Give a table; the first column names the rows. Below it stands why a number is missing."""
    reasons: list[str] = []

    def cell(content: Content) -> str:
        if not isinstance(content, Missing):
            return shown(content)
        if content.reason not in reasons:
            reasons.append(content.reason)
        return f"{escape(content.shown)}<sup>{letter(reasons.index(content.reason))}</sup>"

    top = "".join(f'<th scope="col"{one.kind}>{_head(one, notes)}</th>' for one in columns)
    lines = []
    for name, *rest in rows:
        values = "".join(f"<td{column.kind}>{cell(one)}</td>" for column, one in zip(columns[1:], rest, strict=True))
        lines.append(f'<tr><th scope="row">{cell(name)}</th>{values}</tr>')
    short = ' class="short"' if len(rows) <= _SHORT else ""
    below = "".join(
        f'<p class="missing"><sup>{letter(index)}</sup> {escape(reason)}</p>' for index, reason in enumerate(reasons)
    )
    return Html(
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption, quote=True)}"><table{short}>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>{below}"
    )


def letter(index: int) -> str:
    """Give a, b, … z, aa, ab, …"""
    first, last = divmod(index, 26)
    return (letter(first - 1) if first else "") + chr(ord("a") + last)


def _head(column: Column, notes: Notes) -> str:
    mark = notes.mark(column.why) if column.why else ""
    unit = f' <span class="unit">/\u00a0{escape(column.unit)}{mark}</span>' if column.unit else mark
    return f"{escape(column.label)}{unit}"


def facts(rows: Sequence[tuple[str, str, Content]], caption: str, notes: Notes) -> Html:
    """Give single numbers: name, key of the explanation (may be empty), and value with unit."""
    named = [(notes.named(name, key) if key else name, value) for name, key, value in rows]
    return table([Column("quantity"), Column("value")], named, caption, notes)


def picture(svg: bytes, alternative: str, caption: str) -> Html:
    """Give a figure whose picture is in the page itself."""
    source = base64.b64encode(svg).decode("ascii")
    return Html(
        f'<figure><img alt="{escape(alternative, quote=True)}" src="data:image/svg+xml;base64,{source}"/>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def heading(text: str, level: int = 2, anchor: str = "") -> Html:
    """Give a heading."""
    here = f' id="{escape(anchor, quote=True)}"' if anchor else ""
    return Html(f"<h{level}{here}>{escape(text)}</h{level}>")


def link(target: str, text: str, kind: str = "") -> Html:
    """Give a link; the target is encoded already."""
    name = f' class="{kind}"' if kind else ""
    return Html(f'<a{name} href="{escape(target, quote=True)}">{escape(text)}</a>')


def flags(texts: Sequence[str]) -> Html:
    """Give what a reader must see before believing the numbers."""
    return Html("".join(f'<p class="flag">⚠ {escape(text)}</p>' for text in texts))


def bullets(texts: Sequence[str]) -> Html:
    """Give a list of remarks."""
    return Html("<ul>" + "".join(f'<li class="dim">{shown(text)}</li>' for text in texts) + "</ul>" if texts else "")


def paragraph(text: str) -> Html:
    """Give a paragraph."""
    return Html(f"<p>{shown(text)}</p>")
