"""The NMR part of a measured cycle, gathered from its bundles: spectra, reference, nutation, recoveries, the hold.

Nothing here gives up on a cell for one missing piece: what is missing is flagged, and what can be said is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from labctl.analysis import bruker, nutation, recovery, reference, shares
from labctl.analysis.bundles import Campaign, Operation
from labctl.analysis.charges import Charges
from labctl.analysis.comparable import Shot
from labctl.analysis.cycling import CycleCapacities
from labctl.analysis.flags import Flag
from labctl.analysis.model import STATES, Measured, SocFactor
from labctl.analysis.nutation import Nutation
from labctl.analysis.recovery import Recovery
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError

_CURRENT: Final = "Current / A"


@dataclass
class Session:
    """One campaign's reference and nutation results, each evaluated once."""

    campaign: Campaign
    settings: Settings
    _references: dict[str, float | str] = field(default_factory=dict)

    def zero_ppm(self, token: str | None) -> float | str:
        """Give the frequency of 0 ppm that reference bundle ``token`` found, or say why there is none."""
        if not token:
            return "bound to no reference spectrum"
        if token not in self._references:
            self._references[token] = self._evaluate(token)
        return self._references[token]

    def _evaluate(self, token: str) -> float | str:
        bundle = self.campaign.by_token(token, "reference")
        if bundle is None:
            return f"reference spectrum {token} is missing"
        try:
            place = bundle.decays()[0]
            # The hashes that were just checked: other cells of this campaign may have asked for the same one before.
            content = tuple(str(entry.get("sha256")) for entry in bundle.document.get("files") or ())
            return _reference_Hz(place, content) if isinstance(place, Path) else reference.evaluate(place).sf_Hz
        except (DataError, AnalysisError) as error:
            return f"reference spectrum {token}: {error}"


@lru_cache(maxsize=16)
def _reference_Hz(dataset_dir: Path, content: tuple[str, ...]) -> float:
    """Evaluate a reference spectrum once; every cell of a campaign rests on the same few."""
    return reference.evaluate(dataset_dir).sf_Hz


def measure(
    session: Session,
    operations: Mapping[str, Operation],
    others: Sequence[Operation],
    capacities: CycleCapacities,
    charges: Charges,
    factor: SocFactor,
    flag: Callable[[str], None],
) -> Measured:
    """Evaluate the spectra of one measured cycle.

    Parameters
    ----------
    session : Session
        The campaign's references.
    operations : mapping
        The NMR bundles by label.
    others : sequence of Operation
        All other bundles of this cell and cycle, latest last: nutations are used where the spectra name none,
        recoveries belong to the state whose label they have or whose spectrum is nearest in time, and the last hold
        tells how it ended.
    capacities : CycleCapacities
        Of this cycle.
    charges : Charges
        Capacities that the shares refer to; how the hold ended is added here.
    factor : SocFactor
        Of this cell's set-up.
    flag : callable
        Takes a sentence that every reader of the result must see.
    """
    recoveries = _recoveries(session, operations, [one for one in others if one.kind == "recovery"], flag)
    shots = {}
    for label in STATES:
        if label in operations:
            shot = _read(session, operations[label], recoveries.get(label), flag)
            if shot is not None:
                shots[label] = shot
    bundle, curve = None, None
    if "charged" in shots:
        nutations = [one for one in others if one.kind == "nutation"]
        bundle, curve = _nutation(session, operations["charged"], shots["charged"], nutations, flag)
    holds = [one for one in others if one.kind == "hold"]
    whole = replace(charges, hold=capacities.hold if holds else None, **_hold(holds, flag))
    found = shares.evaluate(shots, whole, factor, session.settings, flag, nutation=curve)
    if not found.states:
        return found
    return replace(
        found,
        reference_token=operations["charged"].document.get("reference"),
        nutation_token=None if bundle is None or curve is None else bundle.token,
    )


