"""What came out of a channel's buffer: kept as it came, one line for each block, and decoded from there.

The buffer gives its records once. Each block is therefore appended to a file of the run before anything else is done
with it: a line of JSON with the words as hex and a CRC-32, readable after any kill. Records are always decoded from
these blocks, so they are the same after a restart.

Columns: the vendor's manual and published clients. Not told by any of them with one voice, and decided here by what
fits: whether start times are in s or ms (whichever lies nearer to the end of the technique before), the sign of the
counter electrode's impedance (a passive electrode has a positive real part), and whose time base is told with records
of a technique after which another runs already (a time base that belongs to some technique is taken to be the one of
the technique that made the records).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from errno import ENOSPC
from os import strerror
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from labctl.errors import DataError
from labctl_drivers.biologic.backend import Point, Record, Sample
from labctl_drivers.biologic.eclib import CurrentValues, DataInfos
from labctl_drivers.biologic.eclib_techniques import TIMEBASES

OCV, CPLIMIT, CALIMIT, PEIS, GEIS = 100, 155, 157, 104, 107
#: Numbers of the techniques by their files.
_IDENTIFIERS: Final = {
    "ocv.ecc": OCV,
    "cplimit.ecc": CPLIMIT,
    "calimit.ecc": CALIMIT,
    "peis.ecc": PEIS,
    "geis.ecc": GEIS,
}
#: s per tick.
_TIMEBASES: Final = {_IDENTIFIERS[f"{name}.ecc"]: base for name, base in TIMEBASES.items()}
#: Columns by technique and process, VMP3 family.
_COLUMNS: Final = {
    (OCV, 0): 4,
    (CPLIMIT, 0): 5,
    (CALIMIT, 0): 5,
    (PEIS, 0): 4,
    (GEIS, 0): 4,
    (PEIS, 1): 15,
    (GEIS, 1): 15,
}
#: s by which clocks may disagree.
_SLACK: Final = 5.0


@dataclass(frozen=True, slots=True)
class Block:
    """Records of one technique and process, as one call gave them.

    Attributes
    ----------
    loaded : int
        Which of the loaded techniques, from 0.
    technique_id, process, loop, columns : int
        As told.
    start : float
        Start time as told, unit unsettled.
    timebase : float
        s per tick.
    lost : int
        Records that the instrument says it has lost.
    counter : float or None
        Counter electrode against reference in V at the time of the call, where the technique was running.
    since : float
        s since the run began, by this PC.
    words : str
        Hex, little-endian.
    part : int
        How often the run had been interrupted before.
    """

    loaded: int
    technique_id: int
    process: int
    loop: int
    columns: int
    start: float
    timebase: float
    lost: int
    counter: float | None
    since: float
    words: str
    part: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What was loaded at once.

    Attributes
    ----------
    techniques : tuple of int
        For each which of those asked for it is.
    identifiers : tuple of int
        Its number in the records that it makes, 0 where it makes none.
    at : float
        When it began, s into the run.
    """

    techniques: tuple[int, ...]
    identifiers: tuple[int, ...]
    at: float


def parts_of(sent: Mapping[str, Any]) -> tuple[Part, ...]:
    """Give the parts of a run, from what is kept of it as sent."""
    loads = [(sent["loaded"], 0.0), *((one["loaded"], float(one["at"])) for one in sent.get("continued", ()))]
    return tuple(
        Part(
            tuple(int(one["technique"]) for one in loaded),
            tuple(_IDENTIFIERS.get(one["file"], 0) for one in loaded),
            at,
        )
        for loaded, at in loads
    )


def block_of(
    infos: DataInfos, values: CurrentValues, words: Sequence[int], since: float, part: int, *, counter: bool
) -> Block | None:
    """Take what a call gave; None where it gave nothing."""
    if not words:
        return None
    return Block(
        loaded=infos.TechniqueIndex,
        technique_id=infos.TechniqueID,
        process=infos.ProcessIndex,
        loop=infos.loop,
        columns=infos.NbCols,
        start=infos.StartTime if math.isfinite(infos.StartTime) else 0.0,
        timebase=round(float(values.TimeBase), 9),
        lost=infos.IRQskipped,
        counter=float(values.Ece) if counter else None,
        since=since,
        words=struct.pack(f"<{len(words)}I", *words).hex(),
        part=part,
    )


class BlockFile:
    """The blocks of one run, on disk, and in memory where the disk takes no more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[Block] = []

    def read(self) -> list[Block]:
        """Give all whole blocks; what a kill left torn at the end is cut off."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        blocks, good = [], 0
        for line in content.splitlines(keepends=True):
            text, _, check = line.rstrip(b"\n").rpartition(b"\t")
            if not line.endswith(b"\n") or check != b"%08x" % crc32(text):
                break
            blocks.append(_block(text, self.path))
            good += len(line)
        if good < len(content):
            if content.count(b"\n", good) > 1:
                raise DataError(f"{self.path}: damaged after {len(blocks)} blocks")
            with self.path.open("r+b") as file:
                file.truncate(good)
        return blocks

    def append(self, block: Block) -> None:
        """Add a block; it outlives this process.

        Raises
        ------
        DataError
            The disk does not take it; it is kept here, and tried again by :meth:`settle`.
        """
        self._waiting.append(block)
        self.settle()

    def settle(self) -> None:
        """Write what could not be written before. Raises as :meth:`append`."""
        while self._waiting:
            text = json.dumps(asdict(self._waiting[0])).encode()
            line = b"%b\t%08x\n" % (text, crc32(text))
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab", buffering=0) as file:
                    before = file.tell()
                    if file.write(line) != len(line):
                        file.truncate(before)
                        raise OSError(ENOSPC, strerror(ENOSPC))
            except OSError as error:
                raise DataError(f"{self.path}: records can't be written ({error.strerror}); they are kept") from error
            del self._waiting[0]


