"""Classes 1 and 3: what the tester is, which files it has, what its channels can do.

Guessed: the calibration dates, and that files are listed by name, each connection with a listing of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.files import listed
from labctl_simulators.macnet.members import Answer, Params, channel, illegal, single, text, whole
from labctl_simulators.macnet.procedure import SCALES
from labctl_simulators.macnet.tester import VERSION, Tester

SAFETY: Final = ("VSafeMax", "VSafeMin", "ISafeChg", "ISafeDis", "PBatSafeChg", "PBatSafeDis")

_BUILT: Final = "2024-03-01T09:00:00"
_CALIBRATED: Final = "2024-02-01T08:00:00"


def version(tester: Tester, params: Params) -> Answer:
    """Answer (1,1)."""
    parts = ("Major", "Minor", "Build")
    versions = {
        f"MacTest32{kind}version{part}": count
        for kind in ("EXE", "DLL")
        for part, count in zip(parts, VERSION, strict=True)
    }
    return {"APIVersion": 5, **versions, "MacTest32ExeDT": _BUILT, "MacTest32DLLDT": _BUILT}


def general(tester: Tester, params: Params) -> Answer:
    """Answer (1,2)."""
    inputs = len(tester.settings.auxiliary) * len(tester.channels)
    return {
        "SystemID": tester.settings.system_id,
        "SystemType": tester.settings.system_type,
        "ControllerBoards": 1,
        "TestChannels": len(tester.channels),
        "AuxBoards": 1 if inputs else 0,
        "AuxChannels": inputs,
        "SMB1Pos": 0,
        "SMB3Pos": 0,
    }


def procedure_exists(tester: Tester, params: Params) -> Answer:
    """Answer (1,3); the member is spelled like that."""
    found = tester.procedure(text(params, "ProcName")) is not None
    return {"ProcedurExists": "TRUE" if found else "FALSE"}


def test_exists(tester: Tester, params: Params) -> Answer:
    """Answer (1,4)."""
    name = text(params, "TestName").casefold()
    tester.update(tester.laboratory.time())
    return {"TestNameExists": "TRUE" if any(name == old.casefold() for old in tester.archive) else "FALSE"}


def listing(tester: Tester, params: Params, client: Client) -> Answer:
    """Answer (1,5): build a listing, then give its files one by one."""
    kind, command = whole(params, "FileType"), whole(params, "Command")
    if not 1 <= kind <= 8 or command not in (0, 1):
        raise illegal()
    if command == 0:
        client.listing = list(enumerate(listed(tester, kind)))
        return {"NumberOfFiles": len(client.listing)}
    left = len(client.listing)
    if not left:
        return {"NumberOfFiles": 0}
    index, file = client.listing.pop(0)
    return {"NumberOfFiles": left, "Index": index, **_facts(file)}


def _facts(file: Path) -> Answer:
    try:
        facts = file.stat()
        changed, size = facts.st_mtime, facts.st_size
    except FileNotFoundError:
        # It was deleted since the listing was built.
        changed, size = 0.0, 0
    date = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"FileDate": date, "Size": size, "FileName": file.name}


def specification(tester: Tester, params: Params) -> Answer:
    """Answer (3,1)."""
    one = channel(tester, params)
    scales = {f"IR{scale}{way}": single(SCALES[str(scale)]) for way in ("Chg", "Dis") for scale in (4, 3, 2, 1)}
    return {
        "Chan": one.number - 1,
        "TickSpeed": single(0.01),
        "Vmax": 5.0,
        "Vmin": single(tester.settings.lowest_voltage),
        **{key: single(one.safety[key]) for key in SAFETY},
        **scales,
        "PChanSafeChg": single(27.5),
        "PChanSafeDis": single(27.5),
        "PSVChg": 9.0,
        "PSVDis": -4.0,
    }


def calibration(tester: Tester, params: Params) -> Answer:
    """Answer (3,2)."""
    names = ["VChg", "VDis", *(f"I{way}R{scale}" for way in ("Chg", "Dis") for scale in (4, 3, 2, 1))]
    return {"Chan": channel(tester, params).number - 1, **dict.fromkeys(names, _CALIBRATED)}
