"""Columns of EC-Lab's data files by their numbers: name, type and factor to SI. Data only.

The numbers are EC-Lab's own and grow with its versions; those here are what the techniques of
:mod:`labctl_drivers.biologic.mps_techniques` record with the options that they set, and what a person may have ticked
besides. Found in files of EC-Lab 10.40 to 11.61 by several independent readers; the vendor publishes no list.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Column(NamedTuple):
    """Name as in EC-Lab's text export, numpy type, and factor that makes it SI."""

    name: str
    kind: str
    factor: float = 1.0


#: mA.h in C.
_MAH: Final = 3.6

#: Columns that are bits of one byte, which stands where the first of them does.
FLAGS: Final = {
    1: ("mode", 0x03),
    2: ("ox/red", 0x04),
    3: ("error", 0x08),
    21: ("control changes", 0x10),
    31: ("Ns changes", 0x20),
    65: ("counter inc.", 0x80),
}

COLUMNS: Final = {
    4: Column("time/s", "<f8"),
    5: Column("control/V/mA", "<f4"),
    6: Column("Ewe/V", "<f4"),
    7: Column("dq/mA.h", "<f8", _MAH),
    8: Column("I/mA", "<f4", 1e-3),
    9: Column("Ece/V", "<f4"),
    11: Column("<I>/mA", "<f8", 1e-3),
    13: Column("(Q-Qo)/mA.h", "<f8", _MAH),
    16: Column("Analog IN 1/V", "<f4"),
    17: Column("Analog IN 2/V", "<f4"),
    19: Column("control/V", "<f4"),
    20: Column("control/mA", "<f4", 1e-3),
    23: Column("dQ/mA.h", "<f8", _MAH),
    24: Column("cycle number", "<f8"),
    27: Column("Ewe-Ece/V", "<f4"),
    32: Column("freq/Hz", "<f4"),
    33: Column("|Ewe|/V", "<f4"),
    34: Column("|I|/A", "<f4"),
    35: Column("Phase(Z)/deg", "<f4"),
    36: Column("|Z|/Ohm", "<f4"),
    37: Column("Re(Z)/Ohm", "<f4"),
    38: Column("-Im(Z)/Ohm", "<f4"),
    39: Column("I Range", "<u2"),
    69: Column("R/Ohm", "<f4"),
    70: Column("P/W", "<f4"),
    74: Column("|Energy|/W.h", "<f8", 3600.0),
    76: Column("<I>/mA", "<f4", 1e-3),
    77: Column("<Ewe>/V", "<f4"),
    78: Column("Cs-2/µF-2", "<f4"),
    96: Column("|Ece|/V", "<f4"),
    98: Column("Phase(Zce)/deg", "<f4"),
    99: Column("|Zce|/Ohm", "<f4"),
    100: Column("Re(Zce)/Ohm", "<f4"),
    101: Column("-Im(Zce)/Ohm", "<f4"),
    123: Column("Energy charge/W.h", "<f8", 3600.0),
    124: Column("Energy discharge/W.h", "<f8", 3600.0),
    125: Column("Capacitance charge/µF", "<f8", 1e-6),
    126: Column("Capacitance discharge/µF", "<f8", 1e-6),
    131: Column("Ns", "<u2"),
    168: Column("Rcmp/Ohm", "<f4"),
    169: Column("Cs/µF", "<f4", 1e-6),
    172: Column("Cp/µF", "<f4", 1e-6),
    173: Column("Cp-2/µF-2", "<f4"),
    174: Column("<Ewe>/V", "<f4"),
    178: Column("(Q-Qo)/C", "<f4"),
    179: Column("dQ/C", "<f4"),
    430: Column("Phase(Zwe-ce)/deg", "<f4"),
    431: Column("|Zwe-ce|/Ohm", "<f4"),
    432: Column("Re(Zwe-ce)/Ohm", "<f4"),
    433: Column("-Im(Zwe-ce)/Ohm", "<f4"),
    434: Column("(Q-Qo)/C", "<f4"),
    435: Column("dQ/C", "<f4"),
    462: Column("Temperature/°C", "<f4"),
    467: Column("Q charge/discharge/mA.h", "<f8", _MAH),
    468: Column("half cycle", "<u4"),
    469: Column("z cycle", "<u4"),
    471: Column("<Ece>/V", "<f4"),
}

#: Names in a text export, with the factor that makes them SI.
FACTORS: Final = {column.name: column.factor for column in COLUMNS.values()}
