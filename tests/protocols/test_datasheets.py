"""Every shipped protocol has a datasheet: a page that opens offline, with the steps that its cells go through."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from labctl.cli.app import run_app
from labctl.protocol import shipped

#: What shipped protocols leave to be said.
SAID = {"nmc-lithium": ("--set", "rate=0.2C")}


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_every_shipped_protocol_has_a_page_that_opens_offline(tmp_path, path):
    page = tmp_path / "sheet.html"
    assert run_app(["protocol", "show", str(path), "--html", str(page), *SAID.get(path.stem, ())]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    # Nothing but the name of the SVG's own vocabulary looks like an address.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    words = {"".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"under way", "held", "finished", "stopped", "aborted"} <= words
    assert all(name in words for name in re.findall(r'state "([^"]+)" as s\d', text.replace("&quot;", '"')))
