"""The file of a calibration: YAML or JSON that ``soc_factor`` of a cell can name.

    labctl: 1
    calibration: probe-2025-03
    source: foil and deposited lithium against NMC622, static probe, March 2025
    points:
      - {soc: 0.0, factor: 1.082, shift_ppm: -3.4}
      - {soc: 1.0, factor: 1.0, shift_ppm: 0.0}
    covariance: [[3.6e-05, 0.0], [0.0, 0.0]]
    width_cap_ppm: 14.0

``sd`` at a point may stand for the covariance where the points are independent.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from labctl.analysis.factor import FactorCurve
from labctl.errors import InvalidFile, Mistake

_KEYS: Final = {"labctl", "calibration", "source", "points", "covariance", "width_cap_ppm", "evaluated"}
_POINT: Final = {"soc", "factor", "sd", "shift_ppm"}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration series gave.

    Attributes
    ----------
    curve : FactorCurve
        f over the state of charge with its covariance, shifts of the windows and width cap.
    scatter : float
        Relative deviation of a point beyond its own, from repeats: insertion and amount of lithium.
    points : int
        How many spectra it rests on.
    without_electrode : tuple of float or None
        The factor without any positive electrode and its deviation, where that was measured.
    flags : tuple of str
        What a user must know.
    """

    curve: FactorCurve
    scatter: float = 0.0
    points: int = 0
    without_electrode: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()