def _read(
    session: Session, operation: Operation, recovered: Recovery | None, flag: Callable[[str], None]
) -> Shot | None:
    try:
        data = bruker.read(operation.decays()[0])
    except DataError as error:
        flag(str(error))
        return None
    zero = session.zero_ppm(operation.document.get("reference"))
    if isinstance(zero, str):
        text = f"NMR {operation.label}: {zero}; shifts rest on the spectrometer's own frequency"
        flag(Flag(text, "reference"))
        zero = data.reference_Hz or data.basic_Hz
    temperature = operation.document.get("sample_temperature_K") or data.temperature_K or None
    waited = operation.document.get("delay_s")
    return Shot(
        data,
        zero,
        operation.token,
        None if temperature is None else float(temperature),
        recovered,
        None if waited is None else float(waited),
    )


def _nutation(
    session: Session, charged: Operation, shot: Shot, nutations: Sequence[Operation], flag: Callable[[str], None]
) -> tuple[Operation | None, Nutation | None]:
    token = charged.document.get("nutation")
    bundle = session.campaign.by_token(token, "nutation") or (nutations[-1] if nutations else None)
    if bundle is None:
        flag(Flag("no nutation of this cell: the π/2 pulse is not calibrated", "pulse"))
        return None, None
    try:
        return bundle, nutation.evaluate(bundle.decays(), shot.zero_Hz, recipe=session.settings.recipe)
    except (DataError, AnalysisError) as error:
        flag(Flag(f"nutation {bundle.token}: {error}", "pulse"))
        return bundle, None


def _recoveries(
    session: Session, spectra: Mapping[str, Operation], bundles: Sequence[Operation], flag: Callable[[str], None]
) -> dict[str, Recovery]:
    """Evaluate the saturation recoveries, each for the state that it was measured in."""
    found = {}
    for one in bundles:
        label = one.label if one.label in spectra else _nearest(one, spectra)
        zero = session.zero_ppm(one.document.get("reference"))
        try:
            sf = None if isinstance(zero, str) else zero
            found[label] = recovery.evaluate(one.decays(), sf, recipe=session.settings.recipe)
        except (DataError, AnalysisError) as error:
            flag(Flag(f"recovery {one.token}: {error}", "recycle_delay"))
    return found


def _nearest(one: Operation, spectra: Mapping[str, Operation]) -> str:
    """Give the state whose spectrum began nearest in time: between two, charge passes and hours."""
    times = {label: _seconds(each.started) for label, each in spectra.items() if each.cycle == one.cycle}
    mine = _seconds(one.started)
    known = {label: abs(at - mine) for label, at in times.items() if at is not None} if mine is not None else {}
    return min(known, key=lambda label: known[label], default="charged")


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def _hold(holds: Sequence[Operation], flag: Callable[[str], None]) -> dict[str, Any]:
    """Tell how the last hold of the cycle ended: by its time limit or not, at what current, after how long."""
    if not holds:
        return {}
    last = holds[-1]
    seconds = (last.document.get("summary") or {}).get("duration_s")
    residual, limit = _residual(last, flag), _limit_uA(last)
    if last.end == "current" and residual is not None and limit is not None:
        # The instrument itself saw the current fall below its limit; the last record may be a little older.
        residual = min(residual, limit)
    return {
        "hold_timed_out": last.end == "time",
        "residual_uA": residual,
        "hold_h": None if seconds is None else float(seconds) / 3600.0,
    }


def _limit_uA(hold: Operation) -> float | None:
    """Give the current in µA at which the hold was asked to end."""
    steps = (hold.document.get("asked") or {}).get("steps") or ()
    limits = [
        abs(float(end["value"])) * 1e6
        for step in steps
        for end in step.get("ends") or ()
        if end.get("what") == "current" and not end.get("above")
    ]
    return max(limits, default=None)


def _residual(hold: Operation, flag: Callable[[str], None]) -> float | None:
    """Read the last current that still flowed, in µA; None where the table is not to be read."""
    import polars

    try:
        path = hold.file("records.parquet")
        frame = polars.read_parquet(path)
        current = frame[_CURRENT].to_numpy()
    except (DataError, OSError, polars.exceptions.PolarsError) as error:
        if not isinstance(error, DataError):
            flag(f"{hold.step}: the residual current is not known ({error})")
        return None
    flowing = current[current != 0.0]
    return abs(float(flowing[-1])) * 1e6 if flowing.size else 0.0
