"""Names and ranges of everything that the Remote script lets a client set. Data only.

The names are those that the vendor's client sends. Ranges are those that its documentation gives (runtime of a
sequence 0.1 to 1000 h, cycles from 0.5), those of the notebook's instrument for voltage and current, and otherwise
plausible for a Zennium Pro and unverified.
"""

from __future__ import annotations

import re
from typing import Final

CURRENT_LIMIT: Final = 3.0
VOLTAGE_LIMIT: Final = 5.2377

_FREQUENCY: Final = (1e-5, 8e6)
_COUNT: Final = (1.0, 100.0)
_VOLT: Final = (-VOLTAGE_LIMIT, VOLTAGE_LIMIT)
_AMPERE: Final = (-CURRENT_LIMIT, CURRENT_LIMIT)
_SWITCH: Final = (0.0, 1.0, 0.0)
_SECONDS: Final = (0.0, 1e6)
_GAIN: Final = (-1e3, 1e3)

Table = dict[str, tuple[float, float, float]]

# name: (lowest, highest, at power-on)
GENERAL: Final[Table] = {
    "Pset": (*_VOLT, 0.0),
    "Cset": (*_AMPERE, 0.0),
    "Pot": (-1.0, 0.0, 0.0),
    "Gal": (-1.0, 0.0, 0.0),
    "GAL": (-1.0, 1.0, 0.0),
    "Frq": (*_FREQUENCY, 1e3),
    "Ampl": (0.0, 3000.0, 0.0),
    "Nw": (*_COUNT, 1.0),
    "DEV%": (0.0, 4.0, 0.0),
    "DEVHOT%": (0.0, 4.0, 0.0),
    "Rmin": (0.0, 12.0, 0.0),
    "Rmax": (0.0, 12.0, 12.0),
    "Potrange": (0.0, 3.0, 0.0),
    "UseRuleFile": _SWITCH,
}
EIS: Final[Table] = {
    "Fmin": (*_FREQUENCY, 1.0),
    "Fmax": (*_FREQUENCY, 1e5),
    "Fstart": (*_FREQUENCY, 1e3),
    "dfm": (*_COUNT, 10.0),
    "dfl": (*_COUNT, 5.0),
    "Nws": (*_COUNT, 20.0),
    "Nwl": (*_COUNT, 4.0),
    "ScanStrategy": (0.0, 2.0, 0.0),
    "ScanDirection": (0.0, 1.0, 0.0),
}
CV: Final[Table] = {
    "CV_Pstart": (*_VOLT, 1.0),
    "CV_Tstart": (*_SECONDS, 2.0),
    "CV_Pupper": (*_VOLT, 1.0),
    "CV_Plower": (*_VOLT, 0.0),
    "CV_Tend": (*_SECONDS, 2.0),
    "CV_Pend": (*_VOLT, 0.0),
    "CV_Srate": (1e-6, 1e3, 0.1),
    "CV_Periods": (0.5, 1000.0, 1.0),
    "CV_PpPer": (4.0, 10000.0, 100.0),
    "CV_Imi": (*_AMPERE, -CURRENT_LIMIT),
    "CV_Ima": (*_AMPERE, CURRENT_LIMIT),
    "CV_Odrop": (0.0, 1e6, 0.0),
    "CV_AutoReStart": _SWITCH,
    "CV_AutoScale": _SWITCH,
    "CV_AFGena": _SWITCH,
}
IE: Final[Table] = {
    **{f"IE_EckPot{edge}": (*_VOLT, 0.0) for edge in range(1, 5)},
    **{f"IE_EckPot{edge}rel": (-1.0, 0.0, 0.0) for edge in range(1, 5)},
    "IE_Resolution": (1e-5, 1.0, 0.05),
    "IE_WZmin": (*_SECONDS, 1.0),
    "IE_WZmax": (*_SECONDS, 10.0),
    "IE_Torel": (0.0, 1.0, 0.01),
    "IE_Toabs": (0.0, CURRENT_LIMIT, 0.001),
    "IE_Odrop": (0.0, 1e6, 0.0),
    "IE_SweepMode": (0.0, 2.0, 0.0),
    "IE_Srate": (1e-6, 1e3, 0.05),
    "IE_Ima": (*_AMPERE, CURRENT_LIMIT),
    "IE_Imi": (*_AMPERE, -CURRENT_LIMIT),
}
SEQUENCE: Final[Table] = {
    "SEQ_ACQENA": (-1.0, 0.0, 0.0),
    "SEQ_RODROP": (0.0, 1e6, 0.0),
    "SEQ_MAXTIME": (0.1, 1000.0, 1000.0),
    "SEQ_EUPPER": (*_VOLT, VOLTAGE_LIMIT),
    "SEQ_ELOWER": (*_VOLT, -VOLTAGE_LIMIT),
    "SEQ_IUPPER": (*_AMPERE, CURRENT_LIMIT),
    "SEQ_ILOWER": (*_AMPERE, -CURRENT_LIMIT),
    "SEQ_IRANGE": (0.0, CURRENT_LIMIT, 0.0),
    "SEQ_POTOFLO": (0.0, 1000.0, 0.0),
    "SEQ_CUROFLO": (0.0, 1000.0, 0.0),
}
FRA: Final[Table] = {
    "FRA": _SWITCH,
    "FRAGAL": _SWITCH,
    **{f"FRA_{quantity}_{way}": (*_GAIN, 1.0) for quantity in ("POT", "CUR") for way in ("IN", "OUT")},
    **{f"FRA_{quantity}_{way}_OFF": (*_GAIN, 0.0) for quantity in ("POT", "CUR") for way in ("IN", "OUT")},
    **{f"FRA_{quantity}_{end}": (-1e4, 1e4, 0.0) for quantity in ("POT", "CUR") for end in ("MIN", "MAX")},
}
ACQ: Final[Table] = {"ACQENA": _SWITCH, "CHANNEL": (0.0, 31.0, 0.0)}
PAD4: Final[Table] = {"PAD4MOD": _SWITCH, "PAD4ENA": _SWITCH}