def save(calibration: Calibration, path: Path) -> Path:
    """Write a calibration; as JSON where the name ends so, else as YAML. An existing file is replaced whole."""
    curve = calibration.curve
    points: list[dict[str, float]] = [
        {"soc": soc, "factor": factor} for soc, factor in zip(curve.soc, curve.factor, strict=True)
    ]
    for point, shift in zip(points, curve.shift_ppm, strict=False):
        point["shift_ppm"] = shift
    document: dict[str, Any] = {
        "labctl": 1,
        "calibration": curve.id,
        "source": curve.source,
        "points": points,
        "covariance": [list(row) for row in curve.covariance],
    }
    if curve.width_cap_ppm is not None:
        document["width_cap_ppm"] = curve.width_cap_ppm
    document["evaluated"] = {"spectra": calibration.points, "scatter": calibration.scatter,
                             "flags": [str(text) for text in calibration.flags]}  # fmt: skip
    if calibration.without_electrode is not None:
        document["evaluated"]["without_electrode"] = list(calibration.without_electrode)
    text = _as_json(document) if path.suffix == ".json" else _as_yaml(document)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def load(path: Path) -> Calibration:
    """Read a calibration.

    Raises
    ------
    InvalidFile
        All that is wrong with it, with line and column.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document = YAML().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidFile(
            [Mistake(str(path), 1, 1, f"cannot be read ({error})", "give a calibration's file")]
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise InvalidFile(
            [Mistake(str(path), line, column, f"not YAML ({error})".split("\n")[0], "correct it")]
        ) from error
    return _Reader(path).calibration(document)


class _Reader:
    """Collects every mistake of a file before it gives up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mistakes: list[Mistake] = []
        self._order: list[int] = []

    def calibration(self, document: Any) -> Calibration:
        if not isinstance(document, Mapping):
            self._wrong(None, None, "no calibration stands here", "keys labctl, calibration, source, points")
            raise InvalidFile(self._mistakes)
        for key in document:
            if key not in _KEYS:
                self._wrong(document, key, f"unknown key {key!r}", f"one of {', '.join(sorted(_KEYS))}")
        if document.get("labctl") != 1:
            self._wrong(document, "labctl", f"labctl is {document.get('labctl')!r}", "labctl: 1")
        names = {}
        for key in ("calibration", "source"):
            value = document.get(key)
            names[key] = value if isinstance(value, str) and value else ""
            if not names[key]:
                self._wrong(document, key, f"{key} is {value!r}", f"{key} in words")
        soc, factor, variance, shifts = self._points(document)
        covariance = self._covariance(document, len(soc), variance)
        cap = None
        if document.get("width_cap_ppm") is not None:
            cap = self._number(document, "width_cap_ppm", 0.0, 1e3)
        if self._mistakes:
            raise InvalidFile(self._mistakes)
        curve = FactorCurve(soc, factor, covariance, names["source"], names["calibration"], shifts, cap)
        told = document.get("evaluated")
        told = told if isinstance(told, Mapping) else {}
        without: Any = told.get("without_electrode")
        return Calibration(
            curve,
            float(told.get("scatter") or 0.0),
            int(told.get("spectra") or 0),
            (float(without[0]), float(without[1])) if isinstance(without, list) else None,
            tuple(str(text) for text in told.get("flags") or ()),
        )

    def _points(
        self, document: Mapping[str, Any]
    ) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        points = document.get("points")
        if not isinstance(points, list) or len(points) < 2 or not all(isinstance(one, Mapping) for one in points):
            self._wrong(document, "points", "no list of points", "at least two points {soc, factor}")
            return (), (), (), ()
        rows = []
        for one in points:
            for key in one:
                if key not in _POINT:
                    self._wrong(one, key, f"unknown key {key!r}", f"one of {', '.join(sorted(_POINT))}")
            sd = self._number(one, "sd", 0.0, 0.5) if "sd" in one else 0.0
            shift = self._number(one, "shift_ppm", -100.0, 100.0) if "shift_ppm" in one else None
            rows.append((self._number(one, "soc", 0.0, 1.0), self._number(one, "factor", 0.5, 2.0), sd**2, shift))
        self._order = sorted(range(len(rows)), key=lambda index: rows[index][0])
        rows = [rows[index] for index in self._order]
        soc = tuple(row[0] for row in rows)
        if len(set(soc)) < len(soc):
            self._wrong(document, "points", "a state of charge stands there twice", "each once")
        elif 1.0 not in soc:
            self._wrong(document, "points", "no factor of a full electrode", "a point {soc: 1.0, factor: 1.0}")
        shifts = tuple(row[3] for row in rows if row[3] is not None)
        if len(shifts) not in (0, len(rows)):
            self._wrong(document, "points", "shift_ppm is missing at some points", "shift_ppm at all points or at none")
        return soc, tuple(row[1] for row in rows), tuple(row[2] for row in rows), shifts

    def _covariance(
        self, document: Mapping[str, Any], count: int, variance: tuple[float, ...]
    ) -> tuple[tuple[float, ...], ...]:
        given = document.get("covariance")
        if not count:
            return ()
        if given is None:
            return tuple(tuple(v if i == j else 0.0 for j in range(count)) for i, v in enumerate(variance))
        try:
            rows = tuple(tuple(float(value) for value in row) for row in given)
        except (TypeError, ValueError):
            rows = ()
        square = len(rows) == count and all(len(row) == count for row in rows)
        if not square or not all(math.isfinite(value) for row in rows for value in row) or not _possible(rows):
            self._wrong(document, "covariance", "no covariance of the points",
                        f"{count} rows of {count} numbers, symmetric, none negative on the diagonal")  # fmt: skip
            return ()
        return tuple(tuple(rows[i][j] for j in self._order) for i in self._order)

    def _number(self, where: Mapping[str, Any], key: str, low: float, high: float) -> float:
        value = where.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self._wrong(where, key, f"{key} is {value!r}", f"a number from {low:g} to {high:g}")
        return low

    def _wrong(self, where: Any, key: str | None, found: str, right: str) -> None:
        line, column = 0, 0
        mark = getattr(where, "lc", None)
        if mark is not None:
            line, column = mark.key(key) if key in where and key in mark.data else (mark.line, mark.col)
        self._mistakes.append(Mistake(str(self._path), line + 1, column + 1, found, right))


def _possible(rows: tuple[tuple[float, ...], ...]) -> bool:
    """Whether a matrix is symmetric and no deviation of any direction is imaginary."""
    import numpy as np

    matrix = np.array(rows)
    scale = float(np.abs(matrix).max()) if matrix.size else 0.0
    return bool(np.allclose(matrix, matrix.T, atol=1e-9 * scale) and np.linalg.eigvalsh(matrix).min() >= -1e-9 * scale)


def _as_json(document: Mapping[str, Any]) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _as_yaml(document: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    writer = YAML()
    writer.default_flow_style = None
    writer.width = 110
    writer.dump(document, buffer)
    return buffer.getvalue()
