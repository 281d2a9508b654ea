"""``labctl instruments check``: who answers at the station's addresses, and how its safety is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labctl.cli import plugins
from labctl.cli.logs import open_log
from labctl.cli.output import console, put_json, say
from labctl.cli.running import make_bench
from labctl.engine.clock import LoopClock, run_real
from labctl.errors import InstrumentError
from labctl.instruments import Identity
from labctl.station import load_station


def check_instruments(station: Path, lab: Path, *, as_json: bool) -> None:
    """Connect to all instruments of a station and show what they say.

    Raises
    ------
    InstrumentError
        One can't be used; every answer has been shown by then.
    """
    loaded = load_station(station, drivers=plugins.driver_names())

    async def main(clock: LoopClock) -> dict[str, Identity | InstrumentError]:
        log, file = open_log(lab, clock)
        bench = make_bench(
            loaded.entries(), clock=clock, log=log, report=lambda hiccup: say(hiccup.message), folder=lab
        )
        try:
            return await bench.check()
        finally:
            await bench.close()
            file.close()

    answers = run_real(main)
    if as_json:
        put_json({"schema": "labctl.instruments/1", "instruments": [_entry(*one) for one in answers.items()]})
    else:
        _print(answers)
    errors = [answer for answer in answers.values() if isinstance(answer, InstrumentError)]
    if errors:
        raise InstrumentError(
            f"{len(errors)} of {len(answers)} instruments can't be used:\n" + "\n".join(map(str, errors))
        )


def _entry(name: str, answer: Identity | InstrumentError) -> dict[str, Any]:
    if isinstance(answer, InstrumentError):
        return {"name": name, "ok": False, "category": answer.category, "address": answer.address, "error": str(answer)}
    return {
        "name": name,
        "ok": True,
        "vendor": answer.vendor,
        "model": answer.model,
        "serial": answer.serial,
        "firmware": answer.firmware,
        "address": answer.address,
        "details": dict(answer.details),
    }


def _print(answers: dict[str, Identity | InstrumentError]) -> None:
    out = console()
    for name, answer in answers.items():
        if isinstance(answer, InstrumentError):
            out.print(f"✗ {name}: {answer.category}", style="red")
            continue
        out.print(f"✓ {name}: {answer.vendor} {answer.model} {answer.serial} {answer.firmware} at {answer.address}")
        for key, value in answer.details.items():
            out.print(f"    {key}: {value}")
