"""The pseudo procedure that a tester makes of an output of direct mode.

A constant current goes over into a constant voltage as its second step. Left out: control of power and of resistance;
each limits the current to what it allows at the voltage of the moment of the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from labctl_simulators.macnet.procedure import SCALES

_KINDS: Final = {"C": " Charge ", "D": "Dischrge", "R": "  Rest  "}
# A step needs an end: this one leads back to the step itself.
_FOREVER: Final = "99:00:00"
_LARGEST: Final = {"Current": SCALES["4"], "Voltage": 5.0, "Power": 27.5, "Resistance": 1e6}


def active(wanted: Mapping[str, Any], usable: tuple[str, ...]) -> dict[str, float]:
    """Give the set points that count: within the channel's range, and a resistance that is not zero."""
    points = {name: float(wanted[name]) for name in usable if 0 <= wanted[name] <= _LARGEST[name]}
    if points.get("Resistance") == 0:
        del points["Resistance"]
    return points


def content(asked: Sequence[Any], reports: Sequence[float], now: Mapping[str, float]) -> bytes:
    """Write the procedure.

    Parameters
    ----------
    asked : sequence
        Mode, range and the active set points.
    reports : sequence of float
        Increments that make a record: s, V, A; 0 for none.
    now : mapping
        What the channel reads: ``V`` and ``I``.
    """
    mode, scale, points = asked
    if mode == "R":
        return _procedure([_step(mode, {}, scale, reports, [_end("StepTime", " = ", 1, _FOREVER)])])
    current = min(points.get("Current", SCALES[scale]), SCALES[scale])
    if "Power" in points and now["V"] > 0:
        current = min(current, points["Power"] / now["V"])
    if "Resistance" in points and now["V"] > 0:
        current = min(current, now["V"] / points["Resistance"])
    again = _end("StepTime", " = ", 1, _FOREVER)
    flowing = now["I"] > 0 if mode == "C" else now["I"] < 0
    voltage = points.get("Voltage")
    if voltage is None or current == 0:
        return _procedure([_step(mode, {"Current": current}, scale, reports, [again])])
    beyond = now["V"] >= voltage if mode == "C" else now["V"] <= voltage
    if beyond and not flowing:
        # Charging can't bring a cell down to a voltage, nor discharging bring it up: nothing flows.
        return _procedure([_step(mode, {"Current": 0.0}, scale, reports, [again])])
    arrived = _end("Voltage", "&gt;= " if mode == "C" else "&lt;= ", 2, _plain(voltage))
    held = {"Voltage": voltage, "Current": current}
    back = [_end("StepTime", " = ", 2, _FOREVER)]
    return _procedure(
        [
            _step(mode, {"Current": current}, scale, reports, [arrived, again]),
            _step(mode, held, scale, reports, back),
        ]
    )


def _plain(value: float) -> str:
    return f"{value:.9f}"


def _end(what: str, operator: str, target: int, value: str) -> str:
    return (
        f"<EndEntry><EndType>{what:<8}</EndType><SpecialType> </SpecialType><Oper>{operator}</Oper>"
        f"<Step>{target:03d}</Step><Value>{value}</Value></EndEntry>"
    )


def _step(mode: str, levels: Mapping[str, float], scale: str, reports: Sequence[float], ends: list[str]) -> str:
    """One step; the first of its levels is what it controls, a second one limits."""
    (control, value), *limits = list(levels.items()) or [("", 0.0)]
    limit = "".join(f"<{name}>{_plain(most)}</{name}>" for name, most in limits)
    seconds, volts, amperes = reports
    entries = [("StepTime", _clock(seconds))] if seconds > 0 else []
    entries += [(what, _plain(size)) for what, size in (("Voltage", volts), ("Current", amperes)) if size > 0]
    reported = "".join(
        f"<ReportEntry><ReportType>{what:<8}</ReportType><Value>{size}</Value></ReportEntry>" for what, size in entries
    )
    return (
        f"<TestStep><StepType>{_KINDS[mode]}</StepType><StepMode>{control:<8}</StepMode>"
        f"<StepValue>{_plain(value) if control else ''}</StepValue><Limits>{limit}</Limits>"
        f"<Ends>{''.join(ends)}</Ends><Reports>{reported}</Reports><Range>{scale}</Range></TestStep>"
    )


def _clock(seconds: float) -> str:
    ticks = max(1, round(min(seconds, 99 * 3600.0) * 100))
    return f"{ticks // 360000:02d}:{ticks // 6000 % 60:02d}:{ticks // 100 % 60:02d}.{ticks % 100:02d}"


def _procedure(steps: list[str]) -> bytes:
    last = "<TestStep><StepType>  End   </StepType></TestStep>"
    return f"<MaccorTestProcedure><ProcSteps>{''.join(steps)}{last}</ProcSteps></MaccorTestProcedure>".encode()
