"""What a person does at each kind of instrument: set what the request says, start, wait, and give the files.

The instruments are the stand-ins of the vendors' own; a person works them from their front, past any driver. How long
anything takes beside the measurement itself is invented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from labctl_simulators.macnet import MacnetSimulator
from labctl_simulators.thales import ThalesSimulator
from labctl_simulators.topspin import TopspinSimulator

#: Seconds between looks at an instrument that is measuring.
GLANCE: Final = 120.0
_COMPLETED: Final = 4
_STOPPED: Final = (3, 5)
_THALES_FOLDER: Final = "c:\\thales\\by-hand"


class CannotDo(Exception):
    """The instrument does not do what the request asks; said in its own words."""


class Hands(Protocol):
    """One person at one instrument."""

    instrument: Any

    async def measure(self, token: str, asked: Mapping[str, Any], folder: Path) -> None:
        """Carry a request out and lay the result's files into ``folder``, which is fresh. Raises ``CannotDo``."""


class AtSpectrometer:
    """Makes a dataset in TopSpin, types the parameters in, acquires, and copies the dataset."""

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        self.instrument = TopspinSimulator(name, {"data_folder": f"{name}-data", **settings}, laboratory)

    async def measure(self, token: str, asked: Mapping[str, Any], folder: Path) -> None:
        """Acquire one EXPNO after the other, and copy them when all are there."""
        import shutil

        for expno, pulse in enumerate(asked["pulse_lengths"], start=1):
            await self._acquire(token, expno, float(pulse), asked)
        shutil.copytree(self.instrument.folder / token, folder / token)

    async def _acquire(self, token: str, expno: int, pulse: float, asked: Mapping[str, Any]) -> None:
        place = self.instrument.folder / token / str(expno)
        provider = self.instrument.api.Topspin().getDataProvider()
        dataset = provider.createNMRData(path=str(self.instrument.folder), name=token, expno=expno, procno=1)
        if dataset is None:
            # Made before an interruption.
            dataset = provider.getNMRData(str(place / "pdata" / "1"))
        if not (place / "fid").exists():
            dataset.setPar("NUC1", asked["nucleus"])
            values = {
                "PULPROG": asked["pulse_program"],
                "TD": asked["points"],
                "SWH": 0.5 / asked["dwell_time"],
                "NS": asked["scans"],
                "DS": 0,
                "D 1": asked["recycle_delay"],
                "P 1": pulse * 1e6,
                "PLW 1": asked["pulse_power"],
                "O1": asked["carrier_ppm"] * float(dataset.getPar("BF1")),
            }
            if asked["receiver_gain"] is not None:
                values["RG"] = asked["receiver_gain"]
            for name, value in values.items():
                dataset.setPar(name, value if isinstance(value, str) else format(value, ".10g"))
            title = f"{asked['name']}\nsample {asked['sample']}\ntoken {token}"
            (place / "pdata" / "1" / "title").write_text(title, encoding="utf-8")
            dataset.launch("zg")
        while "created by" not in (place / "audita.txt").read_text(encoding="utf-8"):
            await asyncio.sleep(GLANCE)


class AtCycler:
    """Loads the procedure that came with the request, sets the safety limits, starts the test, exports it."""

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        self.instrument = MacnetSimulator(name, {"export_folder": f"{name}-export", **settings}, laboratory)

    async def measure(self, token: str, asked: Mapping[str, Any], folder: Path) -> None:
        """Run the test to its end, and copy the tester's text export."""
        tester = self.instrument.tester
        channel = tester.channels[int(asked["channel"]) - 1]
        if not tester.known(token):
            procedure = (folder.parent / f"{token}.000").read_bytes()
            (tester.procedures / f"{token}.000").write_bytes(procedure)
            safety = asked["program"]["safety"]
            limits = {
                "VSafeMax": safety["voltage_max"],
                "VSafeMin": safety["voltage_min"],
                "ISafeChg": safety["charge_current"],
                "ISafeDis": safety["discharge_current"],
            }
            channel.limit({**channel.safety, **limits})
            code = tester.start(channel, token, token, asked["program"]["name"])
            if code:
                raise CannotDo(f"channel {channel.number} does not start: code {code}")
        file = tester.exports / f"{token}.{channel.number:03d}"
        while channel.test is not None and channel.test.name == token:
            channel.advance(tester.laboratory.time())
            if channel.stat == _COMPLETED:
                tester.clear(channel)
                break
            if channel.stat in _STOPPED:
                break
            await asyncio.sleep(GLANCE)
        (folder / file.name).write_bytes(file.read_bytes())


class AtPotentiostat:
    """Sets the sweep up in Thales, switches the source on for it, and copies the file."""

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        self.instrument = ThalesSimulator(name, settings, laboratory)
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    def send(self, channel: int, payload: bytes | str = b"") -> None:
        """Take what the instrument shows."""
        del channel
        self._answers.put_nowait(payload if isinstance(payload, str) else payload.decode("ascii", "replace"))

    async def _do(self, command: str) -> str:
        self.instrument.submit(self, f"1:{command}:")
        answer = (await self._answers.get()).strip()
        if "ERROR" in answer:
            raise CannotDo(f"{command}: {answer}")
        return answer

    async def measure(self, token: str, asked: Mapping[str, Any], folder: Path) -> None:
        """Sweep from the highest frequency to the lowest."""
        path = f"{_THALES_FOLDER}\\{token}.ism"
        if not self.instrument.file(path):
            galvanostatic = asked["control"] == "galvanostatic"
            high = max(asked["frequency_start"], asked["frequency_end"])
            low = min(asked["frequency_start"], asked["frequency_end"])
            settings = {
                "EIS_MOD": 2,
                "EIS_PATH": _THALES_FOLDER,
                "EIS_ROOT": token,
                "Gal": -1 if galvanostatic else 0,
                "GAL": 1 if galvanostatic else 0,
                "Ampl": asked["amplitude"] * 1000,
                "Fstart": high,
                "Fmax": high,
                "Fmin": low,
                "dfm": asked["points_per_decade"],
                "dfl": asked["points_per_decade"],
                "Nws": asked["periods"],
                "Nwl": asked["periods"],
                "ScanStrategy": 0,
                "ScanDirection": 0,
            }
            if galvanostatic:
                settings["Cset"] = asked["bias"]
            else:
                rest = float((await self._do("POTENTIAL")).removeprefix("potential=").rstrip("V"))
                settings["Pset"] = rest + asked["bias"]
            for name, value in settings.items():
                await self._do(f"{name}={value}")
            await self._do("Pot=-1")
            try:
                await self._do("EIS")
            finally:
                await self._do("Pot=0")
        (folder / f"{token}.ism").write_bytes(self.instrument.file(path))
