"""The text export that the tester writes for each test: tab-separated, CRLF, times in decimal seconds.

Known: headings, columns, codes and state letters, from exported files. Guessed: number of decimals, and that the
export grows with the test.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

_COLUMNS: Final = (
    ["Rec#", "Cyc#", "Step", "Test (Sec)", "Step (Sec)", "Amp-hr", "Watt-hr", "Amps", "Volts", "State", "ES"]
    + ["DPt Time", "Loop1", "Loop2", "Loop3", "Loop4", "ACImp/Ohms", "DCIR/Ohms"]
    + ["WF Chg Cap", "WF Dis Cap", "WF Chg E", "WF Dis E", "Range"]
    + [f"VAR{number}" for number in range(1, 16)]
)
_UNUSED: Final = "\t".join(["0.0000000", "0.0000000", "N/A", "N/A", "N/A", "N/A"])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def heading(file: Path, began: datetime, today: datetime, procedure: str, comment: str) -> str:
    """First two lines of a file."""
    date = "%m/%d/%Y"
    first = (
        f"Today's Date {today.strftime(date)}  Date of Test:\t{began.strftime(date)}\t Filename:\t{file.name}"
        f" Procedure: {procedure}.000\tComment/Barcode: {comment}"
    )
    return first + "\r\n" + "\t".join(_COLUMNS) + "\r\n"


def rows(
    first: int,
    cycle: int,
    step: int,
    letter: str,
    codes: Any,
    test_s: Any,
    step_s: Any,
    values: tuple[Any, Any, Any, Any],
    began: datetime,
    loops: tuple[int, int, int, int],
    scale: str,
) -> str:
    """Lines of records of one step.

    Parameters
    ----------
    first : int
        Number of the first.
    codes, test_s, step_s : array_like
        ES codes, seconds of the test and of the step.
    values : tuple of array_like
        Voltage (V), current (A, signed), charge of the step (C), energy of the step (J).
    began : datetime
        Instant at which the test's clock stood at zero.
    """
    voltage, current, charge, energy = values
    since = (began - _EPOCH) / timedelta(seconds=1)
    instants = np.floor(np.asarray(test_s, dtype=float) + since + 1e-6).astype(np.int64)
    days, seconds = np.divmod(instants, 86400)
    dates = {day: (_EPOCH + timedelta(days=day)).strftime("%m/%d/%Y") for day in np.unique(days).tolist()}
    tail = "\t".join([*map(str, loops), _UNUSED, scale or "4", *["0.0000000"] * 15])
    line = f"%d\t{cycle}\t{step}\t%.4f\t%.4f\t%.10f\t%.10f\t%.10f\t%.6f\t{letter}\t%d\t%s %02d:%02d:%02d\t{tail}\r\n"
    columns = [
        range(first, first + instants.size),
        np.asarray(test_s, dtype=float).tolist(),
        np.asarray(step_s, dtype=float).tolist(),
        (np.asarray(charge) / 3600.0).tolist(),
        (np.asarray(energy) / 3600.0).tolist(),
        np.asarray(current, dtype=float).tolist(),
        np.asarray(voltage, dtype=float).tolist(),
        np.asarray(codes).tolist(),
        [dates[day] for day in days.tolist()],
        (seconds // 3600).tolist(),
        (seconds // 60 % 60).tolist(),
        (seconds % 60).tolist(),
    ]
    return "".join([line % row for row in zip(*columns, strict=True)])
