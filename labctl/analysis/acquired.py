"""What the parameters of a Bruker dataset say of how it was acquired, and what is assumed where they are silent.

Every answer is kept with its origin. A strict reading refuses what a dataset of today always has; a lenient one assumes
what can lawfully be assumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from labctl.analysis import group_delay
from labctl.analysis.jcamp import Parameters
from labctl.analysis.provenance import Origin, Source
from labctl.errors import DataError

#: DIGMOD: analog filters alone, and the mode in which the console itself refers the decay to the pulse.
_ANALOG: Final = 0
_BASEOPT: Final = 3


class Acquired:
    """Answers from one parameter file.

    Parameters
    ----------
    used : Parameters
        Of ``acqus``.
    file : Path
        For messages.
    lenient : bool
        Whether what is missing may be assumed.
    under_way : bool
        Whether these are the parameters that were wanted, of an acquisition that goes on: a console writes some only at
        the end.
    """

    def __init__(self, used: Parameters, file: Path, *, lenient: bool, under_way: bool = False) -> None:
        self._used, self._file, self._lenient, self._under_way = used, file, lenient, under_way
        self.origins: list[Origin] = []

    def note(self, name: str, value: float | int | str, unit: str, source: Source, note: str) -> None:
        """Keep where a value came from."""
        self.origins.append(Origin(name, value, unit, source, note))

    def whole(self, key: str, name: str, otherwise: int, why: str) -> int:
        """Give a whole number, or ``otherwise`` where it is missing."""
        value = self._number(key)
        if value is None:
            self.note(name, otherwise, "", "assumed", f"{key} is missing; {why}")
            return otherwise
        self.note(name, int(value), "", "dataset", key)
        return int(value)

    def plain(self, key: str, name: str, unit: str) -> float:
        """Give a number that nothing here depends on; 0 where it is missing."""
        value = self._number(key)
        self.note(name, value or 0.0, unit, "dataset" if value is not None else "assumed",
                  key if value is not None else f"{key} is missing; unknown")  # fmt: skip
        return value or 0.0

    def listed(self, key: str, index: int, name: str, unit: str) -> float:
        """Give an element of a list; 0, for unknown, where it is missing."""
        value = self._used.element(key, index)
        self.note(name, value or 0.0, unit, "dataset" if value is not None else "assumed",
                  f"{key}{index}" if value is not None else f"{key}{index} is missing; unknown")  # fmt: skip
        return value or 0.0

    def points(self, size: int) -> int:
        """Give the count of real numbers, TD."""
        value = self._number("TD")
        if value is None:
            kind = self._number("DTYPA")
            found = size // (8 if kind == 2 else 4)
            self.note("points", found, "", "assumed", "TD is missing; as many as the fid holds")
            return found
        self.note("points", int(value), "", "dataset", "TD")
        return int(value)

    def number_format(self, points: int, size: int) -> int:
        """Give DTYPA: 0 for whole numbers of 32 bits, 2 for doubles."""
        value = self._number("DTYPA")
        if value is not None:
            self.note("number format", int(value), "", "dataset", "DTYPA")
            return int(value)
        kind = 2 if size >= 8 * points else 0
        self.note("number format", kind, "", "found", "DTYPA is missing; from the size of the fid")
        return kind

    def byte_order(self, content: bytes, kind: int) -> Literal["<", ">"]:
        """Give the order of bytes: as BYTORDA says, or the one in which the numbers are the smaller."""
        value = self._number("BYTORDA")
        if value is not None and value not in (0.0, 1.0):
            raise DataError(f"{self._file}: BYTORDA={value:g} is neither 0 (little) nor 1 (big)")
        if value is not None:
            order: Literal["<", ">"] = ">" if value == 1.0 else "<"
            self.note("byte order", "big" if order == ">" else "little", "", "dataset", "BYTORDA")
            return order
        # Read the wrong way round, whole numbers become huge, and doubles get any exponent that there is.
        size = {one: _magnitude(content, one + ("f8" if kind == 2 else "i4")) for one in ("<", ">")}
        order = "<" if size["<"] <= size[">"] else ">"
        self.note(
            "byte order", "big" if order == ">" else "little", "", "found", "BYTORDA is missing; from the numbers"
        )
        return order

    def sweep_width(self) -> float:
        """Give SW_h, or SW in ppm times SFO1."""
        value = self._number("SW_h")
        if value is not None:
            self.note("spectral width", value, "Hz", "dataset", "SW_h")
            return value
        relative, carrier = self._number("SW"), self._number("SFO1")
        if not self._lenient or relative is None or carrier is None:
            raise self._missing("SW_h")
        self.note("spectral width", relative * carrier, "Hz", "assumed", "SW_h is missing; SW times SFO1")
        return relative * carrier

    def frequencies(self) -> tuple[float, float]:
        """Give BF1 and SFO1 in Hz; each of them with O1 tells the other."""
        basic, carrier, offset = (self._number(key) for key in ("BF1", "SFO1", "O1"))
        if basic is None and self._lenient and carrier is not None and offset is not None:
            basic = carrier - offset * 1e-6
            self.note("basic frequency", basic * 1e6, "Hz", "assumed", "BF1 is missing; SFO1 less O1")
        elif basic is not None:
            self.note("basic frequency", basic * 1e6, "Hz", "dataset", "BF1")
        if carrier is None and self._lenient and basic is not None and offset is not None:
            carrier = basic + offset * 1e-6
            self.note("carrier", carrier * 1e6, "Hz", "assumed", "SFO1 is missing; BF1 and O1")
        elif carrier is not None:
            self.note("carrier", carrier * 1e6, "Hz", "dataset", "SFO1")
        if basic is None or carrier is None:
            raise self._missing("BF1" if basic is None else "SFO1")
        if basic <= 0.0 or carrier <= 0.0:
            raise DataError(f"{self._file}: BF1={basic:g} and SFO1={carrier:g} MHz make no sense")
        return basic * 1e6, carrier * 1e6

    def scans(self) -> int:
        """Give NS."""
        value = self._number("NS")
        if value is None:
            if not self._lenient:
                raise self._missing("NS")
            self.note("scans", 1, "", "assumed", "NS is missing; integrals do not compare with other datasets")
            return 1
        self.note("scans", int(value), "", "dataset", "NS")
        return int(value)

    def gain(self) -> float:
        """Give RG."""
        value = self._number("RG")
        if value is None:
            self.note("receiver gain", 1.0, "", "assumed", "RG is missing; integrals do not compare with others")
            return 1.0
        self.note("receiver gain", value, "", "dataset", "RG")
        return value

    def dead_time(self) -> float:
        """Give the time from the pulse to the first point of the signal in s."""
        value = self._number("DE")
        if self._number("DIGMOD") == _BASEOPT:
            # As the console's documentation describes it; not checked on a spectrometer.
            self.note("dead time", 0.0, "s", "assumed", "DIGMOD 3 (baseopt): the console refers the decay to the pulse")
            return 0.0
        if value is None:
            self.note("dead time", 0.0, "s", "assumed", "DE is missing; the phase linear in frequency is not known")
            return 0.0
        self.note("dead time", value * 1e-6, "s", "dataset", "DE")
        return value * 1e-6

    def delay_points(self) -> float:
        """Give the digital filter's delay in complex points.

        Raises
        ------
        DataError
            If there was a digital filter and nothing tells its delay.
        """
        told = self._number("GRPDLY")
        if told is not None and told > 0:
            self.note("digital filter", told, "points", "dataset", "GRPDLY")
            return told
        mode, firmware, decimation = (self._number(key) for key in ("DIGMOD", "DSPFVS", "DECIM"))
        if mode == _ANALOG:
            self.note("digital filter", 0.0, "points", "dataset", "DIGMOD 0 (analog)")
            return 0.0
        if firmware is not None and decimation is not None:
            delay = group_delay.from_table(int(firmware), int(decimation))
            if delay is not None:
                self.note("digital filter", delay, "points", "standard",
                          f"table for DSPFVS {firmware:g}, DECIM {decimation:g}")  # fmt: skip
                return delay
        if firmware is not None and firmware >= group_delay.TELLS_ITSELF:
            self.note("digital filter", 0.0, "points", "dataset", f"GRPDLY {told or 0:g}, DSPFVS {firmware:g}")
            return 0.0
        if mode is None and firmware is None:
            self.note("digital filter", 0.0, "points", "assumed", "neither DIGMOD nor DSPFVS: an analog console")
            return 0.0
        if self._under_way:
            self.note("digital filter", 0.0, "points", "assumed", "not told before the acquisition ends")
            return 0.0
        raise DataError(f"{self._file}: a digital filter of unknown delay (GRPDLY {told}, DSPFVS {firmware}, "
                        f"DECIM {decimation})", hint="look up its delay and write it as GRPDLY")  # fmt: skip

    def _number(self, key: str) -> float | None:
        value = self._used.number(key)
        if value is None and key in self._used:
            raise DataError(f"{self._file}: parameter {key} is not a number ({self._used.get(key)!r})")
        return value

    def _missing(self, key: str) -> DataError:
        return DataError(f"{self._file}: parameter {key} is missing")


def _magnitude(content: bytes, form: str) -> float:
    """Give how far from 1 numbers read in this form are on the whole, as a logarithm."""
    with np.errstate(all="ignore"):
        sizes = np.abs(np.frombuffer(content, form).astype(np.float64))
        return float(np.mean(np.abs(np.log(np.nan_to_num(sizes[sizes != 0], nan=np.finfo(np.float64).max)))))
