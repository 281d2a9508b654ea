"""The roles that a person can fill, each by the calls of its contract, and how the engine makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labctl.instruments import (
    CHARGE_ENDS,
    ENDS_TOGETHER,
    AcquisitionRequest,
    CannotSay,
    Chamber,
    Cycler,
    CyclerProgram,
    DriverContext,
    Handle,
    ImpedanceRequest,
    OutOfRange,
    Potentiostat,
    Reading,
    Refused,
    Spectrometer,
)
from labctl.units import UnitError, parse
from labctl_drivers.assisted.chamber import AssistedChamber
from labctl_drivers.assisted.cycling import CyclerTask
from labctl_drivers.assisted.driver import AssistedInstrument
from labctl_drivers.assisted.findings import Task
from labctl_drivers.assisted.impedance import ImpedanceTask
from labctl_drivers.assisted.nmr import NmrTask
from labctl_drivers.assisted.settings import Settings, role_of
from labctl_drivers.maccor.station import channel_list


class AssistedSpectrometer(AssistedInstrument):
    """A person acquires at the spectrometer and drops the dataset."""

    def session(self) -> str:
        """Name the session, from ``session.txt`` in the drop folder as last read: a reference is good for one."""
        return self._place.session

    async def start(self, token: str, request: AcquisitionRequest) -> Handle:
        """Ask for the acquisition. Raises ``Refused`` where the token was used for something else."""
        if request.recycle_delays or request.carrier_offset:
            what = "a saturation recovery" if request.recycle_delays else "a carrier beside its shift"
            raise self._place.fault(Refused, f"{what} is for spectrometers that labctl drives itself")
        expnos = len(request.pulse_lengths)
        place = "EXPNO 1" if expnos == 1 else f"EXPNO 1-{expnos}"
        return await self._ask(token, place, request.name, NmrTask(token, request))

    def _task(self, token: str, asked: Mapping[str, Any]) -> Task:
        return NmrTask.again(token, asked)


class AssistedCycler(AssistedInstrument):
    """A person starts a program on a channel and drops the tester's text export."""

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        super().__init__(context, settings)
        self._channels = channel_list(context.settings.get("channels", 1))

    async def start(self, token: str, channel: int, program: CyclerProgram) -> Handle:
        """Ask for the program. Raises ``Refused``, and ``OutOfRange`` where no tester of the vendor can do it."""
        self._ours(channel)
        handle = await self._ask(token, str(channel), program.name, CyclerTask(token, channel, program))
        # What a person wrote there was true before this operation only.
        await self._place.run(lambda: self._written(channel).unlink(missing_ok=True))
        return handle

    def _task(self, token: str, asked: Mapping[str, Any]) -> Task:
        return CyclerTask.again(token, asked)

    async def reading(self, channel: int) -> Reading:
        """Give the voltage that a person wrote into ``channel-<n>.txt`` of the drop folder, such as ``3.712 V``.

        It counts for one start: the next request takes the file away.

        Raises
        ------
        CannotSay
            Nobody did: no program can read an assisted channel.
        """
        self._ours(channel)
        path = self._written(channel)

        def read() -> str:
            return path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""

        text = (await self._place.run(read)).strip()
        try:
            return Reading(0.0, parse(text.replace(",", "."), "voltage"), 0.0)
        except UnitError as error:
            raise self._place.fault(
                CannotSay,
                f"nobody has written the voltage of channel {channel}" if not text else f"channel {channel}: {error}",
                hint=f"save it, such as '3.712 V', as {path}",
            ) from error

    async def channels(self) -> Mapping[int, str]:
        """Give every channel that the station gave us; what they do only a person knows."""
        return dict.fromkeys(self._channels, "assisted")

    def _written(self, channel: int) -> Path:
        return self._settings.folder / f"channel-{channel}.txt"

    def _ours(self, channel: int) -> None:
        if channel not in self._channels:
            raise self._place.fault(OutOfRange, f"channel {channel} is not one that the station gave us")

    async def suspend(self, handle: Handle) -> None:
        """Only the person at the instrument can interrupt it. Raises ``Refused``."""
        raise self._place.fault(Refused, "a person runs this instrument; ask them to interrupt it")

    async def resume(self, handle: Handle) -> None:
        """Nothing was interrupted by labctl; what a person interrupted, they let go on."""


class AssistedPotentiostat(AssistedInstrument):
    """A person measures a spectrum and drops the file."""

    async def open_circuit_voltage(self) -> float:
        """Nothing reads an assisted instrument's leads. Raises ``CannotSay``."""
        raise self._place.fault(CannotSay, "the voltage at its leads is not known before the file is dropped")

    async def start(self, token: str, request: ImpedanceRequest) -> Handle:
        """Ask for the spectrum. Raises ``Refused`` where the token was used for something else."""
        task = ImpedanceTask(token, request, self._settings.vendor)
        return await self._ask(token, f"{token}.ism", request.name, task)

    def _task(self, token: str, asked: Mapping[str, Any]) -> Task:
        return ImpedanceTask.again(token, asked, self._settings.vendor)


class AssistedDriver:
    """What the station's ``driver: assisted`` stands for: any role, as its entry says."""

    def role_of(self, entry: Mapping[str, Any]) -> str:
        """Give the role that an entry of the station file asks for. Raises ``UsageError`` where it is none."""
        return role_of(entry)

    def capabilities_of(self, entry: Mapping[str, Any]) -> frozenset[str]:
        """Say what it can do beyond its role: a person's tester runs the same procedures as one that labctl drives."""
        return frozenset({CHARGE_ENDS, ENDS_TOGETHER} if role_of(entry) == "cycler" else ())

    def __call__(self, context: DriverContext) -> Spectrometer | Cycler | Potentiostat | Chamber:
        """Make the instrument of that role. Raises ``UsageError`` with what is wrong with the entry."""
        settings = Settings.read(context)
        if settings.role == "spectrometer":
            return AssistedSpectrometer(context, settings)
        if settings.role == "cycler":
            return AssistedCycler(context, settings)
        if settings.role == "potentiostat":
            return AssistedPotentiostat(context, settings)
        return AssistedChamber(context, settings)


#: What the entry point names.
ASSISTED: Final = AssistedDriver()