#: How files of each kind are named: 0 by date and time, 1 by a counter, 2 as they are.
NAMED: Final = {"EIS": "ism", "CV": "isc", "IE": "iss", "SEQ": "txt"}
NAMING: Final[Table] = {
    **{f"{kind}_MOD": (0.0, 2.0, 0.0) for kind in NAMED},
    **{f"{kind}_NUM": (0.0, 9999.0, 1.0) for kind in NAMED},
}
_PATH: Final = re.compile(r"[a-k]:[/\\0-9a-zA-Z_+-]+")
_ROOT: Final = re.compile(r"[0-9a-zA-Z_+-]+")
TEXTS: Final = {
    **{f"{kind}_PATH": (_PATH, "c:\\thales\\temp") for kind in NAMED},
    **{f"{kind}_ROOT": (_ROOT, root) for kind, root in zip(NAMED, ("spectra", "cv", "ie", "seq"), strict=True)},
}

NUMBERS: Final[Table] = GENERAL | EIS | CV | IE | SEQUENCE | FRA | ACQ | PAD4 | NAMING

#: Cards and channels of each, numbered from 1.
PAD4_CARDS: Final = 4
# name: (lowest, highest, at power-on) of the third number in name=card;channel;number
CHANNELS: Final[Table] = {
    "PAD4": _SWITCH,
    "PAD4_PRANGE": (0.0, 100.0, 4.0),
    "PAD4_RSHUNT": (0.0, 1e9, 0.0),
}
#: What reads a group back, and under which word.
READ_BACK: Final = {
    "SENDCVSETUP": ("CVSETUP", tuple(CV)),
    "SENDIESETUP": ("IESETUP", tuple(IE)),
    "SENDSEQACQSETUP": ("SEQACQSETUP", ("SEQ_ACQENA",)),
    "SENDACQSETUP": ("ACQSETUP", tuple(ACQ)),
    "SENDFRASETUP": ("FRASETUP", tuple(FRA)),
}
