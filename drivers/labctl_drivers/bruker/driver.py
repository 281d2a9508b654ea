"""The spectrometer driver: NMR acquisitions through the gateway on the spectrometer PC."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    AcquisitionRequest,
    Busy,
    DriverContext,
    Fetched,
    Handle,
    Identity,
    Inspection,
    Progress,
    State,
    TimedOut,
    Tuned,
    VendorAlarm,
)
from labctl_drivers.bruker.dataset import ABSENT, DONE, ERROR, PREPARED, RUNNING
from labctl_drivers.bruker.fetching import Pieces, check_expno, fetch_expno, replace_folder, write_expno
from labctl_drivers.bruker.instants import acquired
from labctl_drivers.bruker.link import GatewayLink
from labctl_drivers.bruker.parameters import allowed, duration, first_parameters, parameters_of, taken_step
from labctl_drivers.bruker.preparing import acquire, make, write
from labctl_drivers.bruker.sample import sample_temperature
from labctl_drivers.bruker.tuning import tune, tuned
from labctl_drivers.bruker.watching import so_far

_NAMES: Final = ("PULPROG", "NUC1", "TD", "SWH", "NS", "DS", "D 1", "P 1", "PLW 1", "O1")
#: What a comb or an echo adds to each scan. Where the program has neither it only makes the expected time longer.
_LONGER: Final = ("L 20", "D 20", "D 6")
#: What says after an acquisition whether the receiver was overloaded, and at which gain.
_LEVEL: Final = ("OVERFLW", "RG")
#: Seconds until the next look where an acquisition takes longer than expected.
_SOON: Final = 2.0
_WORDS: Final = {ABSENT: "there is no such dataset any more on the spectrometer's PC"}
_HALT: Final = 30.0
#: Seconds that automatic tuning and matching is given, and what a tuned probe may reflect.
_TUNING: Final = 180.0
_REFLECTED: Final = 0.2
#: Real seconds that an acquisition may seem longer for want of an answer.
_ANSWERED_WITHIN: Final = 10.0


class BrukerSpectrometer:
    """A Bruker spectrometer behind ``labctl-topspin-gateway``.

    Station settings: ``address`` (``host:port`` of the gateway), ``token`` (``{env: NAME}``), ``data_folder`` (shown
    only; the gateway knows its own), ``parameter_set`` (what datasets are made from, default ``PROTON``), ``tuning_s``
    (what automatic tuning is given, default 180), ``tuning_reflected`` (the share that a tuned probe may reflect,
    default 0.2).

    Parameters
    ----------
    context : DriverContext
        Name, settings, clock, secrets.
    """

    role = "spectrometer"

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        token = context.settings.get("token", "")
        text = token if isinstance(token, str) else context.secret(token)
        self._link = GatewayLink(context, str(context.settings.get("address", "")), text)
        self._parameter_set = str(context.settings.get("parameter_set", "PROTON"))
        self._tuning_s = float(context.settings.get("tuning_s") or _TUNING)
        self._reflected = float(context.settings.get("tuning_reflected") or _REFLECTED)
        self._seen: dict[tuple[str, int], datetime] = {}

    async def connect(self) -> Identity:
        """Connect to the gateway; ``details["session"]`` names the spectrometer session.

        Raises
        ------
        NotReachable
            Nobody answers at the address.
        NotIdentified
            The token is wrong, or it is no gateway.
        """
        await self._link.connect()
        hello = self._link.hello
        details = {key: str(hello.get(key, "")) for key in ("session", "topspin", "backend", "data_folder")}
        return Identity("Bruker", "TopSpin", "", details["topspin"], self._link.address, details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell what is being acquired, the clock of the spectrometer's PC and what is unverified; nothing moves."""
        from labctl_drivers.bruker.inspection import inspect

        return await inspect(self._context, self._link)

    async def close(self) -> None:
        """Close the connection; an acquisition goes on."""
        await self._link.close()

    def session(self) -> str:
        """Name the spectrometer session that the gateway last reported; empty before the first connection."""
        return str(self._link.hello.get("session", ""))

    async def start(self, token: str, request: AcquisitionRequest) -> Handle:
        """Make one EXPNO per pulse length or recycle delay, write and read back all parameters, start the first.

        The others are started by :meth:`poll`, each when the one before it is done.

        Raises
        ------
        Refused
            A parameter did not read back as written, or the dataset exists and is not ours or not fresh.
        Busy
            Something is being acquired.
        VendorAlarm
            TopSpin reports a fault.
        """
        status = await self._link.request("status", name=token)
        if status["busy"] is not None:
            raise self._link.fault(Busy, f"{status['busy']['name']}/{status['busy']['expno']} is being acquired")
        title = f"{request.name}\nsample {request.sample}\ntoken {token}"
        frequency: float | None = None
        runs: list[dict[str, Any]] = []
        for expno, (pulse, delay) in enumerate(request.points_of_series, start=1):
            known = status["expnos"].get(str(expno), {"state": ABSENT})
            await make(self._link, token, expno, title, self._parameter_set, known["state"])
            if frequency is None:
                await write(self._link, token, expno, first_parameters(request))
                answer = await self._link.request("getpar", name=token, expno=expno, names=["BF1"])
                frequency = self._as_number("BF1", answer["pars"]["BF1"])
            sent = await write(self._link, token, expno, parameters_of(request, pulse, frequency, delay))
            runs.append({"expno": expno, "sent": sent})
        await self._acquire(token, 1, runs[0]["sent"])
        place = "EXPNO 1" if len(runs) == 1 else f"EXPNO 1-{len(runs)}"
        data = {"session": self.session(), "runs": runs, "may_end_early": request.may_end_early}
        return Handle(token, place, self._context.clock.now().isoformat(), data)

    async def poll(self, handle: Handle) -> Progress:
        """Look once, and start the next EXPNO of a series where one has ended.

        ``remaining`` is the time to the end of the present EXPNO, because that is when the next look is due.
        ``values``: scans_done, scans, expno, left_s (to the end of the last EXPNO); when done also receiver_gain and
        clipped, from RG and OVERFLW of ``acqus``. An acquisition that takes more than 1.5 times what it should, and a
        minute, is halted and has failed.
        """
        status = await self._link.request("status", name=handle.token)
        scans_done = 0
        all_scans = float(sum(int(run["sent"]["NS"]) for run in handle.data["runs"]))
        ahead = sum(duration(run["sent"]) for run in handle.data["runs"])
        for run in handle.data["runs"]:
            expno, sent = int(run["expno"]), run["sent"]
            ahead -= duration(sent)
            found = status["expnos"].get(str(expno), {"state": ABSENT, "message": "", "scans": None, "elapsed_s": None})
            scans, asked = found["scans"], int(sent["NS"])
            values = {"scans_done": float(scans_done + (scans or 0)), "scans": all_scans, "expno": float(expno)}
            if found["state"] == RUNNING:
                return _left(await self._running(handle.token, expno, sent, found, values), ahead)
            if found["state"] == PREPARED and (expno == 1 or (handle.token, expno) in self._seen):
                # It was started: whoever took it back at the console meant that.
                why = "nothing of it is there any more: it was stopped at the console, or never began"
                return Progress(State.FAILED, f"EXPNO {expno}: {why}", values=values)
            if found["state"] == PREPARED:
                await self._acquire(handle.token, expno, sent)
                return _left(Progress(State.RUNNING, remaining=duration(sent), values=values), ahead)
            if found["state"] != DONE:
                why = found["message"] or _WORDS.get(found["state"], found["state"])
                return Progress(State.FAILED, f"EXPNO {expno}: {why}", values=values)
            if scans != asked and not (handle.data.get("may_end_early") and scans):
                return Progress(State.FAILED, f"EXPNO {expno} ended after {scans} of {asked} scans", values=values)
            scans_done += scans
        last = float(handle.data["runs"][-1]["expno"])
        values = {"scans_done": float(scans_done), "scans": all_scans, "expno": last}
        return Progress(State.DONE, remaining=0.0, values=values | await self._level(handle))

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Copy every EXPNO to ``folder/<token>/<expno>``, complete or not at all.

        ``summary``: expnos, scans (of one EXPNO), session, pulse_us (one for each EXPNO), receiver_gain, and
        sample_temperature_K where the spectrometer measures one; of a single EXPNO also acquired_from and
        acquired_until, by the spectrometer's clock.

        Raises
        ------
        DataError
            Truncated, still being written, or not what was asked for.
        """
        runs = handle.data["runs"]
        fresh, target = folder / f"{handle.token}.partial", folder / handle.token
        if fresh.exists():
            shutil.rmtree(fresh)
        pieces = Pieces(folder / f"{handle.token}.pieces")
        used: list[Mapping[str, str]] = []
        files: list[str] = []
        complete = False
        try:
            for run in runs:
                expno = int(run["expno"])
                content = await fetch_expno(self._link, handle.token, expno, pieces)
                used.append(check_expno(f"{handle.token}/{expno}", content, _checked(handle, run["sent"])))
                write_expno(fresh / str(expno), content)
                files.extend(f"{handle.token}/{expno}/{file}" for file in content)
            replace_folder(fresh, target)
            pieces.clear()
            complete = True
        finally:
            if not complete:
                shutil.rmtree(fresh, ignore_errors=True)
        return Fetched(
            files=tuple(sorted(files)),
            sent=_merged([run["sent"] for run in runs]),
            read_back=_merged(used),
            summary={
                "expnos": [run["expno"] for run in runs],
                "scans": int(used[0]["NS"]),
                "session": handle.data["session"],
                "pulse_us": [float(parameters["P 1"]) for parameters in used],
                "receiver_gain": float(used[0]["RG"]),
                **(acquired(target / str(runs[0]["expno"])) if len(runs) == 1 else {}),
                **_temperature(used),
            },
            warnings=self._warnings(handle, used),
        )

    async def abort(self, handle: Handle) -> None:
        """Halt the acquisition and see that it ended. What is not running any more is left alone.

        Raises
        ------
        TimedOut
            It is still going on half a minute later.
        """
        await self._link.request("halt", name=handle.token)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(_HALT, self._context.clock.patience(_HALT))
        while RUNNING in await self._states(handle.token):
            if loop.time() > deadline:
                raise self._link.fault(TimedOut, f"{handle.token} still runs {_HALT:.0f} s after the halt")
            await asyncio.sleep(1.0)

    async def find(self, token: str, request: AcquisitionRequest | None = None) -> Handle | None:
        """Find the dataset ``token``; None where none of its EXPNOs was ever started.

        All EXPNOs of a series are made before the first one starts, so that what is found is the whole plan. With the
        request, the handle asks for what the request does, whatever somebody has changed in the dataset meanwhile.

        Raises
        ------
        CannotSay
            Never: the dataset on disk is the proof. Faults of the wire are raised as what they are.
        """
        status = await self._link.request("status", name=token)
        states = {int(expno): found["state"] for expno, found in status["expnos"].items()}
        if not any(state in (RUNNING, DONE, ERROR) for state in states.values()):
            return None
        runs = await self._as_found(token, sorted(states)) if request is None else await self._as_asked(token, request)
        elapsed = [found["elapsed_s"] for found in status["expnos"].values() if found["elapsed_s"] is not None]
        started = self._context.clock.now() - timedelta(seconds=max(elapsed, default=0.0))
        place = "EXPNO 1" if len(runs) == 1 else f"EXPNO 1-{len(runs)}"
        data = {"session": self.session(), "runs": runs, "may_end_early": request is not None and request.may_end_early}
        return Handle(token, place, started.isoformat(), data)

    async def _as_found(self, token: str, expnos: list[int]) -> list[dict[str, Any]]:
        """Take what stands in the datasets for what was asked."""
        runs = []
        for expno in expnos:
            answer = await self._link.request("getpar", name=token, expno=expno, names=[*_NAMES, *_LONGER])
            sent = {name: value for name, value in answer["pars"].items() if value or name in _NAMES}
            runs.append({"expno": expno, "sent": sent})
        return runs

    async def _as_asked(self, token: str, request: AcquisitionRequest) -> list[dict[str, Any]]:
        """Give what was sent at the start; the receiver's step as it was taken then."""
        runs = []
        for expno, (pulse, delay) in enumerate(request.points_of_series, start=1):
            answer = await self._link.request("getpar", name=token, expno=expno, names=["BF1", "RG"])
            frequency = self._as_number("BF1", answer["pars"]["BF1"])
            sent = parameters_of(request, pulse, frequency, delay)
            runs.append({"expno": expno, "sent": taken_step(sent, answer["pars"])})
        return runs

    async def sample_temperature(self, token: str) -> float:
        """Measure the sample's temperature in K by one scan, kept as ``<token>-te``.

        Raises
        ------
        Busy
            Something is being acquired.
        CannotSay
            The console tells none.
        """
        return await sample_temperature(self._link, token, self._parameter_set)

    async def tune(self, token: str, nucleus: str) -> Tuned | None:
        """Tune and match by ``atma``, at most for ``tuning_s``; see :class:`labctl.instruments.Tuning`."""
        return await tune(self._link, token, nucleus, self._parameter_set, self._tuning_s, self._reflected)

    async def tuned(self, token: str) -> Tuned | None:
        """Read the curve that was stored after tuning."""
        return await tuned(self._link, token, self._reflected)

    async def so_far(self, handle: Handle, folder: Path) -> int | None:
        """Copy the data so far of an acquisition of one EXPNO; see :class:`labctl.instruments.Watched`."""
        return await so_far(self._link, handle.token, int(handle.data["runs"][0]["expno"]), folder)

    async def enough(self, handle: Handle) -> None:
        """Halt; what is there counts, because the request said that it may."""
        await self.abort(handle)

    async def _running(
        self, token: str, expno: int, sent: Mapping[str, str], found: Mapping[str, Any], values: dict[str, float]
    ) -> Progress:
        elapsed = found["elapsed_s"]
        if elapsed is None:
            now = self._context.clock.now()
            elapsed = (now - self._seen.setdefault((token, expno), now)).total_seconds()
            # Seen for the first time while it was going on: the scans say how far it was.
            elapsed = max(elapsed, (found["scans"] or 0) / int(sent["NS"]) * duration(sent))
        # Where time is hurried, an answer that takes a moment takes minutes there.
        if elapsed > max(allowed(sent), duration(sent) + self._context.clock.patience(_ANSWERED_WITHIN)):
            message = f"EXPNO {expno} still runs after {elapsed:.0f} s where {duration(sent):.0f} s were expected"
            try:
                await self._link.request("halt", name=token)
            except InstrumentError as fault:
                return Progress(State.FAILED, f"{message}; it could not be halted: {fault.message}", values=values)
            return Progress(State.FAILED, f"{message}; halted", values=values)
        return Progress(State.RUNNING, remaining=max(duration(sent) - elapsed, _SOON), values=values)

    async def _level(self, handle: Handle) -> dict[str, float]:
        """Say at which gain it was acquired and whether the receiver was overloaded; nothing where nobody knows."""
        overflows, gains = [], []
        for run in handle.data["runs"]:
            answer = await self._link.request(
                "getpar", name=handle.token, expno=int(run["expno"]), names=list(_LEVEL), status=True
            )
            overflow, gain = (answer["pars"].get(name) or "" for name in _LEVEL)
            if not overflow or not gain:
                return {}
            overflows.append(self._as_number("OVERFLW", overflow))
            gains.append(self._as_number("RG", gain))
        return {"receiver_gain": gains[0], "clipped": float(any(overflows))}

    async def _acquire(self, token: str, expno: int, sent: Mapping[str, str]) -> None:
        await acquire(self._link, token, expno, duration(sent))
        self._seen[token, expno] = self._context.clock.now()

    async def _states(self, token: str) -> list[str]:
        status = await self._link.request("status", name=token)
        return [found["state"] for found in status["expnos"].values()]

    def _as_number(self, name: str, text: str) -> float:
        try:
            return float(text)
        except ValueError as error:
            raise self._link.fault(VendorAlarm, f"{name} reads '{text}', which is no number") from error

    def _warnings(self, handle: Handle, used: list[Mapping[str, str]]) -> tuple[str, ...]:
        warnings = []
        if self.session() != handle.data["session"]:
            warnings.append(f"the spectrometer session changed from {handle.data['session']} to {self.session()}")
        if len({parameters["RG"] for parameters in used}) > 1:
            warnings.append("the receiver gain differs within the series")
        if any("OVERFLW" not in parameters for parameters in used):
            warnings.append("the console does not say whether the receiver was overloaded")
        return tuple(warnings)


def _left(progress: Progress, ahead: float) -> Progress:
    """Add the time to the end of a series: that of its present EXPNO, and of those ``ahead`` of it."""
    if progress.state is not State.RUNNING or progress.remaining is None:
        return progress
    return replace(progress, values={**progress.values, "left_s": progress.remaining + ahead})


def _checked(handle: Handle, sent: Mapping[str, str]) -> dict[str, str]:
    """Give what must be in the dataset; one that may end early has the scans that it has."""
    early = handle.data.get("may_end_early")
    return {name: value for name, value in sent.items() if not (early and name == "NS")}


def _temperature(used: list[Mapping[str, str]]) -> dict[str, float]:
    """Give TE of the last EXPNO in K; a console without a sensor writes 0."""
    try:
        kelvin = float(used[-1].get("TE", "0"))
    except ValueError:
        return {}
    return {"sample_temperature_K": kelvin} if kelvin > 0 else {}


def _merged(runs: list[Mapping[str, str]]) -> dict[str, Any]:
    """Parameters of all EXPNOs: one value where they agree, a list where they differ."""
    merged: dict[str, Any] = {}
    for name in runs[0]:
        values = [run.get(name) for run in runs]
        merged[name] = values[0] if len(set(values)) == 1 else values
    return merged
