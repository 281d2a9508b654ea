"""How the documentation becomes pages that open offline: ``python -m sphinx -W -b html docs build/docs``.

The language reference is written anew at every build, from the models themselves. Nothing is fetched from a network.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / folder) for folder in (".", "drivers", "simulators")]

from labctl.protocol.language import language_reference  # noqa: E402 - only now is a checkout found

project = "labctl"
copyright = "the labctl authors"
extensions = ["myst_parser"]
myst_heading_anchors = 4
# A page of decisions is no part of the way through the documentation, but can be searched.
exclude_patterns = ["build"]
html_theme = "furo"
html_title = "labctl"
html_show_sphinx = False
html_copy_source = False

reference = HERE / "reference" / "language.md"
text = language_reference() + "\n"
if not reference.exists() or reference.read_text(encoding="utf-8") != text:
    reference.parent.mkdir(exist_ok=True)
    reference.write_text(text, encoding="utf-8")
