"""The impedance of one cell over its cycles: every sweep tested and fitted, states never mixed, and its evolution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from labctl.analysis.bundles import Operation
from labctl.analysis.findings import EvaluatedImpedance
from labctl.analysis.flags import Flag
from labctl.analysis.impedance import read_series
from labctl.analysis.impedance.fitting import CircuitFit
from labctl.analysis.impedance.linear_kk import KramersKronig, kramers_kronig
from labctl.analysis.impedance.series import Evolution, fit_after
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum, Sweep
from labctl.analysis.impedance.three_electrodes import check_sweep
from labctl.analysis.model import CellResult
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError

_TABLE = "impedance.csv"


class Impedances:
    """Evaluates the sweeps of one cell in the order of its cycles.

    Within a state each fit begins at the one before, as :func:`labctl.analysis.impedance.follow` does. What is to be
    flagged is gathered and said once of each kind, not once of each spectrum.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._before: dict[tuple[str, str], CircuitFit] = {}
        self._said: dict[str, list[str]] = defaultdict(list)

    def of_cycle(
        self, cycle: int, operations: Sequence[Operation], flag: Callable[[str], None]
    ) -> dict[str, EvaluatedImpedance]:
        """Evaluate the sweeps of one cycle, by state; a file that cannot be used is flagged by its name."""
        found = {}
        for one in operations:
            if one.kind != "eis":
                continue
            try:
                path = one.file(_TABLE)
                sweeps = read_series(path)
                if len(sweeps) != 1:
                    raise DataError(f"{path}: holds {len(sweeps)} spectra where one is wanted")
            except DataError as error:
                flag(str(error))
                continue
            found[one.label] = self._evaluate(sweeps[0], one, f"{one.label or 'no state'}, cycle {cycle}")
        return found

    def remarks(self) -> list[Flag]:
        """Give what a reader must know, a sentence of each kind, with where it holds."""
        return [Flag(f"impedance: {what} ({_shown(places)})", "impedance") for what, places in self._said.items()]

    def _evaluate(self, sweep: Sweep, operation: Operation, where: str) -> EvaluatedImpedance:
        settings, cell = self._settings, sweep.cell
        test = self._tested(cell, where)
        electrodes = {one.electrode: one for one in (sweep.working, sweep.counter) if one is not None}
        fits = {
            name: fit
            for name, one in electrodes.items()
            if (fit := self._fitted(one, None, operation.label, f"{name} electrode, {where}")) is not None
        }
        check = None
        if len(electrodes) == 2 and sweep.cell_measured:
            try:
                check = check_sweep(sweep, tolerance=settings.electrode_tolerance)
                if not check.passes:
                    self._said["the electrodes do not add up to the cell"].append(where)
            except (AnalysisError, DataError) as error:
                self._said[f"the electrodes are not checked, {error}"].append(where)
        for text in cell.flags:
            self._said[text].append(where)
        return EvaluatedImpedance(
            spectrum=cell,
            test=test,
            fit=self._fitted(cell, test, operation.label, where),
            electrodes=electrodes,
            electrode_fits=fits,
            electrode_check=check,
            token=operation.token,
        )

    def _tested(self, spectrum: ImpedanceSpectrum, where: str) -> KramersKronig | None:
        try:
            test = kramers_kronig(
                spectrum.frequency_Hz, spectrum.impedance_ohm, limit=self._settings.kramers_kronig_limit
            )
        except (AnalysisError, DataError) as error:
            self._said[f"not tested, {error}"].append(where)
            return None
        if test.lowest_valid_frequency is None:
            self._said["no part passes the Kramers-Kronig test"].append(where)
        elif self._settings.impedance_cut_off != "kramers-kronig":
            begins = self._settings.impedance_above_Hz if self._settings.impedance_cut_off == "fixed" else 0.0
            left = np.count_nonzero((test.frequency_Hz > begins) & (test.frequency_Hz < test.lowest_valid_frequency))
            if left > _TOLERATED:
                self._said["points fail the Kramers-Kronig test above the cut-off and are fitted"].append(where)
        return test

    def _fitted(
        self, spectrum: ImpedanceSpectrum, test: KramersKronig | None, state: str, where: str
    ) -> CircuitFit | None:
        settings, key = self._settings, (state, spectrum.electrode)
        try:
            above = _cut_off(spectrum, test, settings)
            made = fit_after(spectrum, settings.circuit, settings.circuit_weights, above, self._before.get(key))
        except (AnalysisError, DataError) as error:
            self._said[f"not fitted, {error}"].append(where)
            return None
        self._before[key] = made
        return made


#: Points between the cut-off and the lowest valid frequency: where a drift begins is told within two or three points.
_TOLERATED = 3


def evolution(
    cells: Iterable[CellResult], state: str, settings: Settings, *, electrode: str = "cell"
) -> Evolution | None:
    """Give the fitted circuit over the cycles of one cell, or of the cells of a group.

    Parameters
    ----------
    cells : iterable of CellResult
        One for the evolution of a cell, several for that of a group.
    state : str
        ``charged``, ``discharged`` or ``stripped``.
    electrode : str
        ``cell``, ``working`` or ``counter``.

    Returns
    -------
    Evolution or None
        None where there is no spectrum of this state.
    """
    found: list[tuple[int, CircuitFit | None, str]] = []
    for cell in cells:
        for cycle in cell.cycles:
            one = cycle.impedance.get(state)
            if one is None or (electrode != "cell" and electrode not in one.electrodes):
                continue
            fit = one.fit if electrode == "cell" else one.electrode_fits.get(electrode)
            found.append((cycle.cycle, fit, cell.cell))
    if not found:
        return None
    found.sort(key=lambda one: (one[0], one[2]))
    fitted = [(position, fit, name) for position, fit, name in found if fit is not None]
    return Evolution(
        state=state,
        positions=np.array([position for position, _, _ in found], dtype=np.float64),
        fits=tuple(fit for _, fit, _ in found),
        circuit=settings.circuit,
        weights=settings.circuit_weights,
        cut_off=settings.impedance_cut_off,
        fixed_Hz=settings.impedance_above_Hz,
        flags=tuple(f"{name}, cycle {position}: {text}" for position, fit, name in fitted for text in fit.flags),
    )


def _cut_off(spectrum: ImpedanceSpectrum, test: KramersKronig | None, settings: Settings) -> float | None:
    if settings.impedance_cut_off == "none":
        return None
    if settings.impedance_cut_off == "fixed":
        return settings.impedance_above_Hz
    if test is None:
        test = kramers_kronig(spectrum.frequency_Hz, spectrum.impedance_ohm, limit=settings.kramers_kronig_limit)
    if test.lowest_valid_frequency is None:
        raise AnalysisError("no part of the spectrum passes the Kramers-Kronig test")
    # The point at the lowest valid frequency itself is fitted.
    lowest = test.lowest_valid_frequency
    return None if lowest <= spectrum.frequency_Hz.min() else lowest * (1 - 1e-9)


def _shown(places: Sequence[str]) -> str:
    shown = "; ".join(places[:3])
    return shown if len(places) <= 3 else f"{shown}; and {len(places) - 3} more"


def by_group(cells: Iterable[CellResult]) -> Mapping[str, Sequence[CellResult]]:
    """Gather cells by the name of their group, for :func:`evolution`."""
    found: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        found[cell.group].append(cell)
    return found
