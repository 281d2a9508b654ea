"""Pieces of an HTML page that opens offline: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

_CSS = """
:root{--ink:#1b1b1b;--dim:#5a5a5a;--line:#d5d5d5}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem;color:var(--ink);background:#fff;
 font:15px/1.5 system-ui,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:2px solid var(--line)}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
.badge{display:inline-block;padding:.15rem .7rem;border-radius:1rem;color:#fff;font-weight:700;letter-spacing:.04em}
.simulated{background:#7a3e00}.live{background:#00543d}
p.dim,li.dim{color:var(--dim)}
figure{margin:.6rem 0;break-inside:avoid}img{max-width:100%;height:auto;display:block}
figcaption{color:var(--dim);font-size:.88rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem;font-variant-numeric:tabular-nums;break-inside:avoid}
th,td{padding:.22rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{border-bottom:2px solid #999;font-weight:600}
ul{padding-left:1.2rem}li{margin:.15rem 0}
.flag{border-left:4px solid #e69f00;padding:.15rem .7rem;margin:.25rem 0;background:#fff8e8}
@media print{body{max-width:none;padding:0;font-size:11px}h2{break-after:avoid}section.cell{break-inside:avoid}
 .badge,.flag{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def page(title: str, mode: str, body: Sequence[str]) -> str:
    """Give a whole document; the mode is in its title and its head."""
    badge = f'<span class="badge {"live" if mode == "live" else "simulated"}">{escape(mode.upper())}</span>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)} ({escape(mode.upper())})</title><style>{_CSS}</style></head>\n"
        f"<body><p>{badge}</p><h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table; the first column names the rows."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def picture(svg: bytes, alternative: str, caption: str) -> str:
    """Give a figure whose picture is in the page itself."""
    source = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><img alt="{escape(alternative, quote=True)}" src="data:image/svg+xml;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def heading(text: str, level: int = 2) -> str:
    """Give a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def flags(texts: Sequence[str]) -> str:
    """Give what a reader must see before believing the numbers."""
    return "".join(f'<p class="flag">⚠ {escape(text)}</p>' for text in texts)


def bullets(texts: Sequence[str]) -> str:
    """Give a list of remarks."""
    return "<ul>" + "".join(f'<li class="dim">{escape(text)}</li>' for text in texts) + "</ul>"


def paragraph(text: str) -> str:
    """Give a paragraph."""
    return f"<p>{escape(text)}</p>"
