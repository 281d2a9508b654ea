"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from labctl.errors import DataError


def put(path: Path, content: bytes) -> Path:
    """Write beside ``path`` and rename, so that a reader never sees half a file, nor a kill leaves one.

    Raises
    ------
    DataError
        If that fails; what was there before is still there.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror or error})",
                        hint="is there room, and is it open in another program?") from error  # fmt: skip
    return path


def made(folder: Path) -> Path:
    """Make a folder.

    Raises
    ------
    DataError
        If that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror or error})") from error
    return folder


def remove(paths: Iterable[Path]) -> None:
    """Remove files that may be there.

    Raises
    ------
    DataError
        If that fails: what they say does not belong to what stands beside them.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{path}: is of an earlier analysis and cannot be removed ({error.strerror or error})",
                            hint="is it open in another program?") from error  # fmt: skip
