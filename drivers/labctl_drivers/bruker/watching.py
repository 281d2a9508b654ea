"""Data of an acquisition that still goes on: ``tr`` has TopSpin write them, and they are copied as they are.

That ``tr`` works while ``zg`` runs, and that ``fid`` then holds the sum of the scans so far, is unverified.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from labctl.errors import DataError
from labctl.instruments import Refused
from labctl_drivers.bruker.dataset import RUNNING
from labctl_drivers.bruker.link import GatewayLink

_CHUNK: Final = 196608


async def so_far(link: GatewayLink, token: str, expno: int, folder: Path) -> int | None:
    """Copy ``acqu`` and ``fid`` of a running EXPNO into ``folder``; gives the scans that are in them.

    Raises
    ------
    DataError
        What came is no file.
    """
    if (await _state(link, token, expno))[0] != RUNNING:
        return None
    try:
        await link.request("process", name=token, expno=expno, cmds=["tr"])
    except Refused:
        return None  # it has ended in this moment
    state, scans = await _state(link, token, expno)
    if state != RUNNING or not scans:
        return None
    for file in ("acqu", "fid"):
        (folder / file).write_bytes(await _content(link, token, expno, file))
    return scans


async def _state(link: GatewayLink, token: str, expno: int) -> tuple[str, int | None]:
    found = (await link.request("status", name=token, expno=expno))["expnos"][str(expno)]
    return str(found["state"]), found["scans"]


async def _content(link: GatewayLink, token: str, expno: int, file: str) -> bytes:
    content = b""
    while True:
        reply = await link.request("read", name=token, expno=expno, file=file, offset=len(content), length=_CHUNK)
        try:
            part = base64.b64decode(reply["data"], validate=True)
            size = int(reply["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{token}/{expno}: '{file}' did not arrive") from error
        content += part
        if not part or len(content) >= size:
            return content
