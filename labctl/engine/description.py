"""What every bundle says of its operation: who, what, when, on which instrument, asked and answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.engine.bench import Bench
from labctl.instruments import Fetched
from labctl.journal import OperationRow, Status


def describe(
    row: OperationRow, bench: Bench, instrument: str, mode: str, asked: Mapping[str, Any], fetched: Fetched, ended: str
) -> dict[str, Any]:
    """Give the fields of ``labctl.operation/1`` that all kinds of operation share.

    Parameters
    ----------
    row : OperationRow
        The operation as the journal has it.
    bench : Bench
        Knows who the instrument said it is.
    instrument : str
        The station's name of it.
    mode : str
        ``live``, ``simulated`` or ``mixed``.
    asked : mapping
        The request in SI.
    fetched : Fetched
        What the driver brought.
    ended : str
        UTC time at which the instrument was seen to have ended.
    """
    identity = bench.identities[instrument]
    who = {
        "name": instrument,
        "driver": bench.entries[instrument]["driver"],
        "vendor": identity.vendor,
        "model": identity.model,
        "serial": identity.serial,
        "firmware": identity.firmware,
        "address": identity.address,
    }
    return _shared(row, who, mode, asked, fetched, ended)


def describe_by_hand(
    row: OperationRow, mode: str, asked: Mapping[str, Any], fetched: Fetched, ended: str
) -> dict[str, Any]:
    """Give the same fields for what a person did, or nobody had to do."""
    nothing = dict.fromkeys(("vendor", "model", "serial", "firmware", "address"), "")
    return _shared(row, {"name": "operator", "driver": "by hand", **nothing}, mode, asked, fetched, ended)


def _shared(
    row: OperationRow, who: Mapping[str, Any], mode: str, asked: Mapping[str, Any], fetched: Fetched, ended: str
) -> dict[str, Any]:
    return {
        "operation": row.operation,
        "campaign": row.campaign,
        "cell": row.cell,
        "group": None,
        "cycle": 0,
        "step": row.step,
        "attempt": row.attempt,
        "kind": row.kind,
        "label": None,
        "mode": mode,
        "token": row.token,
        "requested": row.times.get(Status.REQUESTED),
        "started": row.times.get(Status.RUNNING),
        "ended": ended,
        "instrument": dict(who),
        "asked": dict(asked),
        "sent": dict(fetched.sent),
        "read_back": dict(fetched.read_back),
        "summary": dict(fetched.summary),
        "warnings": list(fetched.warnings),
        "flags": [],
        "reference": None,
        "nutation": None,
    }
