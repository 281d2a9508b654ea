"""Impedance under direct current: each spectrum of a ``deis`` step tested and fitted, with its charge and voltage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.analysis import impedance
from labctl.analysis.bundles import Operation
from labctl.analysis.findings import DynamicSeries
from labctl.analysis.flags import Flag
from labctl.analysis.impedance import ImpedanceSpectrum
from labctl.analysis.series import Row, gathered, passed_C, stamps, value
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError
from labctl.units import MAH

if TYPE_CHECKING:
    from labctl.analysis.impedance import CircuitFit, KramersKronig

#: What every fit says that leaves out what the paper leaves out.
_USUAL: Final = "left out"


def read(settings: Settings, operations: Iterable[Operation], flag: Callable[[str], None]) -> tuple[DynamicSeries, ...]:
    """Evaluate the series of spectra under direct current among the bundles of one cell and cycle.

    Each spectrum is fitted from the parameters of the one before.

    Parameters
    ----------
    settings : Settings
        Circuit, cut-off and the limit of the Kramers-Kronig test.
    operations : iterable of Operation
        In the order in which they were started; those of other kinds are passed over.
    flag : callable
        Takes a sentence that every reader of the result must see. A spectrum that is missing or torn is one, and the
        series goes on without it.
    """
    found = (_series(one, flag, settings) for one in operations if one.kind == "deis")
    return tuple(one for one in found if one is not None)


def _series(operation: Operation, flag: Callable[[str], None], settings: Settings) -> DynamicSeries | None:
    rows = _rows(operation, flag)
    numbers: list[int] = []
    kept: list[Row] = []
    spectra: list[ImpedanceSpectrum] = []
    for row in rows:
        try:
            spectra.append(impedance.read(operation.file(row["table"])))
        except DataError as error:
            flag(f"{operation.step}, spectrum {row['spectrum']}: {error}")
            continue
        kept.append(row)
        numbers.append(int(row["spectrum"]))
    if not spectra:
        if rows:
            flag(f"{operation.step}: no spectrum of the series is to be read")
        return None
    tests = tuple(_tested(one, settings.kramers_kronig_limit) for one in spectra)
    # The position of a spectrum is its place in the order of measurement: charge falls in a discharge.
    placed = [impedance.Placed(float(place), one, "dynamic") for place, one in enumerate(spectra)]
    fits = impedance.follow(
        placed,
        settings.circuit,
        weights=settings.circuit_weights,
        cut_off=settings.impedance_cut_off,
        fixed_Hz=settings.impedance_above_Hz,
    ).fits
    for text in gathered(_remarks(numbers, spectra, tests, fits, settings.impedance_above_Hz), len(numbers)):
        flag(Flag(f"{operation.step}: {text}", "impedance"))
    charge = np.array([value(row, "charge_middle_C") for row in kept]) / MAH
    return DynamicSeries(
        token=operation.token,
        step=operation.step,
        cycle=operation.cycle,
        direction=_direction(operation),
        spectra=tuple(spectra),
        fits=fits,
        charge_mAh=charge,
        voltage_V=np.array([value(row, "voltage_middle_V") for row in kept]),
        soc=np.array([value(row, "soc_middle") for row in kept]),
        numbers=tuple(numbers),
        tests=tests,
    )


def _rows(operation: Operation, flag: Callable[[str], None]) -> list[Row]:
    """Read the stamps; where they are not to be had, the instrument's own, which know no state of charge."""
    try:
        return stamps(operation, "stamps.csv", ("table",))
    except DataError as error:
        flag(f"{operation.step}: the state of charge of the spectra is not known: {error}")
    try:
        return stamps(operation, "spectra.csv", ("table",))
    except DataError as error:
        flag(f"{operation.step}: {error}")
    return []


def _tested(spectrum: ImpedanceSpectrum, limit: float) -> KramersKronig | None:
    try:
        return impedance.kramers_kronig(spectrum.frequency_Hz, spectrum.impedance_ohm, limit=limit)
    except (AnalysisError, DataError):
        return None


def _remarks(
    numbers: Iterable[int],
    spectra: Iterable[ImpedanceSpectrum],
    tests: Iterable[KramersKronig | None],
    fits: Iterable[CircuitFit | None],
    above_Hz: float,
) -> list[tuple[int, str]]:
    said: list[tuple[int, str]] = []
    for number, spectrum, test, fitted in zip(numbers, spectra, tests, fits, strict=True):
        said += [(number, text) for text in spectrum.flags]
        if test is None:
            said.append((number, "too short for the Kramers-Kronig test"))
        elif np.any(~test.kept & (spectrum.frequency_Hz > above_Hz)):
            said.append((number, f"points above {above_Hz:g} Hz do not pass the Kramers-Kronig test"))
        if fitted is None:
            said.append((number, "the circuit could not be fitted"))
        else:
            said += [(number, text) for text in fitted.flags if _USUAL not in text]
    return said


def _direction(operation: Operation) -> str:
    summary = operation.document.get("summary") or {}
    told = str(summary.get("direction") or "")
    if told in ("charge", "discharge"):
        return told
    return "discharge" if passed_C(operation) < 0 else "charge"
