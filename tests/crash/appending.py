"""Appends to one record file for ever, in processes that are killed one after the other.

    python appending.py FILE ROWS KILLS SEED

Makes FILE with ROWS records, then KILLS times forks a process that appends, kills it with SIGKILL and looks at the
file. Every other kill comes at a random moment; those between come in the middle of a large append, as soon as the file
is seen to grow. Prints one JSON object: kills, unreadable, lost, changed, torn (files with half a line at their
end), records, and what a full reading at the end found. A program of its own, so that forking meets no threads and the
libraries are loaded once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from itertools import count
from pathlib import Path

from labctl.engine.clock import pause
from labctl.results import Record, RecordWriter, read_records

OPERATION = "lab-1/bare-01/c001/01-charge/a1"
BATCHES = (1, 7, 60, 1, 2_000)
# So many that the kill meets the write that is under way.
LARGE = 4_000


def records(first: int, number: int) -> list[Record]:
    return [Record(n, 60.0 * n, 1, 3.1, 2e-4, 0.012 * n, "C", 1) for n in range(first, first + number)]


def append_for_ever(path: Path, ready: int, *, large: bool) -> None:
    """Append batches until killed; one byte goes to ``ready`` once the first is about to be written."""
    with RecordWriter(path, OPERATION) as writer:
        assert writer.last is not None
        os.write(ready, b".")
        for turn in count():
            writer.append(records(writer.last + 1, LARGE if large else BATCHES[turn % len(BATCHES)]))


def kill_one(path: Path, after: float | None) -> None:
    """Start a process that appends and kill it ``after`` seconds from its first append, or once the file grows."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            append_for_ever(path, writing, large=after is None)
        finally:
            os._exit(1)
    os.close(writing)
    if os.read(reading, 1) != b".":
        sys.exit("the process that appends ended by itself")
    os.close(reading)
    if after is not None:
        pause(after)
    else:
        size = path.stat().st_size
        while path.stat().st_size == size:
            pass
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit("the process that appends ended by itself")


def look(path: Path, before: int, tail: Path, head: bytes) -> tuple[int, int]:
    """Read what was appended behind byte ``before`` as a file of its own; return its records and torn lines."""
    with path.open("rb") as file:
        file.seek(before)
        tail.write_bytes(head + file.read())
    found = read_records(tail)
    return len(found.lines) if not found.missing() else -1, found.torn


def main(path: Path, rows: int, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    with RecordWriter(path, OPERATION) as writer:
        head = path.read_bytes()
        writer.append(records(1, rows))
    original = path.read_bytes()
    result = {"kills": kills, "unreadable": 0, "lost": 0, "changed": 0, "torn": 0}
    tail = path.with_name("tail.log")
    for kill in range(kills):
        kill_one(path, draw.random() * 0.02 if kill % 2 else None)
        gained, torn = look(path, len(original), tail, head)
        result["unreadable"] += gained < 0 or torn > 1
        result["torn"] += torn
        with path.open("rb") as file:
            result["changed"] += file.read(len(original)) != original
        # The next process starts from what this kill left; opening must find exactly the records that were read.
        with RecordWriter(path, OPERATION) as writer:
            result["lost"] += writer.last != rows + gained
        # Reused, so that 200 kills all meet a file of this length.
        if gained > LARGE // 2:
            os.truncate(path, len(original))
    found = read_records(path)
    result["records"] = len(found.lines)
    result["whole"] = not found.missing(first=1) and found.torn == 0 and found.operation == OPERATION
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
