"""Where the disk is full: nothing new is started, what runs goes on by itself, and writing is tried again."""

from __future__ import annotations

import asyncio
import errno
from typing import Final

from labctl.errors import NoRoom
from labctl.journal import Journal

#: Seconds between attempts to write.
RETRY: Final = 30.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def lacks_room(error: Exception) -> bool:
    """Whether all that is wrong is that there is no room on the disk."""
    return isinstance(error, NoRoom) or (isinstance(error, OSError) and error.errno in _FULL)


async def wait_for_room(journal: Journal, what: str) -> None:
    """Say so, once, and wait until it is worth trying again."""
    journal.alarm("pause", f"{what}: no room on the disk; nothing is started until there is")
    await asyncio.sleep(RETRY)
