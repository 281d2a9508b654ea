"""From the tester's export folder into a bundle: wait for the last record, check, copy, convert."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments.common import Clock, Fetched, Handle
from labctl_drivers.maccor import export
from labctl_drivers.maccor.procedure import TesterStep, write

#: Pauses, s, between looks into the export folder; the last one again and again.
_PAUSES: Final = (0.0, 0.5, 1.5, 3.0, 10.0, 15.0, 30.0)
#: Real seconds for the file to appear: the tester exports when it likes, over a network that takes its time.
_EXPORTED_WITHIN: Final = 90.0


async def wait_for_records(file: Path, last: int | None, clock: Clock) -> tuple[bytes, export.Records]:
    """Wait until ``file`` holds the test to its end, and give it as it is and as records.

    Parameters
    ----------
    file : Path
        The export.
    last : int or None
        Number of the last record by the channel; None where the channel has forgotten, and then the file must end
        with a record after which none can come.
    clock : Clock
        Whose time is waited.

    Raises
    ------
    DataError
        It is not there, a record is missing, or it goes further than the channel.
    """
    problem = DataError(f"{file}: not there")
    loop = asyncio.get_running_loop()
    until = loop.time() + clock.patience(_EXPORTED_WITHIN)
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        if loop.time() >= until:
            break
        await asyncio.sleep(pause)
        try:
            raw, records = await read_beside(file, clock)
            export.check_gaps(records, file.name, last)
        except OSError as error:
            problem = DataError(f"{file}: {error.strerror}", hint="is the tester's export folder reachable?")
            continue
        except DataError as error:
            problem = error
            continue
        final = int(records.number[-1])
        if last is not None and final > last:
            raise DataError(f"{file.name}: goes to record {final}, while the channel says {last}")
        if last is not None or records.closed():
            return raw, records
        problem = DataError(f"{file.name}: ends with record {final} and without an end of the test")
    raise problem


async def read_beside(file: Path, clock: Clock) -> tuple[bytes, export.Records]:
    """Read an export beside the running loop: the folder is another computer's, which may take its time.

    Raises
    ------
    OSError
        It can't be read.
    DataError
        It is not understood.
    """

    def work() -> tuple[bytes, export.Records]:
        raw = file.read_bytes()
        return raw, export.parse(raw, file.name)

    with clock.exchange():
        return await asyncio.to_thread(work)


def bundle(
    folder: Path,
    handle: Handle,
    name: str,
    raw: bytes,
    records: export.Records,
    plan: Sequence[TesterStep],
) -> Fetched:
    """Write the files of one operation and sum it up."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: raw}
    if plan:
        files[f"{handle.token}.000"] = write(plan)
    seen = export.program_view(records, plan)
    files["records.csv"] = export.csv_text(seen).encode()
    for file, content in files.items():
        _write(folder / file, content)
    end, guarded = export.how_ended(records, plan)
    warnings = []
    if guarded:
        warnings.append(f"the time limit of step {int(seen.step[-1])} ended it, not the condition it waits for")
    if not plan:
        warnings.append("the procedure is not on the tester any more; steps are numbered as the tester's")
    summary: dict[str, Any] = {
        "end": end,
        "records": int(records.number.size),
        "first_record": int(records.number[0]),
        "last_record": int(records.number[-1]),
        "capacity_C": float(seen.capacity[-1]),
        "voltage_V": float(seen.voltage[-1]),
        "duration_s": float(seen.time[-1]),
    }
    sent: dict[str, Any] = {"procedure": handle.token, "channel": int(handle.place)}
    if "safety" in handle.data:
        sent["safety"] = handle.data["safety"]
    read_back = {"safety": handle.data["safety_read_back"]} if "safety_read_back" in handle.data else {}
    return Fetched(tuple(files), sent, read_back, summary, tuple(warnings))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
