"""Figures as files: all formats of a figure are written, or none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from labctl.analysis.style import PRINT
from labctl.errors import DataError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What a figure can be written as: lines and letters that stay editable, the same for print, and dots.
FORMATS: Final = ("svg", "pdf", "png")
_DPI: Final = 300


def save(figure: Figure, path_without_suffix: Path, formats: Sequence[str] = FORMATS) -> tuple[Path, ...]:
    """Write a figure, whole or not at all.

    Letters of the PDF are embedded as TrueType fonts, those of the SVG stay text. The same figure gives the same
    bytes.

    Parameters
    ----------
    figure : Figure
        As the functions of this package give it.
    path_without_suffix : Path
        The suffix of each format is added; folders are made.
    formats : sequence of str
        Of ``svg``, ``pdf`` and ``png`` (300 dots per inch).

    Returns
    -------
    tuple of Path
        What was written, in the order of ``formats``.

    Raises
    ------
    UsageError
        If a format is unknown. Nothing has been written.
    DataError
        If the folder does not take the files. None is left there in part.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"figures cannot be written as {', '.join(unknown) or 'nothing'}; {', '.join(FORMATS)} can be")
    target = Path(path_without_suffix)
    contents = {target.with_name(f"{target.name}.{name}"): rendered(figure, name) for name in dict.fromkeys(formats)}
    before: dict[Path, bytes | None] = {}
    replaced: list[Path] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            _beside(path).write_bytes(content)
        for path in contents:
            before[path] = path.read_bytes() if path.exists() else None
            _beside(path).replace(path)
            replaced.append(path)
    except OSError as error:
        # A picture that is open in a viewer cannot be replaced on Windows: then its companions stay as they were.
        for path in contents:
            _beside(path).unlink(missing_ok=True)
        for path in replaced:
            _put_back(path, before[path])
        raise DataError(f"{target.parent}: the figure {target.name} cannot be written ({error})") from error
    return tuple(contents)


def rendered(figure: Figure, name: str) -> bytes:
    """Give the bytes of a figure in one of :data:`FORMATS`."""
    import matplotlib as mpl

    mode = str(figure.get_label()).upper()
    said: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Keywords": [mode]},
        "pdf": {"CreationDate": None, "ModDate": None, "Keywords": mode},
        "png": {"Software": None, "Description": mode},
    }
    # Letters of an SVG are put together as text: encoding each few of them takes a tenth of its time.
    buffer = io.StringIO() if name == "svg" else io.BytesIO()
    with mpl.rc_context(PRINT):
        figure.savefig(buffer, format=name, dpi=_DPI, metadata=said[name])
    found = buffer.getvalue()
    return found.encode("utf-8") if isinstance(found, str) else found


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        _beside(path).write_bytes(content)
        _beside(path).replace(path)