#: By field of a block: what its value is.
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("loaded", "technique_id", "process", "loop", "columns", "lost", "part"), (int,)),
    **dict.fromkeys(("start", "timebase", "since"), (int, float)),
    "counter": (int, float, type(None)),
    "words": (str,),
}
_HEX: Final = re.compile(r"(?:[0-9a-f]{8})*\Z")
_MOST: Final = 2**63


def _block(text: bytes, path: Path) -> Block:
    """Read a line whose checksum is right; one that makes no sense all the same is of another version of labctl."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: a block can't be read") from error
    sound = isinstance(data, dict) and data.keys() | {"part"} == _KINDS.keys()
    for name, value in data.items() if sound else ():
        sound = sound and isinstance(value, _KINDS[name]) and not isinstance(value, bool)
        sound = sound and (not isinstance(value, (int, float)) or -_MOST < value < _MOST)
    if not sound or not _HEX.match(data["words"]):
        raise DataError(f"{path}: a block is not of the form that this version knows")
    return Block(**data)


class Decoder:
    """Numbers and decodes the records of one run, block by block.

    Parameters
    ----------
    parts : sequence of Part
        Of the run, in order.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._number = 0
        self._last = 0.0
        self._offset = 0.0
        self._key: tuple[int, int, int] | None = None
        #: Records that the instrument says it has lost.
        self.lost = 0
        #: What was not understood.
        self.problems: list[str] = []

    @property
    def recorded(self) -> float:
        """Seconds of the newest part that records are there of, negative for none."""
        return self._last - self._parts[-1].at

    def take(self, block: Block) -> list[Record]:
        """Decode a block; one that is not understood gives nothing, and stands in :attr:`problems`."""
        try:
            return self.feed(block)
        except DataError as error:
            self.problems.append(error.message)
            return []

    def feed(self, block: Block) -> list[Record]:
        """Decode a block. Raises ``DataError`` where it is not understood."""
        expected = _COLUMNS.get((block.technique_id, block.process))
        words = bytes.fromhex(block.words)
        if expected is None:
            raise DataError(f"records of technique {block.technique_id}, process {block.process} are not known")
        if block.columns != expected or len(words) % (4 * expected):
            raise DataError(f"records of technique {block.technique_id} have {block.columns} columns, not {expected}")
        if not 0 <= block.part < len(self._parts):
            raise DataError(f"records of part {block.part + 1} of a run that has {len(self._parts)}")
        identifiers = self._parts[block.part].identifiers
        if not 0 <= block.loaded < len(identifiers):
            raise DataError(f"records of technique {block.loaded + 1}, {len(identifiers)} were loaded")
        if block.technique_id != identifiers[block.loaded]:
            raise DataError(
                f"records of technique {block.technique_id} at place {block.loaded + 1}, where "
                f"{identifiers[block.loaded]} was loaded: another program than ours made them"
            )
        key = block.part, block.loaded, block.loop
        if key != self._key:
            self._key, self._offset = key, self._start(block)
        self.lost = max(self.lost, block.lost)
        row = struct.Struct(f"<{expected}I")
        rows = [row.unpack_from(words, place) for place in range(0, len(words), row.size)]
        decode = self._point if block.process == 1 else self._sample
        return [decode(block, row, last=index == len(rows) - 1) for index, row in enumerate(rows)]

    def _start(self, block: Block) -> float:
        began = self._parts[block.part].at
        before = max(self._last, began)
        found = [
            start
            for start in (began + block.start, began + block.start / 1000.0)
            if before - _SLACK <= start <= block.since + _SLACK
        ]
        # Where no start time fits, the technique begins where the one before has ended.
        return max(min(found, key=lambda start: abs(start - before), default=before), 0.0)

    def _count(self, at: float) -> int:
        self._last = max(self._last, at)
        self._number += 1
        return self._number

    def _sample(self, block: Block, row: tuple[int, ...], *, last: bool) -> Record:
        at = max(self._offset + _timebase(block) * ((row[0] << 32) + row[1]), self._last)
        first, second = _single(row[2]), _single(row[3])
        counter, current = (second, 0.0) if block.technique_id == OCV else (None, second)
        if counter is None and last:
            counter = block.counter
        technique = self._parts[block.part].techniques[block.loaded]
        return Sample(self._count(at), technique, at, first, counter, current, block.loop, block.part)

    def _point(self, block: Block, row: tuple[int, ...], *, last: bool) -> Record:
        del last
        frequency, ewe, flowing, phase, voltage, current = (_single(word) for word in row[:6])
        far, far_flowing, far_phase = (_single(word) for word in row[7:10])
        if flowing <= 0 or frequency <= 0:
            raise DataError(f"a point at {frequency:g} Hz with an amplitude of {flowing:g} A is no impedance")
        counter = None
        if far > 0 and far_flowing > 0:
            counter = far / far_flowing * complex(math.cos(far_phase), math.sin(far_phase))
            counter = -counter if counter.real < 0 else counter
        working = ewe / flowing * complex(math.cos(phase), math.sin(phase))
        at = max(self._offset + _single(row[13]), self._last)
        technique = self._parts[block.part].techniques[block.loaded]
        return Point(self._count(at), technique, at, frequency, working, counter, voltage, current, block.loop)


def _timebase(block: Block) -> float:
    if any(math.isclose(block.timebase, known, rel_tol=1e-3) for known in _TIMEBASES.values()):
        return _TIMEBASES[block.technique_id]
    return block.timebase


def _single(word: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", word))[0]
    return value
